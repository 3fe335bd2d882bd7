// SPDX-License-Identifier: Apache-2.0
#include "plugin/pod_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>

namespace plugin {
namespace {

using conf::IpPrefix;
using netlink::Route;

constexpr std::uint64_t kLargestMtu = 65535;

bool lies_in(const IpPrefix& dst, const std::vector<IpPrefix>& cidrs) {
  return std::any_of(cidrs.begin(), cidrs.end(), [&](const IpPrefix& cidr) { return cidr.overlaps(dst); });
}

bool has_family(const std::vector<IpPrefix>& addresses, conf::Family family) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [&](const IpPrefix& address) { return address.addr.family == family; });
}

/// The pod's namespace, as far as its own way out goes.
struct Pod {
  std::vector<Route> routes;
  std::uint32_t link = 0;
  std::uint32_t link_mtu = 0;
};

std::optional<Pod> look_at(netlink::Fib& fib, const std::string& ifname) {
  const std::optional<netlink::Link> link = fib.link(ifname);
  if (!link) return std::nullopt;
  return Pod{.routes = fib.routes({.family = {}, .table = netlink::kMainTable, .protocol = {}}),
             .link = link->index,
             .link_mtu = link->mtu};
}

const Route* default_route(const Pod& pod, conf::Family family) {
  const Route* out = nullptr;
  for (const Route& route : pod.routes)
    if (route.dst.addr.family == family && route.dst.prefix_len == 0 && route.link == pod.link &&
        (out == nullptr || route.metric < out->metric))
      out = &route;
  return out;
}

bool has_route(const Pod& pod, const Route& route) {
  return std::find(pod.routes.begin(), pod.routes.end(), route) != pod.routes.end();
}

Route route_along(const Route& path, const PodRoute& wanted) {
  Route out;
  out.dst = wanted.dst.masked();
  out.via = path.via;
  out.link = path.link;
  out.onlink = path.onlink;
  out.scope = path.scope;
  out.src = path.src;
  out.mtu = wanted.mtu;
  if (out.dst.addr.family == conf::Family::kIpv6) out.metric = netlink::kDefaultMetric6;
  return out;
}

}  // namespace

PodRoutesWanted pod_routes(const conf::Settings& settings, Network network, const std::vector<IpPrefix>& addresses,
                           const std::function<std::uint32_t(const IpPrefix&)>& mtu_to) {
  const bool is_legacy = network == Network::kLegacy;
  const std::vector<IpPrefix>& own = is_legacy ? settings.legacy_cidrs : settings.cilium_cidrs;
  const std::vector<IpPrefix>& other = is_legacy ? settings.cilium_cidrs : settings.legacy_cidrs;
  const conf::Coexistence& asked = settings.coexistence;
  PodRoutesWanted out;
  for (const PodRoute& route : asked.pod_routes)
    if (has_family(addresses, route.dst.addr.family) && !lies_in(route.dst, own) && !lies_in(route.dst, addresses))
      out.routes.push_back(route);
  if (!asked.pod_routes.empty() || asked.profile != conf::Profile::kAuto || own.empty()) return out;
  out.derived = true;
  for (const IpPrefix& dst : other) {
    if (!has_family(addresses, dst.addr.family)) continue;
    if (const std::uint32_t mtu = mtu_to(dst); mtu != 0) out.routes.push_back({.dst = dst, .mtu = mtu});
  }
  return out;
}

std::vector<PodRoute> add_pod_routes(netlink::Fib& fib, const std::string& ifname, const PodRoutesWanted& wanted,
                                     std::vector<std::string>& notes) {
  std::vector<PodRoute> out;
  if (wanted.routes.empty()) return out;
  const std::optional<Pod> pod = look_at(fib, ifname);
  if (!pod) {
    notes.push_back(fmt::format("no routes to the other network: the pod has no {}", ifname));
    return out;
  }
  for (const PodRoute& route : wanted.routes) {
    const Route* path = default_route(*pod, route.dst.addr.family);
    if (path == nullptr) {
      notes.push_back(fmt::format("no route to {} in the pod: it has no default route by {}", route.dst.str(), ifname));
      continue;
    }
    const std::uint32_t usual = path->mtu != 0 ? path->mtu : pod->link_mtu;
    if (wanted.derived && route.mtu >= usual) continue;
    const netlink::Ack ack = fib.add(route_along(*path, route));
    // EEXIST: of whatever. ENOBUFS: the answer was lost.
    const bool unknown = ack.error == EEXIST || ack.error == ENOBUFS;
    if (ack.ok() || (unknown && has_route(look_at(fib, ifname).value_or(Pod{}), route_along(*path, route))))
      out.push_back(route);
    else
      notes.push_back(fmt::format("no route to {} in the pod: {}", route.dst.str(), ack.str()));
  }
  return out;
}

std::vector<std::string> pod_route_problems(netlink::Fib& fib, const std::string& ifname,
                                            const std::vector<PodRoute>& routes) {
  std::vector<std::string> out;
  if (routes.empty()) return out;
  const std::optional<Pod> pod = look_at(fib, ifname);
  for (const PodRoute& route : routes) {
    const Route* path = pod ? default_route(*pod, route.dst.addr.family) : nullptr;
    if (path == nullptr || !has_route(*pod, route_along(*path, route)))
      out.push_back(
          fmt::format("route to {} with mtu {} along the default route of {}", route.dst.str(), route.mtu, ifname));
  }
  return out;
}

std::string pod_routes_text(const std::vector<PodRoute>& routes) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const PodRoute& route : routes) out.push_back({{"dst", route.dst.str()}, {"mtu", route.mtu}});
  return out.dump();
}

std::vector<PodRoute> parse_pod_routes(const std::string& text) {
  std::vector<PodRoute> out;
  const nlohmann::json all = nlohmann::json::parse(text, nullptr, false);
  if (!all.is_array()) return out;
  for (const nlohmann::json& one : all) {
    if (!one.is_object() || !one.contains("dst") || !one["dst"].is_string() || !one.contains("mtu") ||
        !one["mtu"].is_number_unsigned())
      continue;
    const std::optional<IpPrefix> dst = IpPrefix::parse(one["dst"].get<std::string>());
    const auto mtu = one["mtu"].get<std::uint64_t>();
    if (dst && mtu <= kLargestMtu) out.push_back({.dst = *dst, .mtu = static_cast<std::uint32_t>(mtu)});
  }
  return out;
}

}  // namespace plugin
