// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <set>
#include <string>
#include <string_view>

// What the reference portmap has in the kernel, read from what the kernel's own tools and tables say. Pure.
//
//   iptables   CNI-HOSTPORT-DNAT of table nat jumps to one chain for each container, CNI-DN-<hash of network and id>;
//              the jump's comment is `dnat name: "<network>" id: "<container id>"`, cut after 255 bytes
//   nft        (plugins 1.6 and newer) tables ip and ip6 `cni_hostport`: a rule for each mapping, whose comment is the
//              container's id and nothing else (portmap_nft_chain)
namespace plugin {

/// Whose a rule is.
struct PortmapOwner {
  std::string container_id;
  std::string network;  ///< empty for a rule of nft: it does not tell
  auto operator<=>(const PortmapOwner&) const = default;
};

/// The owners of the jumps in what `iptables-save` or `ip6tables-save` printed. A jump whose comment is cut, or names
/// what is no network or no container id, is nobody's.
[[nodiscard]] std::set<PortmapOwner> portmap_jumps(std::string_view saved);

inline constexpr std::string_view kPortmapTable = "cni_hostport";
/// Whether a chain of that table holds rules of containers.
[[nodiscard]] bool portmap_nft_chain(std::string_view chain);

}  // namespace plugin
