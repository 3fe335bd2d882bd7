// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "integration/fixture/agent.h"
#include "integration/labs/aws.h"
#include "integration/labs/cilium_eni.h"
#include "integration/labs/vpc_stage.h"

// The AWS VPC CNI and Cilium in ENI mode on the same nodes. On node N: lN is aws-cni's with an address of eth0, sN with
// one of eth3; cN is Cilium's with an address of eth1, the next one of eth2; nN is the node. `out` is beyond the VPC.

namespace {

using Json = nlohmann::json;
using lab::Aws;
using lab::Eni;
using lab::Vpc;

constexpr const char* kRule = "rule 105: from all to 172.30.0.0/16 lookup main suppress_prefixlength 31 proto 157";
constexpr const char* kStateDir = "/var/lib/cni/crossover/";

bool isolated() { return lab::be_isolated(), true; }

class EniLab {
 public:
  /// `masquerade`: the nodes translate what leaves the VPC, else a gateway of the VPC would.
  explicit EniLab(bool masquerade)
      : aws_({.snat = masquerade ? Aws::Snat::kNode : Aws::Snat::kExternal,
              .interfaces = 4,
              .secondary = {3},
              .on_primary = 1}),
        cilium_({1, 2}, 1, masquerade) {
    aws_.build(cluster_);
    cilium_.build(cluster_);
    stage_.emplace(cluster_, BIN_DIR, std::string(BIN_DIR) + "/eni:" + BIN_DIR + ":/usr/lib/cni");
    stage().add("out", aws_.vpc().outside(), Vpc::kOutside);
    agent_.answer("/v1/config", R"({"status":{"ipam-mode":"eni"}})");
    for (const support::Node& node : cluster_.nodes()) {
      configure(node.number(), Json::object());
      start_pods(std::to_string(node.number()), node.number());
    }
  }

  [[nodiscard]] lab::VpcStage& stage() { return *stage_; }
  [[nodiscard]] fixture::Agent& agent() { return agent_; }
  [[nodiscard]] const support::Node& node(unsigned number) const { return cluster_.nodes().at(number - 1); }
  [[nodiscard]] std::uint64_t passed(unsigned node_number, unsigned index) const {
    return aws_.vpc().passed(Vpc::eni(node(node_number), index));
  }
  [[nodiscard]] std::uint64_t dropped(unsigned node_number, unsigned index) const {
    return aws_.vpc().dropped(Vpc::eni(node(node_number), index));
  }

  /// Both lists, and ours with the agent's socket and `more`.
  void configure(unsigned number, const Json& more) {
    Json keys = {{"cilium", {{"socket", agent_.socket()}}}};
    keys.merge_patch(more);
    for (const lab::ListFile& list : {aws_.list(node(number)), cilium_.list(node(number)), lab::crossover_list(keys)})
      node(number).write(list.path, list.text);
  }

  std::string table(const std::string& title) {
    const std::string found =
        stage().table({"l1", "s1", "c1", "n1"}, {"l1", "s1", "c1", "n1", "l2", "s2", "c2", "out"});
    std::cout << title << "\n" << found << std::flush;
    return "\n" + found;
  }

 private:
  void start_pods(const std::string& number, unsigned node) {
    stage().start("l" + number, node, "legacy");
    stage().start("s" + number, node, "legacy");
    stage().start("c" + number, node, "cilium");
  }

  bool isolated_ = isolated();
  fixture::Agent agent_{"/run/cilium-agent/cilium.sock"};
  support::Cluster cluster_{2};
  Aws aws_;
  lab::CiliumEni cilium_;
  std::optional<lab::VpcStage> stage_;
};

const Json kVpc = {{"cilium", {{"cidrs", Json::array({Vpc::kCidr})}}}};

}  // namespace

TEST_SUITE("labs.eni") {
  TEST_CASE("AWS and Cilium in ENI mode") {
    EniLab lab(true);
    lab.table("before");
    lab.configure(1, kVpc);
    std::cout << lab.stage().crossover(1, "reconcile");
    std::cout << lab.stage().crossover(1, "status");
    lab.table("after");
  }
}
