// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <chrono>
#include <iostream>
#include <thread>
#include <utility>
#include <vector>

#include "integration/labs/stage.h"
#include "integration/support/prober.h"

// The order of roll-out under load: to-legacy on one node after the other, then both, and back in reverse.

namespace {

using lab::Preserve;
using lab::Stage;

struct Step {
  unsigned node;
  Preserve mode;
};

/// Sockets that were there from the start keep what they have; each step's clients are new ones.
void check_rollout(const std::string& name) {
  Stage stage(name, BIN_DIR);
  support::Prober prober({.interval = std::chrono::milliseconds(20), .patience = std::chrono::milliseconds(1000)});
  for (const lab::Party& party : stage.parties())
    if (party.kind != lab::Kind::kHost)
      prober.join({party.name, name, party.node->name(), party.address}, *party.netns);
  const std::vector<Step> steps = {{1, Preserve::kToLegacy}, {2, Preserve::kToLegacy}, {1, Preserve::kBoth},
                                   {2, Preserve::kBoth},     {2, Preserve::kToLegacy}, {1, Preserve::kToLegacy},
                                   {2, Preserve::kOff},      {1, Preserve::kOff}};
  for (const Step& step : steps) {
    stage.plumb(step.node, step.mode);
    for (const std::string from : {"l1", "c1", "l2", "c2"})
      for (const std::string to : {"l1", "c1", "l2", "c2"})
        if (from != to) prober.probe(from, to, "new client", stage.party(to).address, support::Prober::kEchoPort);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  prober.settle();
  for (const support::ProbeCount& count : prober.counts()) {
    INFO(count.from << " to " << count.to << " " << count.service << " " << count.problem);
    CHECK(count.sent > 0);
    CHECK(count.lost == 0);
    CHECK(count.strangers == 0);
  }
  const support::ProbeTotals totals = prober.totals();
  std::cout << name << ": roll-out and back, " << totals.sent << " probes sent, " << totals.lost << " lost\n"
            << std::flush;
}

}  // namespace

TEST_SUITE("labs.rollout") {
  TEST_CASE("flannel and Cilium: addresses are kept and given up again, node by node, without a lost probe") {
    check_rollout("flannel");
  }
  TEST_CASE("Calico and Cilium: addresses are kept and given up again, node by node, without a lost probe") {
    check_rollout("calico");
  }
}
