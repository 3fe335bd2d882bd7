// SPDX-License-Identifier: Apache-2.0

// Rules, routes and NAT between the networks, broken at every step that makes or removes them: the next reconcile
// completes what is wanted, nothing is there twice, nothing of others is touched.

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "conf/error.h"
#include "tests/plugin/plumbing_bench.h"

namespace {

using fakes::Harm;
using plans::Bench;
using Act = std::function<void(Bench&)>;

/// Runs `act` with one thing broken; true if it ended well.
bool survives(Bench& bench, Harm harm, std::size_t at, const Act& act) {
  bench.machine.fate.begin(harm, at);
  bool good = false;
  try {
    act(bench);
    good = true;
  } catch (const conf::CniError&) {
  } catch (const fakes::Killed&) {
  }
  bench.machine.fate.begin();
  return good;
}

/// Exactly the plan, each of it once.
void check_complete(Bench& bench) {
  CHECK(bench.in_place());
  CHECK(bench.ours() == bench.plan.rules.size() + bench.plan.routes.size());
}

/// Breaks `act` after `prepare` at each of its steps in every way; `promised` holds if it ended well, and after one
/// reconcile in any case.
void break_each_step(std::size_t steps, const Act& prepare, const Act& act, const Act& promised, const Act& repair) {
  Bench counted;
  prepare(counted);
  counted.machine.fate.begin();
  act(counted);
  REQUIRE(counted.machine.fate.steps() == steps);
  for (const Harm harm : {Harm::kFail, Harm::kFailAfter, Harm::kKill})
    for (std::size_t at = 1; at <= steps; ++at) {
      INFO("harm " << static_cast<int>(harm) << " at step " << at << ": " << counted.machine.fate.names().at(at - 1));
      Bench bench;
      const Bench::Others before = bench.others();
      prepare(bench);
      const bool good = survives(bench, harm, at, act);
      CHECK(good == (harm == Harm::kFailAfter));  // an answer that was lost is looked for
      if (good) promised(bench);
      CHECK(bench.others() == before);
      repair(bench);
      promised(bench);
      CHECK(bench.others() == before);
    }
}

/// A node that has all of an earlier configuration, of which some is wanted no more.
void follow_another_configuration(Bench& bench) {
  bench.ask_for_everything();
  bench.assert_plan();
  bench.plan.rules[1].to = plans::cidr("10.6.0.0/16");
  bench.plan.rules.pop_back();
  bench.plan.routes[0].mtu = 1400;
  bench.plan.routes.pop_back();
  bench.plan.kept_sources.pop_back();
}

void ask(Bench& bench) { bench.ask_for_everything(); }
void assert_plan(Bench& bench) { bench.assert_plan(); }
void reconcile(Bench& bench) { bench.reconcile(); }
void uninstall(Bench& bench) { bench.uninstall(); }

TEST_SUITE_BEGIN("plugin.plumbing_crash");

TEST_CASE("what an ADD was making when it failed or died is completed by the next ADD, or by reconcile") {
  break_each_step(7, ask, assert_plan, check_complete, reconcile);
  break_each_step(7, ask, assert_plan, check_complete, assert_plan);
}

TEST_CASE("a reconcile that fails or dies anywhere is finished by the next") {
  break_each_step(7, follow_another_configuration, reconcile, check_complete, reconcile);
}

TEST_CASE("an uninstall that fails or dies anywhere is finished by the next") {
  const Act install = [](Bench& bench) {
    bench.ask_for_everything();
    bench.assert_plan();
  };
  const Act nothing_is_left = [](Bench& bench) {
    CHECK(bench.ours() == 0);
    for (const std::string& line : bench.machine.ruleset.snapshot()) CHECK(line.find("crossover") == std::string::npos);
  };
  break_each_step(7, install, uninstall, nothing_is_left, uninstall);
}

TEST_CASE("a look that fails anywhere changes nothing but is said, and the next call goes on from there") {
  for (const Act& act : {Act(assert_plan), Act(reconcile)}) {
    Bench counted;
    follow_another_configuration(counted);
    counted.machine.fate.begin();
    act(counted);
    const std::size_t looks = counted.machine.fate.looks();
    REQUIRE(looks >= 6);
    for (std::size_t at = 1; at <= looks; ++at) {
      CAPTURE(at);
      Bench bench;
      const Bench::Others before = bench.others();
      follow_another_configuration(bench);
      bench.machine.fate.begin();
      bench.machine.fate.fail_look(at);
      CHECK_THROWS_AS(act(bench), const conf::CniError&);
      bench.machine.fate.begin();
      bench.machine.fate.fail_look(0);
      bench.reconcile();
      check_complete(bench);
      CHECK(bench.others() == before);
    }
  }
}

TEST_SUITE_END();

}  // namespace
