// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "conf/error.h"
#include "conf/settings.h"
#include "plugin/agent.h"
#include "plugin/node_state.h"

// Which network a new pod joins. Pure: what was read is in `NodeFacts` and `PodFacts`, the answer is a `Choice`.
namespace plugin {

enum class Network { kLegacy, kCilium };
[[nodiscard]] std::string_view network_name(Network network);  ///< "legacy", "cilium"
[[nodiscard]] std::optional<Network> parse_network(std::string_view text);

/// The annotation that `allowPodOverride` honours.
inline constexpr std::string_view kOverrideAnnotation = "crossover.cni/network";

struct ListFacts {
  bool usable = false;       ///< there is a list to run: from its file, or the last good copy
  bool in_place = false;     ///< its file is there now, be it torn
  bool runs_cilium = false;  ///< it runs cilium-cni
  std::string problem;       ///< why it is not usable
};

struct NodeFacts {
  NodeStateFile file;
  ListFacts legacy;
  ListFacts cilium;
  bool has_socket = false;  ///< there is an agent to ask
  AgentHealth agent;        ///< only if has_socket
};

struct PodFacts {
  std::string pod_namespace;
  std::string uid;
  std::optional<std::string> override_to;  ///< the annotation's value
};

enum class State { kLegacy, kCilium, kHold };
[[nodiscard]] std::string_view state_name(State state);

/// Where this node stands, and who says so.
struct NodeState {
  State state = State::kLegacy;
  std::string source;  ///< "node-state", "cilium" or "default"
  std::string reason;
};

struct Choice {
  std::optional<Network> network;  ///< nothing: refused with `code`
  unsigned code = 0;
  std::string reason;  ///< one line, stored and shown
};

[[nodiscard]] NodeState node_state(const NodeFacts& node);
[[nodiscard]] Choice decide(const NodeFacts& node, const PodFacts& pod, const conf::Settings& settings);

/// Whether the pods of `network` can be attached now, and if not, why.
[[nodiscard]] bool usable(const NodeFacts& node, Network network);
[[nodiscard]] std::string why_unusable(const NodeFacts& node, Network network);

}  // namespace plugin
