// SPDX-License-Identifier: Apache-2.0
#include "plugin/decide.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/stable_hash.h"

namespace plugin {
namespace {

constexpr unsigned kTryAgain = static_cast<unsigned>(conf::Code::kTryAgainLater);
constexpr unsigned kInvalid = static_cast<unsigned>(conf::Code::kInvalidConfig);

Choice join(Network network, std::string reason) { return {network, 0, std::move(reason)}; }
Choice refuse(unsigned code, std::string reason) { return {std::nullopt, code, std::move(reason)}; }

std::string with_reason(std::string_view what, std::string_view reason) {
  return reason.empty() ? std::string(what) : fmt::format("{}: {}", what, reason);
}

Choice join_legacy(const NodeFacts& node, const std::string& reason) {
  if (node.legacy.usable) return join(Network::kLegacy, reason);
  return refuse(kTryAgain, fmt::format("{}, but {}", reason, why_unusable(node, Network::kLegacy)));
}

// The node is on cilium and its agent does not answer, or is not well.
Choice when_not_ready(const NodeFacts& node, const std::string& reason, conf::WhenNotReady policy) {
  const std::string why = why_unusable(node, Network::kCilium);
  switch (policy) {
    case conf::WhenNotReady::kLegacy:
      return join_legacy(node, fmt::format("{}, but {} (whenNotReady: legacy)", reason, why));
    case conf::WhenNotReady::kDelegate:
      if (node.cilium.usable)
        return join(Network::kCilium, fmt::format("{}; {} (whenNotReady: delegate)", reason, why));
      return refuse(kTryAgain, fmt::format("{}, but {}", reason, why));
    case conf::WhenNotReady::kFail:
      return refuse(kTryAgain, fmt::format("{}, but {}", reason, why));
  }
  return refuse(kTryAgain, reason);
}

Choice join_cilium(const NodeFacts& node, const std::string& reason, conf::WhenNotReady policy) {
  return usable(node, Network::kCilium) ? join(Network::kCilium, reason) : when_not_ready(node, reason, policy);
}

bool in_canary(const PodFacts& pod, const conf::Settings& settings, std::string& why) {
  const auto& namespaces = settings.canary_namespaces;
  if (std::find(namespaces.begin(), namespaces.end(), pod.pod_namespace) != namespaces.end()) {
    why = fmt::format("canary namespace {}", pod.pod_namespace);
    return true;
  }
  if (pod.uid.empty() || conf::stable_hash(pod.uid) % 100 >= settings.canary_percent) return false;
  why = fmt::format("canary of {} %", settings.canary_percent);
  return true;
}

// What the pod itself may change: only while both networks are usable, so that neither a typo nor a canary can keep a
// pod from starting on a network that works.
std::optional<Choice> pods_own(const NodeFacts& node, const PodFacts& pod, const conf::Settings& settings,
                               State state) {
  if (!usable(node, Network::kLegacy) || !usable(node, Network::kCilium)) return std::nullopt;
  if (settings.allow_pod_override && pod.override_to) {
    const std::optional<Network> wanted = parse_network(*pod.override_to);
    if (!wanted) return refuse(kInvalid, fmt::format("annotation {} must be legacy or cilium", kOverrideAnnotation));
    return join(*wanted, fmt::format("annotation {}: {}", kOverrideAnnotation, network_name(*wanted)));
  }
  std::string why;
  if (state == State::kLegacy && in_canary(pod, settings, why)) return join(Network::kCilium, why);
  return std::nullopt;
}

// Cilium's own claim: it wrote its list here, and its agent says that it manages it. The file alone is not enough,
// since it stays when the label is taken away.
std::optional<NodeState> ciliums_claim(const NodeFacts& node) {
  if (!node.cilium.in_place || !node.cilium.runs_cilium || !node.has_socket) return std::nullopt;
  if (!node.agent.answered)
    return NodeState{State::kCilium, "cilium", "cilium's list is in place and its agent is silent"};
  if (node.agent.cni_file_state == "Ok")
    return NodeState{State::kCilium, "cilium", "cilium's agent manages its list on this node"};
  return std::nullopt;
}

std::string why_default(const NodeFacts& node) {
  if (!node.cilium.in_place) return "no node-state, and no list of cilium's is in place";
  if (!node.cilium.runs_cilium || !node.has_socket) return "no node-state, and no agent to ask";
  if (node.agent.cni_file_state.empty())
    return "no node-state, and cilium's agent does not say whether it manages its list";
  return fmt::format("no node-state, and cilium's agent says cni-file {}", node.agent.cni_file_state);
}

}  // namespace

std::string_view network_name(Network network) { return network == Network::kLegacy ? "legacy" : "cilium"; }

std::optional<Network> parse_network(std::string_view text) {
  if (text == "legacy") return Network::kLegacy;
  if (text == "cilium") return Network::kCilium;
  return std::nullopt;
}

std::string_view state_name(State state) {
  switch (state) {
    case State::kLegacy:
      return "legacy";
    case State::kCilium:
      return "cilium";
    case State::kHold:
      return "hold";
  }
  return "hold";
}

bool usable(const NodeFacts& node, Network network) {
  if (network == Network::kLegacy) return node.legacy.usable;
  return node.cilium.usable && (!node.has_socket || node.agent.healthy());
}

std::string why_unusable(const NodeFacts& node, Network network) {
  const ListFacts& list = network == Network::kLegacy ? node.legacy : node.cilium;
  if (!list.usable)
    return list.problem.empty() ? fmt::format("there is no {} list", network_name(network)) : list.problem;
  if (network == Network::kLegacy || !node.has_socket) return {};
  if (!node.agent.answered) return fmt::format("cilium's agent does not answer ({})", node.agent.problem);
  if (node.agent.state.empty()) return fmt::format("cilium's agent does not say its state ({})", node.agent.problem);
  if (!node.agent.healthy()) return fmt::format("cilium's agent says its state is {}", node.agent.state);
  return {};
}

NodeState node_state(const NodeFacts& node) {
  const NodeStateFile& file = node.file;
  switch (file.word) {
    case FileWord::kHold:
      return {State::kHold, "node-state", file.reason};
    case FileWord::kLegacy:
      return {State::kLegacy, "node-state", with_reason("node-state says legacy", file.reason)};
    case FileWord::kCilium:
      return {State::kCilium, "node-state", with_reason("node-state says cilium", file.reason)};
    case FileWord::kNone:
      break;
  }
  if (std::optional<NodeState> claim = ciliums_claim(node)) return *claim;
  return {State::kLegacy, "default", why_default(node)};
}

Choice decide(const NodeFacts& node, const PodFacts& pod, const conf::Settings& settings) {
  const NodeState state = node_state(node);
  if (state.state == State::kHold) return refuse(kTryAgain, fmt::format("the node holds new pods: {}", state.reason));
  if (std::optional<Choice> own = pods_own(node, pod, settings, state.state)) return *own;
  if (state.state == State::kLegacy) return join_legacy(node, state.reason);
  return join_cilium(node, state.reason, settings.when_not_ready);
}

}  // namespace plugin
