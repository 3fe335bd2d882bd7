// SPDX-License-Identifier: Apache-2.0

// What lies between the networks, through the verbs.

#include "plugin/coexistence_add.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plugin/cli.h"
#include "plugin/commands.h"
#include "tests/plugin/crossing_nodes.h"
#include "tests/support/refusal.h"

namespace {

using conf::CniError;
using conf::Profile;
using conf::StaleRules;
using fakes::Machine;
using netlink::Route;
using netlink::Rule;
using nlohmann::json;
using plans::aws_node;
using plans::cidr;
using plans::count;
using plans::flannel_node;
using plans::kWanted;
using plans::kWantedText;
using plans::reconcile;
using plans::rule_from;
using plans::rule_to;
using support::check_refusal;
using support::refusal_of;
using Strings = std::vector<std::string>;

const std::string kPod = story::kPod;

/// The notes of the last call.
Strings notes(Machine& machine) {
  const std::string events = machine.real_disk.read(machine.state_dir() + "/events.jsonl", 1U << 20U).value_or("");
  const std::size_t last = events.rfind('\n', events.size() - 2);
  const json event = json::parse(events.substr(last == std::string::npos ? 0 : last + 1));
  return event.value("notes", Strings{});
}

bool has_note(Machine& machine, const std::string& note) {
  const Strings all = notes(machine);
  return std::find(all.begin(), all.end(), note) != all.end();
}

std::optional<plugin::Attachment> record(Machine& machine) { return story::record_in(machine.snapshot()); }

/// CHECK as a runtime asks for it, with the result of the ADD.
std::string check(Machine& machine) {
  plugin::System system = machine.process();
  conf::NetConf netconf = machine.netconf();
  netconf.prev_result = "{}";
  return plugin::check(system, machine.request(conf::Verb::kCheck, story::kId, kPod), netconf);
}

TEST_SUITE_BEGIN("plugin.coexistence_add");

TEST_CASE("ADD asserts the plan before the pod is attached, says so once, and DEL leaves it") {
  Machine machine;
  aws_node(machine);
  bool was_there = false;
  machine.world.on("aws-cni", "ADD", [&](const fakes::Ask&) -> std::optional<plugin::Outcome> {
    was_there = count(machine, kWanted) == 1;
    return std::nullopt;
  });
  story::add(machine);
  CHECK(was_there);
  CHECK(has_note(machine, "added " + kWantedText));
  story::del(machine);
  CHECK(count(machine, kWanted) == 1);
  story::add(machine);
  CHECK_FALSE(has_note(machine, "added " + kWantedText));
  CHECK(count(machine, kWanted) == 1);
}

TEST_CASE("ADD with all in place dumps the rules once and changes nothing") {
  Machine machine;
  aws_node(machine);
  machine.settings.coexistence.profile = Profile::kAwsVpcCni;  // no routes in pods, which look at the node's
  story::add(machine);
  story::del(machine);
  machine.node_fib.calls = {};
  machine.ruleset.forget_calls();
  story::add(machine);
  CHECK(machine.node_fib.calls.rule_dumps == 1);
  CHECK(machine.node_fib.calls.route_dumps == 0);
  CHECK(machine.node_fib.calls.changes == 0);
  CHECK(machine.ruleset.looks() == 0);
}

TEST_CASE("a configuration that this node cannot have is refused before anything is done") {
  Machine machine;
  aws_node(machine);
  machine.settings.coexistence.preserve_source = conf::PreserveSource::kToLegacy;
  const CniError error = refusal_of([&] { return machine.add(story::kId, kPod); });
  CHECK(error.code() == 7);
  CHECK(machine.world.asks().empty());
  CHECK_FALSE(record(machine));
}

TEST_CASE("a rule that cannot be made refuses the pod, before it is attached and on record, what was done is said") {
  Machine machine;
  aws_node(machine);
  machine.settings.cilium_cidrs.push_back(cidr("10.246.0.0/16"));
  machine.node_fib.fail({.error = EPERM, .what = fakes::FibFault::What::kAddRule, .nth = 2});
  check_refusal(refusal_of([&] { return machine.add(story::kId, kPod); }), conf::Code{plugin::kPlumbing},
                "rules and routes between the networks cannot be made",
                "rule 900: from all to 10.246.0.0/16 lookup main suppress_prefixlength 0 proto 157: Operation not "
                "permitted; this needs CAP_NET_ADMIN");
  CHECK(machine.world.asks().empty());
  CHECK_FALSE(record(machine));
  CHECK(has_note(machine, "added " + kWantedText));
}

TEST_CASE("warnings of the plan are notes of the ADD") {
  Machine machine;
  aws_node(machine);
  machine.settings.cilium_cidrs.clear();
  story::add(machine);
  CHECK(has_note(machine, "`cilium.cidrs` is empty: on AWS it says which addresses must be reached by the main table"));
}

TEST_CASE("the address that every node's cilium_host has in cilium.cidrs does not make them the VPC's") {
  Machine machine;
  aws_node(machine);
  machine.node_fib.add_address(machine.node_fib.link("cilium_host").value().index, "10.245.1.254/32");
  story::add(machine);
  CHECK(has_note(machine, "added " + kWantedText));
  CHECK(count(machine, kWanted) == 1);
}

TEST_CASE("looks that fail refuse no pod that needs no rule") {
  Machine machine;
  flannel_node(machine);
  machine.node_fib.fail_looks(CniError(conf::Code::kTryAgainLater, "rules keep changing", "a dump"));
  story::add(machine);
  CHECK(has_note(machine, "no look for stale rules: rules keep changing: a dump"));
  CHECK(has_note(machine, "no routes to the other network in the pod: rules keep changing: a dump"));
  CHECK(record(machine).value().pod_routes.empty());

  Machine of_pod;
  flannel_node(of_pod);
  of_pod.namespaces.fib_of(kPod).fail_looks(CniError(conf::Code::kIo, "routes refused", "a dump"));
  story::add(of_pod);
  CHECK(has_note(of_pod, "no routes to the other network in the pod: routes refused: a dump"));
}

TEST_CASE("looks that fail do refuse one that needs a rule") {
  Machine machine;
  flannel_node(machine);
  machine.settings.coexistence.profile = Profile::kAwsVpcCni;
  machine.node_fib.add_address(2, "192.0.2.7/24");
  machine.node_fib.before_look = [&machine] {
    if (machine.node_fib.calls.rule_dumps == 1)
      machine.node_fib.fail_looks(CniError(conf::Code::kTryAgainLater, "rules keep changing", "a dump"));
  };
  check_refusal(refusal_of([&] { return machine.add(story::kId, kPod); }), conf::Code::kTryAgainLater,
                "rules keep changing", "a dump");
  CHECK_FALSE(record(machine));
}

TEST_CASE("the pod gets a route to the other network with the MTU of the crossing, and the record holds it") {
  Machine machine;
  flannel_node(machine);
  story::add(machine);
  CHECK(has_note(machine, "route to 10.245.0.0/16 with mtu 1400 in the pod"));
  CHECK(record(machine).value().pod_routes ==
        std::vector<conf::PodRouteSetting>{{.dst = cidr("10.245.0.0/16"), .mtu = 1400}});
  const std::vector<Route>& routes = machine.namespaces.fib_of(kPod).state.routes;
  REQUIRE(routes.size() == 2);
  CHECK(routes[1].str("eth0") == "10.245.0.0/16 via 10.244.1.1 dev eth0 proto 157 mtu 1400");
  CHECK(check(machine).empty());
}

TEST_CASE("to Cilium's pods the agent's route MTU counts if it is smaller, the agent is asked for nothing else") {
  for (const auto& [said, mtu] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{{1350, 1350}, {1450, 1400}}) {
    Machine machine;
    flannel_node(machine);
    machine.agent.settings.route_mtu = said;
    story::add(machine);
    REQUIRE(record(machine).value().pod_routes.size() == 1);
    CHECK(record(machine).value().pod_routes[0].mtu == mtu);
    CHECK(machine.agent.asked_config == 1);
  }
  Machine to_legacy;
  flannel_node(to_legacy);
  to_legacy.node_state("cilium");
  to_legacy.agent.settings.route_mtu = 1200;
  story::add(to_legacy);
  CHECK(record(to_legacy).value().pod_routes ==
        std::vector<conf::PodRouteSetting>{{.dst = cidr("10.244.0.0/16"), .mtu = 1450}});
  CHECK(to_legacy.agent.asked_config == 0);
}

TEST_CASE("a reverse path filter between the networks is a note of the ADD") {
  Machine machine;
  flannel_node(machine);
  machine.write(machine.dir() + "/sys/net/ipv4/conf/cilium_host/rp_filter", "1\n");
  story::add(machine);
  CHECK(has_note(machine,
                 "rp_filter of cilium_host is 1: packets between the networks that come in by it are dropped; set "
                 "net/ipv4/conf/cilium_host/rp_filter to 0"));
}

TEST_CASE("CHECK is code 123 and says what is missing, of the node and of the pod") {
  Machine machine;
  aws_node(machine);
  machine.legacy(story::legacy_list(machine, "1.0.0"));
  machine.settings.coexistence.profile = Profile::kAwsVpcCni;
  machine.settings.coexistence.pod_routes = {{.dst = cidr("10.245.0.0/16"), .mtu = 1380}};
  story::add(machine);
  CHECK(check(machine).empty());
  const std::string msg = "rules and routes between the networks are not in place";
  const conf::Code incomplete{plugin::kPlumbingIncomplete};
  const std::string in_pod =
      "route to 10.245.0.0/16 with mtu 1380 along the default route of eth0 is missing in the pod";
  machine.namespaces.fib_of(kPod).state.routes.pop_back();
  check_refusal(refusal_of([&] { return check(machine); }), incomplete, msg, in_pod);
  REQUIRE(machine.node_fib.remove(kWanted).ok());
  check_refusal(refusal_of([&] { return check(machine); }), incomplete, msg,
                kWantedText + "; `crossover reconcile` puts them back; " + in_pod);
  CHECK(reconcile(machine).status == 0);
  check_refusal(refusal_of([&] { return check(machine); }), incomplete, msg, in_pod);
}

TEST_CASE("the outage of 2022: the rule of a former pod is named, and removed where that was asked for") {
  Rule stale = rule_from(111, "10.0.0.2/32", 11, 2);
  stale.to = cidr("10.0.0.0/16");
  Rule needed = stale;
  needed.table = 12;
  for (const StaleRules setting : {StaleRules::kOff, StaleRules::kWarn, StaleRules::kRemove}) {
    CAPTURE(static_cast<int>(setting));
    Machine machine;
    flannel_node(machine);
    machine.node_state("cilium");
    machine.settings.coexistence.stale_rules = setting;
    machine.settings.coexistence.profile = Profile::kNone;
    machine.node_fib.insert(stale);
    Rule strangers = stale;  // the same of another owner, for another pod
    strangers.from = cidr("10.0.0.3/32");
    machine.node_fib.insert(strangers);
    machine.world.on("cilium-cni", "ADD", [&](const fakes::Ask&) -> std::optional<plugin::Outcome> {
      machine.node_fib.insert(needed);
      return std::nullopt;
    });
    story::add(machine);
    const std::string text =
        "rule 111: from 10.0.0.2 to 10.0.0.0/16 lookup 11 proto 2 was there before 10.0.0.2 was given to this pod: its "
        "packets go by table 11 because of priority 111; `ip -4 rule del priority 111 from 10.0.0.2/32 to 10.0.0.0/16 "
        "table 11` removes it";
    CHECK(has_note(machine, text) == (setting != StaleRules::kOff));
    CHECK(has_note(machine, "removed rule 111: from 10.0.0.2 to 10.0.0.0/16 lookup 11 proto 2") ==
          (setting == StaleRules::kRemove));
    CHECK(count(machine, stale) == (setting == StaleRules::kRemove ? 0 : 1));
    CHECK(count(machine, needed) == 1);
    CHECK(count(machine, strangers) == 1);
    if (setting == StaleRules::kOff) CHECK(machine.node_fib.calls.rule_dumps == 0);
  }
}

TEST_CASE("a stale rule that may be the network's own is warned of, and not removed") {
  Machine machine;
  flannel_node(machine);
  machine.node_state("cilium");
  machine.settings.coexistence.stale_rules = StaleRules::kRemove;
  const Rule kept = rule_from(111, "10.0.0.2/32", 11, 2);
  machine.node_fib.insert(kept);
  story::add(machine);
  const Strings all = notes(machine);
  CHECK(std::count_if(all.begin(), all.end(), [](const std::string& note) { return note.starts_with("rule 111: "); }) ==
        1);
  CHECK(count(machine, kept) == 1);
}

TEST_CASE("a look for stale rules that fails after the pod is attached refuses nothing") {
  Machine machine;
  flannel_node(machine);
  machine.node_state("cilium");
  machine.node_fib.insert(rule_from(111, "10.0.0.2/32", 11, 2));
  machine.world.on("cilium-cni", "ADD", [&](const fakes::Ask&) -> std::optional<plugin::Outcome> {
    machine.node_fib.fail_looks(CniError(conf::Code::kIo, "rules refused", "a dump"));
    return std::nullopt;
  });
  story::add(machine);
  CHECK(has_note(machine, "no look for stale rules: rules refused: a dump"));
}

TEST_CASE("an ADD with a plan that fails or dies anywhere leaves nothing of the pod, and the node as it should be") {
  const auto set_up = [](Machine& machine) {
    flannel_node(machine);
    machine.settings.coexistence.rules = {
        {.priority = 901, .from = {}, .to = cidr("10.7.0.0/16"), .iif = {}, .table = 7, .suppress_prefix_length = {}}};
    machine.settings.coexistence.preserve_source = conf::PreserveSource::kBoth;
    machine.settings.coexistence.pod_routes = {{.dst = cidr("10.245.0.0/16"), .mtu = 1380}};
    machine.node_fib.insert(rule_from(1536, "10.244.1.2/32", 2, 3));
  };
  const auto reconcile_and_del = [](Machine& machine) {
    story::del_twice(machine);
    CHECK(reconcile(machine).status == 0);
    CHECK(count(machine, rule_to(901, "10.7.0.0/16", 7)) == 1);
    CHECK(count(machine, rule_from(1536, "10.244.1.2/32", 2, 3)) == 1);
    CHECK(machine.ruleset.rules({.family = netlink::NftFamily::kInet, .name = "crossover"}, "preserve_source").size() ==
          2);
  };
  story::check_story({.name = "ADD with a plan",
                      .least_steps = 15,
                      .set_up = set_up,
                      .prepare = story::nothing,
                      .act = story::add,
                      .promised = [](Machine& machine) { CHECK_FALSE(record(machine).value().pending()); },
                      .repair = story::nothing,
                      .ways_out = {{"a DEL and reconcile", reconcile_and_del}}});
}

TEST_SUITE_END();

}  // namespace
