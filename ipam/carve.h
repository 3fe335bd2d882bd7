// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/ip.h"

// How Cilium's operator cuts a cluster pool into the blocks of nodes (pkg/ipam/cidrset, pkg/ipam/allocator/clusterpool
// and podcidr), as values: what a planner asks before anybody asks the operator. The order is that of an operator that
// has just started: the blocks that nodes have are occupied first; then every node without one gets the lowest free
// block of the first CIDR of the list that is not full. (One that has run for a while goes on after the block it gave
// last, and comes round to those that were freed.)
namespace ipam {

/// One family's pool: clusterPoolIPv4PodCIDRList with its mask size, or IPv6's.
struct ClusterPool {
  std::vector<conf::IpPrefix> cidrs;  ///< in the order in which they are used up; no host bits
  unsigned mask_size = 0;             ///< of a node's block
};

/// The rule that a pool breaks, as one sentence; nothing for a good one. Beyond what the operator checks (overlap, one
/// family, at most 16 bits between an IPv6 CIDR and its blocks): no block larger than its CIDR, and none smaller than
/// four addresses, which the agent could not use.
[[nodiscard]] std::optional<std::string> pool_problem(const ClusterPool& pool);

/// A block in use that the operator would not have given out of this pool.
struct Misfit {
  conf::IpPrefix cidr;
  std::string problem;  ///< what it is, and what the operator makes of it
};

struct PoolCidr {
  conf::IpPrefix cidr;
  std::uint64_t total = 0;
  std::uint64_t free = 0;  ///< before any of the next blocks is given
};

struct Carved {
  std::vector<conf::IpPrefix> next;  ///< fewer than wanted where the pool is used up
  std::vector<PoolCidr> cidrs;
  std::vector<Misfit> misfits;  ///< in the order in which they were given
};

/// The next `wanted` blocks of a pool without a problem, of which `used` are in use; of these the other family's are
/// left out of account. A block that is larger than the pool's occupies all that it covers, a smaller one the block
/// around it, one outside of the pool nothing, as in the operator; but where the operator occupies only the first of
/// the CIDRs that a block touches, this occupies every one, so that no block in use is ever proposed. Time and memory
/// go with `used` and `wanted`, not with the pool.
[[nodiscard]] Carved carve(const ClusterPool& pool, const std::vector<conf::IpPrefix>& used, std::size_t wanted);

}  // namespace ipam
