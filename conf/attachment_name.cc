// SPDX-License-Identifier: Apache-2.0
#include "conf/attachment_name.h"

#include <fmt/format.h>

#include "conf/stable_hash.h"

namespace conf {
namespace {

constexpr std::size_t kLongestPlainId = 200;  // with the longest interface name and a temporary's suffix below NAME_MAX

}  // namespace

std::string attachment_name(const AttachmentId& id) {
  if (id.container_id.size() <= kLongestPlainId) return fmt::format("{}:{}", id.container_id, id.ifname);
  return fmt::format("{}~{:016x}{:016x}:{}", id.container_id.substr(0, kLongestPlainId - 40),
                     stable_hash(id.container_id), stable_hash(id.container_id, 1), id.ifname);
}

}  // namespace conf
