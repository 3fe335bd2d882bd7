// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <iostream>
#include <vector>

#include "integration/labs/stage.h"

// Services of kube-proxy and host ports between the two networks: whom the pod behind them sees.

namespace {

using lab::Preserve;
using lab::Seen;
using lab::Size;
using lab::Stage;

/// Who asks whom, in words: a line for each.
struct Table {
  std::string title;
  std::vector<std::string> lines;

  [[nodiscard]] std::string text() const {
    std::string out = title + "\n";
    for (const std::string& line : lines) out += "  " + line + "\n";
    return out;
  }
};

/// Pods, nodes and a machine outside ask a Service of a legacy pod on node 1 and one of a Cilium pod on node 2.
Table ask_services(Stage& stage, const std::string& title) {
  Table table{title, {}};
  const auto ask = [&](const std::string& from, const support::Netns& netns, const std::string& own) {
    for (const lab::Service& service : stage.services()) {
      const Seen seen = stage.ask(netns, service.name, service.address, 80, Size::kSmall);
      table.lines.push_back(from + " -> s-" + service.name + "  " + lab::text(seen, own));
    }
  };
  for (const lab::Party& from : stage.parties()) ask(from.name, *from.netns, from.address);
  for (unsigned number : {1U, 2U})
    for (const lab::Service& service : stage.services()) {
      const Seen seen =
          stage.ask(stage.cluster().lan(), service.name, stage.node(number).address(), service.node_port, Size::kSmall);
      table.lines.push_back("outside -> n" + std::to_string(number) + " s-" + service.name + "  " +
                            lab::text(seen, "172.30.0.1"));
    }
  std::cout << table.text() << std::flush;
  return table;
}

Table ask_host_ports(Stage& stage, const std::string& title) {
  Table table{title, {}};
  for (const lab::Party& party : stage.parties()) {
    if (party.kind == lab::Kind::kHost) continue;
    const Seen seen =
        stage.ask(stage.cluster().lan(), party.name, party.node->address(), Stage::host_port(party), Size::kAll);
    table.lines.push_back("outside -> hostPort " + party.name + "  " + lab::text(seen, "172.30.0.1"));
  }
  std::cout << table.text() << std::flush;
  return table;
}

}  // namespace

TEST_SUITE("labs.services") {
  TEST_CASE("Calico and Cilium: Services see what was recorded, and pods' own addresses when they are kept") {
    Stage stage("calico", BIN_DIR);
    stage.add_services();
    const std::vector<std::string> before = {"l1 -> s-l1  172.30.0.11",
                                             "l1 -> s-c2  10.245.1.254",
                                             "c1 -> s-l1  172.30.0.11",
                                             "c1 -> s-c2  own",
                                             "n1 -> s-l1  own",
                                             "n1 -> s-c2  10.245.1.254",
                                             "l2 -> s-l1  10.246.2.63",
                                             "l2 -> s-c2  10.245.2.254",
                                             "c2 -> s-l1  10.246.2.63",
                                             "c2 -> s-c2  169.254.42.1",
                                             "n2 -> s-l1  10.246.2.63",
                                             "n2 -> s-c2  10.245.2.254",
                                             "outside -> n1 s-l1  172.30.0.11",
                                             "outside -> n1 s-c2  10.245.1.254",
                                             "outside -> n2 s-l1  10.246.2.63",
                                             "outside -> n2 s-c2  10.245.2.254"};
    CHECK(ask_services(stage, "calico: Services, nothing of ours").lines == before);
    stage.plumb(1, Preserve::kBoth);
    stage.plumb(2, Preserve::kBoth);
    std::vector<std::string> after = before;
    for (const std::size_t crossing : {1U, 2U, 7U, 8U})
      after[crossing].replace(after[crossing].find("  "), 99, "  own");
    CHECK(ask_services(stage, "calico: Services, both on both nodes").lines == after);
  }

  TEST_CASE("flannel and Cilium: Services see pods' own addresses when they are kept") {
    Stage stage("flannel", BIN_DIR, Preserve::kBoth);
    stage.add_services();
    const std::vector<std::string> lines = {"l1 -> s-l1  10.244.1.1",
                                            "l1 -> s-c2  own",
                                            "c1 -> s-l1  own",
                                            "c1 -> s-c2  own",
                                            "n1 -> s-l1  10.244.1.1",
                                            "n1 -> s-c2  10.245.1.254",
                                            "l2 -> s-l1  own",
                                            "l2 -> s-c2  own",
                                            "c2 -> s-l1  own",
                                            "c2 -> s-c2  169.254.42.1",
                                            "n2 -> s-l1  10.244.2.0",
                                            "n2 -> s-c2  10.245.2.254",
                                            "outside -> n1 s-l1  10.244.1.1",
                                            "outside -> n1 s-c2  10.245.1.254",
                                            "outside -> n2 s-l1  10.244.2.0",
                                            "outside -> n2 s-c2  10.245.2.254"};
    CHECK(ask_services(stage, "flannel: Services, both on both nodes").lines == lines);
  }

  TEST_CASE("a client outside reaches pods of either network by hostPort and is seen as itself, plumbed or not") {
    for (const std::string& name : lab::lab_names())
      for (const Preserve mode : {Preserve::kOff, Preserve::kBoth}) {
        Stage stage(name, BIN_DIR, mode);
        const std::vector<std::string> lines = {"outside -> hostPort l1  own", "outside -> hostPort c1  own",
                                                "outside -> hostPort l2  own", "outside -> hostPort c2  own"};
        CHECK(ask_host_ports(stage, name + (mode == Preserve::kOff ? ": host ports, nothing of ours"
                                                                   : ": host ports, both on both nodes"))
                  .lines == lines);
      }
  }
}
