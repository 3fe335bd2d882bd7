// SPDX-License-Identifier: Apache-2.0
#include "plugin/decide.h"

#include <doctest/doctest.h>

namespace {

using plugin::Choice;
using plugin::FileWord;
using plugin::Network;
using plugin::NodeFacts;
using plugin::PodFacts;

/// A node with a legacy list and Cilium's own list in place, its agent well and managing it: Cilium claims the node.
NodeFacts node() {
  NodeFacts out;
  out.legacy = {.usable = true, .in_place = true, .runs_cilium = false, .problem = {}};
  out.cilium = {.usable = true, .in_place = true, .runs_cilium = true, .problem = {}};
  out.has_socket = true;
  out.agent = {.answered = true, .problem = {}, .state = "Ok", .cni_file_state = "Ok"};
  return out;
}

NodeFacts silent(NodeFacts out) {
  out.agent = {.answered = false, .problem = "connect: refused", .state = {}, .cni_file_state = {}};
  return out;
}

NodeFacts says(FileWord word, const std::string& reason = {}) {
  NodeFacts out = node();
  out.file = {.word = word, .reason = reason};
  return out;
}

void check_choice(const Choice& choice, std::optional<Network> network, unsigned code, std::string_view reason) {
  CHECK(choice.network == network);
  CHECK(choice.code == code);
  CHECK(choice.reason == reason);
}

TEST_SUITE_BEGIN("plugin.decide");

TEST_CASE("node-state comes before Cilium's claim") {
  check_choice(decide(says(FileWord::kLegacy, "rolled back"), {}, {}), Network::kLegacy, 0,
               "node-state says legacy: rolled back");
  check_choice(decide(says(FileWord::kCilium), {}, {}), Network::kCilium, 0, "node-state says cilium");
  CHECK(node_state(says(FileWord::kLegacy)).source == "node-state");
}

TEST_CASE("hold refuses every new pod with code 11 and the reason, whatever the pod wants") {
  conf::Settings settings;
  settings.allow_pod_override = true;
  settings.canary_percent = 100;
  const PodFacts pod{.pod_namespace = "default", .uid = "u", .override_to = "legacy"};
  check_choice(decide(says(FileWord::kHold, "firmware"), pod, settings), std::nullopt, 11,
               "the node holds new pods: firmware");
}

TEST_CASE("Cilium's list in place and cni-file Ok move the node without node-state") {
  check_choice(decide(node(), {}, {}), Network::kCilium, 0, "cilium's agent manages its list on this node");
  CHECK(node_state(node()).source == "cilium");
}

TEST_CASE("the list alone is no claim: it stays when the label is taken away") {
  NodeFacts facts = node();
  facts.agent.cni_file_state = "Disabled";
  check_choice(decide(facts, {}, {}), Network::kLegacy, 0, "no node-state, and cilium's agent says cni-file Disabled");
  CHECK(node_state(facts).source == "default");
  facts.agent.cni_file_state.clear();
  check_choice(decide(facts, {}, {}), Network::kLegacy, 0,
               "no node-state, and cilium's agent does not say whether it manages its list");
}

TEST_CASE("the last good copy of Cilium's list is no claim either") {
  NodeFacts facts = node();
  facts.cilium.in_place = false;
  check_choice(decide(facts, {}, {}), Network::kLegacy, 0, "no node-state, and no list of cilium's is in place");
}

TEST_CASE("a second network without an agent moves by node-state only") {
  NodeFacts facts = node();
  facts.cilium.runs_cilium = false;
  facts.has_socket = false;
  facts.agent = {};
  check_choice(decide(facts, {}, {}), Network::kLegacy, 0, "no node-state, and no agent to ask");
  facts.file.word = FileWord::kCilium;
  check_choice(decide(facts, {}, {}), Network::kCilium, 0, "node-state says cilium");
}

TEST_CASE("whenNotReady decides when the agent is silent, be the node cilium's by claim or by node-state") {
  for (const FileWord word : {FileWord::kNone, FileWord::kCilium}) {
    const NodeFacts facts = silent(says(word));
    const std::string state = node_state(facts).reason;
    const std::string why = "cilium's agent does not answer (connect: refused)";
    conf::Settings settings;
    check_choice(decide(facts, {}, settings), std::nullopt, 11, state + ", but " + why);
    settings.when_not_ready = conf::WhenNotReady::kLegacy;
    check_choice(decide(facts, {}, settings), Network::kLegacy, 0, state + ", but " + why + " (whenNotReady: legacy)");
    settings.when_not_ready = conf::WhenNotReady::kDelegate;
    check_choice(decide(facts, {}, settings), Network::kCilium, 0, state + "; " + why + " (whenNotReady: delegate)");
  }
}

TEST_CASE("an agent that is not well counts as not ready, one with a warning is well") {
  NodeFacts facts = node();
  facts.agent.state = "Failure";
  CHECK(decide(facts, {}, {}).code == 11);
  CHECK(why_unusable(facts, Network::kCilium) == "cilium's agent says its state is Failure");
  facts.agent.state = "Warning";
  CHECK(decide(facts, {}, {}).network == Network::kCilium);
}

TEST_CASE("no list to run is refused with the reason, and delegate cannot change that") {
  NodeFacts facts = says(FileWord::kCilium);
  facts.cilium = {.usable = false, .in_place = false, .runs_cilium = false, .problem = "no list that runs cilium-cni"};
  conf::Settings settings;
  settings.when_not_ready = conf::WhenNotReady::kDelegate;
  check_choice(decide(facts, {}, settings), std::nullopt, 11,
               "node-state says cilium, but no list that runs cilium-cni");
  facts = says(FileWord::kLegacy);
  facts.legacy = {.usable = false, .in_place = false, .runs_cilium = false, .problem = {}};
  check_choice(decide(facts, {}, {}), std::nullopt, 11, "node-state says legacy, but there is no legacy list");
}

TEST_CASE("a pod's annotation counts only if allowed, and only while both networks are usable") {
  const PodFacts pod{.pod_namespace = "default", .uid = "u", .override_to = "legacy"};
  conf::Settings settings;
  CHECK(decide(says(FileWord::kCilium), pod, settings).network == Network::kCilium);
  settings.allow_pod_override = true;
  check_choice(decide(says(FileWord::kCilium), pod, settings), Network::kLegacy, 0,
               "annotation crossover.cni/network: legacy");
  const PodFacts to_cilium{.pod_namespace = "default", .uid = "u", .override_to = "cilium"};
  CHECK(decide(silent(says(FileWord::kLegacy)), to_cilium, settings).network == Network::kLegacy);
}

TEST_CASE("an annotation that is no network is refused, not silently changed") {
  conf::Settings settings;
  settings.allow_pod_override = true;
  const PodFacts pod{.pod_namespace = "default", .uid = "u", .override_to = "calico"};
  check_choice(decide(node(), pod, settings), std::nullopt, 7,
               "annotation crossover.cni/network must be legacy or cilium");
}

TEST_CASE("canary namespaces join cilium while the node is on legacy, and only then") {
  conf::Settings settings;
  settings.canary_namespaces = {"canary"};
  const PodFacts pod{.pod_namespace = "canary", .uid = {}, .override_to = {}};
  check_choice(decide(says(FileWord::kLegacy), pod, settings), Network::kCilium, 0, "canary namespace canary");
  CHECK(decide(says(FileWord::kLegacy), {.pod_namespace = "other", .uid = {}, .override_to = {}}, settings).network ==
        Network::kLegacy);
  CHECK(decide(silent(says(FileWord::kLegacy)), pod, settings).network == Network::kLegacy);
}

TEST_CASE("canary.percent takes that share of UIDs, and always the same ones") {
  conf::Settings settings;
  settings.canary_percent = 20;
  unsigned taken = 0;
  for (int i = 0; i < 10'000; ++i) {
    const PodFacts pod{.pod_namespace = "default", .uid = "uid-" + std::to_string(i), .override_to = {}};
    const Choice first = decide(says(FileWord::kLegacy), pod, settings);
    CHECK(first.network == decide(says(FileWord::kLegacy), pod, settings).network);
    if (first.network == Network::kCilium) ++taken;
  }
  CHECK(taken > 1'850);
  CHECK(taken < 2'150);
}

TEST_CASE("canary.percent 0 takes nobody, 100 everybody, and a pod without UID is nobody's canary") {
  conf::Settings settings;
  const PodFacts pod{.pod_namespace = "default", .uid = "8a2781fb", .override_to = {}};
  CHECK(decide(says(FileWord::kLegacy), pod, settings).network == Network::kLegacy);
  settings.canary_percent = 100;
  check_choice(decide(says(FileWord::kLegacy), pod, settings), Network::kCilium, 0, "canary of 100 %");
  CHECK(decide(says(FileWord::kLegacy), {}, settings).network == Network::kLegacy);
}

TEST_SUITE_END();

}  // namespace
