// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/ip.h"
#include "conf/request.h"

// One attachment's addresses: a file of its own, named by its owner, that holds them all, so that both families are
// there or none, and that appears under its name complete and on disk, or not at all:
//
//   {"crossoverLease":1,"containerID":"5fc10b","ifname":"eth0","network":"cilium",
//    "addresses":["10.245.1.7/24","fd00:10::7/120"],"bootID":"0a1b...","netns":"/run/netns/cni-1f8c",
//    "inode":4026532281,"pod":"default/web-0","taken":1763711133241,"sum":"9f0c6d1b2a3e4f50"}
//
// on one line. Each address has the length of its block; `taken` is in milliseconds since 1970; `sum` is
// conf::stable_hash of all that stands before its comma, so that a damaged file is known for one.
namespace ipam {

inline constexpr std::size_t kMaxLeaseFileBytes = std::size_t{64} << 10;

struct Lease {
  conf::AttachmentId owner;
  std::string network;                    ///< the name under which it was taken: a GC of that name may free it
  std::vector<conf::IpPrefix> addresses;  ///< host bits set; the length is the block's
  std::string boot_id;
  std::string netns;              ///< its path; empty if it means nothing to others, or was not kept (earlier releases)
  std::uint64_t netns_inode = 0;  ///< 0 if it could not be told
  std::string pod;                ///< "namespace/name"; empty if the runtime did not say
  std::int64_t taken_ms = 0;
  bool operator==(const Lease&) const = default;
};

[[nodiscard]] std::string lease_text(const Lease& lease);
/// Nothing for what is no whole lease.
[[nodiscard]] std::optional<Lease> parse_lease(std::string_view text);

}  // namespace ipam
