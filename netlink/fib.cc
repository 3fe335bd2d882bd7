// SPDX-License-Identifier: Apache-2.0
#include "netlink/fib.h"

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>

#include "netlink/dump.h"

namespace netlink {
namespace {

bool passes(const RouteFilter& filter, const Route& route) {
  return (!filter.family || *filter.family == route.dst.addr.family) &&
         (!filter.table || *filter.table == route.table) && (!filter.protocol || *filter.protocol == route.protocol);
}

Ack ask(Socket& socket, std::vector<std::byte> message) { return socket.request(message); }

}  // namespace

Socket& KernelFib::socket() {
  if (!socket_) socket_ = Socket::open(NETLINK_ROUTE);
  return *socket_;
}

std::vector<Rule> KernelFib::rules() {
  std::vector<Rule> out = settled_list(socket(), encode_rule_dump(), "rules", decode_fib_rule);
  // The families come in the order in which they were registered.
  std::stable_partition(out.begin(), out.end(), [](const Rule& rule) { return rule.family == conf::Family::kIpv4; });
  return out;
}

std::vector<Route> KernelFib::routes(const RouteFilter& filter) {
  const auto decode = [&filter](std::span<const std::byte> message) {
    std::optional<Route> route = decode_route(message);
    if (route && !passes(filter, *route)) route.reset();
    return route;
  };
  return settled_list(socket(), encode_route_dump(filter), "routes", decode, ENOENT);  // no such table
}

std::vector<LinkAddress> KernelFib::addresses() {
  return list(socket(), encode_address_dump(), "addresses", decode_address);
}

std::vector<Link> KernelFib::links() { return list(socket(), encode_link_dump(), "links", decode_link); }

std::optional<Link> KernelFib::link(std::string_view name) { return find_link(socket(), name); }

Ack KernelFib::add(const Rule& rule) { return ask(socket(), encode_rule_add(rule)); }
Ack KernelFib::remove(const Rule& rule) { return ask(socket(), encode_rule_delete(rule)); }
Ack KernelFib::add(const Route& route) { return ask(socket(), encode_route_add(route)); }
Ack KernelFib::remove(const Route& route) { return ask(socket(), encode_route_delete(route)); }

}  // namespace netlink
