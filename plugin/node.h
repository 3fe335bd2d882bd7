// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "conf/settings.h"
#include "plugin/decide.h"
#include "plugin/discovery.h"
#include "plugin/system.h"

// Reads what a decision needs: node-state, the two lists, the agent.
namespace plugin {

struct Node {
  Discovery lists;
  NodeFacts facts;
  std::string socket;  ///< the agent's; empty if there is none to ask

  [[nodiscard]] const std::optional<FoundList>& found(Network network) const {
    return network == Network::kLegacy ? lists.legacy : lists.cilium;
  }
  /// What the agent says of its configuration: asked for when first needed, and once. Empty without an agent, and from
  /// one that gave no answer about its health.
  [[nodiscard]] const AgentConfig& agent_config(System& system, conf::Millis deadline) const;

 private:
  mutable std::optional<AgentConfig> agent_config_;
};

enum class AskAgent {
  kIfItMatters,  ///< only if its answer can change the decision
  kAlways,
};

[[nodiscard]] Node look_at_node(System& system, const conf::Settings& settings, Copies copies, AskAgent ask,
                                conf::Millis agent_deadline);

/// Whether the agent's answer can change the decision. Pure.
[[nodiscard]] bool agent_matters(const NodeFacts& facts, const conf::Settings& settings);

/// The path of node-state.
[[nodiscard]] std::string node_state_path(const conf::Settings& settings);

}  // namespace plugin
