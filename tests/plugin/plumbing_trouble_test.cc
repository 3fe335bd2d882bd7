// SPDX-License-Identifier: Apache-2.0

// Rules, routes and NAT between the networks when others and the kernel do not play along.

#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "tests/plugin/plumbing_bench.h"
#include "tests/support/refusal.h"

namespace {

using fakes::FibFault;
using netlink::Route;
using netlink::Rule;
using plans::Bench;
using plans::cidr;
using plans::kStranger;
using plans::rule_to;
using plans::suppressing;
using plugin::CoexistencePlan;
using support::check_refusal;
using support::refusal_of;
using Strings = std::vector<std::string>;
using What = FibFault::What;

constexpr conf::Code kRefused{plugin::kPlumbing};
const std::string kMsg = "rules and routes between the networks cannot be made";

Rule with_protocol(Rule rule, std::uint8_t protocol) {
  rule.protocol = protocol;
  return rule;
}

std::size_t count(const Bench& bench, const Rule& rule) {
  const auto& rules = bench.machine.node_fib.state.rules;
  return static_cast<std::size_t>(std::count(rules.begin(), rules.end(), rule));
}

CoexistencePlan plan_of(const std::vector<Rule>& rules) {
  CoexistencePlan out;
  out.rules = rules;
  return out;
}

TEST_SUITE_BEGIN("plugin.plumbing_trouble");

TEST_CASE("another owner's rule with the same selectors is present to us, and stays after uninstall") {
  Bench bench;
  const Rule wanted = suppressing(rule_to(900, "10.245.0.0/16"), 0);
  bench.machine.node_fib.insert(with_protocol(wanted, kStranger));
  bench.plan = plan_of({wanted});
  bench.assert_plan();
  CHECK(bench.done.empty());
  CHECK(bench.ours() == 0);
  bench.machine.node_fib.insert(wanted);  // of an earlier day
  bench.uninstall();
  CHECK(count(bench, wanted) == 0);
  CHECK(count(bench, with_protocol(wanted, kStranger)) == 1);
}

TEST_CASE("a priority at which another owner has a rule is refused, naming the rule") {
  Bench bench;
  bench.plan = plan_of({rule_to(900, "10.245.0.0/16")});
  bench.machine.node_fib.insert(rule_to(900, "10.50.0.0/16", 254, kStranger));
  check_refusal(
      refusal_of([&] { return bench.assert_plan(), 0; }), kRefused, kMsg,
      "rule 900: from all to 10.245.0.0/16 lookup main proto 157: another owner has a rule with this priority: "
      "900: from all to 10.50.0.0/16 lookup main proto 4");
  CHECK(bench.ours() == 0);

  // In the other family it is no obstacle.
  bench.plan = plan_of({rule_to(900, "fd00:245::/56")});
  bench.assert_plan();
  CHECK(bench.ours() == 1);
}

TEST_CASE("priorities that decide about local delivery are refused") {
  Bench bench;
  bench.plan = plan_of({rule_to(100, "10.245.0.0/16")});
  check_refusal(refusal_of([&] { return bench.assert_plan(), 0; }), kRefused, kMsg,
                "rule 100: from all to 10.245.0.0/16 lookup main proto 157: priorities below 101 are not ours to use");
}

TEST_CASE("our own outdated rule that the kernel takes for the new one is replaced") {
  const Rule wanted = rule_to(900, "10.245.0.0/16");
  Rule narrow = wanted;
  narrow.from = cidr("10.9.0.0/16");
  Bench bench;
  bench.machine.node_fib.insert(narrow);
  bench.plan = plan_of({wanted});
  bench.assert_plan();
  CHECK(count(bench, wanted) == 1);
  CHECK(count(bench, narrow) == 0);
}

TEST_CASE("a kernel that does not compare suppression: our own rule with another one is replaced") {
  Bench bench;
  const Rule wanted = suppressing(rule_to(900, "10.245.0.0/16"), 0);
  bench.machine.node_fib.insert(suppressing(wanted, 8));
  bench.plan = plan_of({wanted});
  bench.machine.node_fib.fail({.error = EEXIST, .what = What::kAddRule});
  bench.assert_plan();
  CHECK(count(bench, wanted) == 1);
  CHECK(count(bench, suppressing(wanted, 8)) == 0);
}

TEST_CASE("on such a kernel no rule that is wanted makes way for another") {
  Bench bench;
  const Rule first = suppressing(rule_to(900, "10.245.0.0/16"), 0);
  bench.plan = plan_of({first, suppressing(first, 8)});
  bench.machine.node_fib.fail({.error = EEXIST, .what = What::kAddRule, .nth = 2, .times = 0});
  CHECK(refusal_of([&] { return bench.assert_plan(), 0; }).code() == 11);
  CHECK(count(bench, first) == 1);
}

TEST_CASE("somebody who is faster has done our work") {
  Bench bench;
  bench.ask_for_everything();
  // Another process of ours makes each thing right before we do.
  bench.machine.node_fib.before_change = [&bench] {
    for (const Rule& rule : bench.plan.rules) (void)bench.machine.node_fib.add(rule);
    for (const conf::RouteSetting& route : bench.plan.routes)
      (void)bench.machine.node_fib.add(plugin::route_of(route, bench.up0));
  };
  bench.assert_plan();
  CHECK(bench.done == Strings{"made chain preserve_source"});
  CHECK(bench.in_place());
  CHECK(bench.ours() == 6);
}

TEST_CASE("an answer that was lost is looked for, done or not done") {
  for (const bool after_effect : {true, false})
    for (const What what : {What::kAddRule, What::kAddRoute, What::kRemoveRule, What::kRemoveRoute}) {
      CAPTURE(after_effect);
      CAPTURE(static_cast<int>(what));
      Bench bench;
      bench.ask_for_everything();
      bench.machine.node_fib.fail({.error = ENOBUFS, .what = what, .nth = 1, .times = 2, .after_effect = after_effect});
      bench.assert_plan();
      CHECK(bench.in_place());
      CHECK(bench.ours() == 6);
      bench.uninstall();
      CHECK(bench.ours() == 0);
    }
}

TEST_CASE("what the kernel refuses is code 122, with the thing, the reason and the cure") {
  const std::vector<std::pair<int, std::string>> cures = {
      {EPERM, "Operation not permitted; this needs CAP_NET_ADMIN"},
      {EOPNOTSUPP,
       "Operation not supported; this kernel has no policy routing (CONFIG_IP_MULTIPLE_TABLES) for this family"},
      {ENOSYS,
       "Function not implemented; this kernel has no policy routing (CONFIG_IP_MULTIPLE_TABLES) for this family"},
      {EAFNOSUPPORT,
       "Address family not supported by protocol; this kernel has no policy routing (CONFIG_IP_MULTIPLE_TABLES) for "
       "this "
       "family"},
      {EINVAL, "Invalid argument; the kernel may be older than Linux 4.17"},
      {ENETUNREACH, "Network is unreachable; `via` is on no link of this node: name `dev`, or set `onlink`"},
      {ENOMEM, "Cannot allocate memory"}};
  for (const auto& [error, text] : cures) {
    Bench bench;
    bench.ask_for_everything();
    bench.machine.node_fib.fail({.error = error, .what = What::kAddRule, .nth = 2});
    check_refusal(refusal_of([&] { return bench.assert_plan(), 0; }), kRefused, kMsg,
                  "rule 901: from all to 10.7.0.0/16 lookup 7 proto 157: " + text);
    CHECK(bench.done.size() == 4);  // what was done before is said
    bench.assert_plan();
    CHECK(bench.in_place());

    bench.machine.node_fib.fail({.error = error, .what = What::kRemoveRoute});
    check_refusal(refusal_of([&] { return bench.uninstall(), 0; }), kRefused, kMsg,
                  "removal of route 10.7.0.0/16 via 192.0.2.254 dev up0 table 7 proto 157: " + text);
    CHECK(bench.done.size() == 4);
  }
}

TEST_CASE("a dump that never settles, or is refused, ends the call with the kernel's own code") {
  Bench bench;
  bench.ask_for_everything();
  for (const conf::Code code : {conf::Code::kTryAgainLater, conf::Code::kIo}) {
    bench.machine.node_fib.fail_looks(conf::CniError(code, "rules keep changing", "a dump"));
    check_refusal(refusal_of([&] { return bench.assert_plan(), 0; }), code, "rules keep changing", "a dump");
    check_refusal(refusal_of([&] { return bench.reconcile(), 0; }), code, "rules keep changing", "a dump");
  }
}

TEST_CASE("a rule that somebody deletes between two ADDs is put back by the second") {
  Bench bench;
  bench.ask_for_everything();
  bench.assert_plan();
  for (const Rule& rule : std::vector<Rule>(bench.plan.rules)) {
    REQUIRE(bench.machine.node_fib.remove(rule).ok());
    bench.assert_plan();
    CHECK(bench.done.size() == 1);
    CHECK(bench.in_place());
  }
}

TEST_CASE("a rule that goes while the others are made is put back before the call ends") {
  Bench bench;
  bench.ask_for_everything();
  unsigned changes = 0;
  bench.machine.node_fib.before_change = [&] {
    if (++changes == 4) (void)bench.machine.node_fib.remove(bench.plan.rules[0]);
  };
  bench.assert_plan();
  CHECK(bench.in_place());
}

TEST_CASE("who removes our rules at once each time is named, with the cure, and the call is to be tried again") {
  Bench bench;
  bench.plan = plan_of({rule_to(900, "10.245.0.0/16")});
  bench.machine.node_fib.before_look = [&] { (void)bench.machine.node_fib.remove(bench.plan.rules[0]); };
  const std::string cure =
      "somebody changes them at once; for systemd-networkd set ManageForeignRoutingPolicyRules=no and "
      "ManageForeignRoutes=no in networkd.conf";
  for (const bool all : {false, true})
    check_refusal(refusal_of([&] { return all ? bench.reconcile() : bench.assert_plan(), 0; }),
                  conf::Code::kTryAgainLater, "rules and routes between the networks do not stay", cure);
}

TEST_CASE("a device that is not there is refused by name, and nothing is changed") {
  Bench bench;
  bench.ask_for_everything();
  bench.plan.routes[1].dev = "up9";
  check_refusal(refusal_of([&] { return bench.assert_plan(), 0; }), kRefused, kMsg,
                "`coexistence.routes`: there is no device up9 on this node");
  CHECK(bench.ours() == 0);
  CHECK(bench.machine.ruleset.commits().empty());
}

TEST_CASE("a route that another owner has is refused naming it, and stays") {
  Bench bench;
  bench.ask_for_everything();
  Route theirs = plugin::route_of(bench.plan.routes[0], bench.up0);
  theirs.protocol = kStranger;
  theirs.mtu = 1300;
  bench.machine.node_fib.state.routes.push_back(theirs);
  const Bench::Others before = bench.others();
  check_refusal(refusal_of([&] { return bench.assert_plan(), 0; }), kRefused, kMsg,
                "route 10.7.0.0/16 via 192.0.2.254 dev up0 table 7 proto 157: another owner has one: "
                "10.7.0.0/16 via 192.0.2.254 dev up0 table 7 proto static mtu 1300");
  CHECK(bench.others() == before);
}

TEST_CASE("a surplus rule is taken out though the kernel, asked to delete it, first takes the wanted one") {
  Bench bench;
  const Rule wanted = suppressing(rule_to(900, "10.245.0.0/16"), 0);
  const Rule surplus = rule_to(900, "10.245.0.0/16");
  bench.machine.node_fib.insert(wanted);
  bench.machine.node_fib.insert(surplus);
  bench.plan = plan_of({wanted});
  bench.reconcile();
  CHECK(count(bench, wanted) == 1);
  CHECK(count(bench, surplus) == 0);
}

TEST_CASE("rules that older tools made twice are one after reconcile of nothing") {
  Bench bench;
  const Rule rule = rule_to(900, "10.245.0.0/16");
  bench.machine.node_fib.insert(rule);
  bench.machine.node_fib.insert(rule);
  bench.uninstall();
  CHECK(count(bench, rule) == 0);
}

TEST_CASE("a kernel without nf_tables keeps no rule from being made or removed") {
  Bench bench;
  bench.plan = plan_of({rule_to(900, "10.245.0.0/16")});
  bench.machine.ruleset.fail_looks(conf::CniError(conf::Code::kIo, "nf_tables request refused by the kernel", "why"));
  bench.reconcile();
  CHECK(bench.ours() == 1);
  plugin::System system = bench.machine.process();
  CHECK(plugin::Plumbing(system, bench.plan).look(true).kept_unknown == "nf_tables request refused by the kernel: why");
  bench.uninstall();
  CHECK(bench.ours() == 0);
  bench.ask_for_everything();
  CHECK(refusal_of([&] { return bench.assert_plan(), 0; }).code() == 5);
}

TEST_SUITE_END();

}  // namespace
