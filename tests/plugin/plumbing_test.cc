// SPDX-License-Identifier: Apache-2.0
#include "plugin/plumbing.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/plugin/plumbing_bench.h"
#include "tests/support/refusal.h"

namespace {

using fakes::FibCalls;
using netlink::Route;
using netlink::Rule;
using plans::addr;
using plans::Bench;
using plans::cidr;
using plans::kStranger;
using plans::rule_to;
using plans::suppressing;
using plugin::CoexistencePlan;
using plugin::PlumbingChange;
using plugin::PlumbingSeen;
using support::check_refusal;
using support::refusal_of;
using Strings = std::vector<std::string>;

Rule with_protocol(Rule rule, std::uint8_t protocol) {
  rule.protocol = protocol;
  return rule;
}

CoexistencePlan plan_of(const std::vector<Rule>& rules) {
  CoexistencePlan out;
  out.rules = rules;
  return out;
}

TEST_SUITE_BEGIN("plugin.plumbing");

TEST_CASE("what is missing and what is surplus follow from what is there") {
  const Rule wanted = suppressing(rule_to(900, "10.245.0.0/16"), 0);
  const Rule old = rule_to(902, "10.6.0.0/16");
  PlumbingSeen seen;
  seen.rules = {rule_to(512, "10.0.1.7/32", 254, 3), old};
  const PlumbingChange change = plumbing_change(plan_of({wanted}), seen);
  CHECK(change.missing_rules == std::vector<Rule>{wanted});
  CHECK(change.surplus_rules == std::vector<Rule>{old});
  CHECK_FALSE(change.lacks_nothing());

  seen.rules = {wanted, old};
  CHECK(plumbing_change(plan_of({wanted}), seen).lacks_nothing());
  CHECK_FALSE(plumbing_change(plan_of({wanted}), seen).nothing_to_do());
  seen.rules = {wanted};
  CHECK(plumbing_change(plan_of({wanted}), seen).nothing_to_do());
}

TEST_CASE("another owner's rule that does the same counts as present, one that differs in anything does not") {
  const Rule wanted = suppressing(rule_to(900, "10.245.0.0/16"), 0);
  const auto lacks = [&](const Rule& there) {
    PlumbingSeen seen;
    seen.rules = {there};
    return !plumbing_change(plan_of({wanted}), seen).lacks_nothing();
  };
  CHECK_FALSE(lacks(with_protocol(wanted, kStranger)));
  CHECK_FALSE(lacks(with_protocol(wanted, 0)));
  Rule inverted = wanted;
  inverted.inverted = true;
  Rule more = wanted;
  more.has_more = true;
  for (const Rule& other : {rule_to(900, "10.245.0.0/16"), suppressing(rule_to(900, "10.245.0.0/17"), 0),
                            suppressing(rule_to(901, "10.245.0.0/16"), 0),
                            suppressing(rule_to(900, "10.245.0.0/16", 7), 0), inverted, more})
    CHECK(lacks(other));
}

TEST_CASE("a route that leaves the device to the kernel fits whichever it chose, other differences are differences") {
  PlumbingSeen seen;
  Route wanted;
  wanted.dst = cidr("10.7.0.0/16");
  wanted.via = addr("192.0.2.254");
  seen.wanted = {wanted};
  Route there = wanted;
  there.link = 4;
  seen.routes = {there};
  CHECK(plumbing_change({}, seen).nothing_to_do());
  there.mtu = 1400;
  seen.routes = {there};
  const PlumbingChange change = plumbing_change({}, seen);
  CHECK(change.missing_routes == std::vector<Route>{wanted});
  CHECK(change.surplus_routes == std::vector<Route>{there});
}

TEST_CASE("routes of the configuration are compared as the kernel lists them") {
  conf::RouteSetting setting = Bench::route("10.7.1.9/16", "");
  CHECK(plugin::route_of(setting, 4).str("up0") == "10.7.0.0/16 dev up0 table 7 proto 157 scope link");
  setting.via = addr("192.0.2.254");
  setting.mtu = 1400;
  setting.metric = 5;
  setting.onlink = true;
  setting.src = addr("192.0.2.1");
  CHECK(plugin::route_of(setting, 4).str("up0") ==
        "10.7.0.0/16 via 192.0.2.254 dev up0 table 7 proto 157 src 192.0.2.1 metric 5 onlink mtu 1400");
  CHECK(plugin::route_of(Bench::route("fd00:7::/48", ""), 4).str("up0") ==
        "fd00:7::/48 dev up0 table 7 proto 157 metric 1024");
}

TEST_CASE("a plan is made: routes before the rules that lead to them, each change said") {
  Bench bench;
  bench.ask_for_everything();
  const Bench::Others before = bench.others();
  std::vector<std::string> order;
  bench.machine.fate.begin();
  bench.assert_plan();
  CHECK(bench.machine.fate.names() ==
        Strings{"add route", "add route", "commit", "add rule", "add rule", "add rule", "add rule"});
  CHECK(bench.done ==
        Strings{"added route 10.7.0.0/16 via 192.0.2.254 dev up0 table 7 proto 157",
                "added route fd00:7::/48 dev up0 table 7 proto 157 metric 1024", "made chain preserve_source",
                "added rule 900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157",
                "added rule 901: from all to 10.7.0.0/16 lookup 7 proto 157",
                "added rule -6 900: from all to fd00:245::/56 lookup main suppress_prefixlength 0 proto 157",
                "added rule -6 901: from all to fd00:7::/48 lookup 7 proto 157"});
  CHECK(bench.in_place());
  CHECK(bench.ours() == 6);
  CHECK(bench.others() == before);
}

TEST_CASE("what is in place costs one dump of each kind, no change and no lock") {
  Bench bench;
  bench.ask_for_everything();
  bench.assert_plan();
  bench.forget();
  const plugin::Locks others = plugin::Locks::open(bench.machine.state_dir(), "b001");
  const auto held = others.plumbing(conf::Millis{0});
  REQUIRE(held);
  bench.assert_plan();
  CHECK(bench.done.empty());
  CHECK(bench.machine.node_fib.calls ==
        FibCalls{
            .rule_dumps = 1, .route_dumps = 1, .address_dumps = 0, .link_dumps = 0, .link_requests = 2, .changes = 0});
  CHECK(bench.machine.ruleset.looks() == 1);
  CHECK(bench.machine.ruleset.commits().empty());
}

TEST_CASE("nothing is asked of the kernel for an empty plan, and nothing that the plan has nothing of") {
  Bench bench;
  bench.assert_plan();
  CHECK(bench.machine.node_fib.calls == FibCalls{});
  CHECK(bench.machine.ruleset.looks() == 0);
  bench.plan = plan_of({rule_to(901, "10.7.0.0/16", 7)});
  bench.assert_plan();
  bench.forget();
  bench.assert_plan();
  CHECK(bench.machine.node_fib.calls ==
        FibCalls{
            .rule_dumps = 1, .route_dumps = 0, .address_dumps = 0, .link_dumps = 0, .link_requests = 0, .changes = 0});
  CHECK(bench.machine.ruleset.looks() == 0);
}

TEST_CASE("who finds something missing waits for the lock, no longer than it may") {
  Bench bench;
  bench.ask_for_everything();
  const plugin::Locks others = plugin::Locks::open(bench.machine.state_dir(), "b001");
  const auto held = others.plumbing(conf::Millis{0});
  REQUIRE(held);
  plugin::System system = bench.machine.process();
  const plugin::Locks locks = plugin::Locks::open(bench.machine.state_dir(), "b001");
  plugin::Plumbing plumbing(system, bench.plan);
  check_refusal(refusal_of([&] { return plumbing.assert_on(plumbing.look(false), locks, conf::Millis{1}); }),
                conf::Code::kBusy, "another call is still at work", "rules and routes between the networks");
  CHECK(bench.ours() == 0);
}

TEST_CASE("uninstall takes rules before routes, exactly ours, and everything else stays") {
  Bench bench;
  bench.ask_for_everything();
  const fakes::FibState before = bench.machine.node_fib.state;
  const std::set<std::string> ruleset = bench.machine.ruleset.snapshot();
  bench.assert_plan();
  bench.machine.fate.begin();
  bench.uninstall();
  CHECK(bench.machine.fate.names() ==
        Strings{"remove rule", "remove rule", "remove rule", "remove rule", "remove route", "remove route", "commit"});
  CHECK(bench.done.front() ==
        "removed rule 900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157");
  CHECK(bench.done.back() == "removed chain preserve_source");
  CHECK(bench.machine.node_fib.state == before);
  CHECK(bench.machine.ruleset.snapshot() == ruleset);
  bench.uninstall();
  CHECK(bench.done.empty());
}

TEST_CASE("our own route of an earlier configuration is replaced, with ADD and with reconcile") {
  for (const bool all : {false, true}) {
    Bench bench;
    bench.ask_for_everything();
    bench.assert_plan();
    bench.plan.routes[0].mtu = 1400;
    bench.plan.routes[1].via = addr("fe80::1");
    all ? bench.reconcile() : bench.assert_plan();
    CHECK(bench.in_place());
    CHECK(bench.ours() == 6);
  }
}

TEST_CASE("reconcile removes nothing while the plan is guessed") {
  plans::Bench bench;
  bench.ask_for_everything();
  bench.assert_plan();
  const auto before = bench.machine.node_fib.state;
  bench.plan.rules.clear();
  bench.plan.routes.clear();
  bench.plan.guessed = true;
  bench.reconcile();
  CHECK(bench.machine.node_fib.state == before);
  CHECK(bench.done.empty());
  bench.plan.guessed = false;
  bench.reconcile();
  CHECK(bench.done.size() == 6);
}

TEST_CASE("reconcile follows a change of the configuration exactly") {
  Bench bench;
  bench.ask_for_everything();
  bench.assert_plan();
  const Bench::Others before = bench.others();
  bench.plan.rules = {rule_to(902, "10.6.0.0/16", 7), bench.plan.rules[0]};
  bench.plan.routes.pop_back();
  bench.plan.kept_sources.pop_back();
  const Strings would = bench.dry_run();
  CHECK(would == Strings{"remove rule 901: from all to 10.7.0.0/16 lookup 7 proto 157",
                         "remove rule -6 900: from all to fd00:245::/56 lookup main suppress_prefixlength 0 proto 157",
                         "remove rule -6 901: from all to fd00:7::/48 lookup 7 proto 157",
                         "remove route fd00:7::/48 dev up0 table 7 proto 157 metric 1024", "make chain preserve_source",
                         "add rule 902: from all to 10.6.0.0/16 lookup 7 proto 157"});
  CHECK_FALSE(bench.in_place());
  bench.reconcile();
  CHECK(bench.done.size() == would.size());
  CHECK(bench.in_place());
  CHECK(bench.ours() == 3);
  CHECK(bench.others() == before);
  bench.reconcile();
  CHECK(bench.done.empty());
}

TEST_CASE("items are what people know from ip and nft, what is there of them, and why not") {
  Bench bench;
  bench.ask_for_everything();
  bench.plan.routes[1].dev = "up9";
  const auto items = [&] {
    plugin::System system = bench.machine.process();
    plugin::Plumbing plumbing(system, bench.plan);
    Strings out;
    for (const plugin::Plumbing::Item& item : plumbing.items(plumbing.look(true)))
      out.push_back((item.present ? "+ " : "- ") + item.text + (item.problem.empty() ? "" : " | " + item.problem));
    return out;
  };
  bench.machine.node_fib.insert(rule_to(901, "10.50.0.0/16", 254, kStranger));
  REQUIRE(bench.machine.node_fib.add(bench.plan.rules[0]).ok());
  CHECK(items() == Strings{"- route 10.7.0.0/16 via 192.0.2.254 dev up0 table 7 proto 157",
                           "- route dev up9 | there is no device up9",
                           "- nat ip saddr 10.245.0.0/16 ip daddr 10.244.0.0/16 snat to ip saddr",
                           "- nat ip saddr 10.244.0.0/16 ip daddr 10.245.0.0/16 snat to ip saddr",
                           "+ rule 900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157",
                           "- rule 901: from all to 10.7.0.0/16 lookup 7 proto 157 | another owner has this priority: "
                           "901: from all to 10.50.0.0/16 lookup main proto 4",
                           "- rule -6 900: from all to fd00:245::/56 lookup main suppress_prefixlength 0 proto 157",
                           "- rule -6 901: from all to fd00:7::/48 lookup 7 proto 157"});
}

TEST_CASE("what is ours and not asked for is named") {
  Bench bench;
  bench.ask_for_everything();
  bench.assert_plan();
  bench.plan.rules.pop_back();
  bench.plan.routes.pop_back();
  plugin::System system = bench.machine.process();
  plugin::Plumbing some(system, bench.plan);
  CHECK(some.surplus(some.look(true)) == Strings{"rule -6 901: from all to fd00:7::/48 lookup 7 proto 157",
                                                 "route fd00:7::/48 dev up0 table 7 proto 157 metric 1024"});
  bench.plan.kept_sources.pop_back();
  CHECK(some.surplus(some.look(true)).back() == "nat chain preserve_source: other rules");
  const CoexistencePlan nothing;
  plugin::Plumbing none(system, nothing);
  CHECK(none.surplus(none.look(true)).size() == 7 - 1 + 1);
  CHECK(none.surplus(none.look(true)).back() == "nat chain preserve_source");
}

TEST_SUITE_END();

}  // namespace
