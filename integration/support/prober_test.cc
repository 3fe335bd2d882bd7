// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include "integration/support/prober.h"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "integration/support/namespaces.h"

// The prober is what the demo's promise rests on, so it has to see what goes wrong as well as what goes right.

using support::Netns;
using support::Prober;

namespace {

struct TwoPods {
  Netns a{"a"};
  Netns b{"b"};
  Prober prober{{std::chrono::milliseconds(10), std::chrono::milliseconds(300)}};

  TwoPods() {
    add_veth(a, "eth0", b, "eth0");
    a.ip("addr add 10.9.0.1/24 dev eth0");
    b.ip("addr add 10.9.0.2/24 dev eth0");
    prober.phase("one");
  }
  void join_both() {
    prober.join({"a", "legacy", "node1", "10.9.0.1"}, a);
    prober.join({"b", "cilium", "node2", "10.9.0.2"}, b);
  }
  /// Until at least `count` more probes were sent.
  void wait_for(std::uint64_t count) const {
    const std::uint64_t enough = prober.totals().sent + count;
    while (prober.totals().sent < enough) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
};

}  // namespace

TEST_SUITE("support.prober") {
  TEST_CASE_FIXTURE(TwoPods, "between living pods nothing is lost, and both directions are counted") {
    join_both();
    wait_for(40);
    prober.settle();
    const auto counts = prober.counts();
    REQUIRE(counts.size() == 2);
    for (const auto& count : counts) {
      CHECK(count.sent >= 10);
      CHECK(count.lost == 0);
      CHECK(count.strangers == 0);
      CHECK(count.seen_as == (count.from == "a" ? "10.9.0.1" : "10.9.0.2"));
      CHECK(count.from_group == (count.from == "a" ? "legacy" : "cilium"));
    }
  }

  TEST_CASE_FIXTURE(TwoPods, "a cut link is lost probes, in the phase in which they were sent") {
    join_both();
    wait_for(20);
    prober.phase("cut");
    b.ip("link set eth0 down");
    wait_for(20);
    prober.settle();
    std::uint64_t lost = 0;
    for (const auto& count : prober.counts()) {
      if (count.phase == "cut") lost += count.lost;
    }
    CHECK(lost >= 20);
  }

  TEST_CASE_FIXTURE(TwoPods, "a pod that left before it was taken away is not missed") {
    join_both();
    wait_for(20);
    prober.leave("b");
    const auto sent = prober.totals().sent;
    b.ip("link del eth0");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(prober.totals().sent == sent);
    prober.settle();
    CHECK(prober.totals().lost == 0);
  }

  TEST_CASE_FIXTURE(TwoPods, "an answer by another pod than the one asked is no answer") {
    join_both();
    prober.join({"outside", "", "", ""}, a);
    // The address says b; the promise was that a answers.
    prober.probe("outside", "a", "hostPort", "10.9.0.2", Prober::kEchoPort);
    wait_for(40);
    prober.settle();
    std::uint64_t strangers = 0;
    std::uint64_t lost = 0;
    for (const auto& count : prober.counts()) {
      if (count.service != "hostPort") continue;
      strangers += count.strangers;
      lost += count.lost;
    }
    CHECK(strangers >= 10);
    CHECK(lost == strangers);
  }
}

int main(int argc, char** argv) {
  support::isolate({});
  doctest::Context context(argc, argv);
  return context.run();
}
