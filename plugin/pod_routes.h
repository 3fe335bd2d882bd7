// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "conf/ip.h"
#include "conf/settings.h"
#include "netlink/fib.h"
#include "plugin/decide.h"

// Routes inside a pod to the other network, along the pod's own default path, with the MTU that the crossing has. Path
// MTU discovery would find it too, but only after the first large datagram was lost ("message too long").
namespace plugin {

using PodRoute = conf::PodRouteSetting;

struct PodRoutesWanted {
  std::vector<PodRoute> routes;
  bool derived = false;  ///< from the CIDRs: only where the pod would send larger packets
};

/// The routes for a new pod of `network` with these addresses: coexistence.podRoutes but those to its own network; with
/// profile `auto`, none configured and the CIDRs of both known, those of the other network, `mtu_to` of each. Families
/// that the pod has no address of are left out. Pure.
[[nodiscard]] PodRoutesWanted pod_routes(const conf::Settings& settings, Network network,
                                         const std::vector<conf::IpPrefix>& addresses,
                                         const std::function<std::uint32_t(const conf::IpPrefix&)>& mtu_to);

/// Adds them in the pod's namespace; those that are needed and are there now. `notes` says which could not be, and why.
[[nodiscard]] std::vector<PodRoute> add_pod_routes(netlink::Fib& pod, const std::string& ifname,
                                                   const PodRoutesWanted& wanted, std::vector<std::string>& notes);

/// What of `routes` is not there as add_pod_routes made it, one line each.
[[nodiscard]] std::vector<std::string> pod_route_problems(netlink::Fib& pod, const std::string& ifname,
                                                          const std::vector<PodRoute>& routes);

/// As records keep them: [{"dst":"10.245.0.0/16","mtu":1400}]. Parsing gives nothing for what is no such text.
[[nodiscard]] std::string pod_routes_text(const std::vector<PodRoute>& routes);
[[nodiscard]] std::vector<PodRoute> parse_pod_routes(const std::string& text);

}  // namespace plugin
