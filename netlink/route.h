// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conf/ip.h"
#include "netlink/rule.h"

// Routes (`ip route`): values and messages. Fib asks the kernel.
namespace netlink {

inline constexpr std::uint32_t kLocalTable = 255;

/// What the kernel makes of metric 0 in IPv6 (IP6_RT_PRIO_USER).
inline constexpr std::uint32_t kDefaultMetric6 = 1024;

/// The numbers are the kernel's RTN_*.
enum class RouteType : std::uint8_t {
  kUnicast = 1,
  kLocal = 2,
  kBroadcast = 3,
  kAnycast = 4,
  kMulticast = 5,
  kBlackhole = 6,
  kUnreachable = 7,
  kProhibit = 8,
  kThrow = 9,
};

struct Route {
  conf::IpPrefix dst;               ///< masked; /0 is the default route
  std::optional<conf::IpAddr> via;  ///< of dst's family, or of the other (RTA_VIA)
  std::uint32_t link = 0;           ///< the index of the link it leaves by; 0: none given, or none (blackhole)
  std::uint32_t table = kMainTable;
  std::uint32_t mtu = 0;     ///< RTAX_MTU; 0: the link's
  bool onlink = false;       ///< `via` is on the link, whatever other routes say
  std::uint32_t metric = 0;  ///< IPv6 has none of 0: the kernel takes it for kDefaultMetric6, and says so when asked
  std::optional<conf::IpAddr> src;  ///< RTA_PREFSRC
  RouteType type = RouteType::kUnicast;
  std::uint8_t scope = 0;  ///< RT_SCOPE_*; 0 universe, 253 link, 254 host. IPv6 has only 0.
  std::uint8_t protocol = kOurProtocol;
  bool has_more = false;  ///< several next hops, an encapsulation, a nexthop object, MTU lock...; only ever read
  bool operator==(const Route&) const = default;

  /// As `ip route` prints it, links as "dev <name>" if `link_name` is given, else by index.
  [[nodiscard]] std::string str(const std::string& link_name = {}) const;
};

/// Which routes a dump is to give; the kernel filters what it can, the rest is filtered here.
struct RouteFilter {
  std::optional<conf::Family> family;    ///< nothing: both
  std::optional<std::uint32_t> table;    ///< nothing: all tables
  std::optional<std::uint8_t> protocol;  ///< nothing: everybody's
};

/// The scope that `ip route add` would choose, and that the kernel wants for others to be routed through it: link for
/// an IPv4 route without `via`, host for a local one, universe (0) for the rest. What is encoded is `route.scope` as it
/// stands: `route.scope = scope_for(route)` is up to who makes the route. Pure.
[[nodiscard]] std::uint8_t scope_for(const Route& route);

// The messages. Pure.
/// With NLM_F_CREATE and NLM_F_EXCL: EEXIST for a route with the same destination, table and metric, whoever's.
[[nodiscard]] std::vector<std::byte> encode_route_add(const Route& route);
/// Names everything that says which route it is, the protocol too: ESRCH if there is none like it. What is left out
/// (metric 0, MTU 0, no `via`, no `src`) fits any to the kernel, which then takes the first, that is the lowest metric.
[[nodiscard]] std::vector<std::byte> encode_route_delete(const Route& route);
[[nodiscard]] std::vector<std::byte> encode_route_dump(const RouteFilter& filter);
/// The route in one RTM_NEWROUTE message, header included; nothing if it is another message, malformed, of neither
/// family, or a cached one (RTM_F_CLONED).
[[nodiscard]] std::optional<Route> decode_route(std::span<const std::byte> message);

}  // namespace netlink
