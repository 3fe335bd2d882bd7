// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/rtnetlink.h>

#include <string>
#include <vector>

#include "netlink/fib.h"

// Rules and routes for tests.
namespace samples {

inline constexpr std::uint8_t kStranger = 80;
inline const netlink::RouteFilter kOurs{.family = {}, .table = {}, .protocol = netlink::kOurProtocol};
inline const netlink::RouteFilter kStrangers{.family = {}, .table = {}, .protocol = kStranger};

inline netlink::Rule rule(std::uint32_t priority, const std::string& to,
                          std::uint8_t protocol = netlink::kOurProtocol) {
  netlink::Rule made;
  made.priority = priority;
  made.to = conf::IpPrefix::parse(to).value();
  made.family = made.to->addr.family;
  made.protocol = protocol;
  return made;
}

inline netlink::Route route(const std::string& dst, std::uint32_t link, std::uint32_t table = 30000) {
  netlink::Route made;
  made.dst = conf::IpPrefix::parse(dst).value();
  made.link = link;
  made.table = table;
  made.scope = netlink::scope_for(made);
  return made;
}

template <typename T>
T with_protocol(T made, std::uint8_t protocol) {
  made.protocol = protocol;
  return made;
}

/// As it is read back.
inline netlink::Route with_metric(netlink::Route made, std::uint32_t metric) {
  made.metric = metric;
  return made;
}

/// Without the kernel's own.
inline std::vector<netlink::Rule> made_rules(netlink::Fib& fib) {
  std::vector<netlink::Rule> rules = fib.rules();
  std::erase_if(rules, [](const netlink::Rule& one) { return one.protocol == RTPROT_KERNEL; });
  return rules;
}

}  // namespace samples
