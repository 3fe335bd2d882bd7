// SPDX-License-Identifier: Apache-2.0

// What lies between the networks, on the command line.

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plugin/cli.h"
#include "tests/plugin/crossing_nodes.h"

namespace {

using fakes::Machine;
using nlohmann::json;
using plans::aws_node;
using plans::cidr;
using plans::count;
using plans::flannel_node;
using plans::kWanted;
using plans::kWantedText;
using plans::reconcile;
using plans::rule_to;
using Strings = std::vector<std::string>;

json status(Machine& machine) {
  plugin::System system = machine.process();
  return json::parse(plugin::status_report(system, machine.settings, true).text);
}
json explain(Machine& machine) {
  plugin::System system = machine.process();
  return json::parse(plugin::explain_report(system, machine.settings, {}, true).text).at("coexistence");
}
plugin::Report uninstall(Machine& machine, bool dry_run, bool as_json = true) {
  plugin::System system = machine.process();
  return plugin::remove_coexistence_report(system, machine.settings, dry_run, as_json);
}

TEST_SUITE_BEGIN("plugin.cli_coexistence");

TEST_CASE("explain says the profile and why, which rules an ADD would assert, and in which order to roll out") {
  Machine machine;
  aws_node(machine);
  CHECK(explain(machine) == json({{"profile", "aws-vpc-cni"},
                                  {"reason", "the legacy list runs aws-cni"},
                                  {"asserts", {kWantedText}},
                                  {"podRoutes", {"route to 10.245.0.0/16 with mtu 1400, if the pod's own is larger"}},
                                  {"advice", json::array()}}));
  CHECK(count(machine, kWanted) == 0);

  Machine overlay;
  flannel_node(overlay);
  overlay.settings.coexistence.pod_routes = {{.dst = cidr("10.245.0.0/16"), .mtu = 1380}};
  overlay.settings.coexistence.preserve_source = conf::PreserveSource::kToLegacy;
  const json to_legacy = explain(overlay);
  CHECK(to_legacy["asserts"] == json({"nat ip saddr 10.245.0.0/16 ip daddr 10.244.0.0/16 snat to ip saddr"}));
  CHECK(to_legacy["podRoutes"] == json({"route to 10.245.0.0/16 with mtu 1380"}));
  CHECK(to_legacy["advice"] ==
        json({"preserveSource to-legacy is safe on any node at any time; once every node has it, `both` may follow"}));
  overlay.settings.coexistence.preserve_source = conf::PreserveSource::kBoth;
  CHECK(explain(overlay)["advice"] ==
        json({"preserveSource both needs at least to-legacy on every node first: until then packets from legacy pods "
              "here to Cilium pods on a node without it are lost. Back in reverse: to-legacy everywhere, then off"}));
}

TEST_CASE("status says what is wanted and what is there, and warns of what is in the way or left over") {
  Machine machine;
  aws_node(machine);
  CHECK(status(machine)["coexistence"] == json({{"wanted", {kWantedText}}, {"present", json::array()}}));
  machine.node_fib.insert(rule_to(900, "10.50.0.0/16", 254, 4));
  machine.node_fib.insert(rule_to(901, "10.7.0.0/16", 7));
  machine.write(machine.dir() + "/sys/net/ipv4/ip_forward", "0\n");
  const json warnings = status(machine)["warnings"];
  const auto warns = [&](const std::string& text) {
    CAPTURE(text);
    CHECK(std::find(warnings.begin(), warnings.end(), json(text)) != warnings.end());
  };
  warns(kWantedText + ": another owner has this priority: 900: from all to 10.50.0.0/16 lookup main proto 4");
  warns(
      "rule 901: from all to 10.7.0.0/16 lookup 7 proto 157: ours, and no longer asked for; `crossover reconcile` "
      "removes it");
  warns("net.ipv4.ip_forward is 0: no packet goes from one network to the other; set it to 1");
  REQUIRE(machine.node_fib.add(kWanted).ok());
  CHECK(status(machine)["coexistence"] == json({{"wanted", {kWantedText}}, {"present", {kWantedText}}}));
}

TEST_CASE("status and explain of a configuration that this node cannot have say so, and fail not") {
  Machine machine;
  aws_node(machine);
  machine.settings.coexistence.preserve_source = conf::PreserveSource::kToLegacy;
  const json seen = status(machine);
  CHECK(seen["coexistence"] == json({{"wanted", json::array()}, {"present", json::array()}}));
  CHECK(seen["warnings"].dump().find("coexistence: invalid configuration: `coexistence.preserveSource` must be off") !=
        std::string::npos);
}

TEST_CASE("reconcile puts back and takes away, and says both") {
  Machine machine;
  aws_node(machine);
  machine.node_fib.insert(rule_to(901, "10.7.0.0/16", 7));
  const plugin::Report report = reconcile(machine);
  CHECK(report.status == 0);
  CHECK(json::parse(report.text).at("coexistence") ==
        json({{"profile", "aws-vpc-cni"},
              {"done", {"removed rule 901: from all to 10.7.0.0/16 lookup 7 proto 157", "added " + kWantedText}},
              {"wanted", {kWantedText}},
              {"present", {kWantedText}},
              {"problems", json::array()},
              {"warnings", json::array()}}));
  CHECK(reconcile(machine, false).text ==
        "hostPorts: 0 of 0 pods, all in place\ncoexistence: aws-vpc-cni, 1 wanted, 1 in place\n");
}

TEST_CASE("reconcile that cannot do all says what it did, what not, and ends badly") {
  Machine machine;
  aws_node(machine);
  machine.node_fib.insert(rule_to(901, "10.7.0.0/16", 7));
  machine.node_fib.fail({.error = EPERM, .what = fakes::FibFault::What::kAddRule, .times = 0});
  const plugin::Report report = reconcile(machine, false);
  CHECK(report.status == 1);
  CHECK(report.text ==
        "hostPorts: 0 of 0 pods, all in place\n"
        "coexistence: aws-vpc-cni, 1 wanted, 0 in place\n"
        "  removed rule 901: from all to 10.7.0.0/16 lookup 7 proto 157\n"
        "problem: rules and routes between the networks cannot be made: " +
            kWantedText + ": Operation not permitted; this needs CAP_NET_ADMIN\n");
}

TEST_CASE(
    "uninstall --coexistence says what it would do, does it, and warns of a configuration that still asks for it") {
  Machine machine;
  aws_node(machine);
  CHECK(reconcile(machine).status == 0);
  const std::string warning = "the configuration still asks for them: the next ADD puts them back";
  CHECK(json::parse(uninstall(machine, true).text) == json({{"dryRun", true},
                                                            {"done", {"remove " + kWantedText}},
                                                            {"problems", json::array()},
                                                            {"warnings", {warning}}}));
  CHECK(count(machine, kWanted) == 1);
  CHECK(uninstall(machine, false, false).text == "removed " + kWantedText + "\nwarning: " + warning + "\n");
  CHECK(count(machine, kWanted) == 0);
  machine.settings.coexistence.profile = conf::Profile::kNone;
  CHECK(uninstall(machine, false, false).text == "nothing of Crossover's is there\n");
}

TEST_CASE("uninstall --coexistence that the kernel refuses ends badly and says what is left undone") {
  Machine machine;
  aws_node(machine);
  CHECK(reconcile(machine).status == 0);
  machine.node_fib.fail({.error = EPERM, .what = fakes::FibFault::What::kRemoveRule, .times = 0});
  const plugin::Report report = uninstall(machine, false);
  CHECK(report.status == 1);
  CHECK(json::parse(report.text).at("problems") ==
        json({"rules and routes between the networks cannot be made: removal of " + kWantedText +
              ": Operation not permitted; this needs CAP_NET_ADMIN"}));
}

TEST_CASE("a kernel without nf_tables is no reason not to remove rules, and is said") {
  Machine machine;
  aws_node(machine);
  CHECK(reconcile(machine).status == 0);
  machine.ruleset.fail_looks(conf::CniError(conf::Code::kIo, "nf_tables request refused by the kernel", "why"));
  const std::string unknown =
      "whether chain preserve_source is there is not known: nf_tables request refused by the kernel: why";
  const json seen = status(machine);
  CHECK(seen["coexistence"]["present"] == json({kWantedText}));
  CHECK(seen["warnings"].dump().find(unknown) != std::string::npos);
  const plugin::Report report = uninstall(machine, false);
  CHECK(report.status == 0);
  CHECK(count(machine, kWanted) == 0);
  CHECK(json::parse(report.text).at("warnings").at(0) == unknown);
}

TEST_SUITE_END();

}  // namespace
