// SPDX-License-Identifier: Apache-2.0

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "conf/request.h"
#include "conf/stable_hash.h"
#include "ipam/lease.h"

// A lease's file, as it is and with the sum that its bytes should have. Breaks if anything is thrown, if what is taken
// for a lease has no owner or no address, or if it is another one after it was written and read.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void demand(bool holds) {
  if (!holds) std::abort();
}

void check(const std::string& text) {
  const std::optional<ipam::Lease> lease = ipam::parse_lease(text);
  if (!lease) return;
  demand(conf::is_container_id(lease->owner.container_id) && conf::is_ifname(lease->owner.ifname));
  demand(!lease->addresses.empty());
  const std::string written = ipam::lease_text(*lease);
  const std::optional<ipam::Lease> again = ipam::parse_lease(written);
  demand(again == lease);
  for (std::size_t bytes = 0; bytes < written.size(); bytes += 1 + written.size() / 16)
    demand(!ipam::parse_lease(written.substr(0, bytes)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  check(text);
  const std::string body = text.substr(0, text.rfind(",\"sum\":\""));
  check(fmt::format("{},\"sum\":\"{:016x}\"}}\n", body, conf::stable_hash(body)));
  return 0;
}
