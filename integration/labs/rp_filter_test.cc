// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <iostream>

#include "integration/labs/stage.h"

// What a strict or loose rp_filter does to the crossings: recorded with real Cilium. A pod's packet beyond Cilium's
// network comes in by a device without an address, for which loose is as strict.

namespace {

using lab::Size;
using lab::Stage;

/// l1, c1 and node 1 ask; that is what was recorded.
std::string lost(Stage& stage) {
  std::string out;
  for (const std::string from : {"l1", "c1", "n1"})
    for (const std::string to : {"l1", "c1", "l2", "c2"}) {
      if (from == to) continue;
      const lab::Seen seen = stage.ask(from, to, Size::kSmall);
      if (seen == lab::Seen{}) out += "  " + from + " -> " + to;
    }
  return out;
}

}  // namespace

TEST_SUITE("labs.rp_filter") {
  TEST_CASE("all.rp_filter 1 and 2 drop what Cilium's pods send beyond their network, 0 does not") {
    Stage stage("flannel", BIN_DIR);
    const std::string dropped = "  l1 -> c1  c1 -> l1  c1 -> l2  n1 -> c1";
    for (const std::string mode : {"1", "2", "0"}) {
      for (unsigned number : {1U, 2U}) stage.node(number).net().sysctl("net.ipv4.conf.all.rp_filter", mode);
      const std::string found = lost(stage);
      std::cout << "flannel: all.rp_filter=" << mode << " loses" << found << "\n" << std::flush;
      CHECK(found == (mode == "0" ? "" : dropped));
    }
  }
}
