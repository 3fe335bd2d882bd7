// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "integration/labs/aws.h"
#include "integration/labs/isolated.h"
#include "integration/labs/kube_proxy.h"
#include "integration/labs/lab.h"
#include "integration/labs/vpc_stage.h"

// The AWS VPC CNI and Cilium's overlay on the same nodes. On node N: lN has an address of eth0, sN one of the secondary
// interface eth1, cN is Cilium's, nN the node itself, rN its cilium_host. `out` is beyond the VPC.

namespace {

using Json = nlohmann::json;
using lab::Aws;
using lab::Vpc;
using Snat = lab::Aws::Snat;

constexpr const char* kRule = "rule 900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157";

Json keys(bool plumbed) {
  Json cilium = {{"conflist", "/etc/cni/net.d/crossover.d/05-cilium.conflist"}};
  if (!plumbed) return {{"cilium", cilium}};
  cilium["cidrs"] = Json::array({"10.245.0.0/16"});
  return {{"cilium", cilium}, {"legacy", {{"cidrs", Json::array({Vpc::kCidr})}}}};
}

class AwsLab {
 public:
  explicit AwsLab(Snat snat)
      : lab_(std::make_unique<Aws>(Aws::Options{.snat = snat, .interfaces = 2, .secondary = {1}, .on_primary = 1})) {
    lab_.build(cluster_);
    stage_.emplace(cluster_, BIN_DIR, std::string(BIN_DIR) + ":/usr/lib/cni");
    for (const support::Node& node : cluster_.nodes()) {
      configure(node, false);
      start_pods(node);
    }
    stage().add("out", vpc().outside(), Vpc::kOutside);
  }

  [[nodiscard]] lab::VpcStage& stage() { return *stage_; }

  /// Tells node 1 and node 2 Cilium's CIDR, and lets profile `auto` do the rest.
  void plumb() {
    for (const support::Node& node : cluster_.nodes()) {
      configure(node, true);
      const std::string said = stage().crossover(node.number(), "reconcile");
      CAPTURE(said);
      REQUIRE(said.find("coexistence: aws-vpc-cni, 1 wanted, 1 in place\n  added " + std::string(kRule)) !=
              std::string::npos);
    }
  }

  /// Packets of node 1 that the VPC dropped.
  [[nodiscard]] std::uint64_t dropped() const {
    const support::Node& node = cluster_.nodes().front();
    return vpc().dropped(Vpc::eni(node, 0)) + vpc().dropped(Vpc::eni(node, 1));
  }

  void configure(const support::Node& node, bool plumbed) const {
    for (const lab::ListFile& list :
         {lab_.legacy_list(node), lab_.second_list(node), lab::crossover_list(keys(plumbed))})
      node.write(list.path, list.text);
  }

  std::string table(const std::string& title) {
    const std::string found =
        stage().table({"l1", "s1", "c1", "n1"}, {"l1", "s1", "c1", "n1", "l2", "s2", "c2", "n2", "out"});
    std::cout << title << "\n" << found << std::flush;
    return "\n" + found;
  }

  /// kube-proxy with a Service of s1 and one of c2. It puts its jump before those of others.
  void add_services() {
    services_ = {{.name = "s1", .address = "10.96.0.11", .backend = stage().address("s1"), .node_port = 30011},
                 {.name = "c2", .address = "10.96.0.12", .backend = stage().address("c2"), .node_port = 30012}};
    for (const support::Node& node : cluster_.nodes()) {
      lab::add_kube_proxy(node, services_);
      for (const std::string where : {"-D PREROUTING", "-I PREROUTING"})
        node.must_run(
            {"iptables-restore", "--noflush"},
            "*nat\n" + where + " -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\nCOMMIT\n");
      lab::add_pod_services(lab_.cilium().datapath(node), services_);
    }
  }

  /// Who sees whom by the first and by the second Service.
  std::string services(const std::string& title) {
    std::string found;
    for (const std::string from : {"l1", "s1", "c1", "n1"}) {
      found += from;
      for (const lab::Service& one : services_) found += " " + stage().ask_at(from, one.name, one.address, 80);
      found += ", ";
    }
    for (const support::Node& node : cluster_.nodes()) {
      found += "out by n" + std::to_string(node.number());
      for (const lab::Service& one : services_)
        found += " " + stage().ask_at("out", one.name, node.address(), one.node_port);
      found += node.number() == 1 ? ", " : "";
    }
    std::cout << title << "\n" << found << std::endl;
    return found;
  }

 private:
  [[nodiscard]] const Vpc& vpc() const { return dynamic_cast<const Aws&>(lab_.legacy()).vpc(); }

  void start_pods(const support::Node& node) {
    const std::string number = std::to_string(node.number());
    stage().start("l" + number, node.number(), "legacy");
    stage().start("s" + number, node.number(), "legacy");
    stage().start("c" + number, node.number(), "cilium");
    stage().call(lab_.cilium().router(node), "r" + number);
  }

  bool isolated_ = lab::be_isolated();
  support::Cluster cluster_{2};
  lab::Lab lab_;
  std::optional<lab::VpcStage> stage_;
  std::vector<lab::Service> services_;
};

/// The cells in which the tables differ; `legacy_out`: whom legacy pods are taken for beyond the VPC.
struct Differences {
  std::string l1_c1, s1_c1, s1_c2, c1_s1, n1_c1, n1_c2;
  std::string legacy_out = "n1";
};

std::string expected(const Differences& cells) {
  const auto cell = [](std::string text) { return text.resize(6, ' '), text; };
  std::string out = "\n      l1    s1    c1    n1    l2    s2    c2    n2    out\n";
  out += "l1    -     own   " + cell(cells.l1_c1) + "own   own   own   r1    own   " + cells.legacy_out + "\n";
  out += "s1    own   -     " + cell(cells.s1_c1) + "own   own   own   " + cell(cells.s1_c2) + "own   " +
         cells.legacy_out + "\n";
  out += "c1    n1    " + cell(cells.c1_s1) + "-     own   n1    n1    own   n1    n1\n";
  return out + "n1    own   own   " + cell(cells.n1_c1) + "-     own   own   " + cell(cells.n1_c2) + "own   own\n";
}

}  // namespace

TEST_SUITE("labs.aws") {
  TEST_CASE("AWS and Cilium's overlay: pods of secondary interfaces reach Cilium's pods by rule 900 of profile auto") {
    AwsLab lab(Snat::kNodeNotToCilium);
    CHECK(lab.table("aws, Cilium's CIDR excluded from SNAT: before") ==
          expected({"own", "lost", "lost", "lost", "r1", "r1"}));
    CHECK(lab.stage().way("s1", lab.stage().address("c2")) == "via 172.30.0.1 dev eth1 table 2");

    lab.plumb();
    CHECK(lab.table("aws, Cilium's CIDR excluded from SNAT: after") ==
          expected({"own", "own", "r1", "n1", "r1", "r1"}));
    CHECK(lab.stage().way("s1", lab.stage().address("c2")) == "dev cilium_host");
    CHECK(lab.dropped() == 0);
  }

  // AWS's connection mark takes what pods send to the main table, to be translated there; but not their answers to
  // Cilium's pods. And what a node sends to another node's Cilium pod is given a node's address, to which the answer
  // goes past the tunnel: no rule helps there, AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS does.
  TEST_CASE("AWS and Cilium's overlay: with AWS's SNAT for Cilium's CIDR too, rule 900 is still needed for answers") {
    AwsLab lab(Snat::kNode);
    CHECK(lab.table("aws, usual SNAT: before") == expected({"n1", "n1", "r1", "lost", "own", "lost"}));
    lab.plumb();
    CHECK(lab.table("aws, usual SNAT: after") == expected({"n1", "n1", "r1", "n1", "own", "lost"}));
    CHECK(lab.dropped() == 0);
  }

  TEST_CASE("AWS and Cilium's overlay: with an external SNAT too, and what leaves the VPC goes as before") {
    AwsLab lab(Snat::kExternal);
    CHECK(lab.table("aws, external SNAT: before") == expected({"own", "lost", "lost", "lost", "r1", "r1", "own"}));
    lab.plumb();
    CHECK(lab.table("aws, external SNAT: after") == expected({"own", "own", "r1", "n1", "r1", "r1", "own"}));
    CHECK(lab.stage().way("s1", Vpc::kOutside) == "via 172.30.0.1 dev eth1 table 2");
    CHECK(lab.dropped() == 0);
  }

  TEST_CASE("AWS and Cilium's overlay: without cilium_host's routes rule 900 leads nowhere, not to the default route") {
    AwsLab lab(Snat::kNodeNotToCilium);
    lab.plumb();
    const std::string there = lab.stage().address("c2");
    lab.stage().node(1).net().ip("route flush dev cilium_host");
    CHECK(lab.stage().way("s1", there) == "via 172.30.0.1 dev eth1 table 2");
    CHECK(lab.stage().way("l1", there) == "via 172.30.0.1 dev eth0");
    CHECK(lab.stage().ask("s1", "c2") == "lost");
    CHECK(lab.stage().ask("s1", "s2") == "own");
  }

  TEST_CASE("AWS and Cilium's overlay: status shows the rule wanted, then present, and uninstall takes only it away") {
    AwsLab lab(Snat::kNode);
    const support::Node& node = lab.stage().node(1);
    const std::string before = node.net().ip("rule");
    lab.configure(node, true);
    const auto status = [&] { return Json::parse(lab.stage().crossover(1, "status --json")).at("coexistence"); };
    CHECK(status().at("wanted") == Json::array({kRule}));
    CHECK(status().at("present") == Json::array());
    lab.stage().start("later", 1, "cilium");  // any ADD asserts it
    CHECK(status().at("present") == Json::array({kRule}));
    lab.stage().stop("later");
    CHECK(status().at("present") == Json::array({kRule}));
    lab.stage().crossover(1, "uninstall --coexistence");
    CHECK(node.net().ip("rule") == before);
  }

  TEST_CASE("AWS and Cilium's overlay: Services between pods of secondary interfaces and Cilium's pods") {
    AwsLab lab(Snat::kNodeNotToCilium);
    lab.add_services();
    CHECK(lab.services("aws, Services: before") ==
          "l1 n1 r1, s1 n1 lost, c1 lost own, n1 own r1, out by n1 n1 r1, out by n2 n2 r2");
    lab.plumb();
    CHECK(lab.services("aws, Services: after") ==
          "l1 n1 r1, s1 n1 r1, c1 n1 own, n1 own r1, out by n1 n1 r1, out by n2 n2 r2");
  }

  TEST_CASE("AWS and Cilium's overlay: pods that start later know how large a packet may be on its way to Cilium's") {
    AwsLab lab(Snat::kNodeNotToCilium);
    lab.plumb();
    CHECK(lab.stage().send("s1", "c2", 1400) == "lost");
    lab.stage().start("later", 1, "legacy");
    CHECK(lab.stage().netns("later").ip("route show 10.245.0.0/16") ==
          "10.245.0.0/16 via 169.254.1.1 dev eth0 proto 157 mtu 1400 \n");
    CHECK(lab.stage().send("later", "c2", 1400) == "r1");
    CHECK(lab.stage().send("later", "l2", 1400) == "own");
    CHECK(lab.stage().send("c2", "later", 1400) == "n2");
  }

  // aws-cni leaves a rule that is there already, so it may rely on this one: it is named, not removed.
  TEST_CASE("AWS: rule 1536 of a former pod, whose address now is of another interface, is named to who looks") {
    AwsLab lab(Snat::kNode);
    const support::Node& node = lab.stage().node(1);
    const std::string address = lab.stage().address("l1");
    lab.stage().stop("l1");
    node.net().ip("rule add from " + address + " lookup 2 pref 1536");
    lab.stage().start("l1", 1, "legacy");
    REQUIRE(lab.stage().address("l1") == address);
    CHECK(lab.stage().ask("l1", "l2") == "lost");
    CHECK(lab.dropped() > 0);
    const std::string notes = lab.stage().last_notes(1);
    CAPTURE(notes);
    CHECK(notes.find("was there before " + address +
                     " was given to this pod: its packets go by table 2 because of priority 1536; `ip -4 rule del ") !=
          std::string::npos);
  }

  TEST_CASE("AWS and Cilium's overlay: the VPC drops what does not belong to the interface it came from") {
    AwsLab lab(Snat::kNodeNotToCilium);
    const support::Node& node = lab.stage().node(1);
    node.net().ip("rule add to " + lab.stage().address("s2") + " lookup main pref 800");
    CHECK(lab.stage().ask("s1", "s2") == "lost");
    CHECK(lab.dropped() > 0);
  }
}
