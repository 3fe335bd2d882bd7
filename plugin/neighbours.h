// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "conf/ip.h"
#include "conf/settings.h"
#include "netlink/link.h"
#include "plugin/agent_answers.h"
#include "plugin/node.h"
#include "plugin/system.h"

// How Cilium and the legacy network get along on this node: settings of the one that break pods of the other. For
// those who look (`crossover status`, `crossover install`); no ADD waits for it.
namespace plugin {

/// Addresses that the legacy network hands out, and who says so.
struct LegacyPool {
  conf::IpPrefix cidr;
  std::string source;  ///< "`legacy.cidrs`", "FLANNEL_NETWORK in /run/flannel/subnet.env"
};

struct Neighbours {
  bool has_agent = false;     ///< there is an agent to ask; `health` says whether it answered
  bool legacy_lives = false;  ///< a pod of it is on record, or its list is in place
  AgentHealth health;
  AgentConfig config;
  std::vector<conf::IpPrefix> cilium_cidrs;  ///< `cilium.cidrs`
  std::vector<LegacyPool> legacy_pools;
  std::vector<netlink::Link> links;
};

/// One line each, with what is wrong, whom it breaks, and the Helm value that cures it. All but a list that the agent
/// cannot write are for legacy pods' sake: none of them once the legacy network is gone. Pure.
[[nodiscard]] std::vector<std::string> neighbour_warnings(const Neighbours& here);

/// Asks the agent for what `node` has not asked it yet, once; before Cilium has a list here, an agent whose socket is
/// at the usual place. What cannot be read counts as not there.
[[nodiscard]] Neighbours look_at_neighbours(System& system, const conf::Settings& settings, const Node& node,
                                            std::size_t legacy_pods);

/// The subnets and pools in a list's `ipam` sections. Pure.
[[nodiscard]] std::vector<conf::IpPrefix> pools_of(const conf::NetworkList& list);

/// The UDP port of Cilium's tunnel: as the agent says, or as its device has it; 0 if it has none, or nobody knows.
[[nodiscard]] unsigned tunnel_port(const Neighbours& here);

}  // namespace plugin
