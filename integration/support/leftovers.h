// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "integration/support/cluster.h"

// What pods leave on a node, found by comparing the node before the first pod with the node after the last one. Judged
// by the tools of the system (ip, iptables-save) and by the files themselves, never by our own readers.
namespace support {

/// One line for each link, route, rule, iptables chain and rule, and file below /var/lib/cni. Left out is what is there
/// to stay: locks, host-local's note of the last address, Crossover's node-state, events, copies of the lists and
/// tables of blocks (but not the leases that the tables are of).
[[nodiscard]] std::set<std::string> node_state(const Node& node);

/// What is in `after` and was not in `before`, each with the node's name in front.
[[nodiscard]] std::vector<std::string> leftovers(const Node& node, const std::set<std::string>& before,
                                                 const std::set<std::string>& after);

}  // namespace support
