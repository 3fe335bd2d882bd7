// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "conf/ip.h"
#include "conf/settings.h"
#include "netlink/route.h"
#include "netlink/rule.h"

// Values for tests of what lies between the networks.
namespace plans {

inline conf::IpPrefix cidr(const std::string& text) { return conf::IpPrefix::parse(text).value(); }
inline conf::IpAddr addr(const std::string& text) { return conf::IpAddr::parse(text).value(); }

inline conf::Settings settings(const std::vector<std::string>& legacy, const std::vector<std::string>& cilium) {
  conf::Settings out;
  for (const std::string& one : legacy) out.legacy_cidrs.push_back(cidr(one));
  for (const std::string& one : cilium) out.cilium_cidrs.push_back(cidr(one));
  return out;
}

/// Ours, unless `protocol` says otherwise.
inline netlink::Rule rule_to(std::uint32_t priority, const std::string& to, std::uint32_t table = netlink::kMainTable,
                             std::uint8_t protocol = netlink::kOurProtocol) {
  netlink::Rule out;
  out.to = cidr(to);
  out.family = out.to->addr.family;
  out.priority = priority;
  out.table = table;
  out.protocol = protocol;
  return out;
}

inline netlink::Rule rule_from(std::uint32_t priority, const std::string& from, std::uint32_t table,
                               std::uint8_t protocol) {
  netlink::Rule out = rule_to(priority, from, table, protocol);
  out.from = out.to;
  out.to.reset();
  return out;
}

inline netlink::Rule suppressing(netlink::Rule rule, std::uint32_t length) {
  rule.suppress_prefix_length = length;
  return rule;
}

}  // namespace plans
