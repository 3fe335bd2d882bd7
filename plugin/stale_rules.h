// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conf/ip.h"
#include "conf/list.h"
#include "netlink/rule.h"

// Rules of one address that outlived its former pod: a new pod with that address sends or gets its packets by them
// (cilium#18868 took a cluster of 404 nodes down). Pure.
namespace plugin {

struct StaleRule {
  netlink::Rule rule;
  conf::IpAddr address;
  /// Nobody needs it: it is at no priority that the pod's own network uses, or that network made another beside it.
  /// Otherwise the network may have found its own rule in place and left it.
  bool certain = false;
  [[nodiscard]] std::string str() const;  ///< address, table and priority, and how it is removed
};

/// Whether the kernel, asked to delete `rule`, would take it and no other of `all`: it knows rules by what is said of
/// them, takes the first that fits, and there are selectors that we do not know.
[[nodiscard]] bool can_be_deleted(const netlink::Rule& rule, const std::vector<netlink::Rule>& all);

/// The rules whose source or destination is `address` alone; none of ours, and no inverted one.
[[nodiscard]] std::vector<netlink::Rule> rules_of(const std::vector<netlink::Rule>& rules, const conf::IpAddr& address);

/// The priorities at which the plugins of `list` make rules for their own pods.
[[nodiscard]] std::vector<std::uint32_t> own_priorities(const conf::NetworkList& list);

/// Of the rules that were there `before` the addresses were given to a pod, those that still are there `after`.
[[nodiscard]] std::vector<StaleRule> stale_rules(const std::vector<netlink::Rule>& before,
                                                 const std::vector<netlink::Rule>& after,
                                                 const std::vector<conf::IpAddr>& addresses,
                                                 const std::vector<std::uint32_t>& own);

}  // namespace plugin
