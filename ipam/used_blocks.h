// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "conf/ip.h"

namespace ipam {

/// What a list of a cluster's nodes may have: a CiliumNode names every address in use.
inline constexpr std::size_t kMaxUsedBytes = std::size_t{64} << 20;

/// The node blocks that `text` names, host bits cleared: one CIDR a line with comments from '#' on, or JSON as
/// `kubectl get ciliumnodes -o json` and `kubectl get nodes -o json` print it, of one object too: each one's
/// spec.ipam.podCIDRs, else spec.podCIDRs, else spec.podCIDR. Nodes without any are passed over. Code 6 or 7 naming
/// `source` and the line or the key for anything else.
[[nodiscard]] std::vector<conf::IpPrefix> parse_used_blocks(std::string_view text, std::string_view source);

}  // namespace ipam
