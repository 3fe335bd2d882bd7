// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "integration/labs/aws.h"
#include "integration/labs/cilium.h"
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
  if (plumbed) cilium["cidrs"] = Json::array({"10.245.0.0/16"});
  return {{"cilium", cilium}};
}

bool isolated() { return lab::be_isolated(), true; }

class AwsLab {
 public:
  explicit AwsLab(Snat snat) : aws_(Aws::Options{.snat = snat, .interfaces = 2, .secondary = {1}, .on_primary = 1}) {
    aws_.build(cluster_);
    cilium_.reserve(Vpc::kCidr);
    cilium_.build(cluster_);
    stage_.emplace(cluster_, BIN_DIR, std::string(BIN_DIR) + ":/usr/lib/cni");
    for (const support::Node& node : cluster_.nodes()) {
      configure(node, false);
      start_pods(node);
    }
    stage().add("out", aws_.vpc().outside(), Vpc::kOutside);
  }

  [[nodiscard]] lab::VpcStage& stage() { return *stage_; }
  [[nodiscard]] const Vpc& vpc() const { return aws_.vpc(); }

  /// With Cilium's CIDR, as `profile` auto needs it, on both nodes. What node 1 said.
  std::string plumb() {
    std::string said;
    for (const support::Node& node : cluster_.nodes()) {
      configure(node, true);
      const std::string text = stage().crossover(node.number(), "reconcile");
      if (node.number() == 1) said = text;
    }
    return said;
  }

  std::string table(const std::string& title) {
    const std::string found =
        stage().table({"l1", "s1", "c1", "n1"}, {"l1", "s1", "c1", "n1", "l2", "s2", "c2", "n2", "out"});
    std::cout << title << "\n" << found << std::flush;
    return "\n" + found;
  }

 private:
  void configure(const support::Node& node, bool plumbed) const {
    for (const lab::ListFile& list : {aws_.list(node), cilium_.list(node), lab::crossover_list(keys(plumbed))})
      node.write(list.path, list.text);
  }

  void start_pods(const support::Node& node) {
    const std::string number = std::to_string(node.number());
    stage().start("l" + number, node.number(), "legacy");
    stage().start("s" + number, node.number(), "legacy");
    stage().start("c" + number, node.number(), "cilium");
    stage().call(cilium_.router(node), "r" + number);
  }

  bool isolated_ = isolated();
  support::Cluster cluster_{2};
  Aws aws_;
  lab::Cilium cilium_;
  std::optional<lab::VpcStage> stage_;
};

// What is between the VPC and the rest is the same for both; only who asks from a secondary interface differs.
constexpr const char* kAllReach = R"(
      l1    s1    c1    n1    l2    s2    c2    n2    out
l1    -     own   r1    own   own   own   r1    own   n1
s1    own   -     r1    own   own   own   r1    own   n1
c1    n1    n1    -     own   n1    n1    own   n1    n1
n1    own   own   r1    -     own   own   r1    own   own
)";
constexpr const char* kSecondaryIsLost = R"(
      l1    s1    c1    n1    l2    s2    c2    n2    out
l1    -     own   r1    own   own   own   r1    own   n1
s1    own   -     lost  own   own   own   lost  own   n1
c1    n1    n1    -     own   n1    n1    own   n1    n1
n1    own   own   r1    -     own   own   r1    own   own
)";

}  // namespace

TEST_SUITE("labs.aws") {
  TEST_CASE("AWS and Cilium's overlay: pods of secondary interfaces reach Cilium's pods by rule 900 of profile auto") {
    AwsLab lab(Snat::kNodeNotToCilium);
    CHECK(lab.table("aws, Cilium's CIDR excluded from SNAT, before") == kSecondaryIsLost);
    CHECK(lab.stage().way("s1", lab.stage().address("c2")) == "via 172.30.0.1 dev eth1 table 2");

    const std::string said = lab.plumb();
    CAPTURE(said);
    CHECK(said.find("coexistence: aws-vpc-cni, 1 wanted, 1 in place\n  added " + std::string(kRule)) !=
          std::string::npos);
    CHECK(lab.table("aws, Cilium's CIDR excluded from SNAT, after crossover reconcile") == kAllReach);
    CHECK(lab.stage().way("s1", lab.stage().address("c2")) == "via 10.245.1.254 dev cilium_host");
    CHECK(lab.vpc().dropped(Vpc::eni(lab.stage().node(1), 0)) == 0);
    CHECK(lab.vpc().dropped(Vpc::eni(lab.stage().node(1), 1)) == 0);
  }
}
