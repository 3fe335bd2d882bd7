// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conf/disk.h"
#include "conf/ip.h"
#include "netlink/link.h"
#include "netlink/route.h"

// What this node does with packets from one network to the other.
namespace plugin {

/// The smallest MTU on the ways from this node to `dst`: of the routes of `main` into it, or, if there are none, of the
/// closest one around it. A route's own MTU counts before its link's. 0 if there is no way. Pure.
[[nodiscard]] std::uint32_t crossing_mtu(const std::vector<netlink::Route>& main,
                                         const std::vector<netlink::Link>& links, const conf::IpPrefix& dst);

/// The virtual links by which these ways leave: overlays, bridges, pairs; not the node's own. Pure.
[[nodiscard]] std::vector<std::string> crossing_links(const std::vector<netlink::Route>& main,
                                                      const std::vector<netlink::Link>& links,
                                                      const conf::IpPrefix& dst);

/// What of the kernel's settings below `sysctl` ("/proc/sys") drops packets between the networks, each with its cure:
/// forwarding that is off, and a reverse path filter on one of `links`. The kernel takes the larger of the filter of
/// all links and of the link's own; strict (1) and loose (2) both were seen to break crossings.
[[nodiscard]] std::vector<std::string> crossing_warnings(conf::Disk& disk, const std::string& sysctl, bool with_ipv4,
                                                         bool with_ipv6, const std::vector<std::string>& links);

}  // namespace plugin
