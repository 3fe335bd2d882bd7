// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include <thread>

#include "plugin/system.h"

namespace plugin {

std::int64_t RealClock::unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// std::chrono has no clock that counts suspended time, and a DEL may be compared with an ADD from before a suspend.
std::uint64_t RealClock::boot_ns() {
  timespec now{};
  (void)::clock_gettime(CLOCK_BOOTTIME, &now);  // cannot fail on Linux 2.6.39 and newer
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

void RealClock::sleep(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

}  // namespace plugin
