// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "integration/labs/crossing.h"

// Who reaches whom between the two networks of each lab, and as whom: what was recorded with real Cilium, flannel and
// Calico, case by case.

namespace {

using Json = nlohmann::json;
using lab::Expected;
using lab::Family;
using lab::Preserve;
using lab::Size;
using lab::Stage;

struct Case {
  std::string name;
  Preserve node1;
  Preserve node2;
  Size size = Size::kSmall;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"A. nothing of ours", Preserve::kOff, Preserve::kOff, Size::kAll},
      {"B. to-legacy on both nodes", Preserve::kToLegacy, Preserve::kToLegacy},
      {"C. only the other direction, on both nodes", Preserve::kToCiliumOnly, Preserve::kToCiliumOnly},
      {"D. both on both nodes", Preserve::kBoth, Preserve::kBoth, Size::kAll},
      {"E. both on node 1, nothing on node 2", Preserve::kBoth, Preserve::kOff},
      {"F. both on node 1, to-legacy on node 2", Preserve::kBoth, Preserve::kToLegacy},
      {"G. to-legacy on node 1, nothing on node 2", Preserve::kToLegacy, Preserve::kOff}};
  return all;
}

void check(Stage& stage, const std::string& title, const Expected& how) {
  const std::string found = lab::cross(stage, title, how.size, how.family);
  std::cout << found << std::flush;
  CHECK(found == lab::expected(stage, title, how));
}

void check_cases(const std::string& name) {
  Stage stage(name, BIN_DIR);
  for (const Case& one : cases()) {
    stage.plumb(1, one.node1);
    stage.plumb(2, one.node2);
    check(stage, name + ": " + one.name,
          {.node1 = one.node1, .node2 = one.node2, .pod_routes = false, .size = one.size});
  }
}

/// What `crossover status` calls wanted and present, which must be the same.
Json in_place(const Stage& stage, unsigned number) {
  const Json view = Json::parse(stage.status(number)).at("coexistence");
  CHECK(view.at("wanted") == view.at("present"));
  return view.at("present");
}

/// Of both families, as `status` says it.
Json kept(Preserve mode) {
  Json out = Json::array();
  if (mode == Preserve::kOff) return out;
  for (const std::string family : {"ip", "ip6"}) {
    const bool v4 = family == "ip";
    const std::string legacy = v4 ? "10.244.0.0/16" : "fd00:10:244::/56";
    const std::string cilium = v4 ? "10.245.0.0/16" : "fd00:10:245::/56";
    const auto rule = [&](const std::string& from, const std::string& to) {
      return "nat " + family + " saddr " + from + " " + family + " daddr " + to + " snat to " + family + " saddr";
    };
    out.push_back(rule(cilium, legacy));
    if (mode == Preserve::kBoth) out.push_back(rule(legacy, cilium));
  }
  return out;
}

/// The cases that matter to an operator, in one lab and in both families.
void check_dual(Stage& stage) {
  for (const Case& one : cases()) {
    if (std::string("ABDE").find(one.name[0]) == std::string::npos) continue;
    stage.plumb(1, one.node1);
    stage.plumb(2, one.node2);
    for (const auto& [number, mode] : {std::pair{1U, one.node1}, std::pair{2U, one.node2}})
      CHECK(in_place(stage, number) == kept(mode));
    for (const Family family : {Family::kIpv6, Family::kIpv4})
      check(stage, stage.lab().legacy().name() + (family == Family::kIpv4 ? ", IPv4: " : ", IPv6: ") + one.name,
            {.node1 = one.node1, .node2 = one.node2, .pod_routes = false, .size = Size::kSmall, .family = family});
  }
}

/// Pods that start when the plumbing is there know how large a packet may be on its way to the other network.
void check_from_the_start(const std::string& name, const std::vector<Family>& families = {Family::kIpv4}) {
  Stage stage(name, BIN_DIR, Preserve::kBoth);
  for (const Family family : families)
    check(
        stage, name + (family == Family::kIpv4 ? "" : ", IPv6") + ": both on both nodes from the start",
        {.node1 = Preserve::kBoth, .node2 = Preserve::kBoth, .pod_routes = true, .size = Size::kAll, .family = family});
}

/// Lines as "l1 -> c1  10.245.1.254"; what was recorded, with this lab's addresses.
void check_recorded(const std::string& name, const std::vector<std::string>& lines) {
  Stage stage(name, BIN_DIR);
  for (const std::string& line : lines) {
    const lab::Seen seen = stage.ask(line.substr(0, 2), line.substr(6, 2), Size::kSmall);
    CHECK(line.substr(0, 10) + lab::text(seen, {}) == line);
  }
}

}  // namespace

TEST_SUITE("labs.preserve-source") {
  TEST_CASE("without Crossover a crossing is seen from cilium_host, cni0, flannel.1, the tunnel or the node") {
    check_recorded("flannel", {"l1 -> c1  10.245.1.254", "l1 -> c2  10.245.1.254", "l2 -> c1  10.245.2.254",
                               "l2 -> c2  10.245.2.254", "c1 -> l1  10.244.1.1", "c1 -> l2  10.244.1.0",
                               "c2 -> l1  10.244.2.0", "c2 -> l2  10.244.2.1"});
    check_recorded("calico", {"l1 -> c1  10.245.1.254", "l1 -> c2  10.245.1.254", "c1 -> l1  172.30.0.11",
                              "c1 -> l2  10.246.1.63", "c2 -> l1  10.246.2.63"});
  }

  TEST_CASE("flannel over VXLAN and Cilium: cases A to G come out as they were recorded") { check_cases("flannel"); }
  TEST_CASE("flannel over VXLAN and Cilium: pods that start later have the MTU of the crossing too") {
    check_from_the_start("flannel");
  }
  TEST_CASE("flannel over host-gw and Cilium: cases A to G") { check_cases("flannel-host-gw"); }
  TEST_CASE("flannel over host-gw and Cilium: pods that start later have the MTU of the crossing too") {
    check_from_the_start("flannel-host-gw");
  }
  TEST_CASE("flannel and Cilium in both families: cases A, B, D and E come out the same with IPv6") {
    Stage stage("flannel-dual", BIN_DIR);
    check_dual(stage);
  }
  TEST_CASE("flannel and Cilium in both families: pods that start later have the MTU of the crossing too") {
    check_from_the_start("flannel-dual", {Family::kIpv4, Family::kIpv6});
  }
  TEST_CASE("Calico over VXLAN and Cilium: cases A to G come out as they were recorded") { check_cases("calico"); }
  TEST_CASE("Calico over VXLAN and Cilium: pods that start later have the MTU of the crossing too") {
    check_from_the_start("calico");
  }
  TEST_CASE("flannel that masquerades in nft: cases A to G") { check_cases("flannel-nft"); }
  TEST_CASE("flannel and Cilium with iptables-legacy: cases A to G") { check_cases("flannel-iptables-legacy"); }
  TEST_CASE("Canal and Cilium: cases A to G") { check_cases("canal"); }
  TEST_CASE("Canal and Cilium: pods that start later have the MTU of the crossing too") {
    check_from_the_start("canal");
  }
}
