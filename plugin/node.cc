// SPDX-License-Identifier: Apache-2.0
#include "plugin/node.h"

#include <fmt/format.h>

#include <chrono>

#include "conf/error.h"

namespace plugin {
namespace {

constexpr std::size_t kMaxNodeState = 4096;
constexpr int kRereads = 3;
constexpr std::chrono::milliseconds kRereadPause{10};

// `echo cilium > node-state` truncates and then writes: an empty file is read again for a moment.
NodeStateFile read_node_state(System& system, const conf::Settings& settings) {
  const std::string path = node_state_path(settings);
  try {
    std::optional<std::string> text = system.disk.read(path, kMaxNodeState);
    for (int again = 0; again < kRereads && text && text->empty(); ++again) {
      system.clock.sleep(kRereadPause);
      text = system.disk.read(path, kMaxNodeState);
    }
    return parse_node_state(text);
  } catch (const conf::CniError& error) {
    return {FileWord::kHold, fmt::format("node-state cannot be read: {}", error.details())};
  }
}

std::string socket_for(const Discovery& lists, const conf::Settings& settings, const Places& places) {
  if (settings.cilium_socket) return *settings.cilium_socket;
  return lists.cilium && lists.cilium->list.runs(kCiliumCni) ? places.cilium_socket : std::string{};
}

}  // namespace

const AgentConfig& Node::agent_config(System& system, conf::Millis deadline) const {
  if (!agent_config_) {
    const bool gave_no_answer = !facts.agent.answered && !facts.agent.problem.empty();
    const bool asked = !socket.empty() && !gave_no_answer;
    agent_config_ = asked ? system.agent.config(socket, deadline) : AgentConfig{};
  }
  return *agent_config_;
}

std::string node_state_path(const conf::Settings& settings) { return settings.state_dir + "/node-state"; }

bool agent_matters(const NodeFacts& facts, const conf::Settings& settings) {
  if (!facts.has_socket || !facts.cilium.usable || facts.file.word == FileWord::kHold) return false;
  const bool pods_may_choose =
      settings.allow_pod_override || settings.canary_percent > 0 || !settings.canary_namespaces.empty();
  if (pods_may_choose || facts.file.word == FileWord::kCilium) return true;
  return facts.file.word == FileWord::kNone && facts.cilium.in_place && facts.cilium.runs_cilium;
}

Node look_at_node(System& system, const conf::Settings& settings, Copies copies, AskAgent ask,
                  conf::Millis agent_deadline) {
  Node node;
  node.facts.file = read_node_state(system, settings);
  node.lists = discover(system, settings, copies);
  node.facts.legacy = facts_of(node.lists.legacy, node.lists.legacy_problem);
  node.facts.cilium = facts_of(node.lists.cilium, node.lists.cilium_problem);
  node.socket = socket_for(node.lists, settings, system.places);
  node.facts.has_socket = !node.socket.empty();
  const bool asked = ask == AskAgent::kAlways ? node.facts.has_socket : agent_matters(node.facts, settings);
  if (asked) node.facts.agent = system.agent.health(node.socket, agent_deadline);
  return node;
}

}  // namespace plugin
