// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/ip.h"
#include "netlink/nft.h"
#include "plugin/conditions.h"
#include "plugin/port_record.h"

// The part of table `inet crossover` that belongs to hostPorts, as values: what is always there (its layout), and what
// an attachment adds to it (elements). Pure. Others may keep chains in the same table; ours are those whose names begin
// with "hostports" and the sets whose names begin with "ports".
//
//   hostports_prerouting, hostports_output    nat, -101: what is addressed to this node -> hostports
//     One before everybody's -100: a redirection to a dead pod that another plugin left there never wins.
//   hostports               by address and port -> the pod, else -> hostports_by_port
//   hostports_by_port       by port -> the pod
//   hostports_addr_if, hostports_port_if      before each of them, for keys whose pod has conditions
//   hostports_postrouting   nat, 99: who could not be answered otherwise is masqueraded
//   hostports_raw           filter, -300: 127.0.0.0/8 must not come in by a link that we opened for it
//
// A key is in one map whatever the conditions of its pod are, so that the kernel knows every conflict. Conditions are a
// pair of chains and sets for each different text: a packet for a key of theirs that does not fulfil them goes on as if
// the key were not there.
namespace plugin {

inline constexpr std::string_view kLayoutVersion = "1";  ///< part of every rule's comment

[[nodiscard]] const netlink::NftTable& crossover_table();
[[nodiscard]] bool is_port_chain(std::string_view name);
[[nodiscard]] bool is_port_set(std::string_view name);

/// Everything of the table that does not depend on mappings, or that one text of conditions needs.
struct PortLayout {
  std::vector<netlink::NftSet> sets;
  std::vector<netlink::NftChain> chains;
  std::vector<netlink::NftRule> rules;  ///< in their order within each chain
};
[[nodiscard]] const PortLayout& fixed_layout();
/// Its rules in hostports_addr_if and hostports_port_if are in no order with those of others.
[[nodiscard]] PortLayout condition_layout(const Conditions& conditions);

/// Whether the fixed rules are all there, in their order and with none between them: by their comments, so that one
/// dump of the table's rules tells.
[[nodiscard]] bool has_fixed_rules(const std::vector<netlink::ListedRule>& rules);
[[nodiscard]] bool has_condition_rules(const std::vector<netlink::ListedRule>& rules, const Conditions& conditions);

inline constexpr std::string_view kLocalnetSet = "ports_localnet";  ///< links that we opened for 127.0.0.0/8
[[nodiscard]] netlink::NftElement localnet_element(std::string_view link, const std::string& owner);

/// One element of one of the sets.
struct PortElement {
  std::string set;
  netlink::NftElement element;
  bool is_key = false;  ///< it says whose a port is: another's is a conflict
  bool operator==(const PortElement&) const = default;
};
/// All that `record` puts into the table, but for localnet_element().
[[nodiscard]] std::vector<PortElement> port_elements(const PortRecord& record);

/// The map that holds `key`, and the key there.
struct PortPlace {
  std::string set;
  netlink::Bytes key;
};
[[nodiscard]] PortPlace place_of(const PortKey& key);
/// Where an element of such a map sends packets; nothing if its data is of another size.
[[nodiscard]] std::optional<PortTarget> target_in(const netlink::NftElement& element);

}  // namespace plugin
