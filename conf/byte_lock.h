// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "conf/fd.h"

// Locks on single bytes of a file, which need not exist: open-file-description locks, dropped by the kernel when the
// last copy of the descriptor is gone, be it in a program that inherited it.
namespace conf {

/// Opens or makes a lock file, 0600. CniError code 104 if that fails.
[[nodiscard]] UniqueFd open_lock_file(const std::string& path);

/// A held byte; released when it goes.
class ByteLock {
 public:
  ByteLock(ByteLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)), offset_(other.offset_) {}
  ByteLock& operator=(ByteLock&&) = delete;
  ByteLock(const ByteLock&) = delete;
  ByteLock& operator=(const ByteLock&) = delete;
  ~ByteLock();

  enum class Kind { kShared, kExclusive };
  /// The byte at `offset` of `fd`, which must outlive the lock; nothing if it is not free within `wait`.
  [[nodiscard]] static std::optional<ByteLock> acquire(int fd, std::int64_t offset, Kind kind,
                                                       std::chrono::milliseconds wait);

 private:
  ByteLock(int fd, std::int64_t offset) : fd_(fd), offset_(offset) {}
  int fd_;
  std::int64_t offset_;
};

/// Writes our pid at the head of the lock file, for the error of whoever waits in vain; and reads the holder's, 0 if
/// there is none to read.
void sign_lock_file(int fd);
[[nodiscard]] int lock_file_signer(int fd);

}  // namespace conf
