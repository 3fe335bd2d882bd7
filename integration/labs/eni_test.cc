// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "integration/fixture/agent.h"
#include "integration/labs/aws.h"
#include "integration/labs/cilium_eni.h"
#include "integration/labs/isolated.h"
#include "integration/labs/vpc_stage.h"

// The AWS VPC CNI and Cilium in ENI mode on the same nodes. On node N: lN is aws-cni's with an address of eth0, sN with
// one of eth3; cN is Cilium's with an address of eth1, the next one of eth2; nN is the node. `out` is beyond the VPC.

namespace {

using Json = nlohmann::json;
using lab::Aws;
using lab::Vpc;

constexpr const char* kRule = "rule 105: from all to 172.30.0.0/16 lookup main suppress_prefixlength 31 proto 157";

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

  bool isolated_ = lab::be_isolated();
  fixture::Agent agent_{"/run/cilium-agent/cilium.sock"};
  support::Cluster cluster_{2};
  Aws aws_;
  lab::CiliumEni cilium_;
  std::optional<lab::VpcStage> stage_;
};

const Json kVpcIsLegacys = {{"legacy", {{"cidrs", Json::array({Vpc::kCidr})}}}};
const Json kVpcIsCiliums = {{"cilium", {{"cidrs", Json::array({Vpc::kCidr})}}}};

/// `across`: how l1, s1 and c1 see each other; `l_out`, `s_out`, `c_out`: whom they are taken for beyond the VPC.
std::string expected(const std::string& across, const std::string& l_out, const std::string& s_out,
                     const std::string& c_out) {
  const std::string cell = (across + "     ").substr(0, 6);
  const std::string others = "own   own   own   own   ";
  return "\n      l1    s1    c1    n1    l2    s2    c2    out\n"
         "l1    -     own   " +
         cell + others + l_out + "\n" + "s1    own   -     " + cell + others + s_out + "\n" + "c1    " + cell + cell +
         "-     " + others + c_out + "\n" + "n1    own   own   own   -     own   own   own   own\n";
}

void check_next_door(EniLab& lab, const std::string& title) {
  lab::VpcStage& stage = lab.stage();
  CHECK(stage.way("c1", stage.address("l1")) == "via 172.30.0.1 dev eth1 table 11");
  lab.configure(1, kVpcIsLegacys);
  const Json done = Json::parse(stage.crossover(1, "reconcile --json")).at("coexistence");
  CHECK(done.at("profile") == "cilium-eni");
  CHECK(done.at("done") == Json::array({std::string("added ") + kRule}));
  CHECK(done.at("present") == done.at("wanted"));
  CHECK(stage.way("c1", stage.address("l1")).starts_with("dev eni"));
  CHECK(stage.way("c1", stage.address("s1")).starts_with("dev eni"));
  CHECK(stage.way("c1", stage.address("l2")) == "via 172.30.0.1 dev eth1 table 11");
  CHECK(stage.way("c1", stage.address("n2")) == "via 172.30.0.1 dev eth1 table 11");
  const std::uint64_t before = lab.passed(1, 1);
  CHECK(stage.ask("c1", "l1") == "own");
  CHECK(stage.ask("s1", "c1") == "own");
  CAPTURE(title);
  CHECK(lab.passed(1, 1) == before);  // nothing of it went to the VPC
}

/// What `reconcile` makes of that configuration.
std::string profile_with(EniLab& lab, const Json& keys) {
  lab.configure(1, keys);
  const Json done = Json::parse(lab.stage().crossover(1, "reconcile --json")).at("coexistence");
  CHECK(done.at("wanted") == Json::array({kRule}));
  CHECK(done.at("present") == Json::array({kRule}));
  return done.at("profile");
}

/// As cilium#18868 left it: the rule of a former pod whose interface was eth1, with the address that the next pod on
/// eth2 gets.
std::string leave_stale_rule(EniLab& lab) {
  const std::string address = Vpc::eni(lab.node(1), 2).free.front();
  lab.node(1).net().ip("rule add from " + address + " to 172.30.0.0/16 lookup 11 pref 111 protocol kernel");
  return address;
}

}  // namespace

TEST_SUITE("labs.eni") {
  TEST_CASE("AWS and Cilium in ENI mode: pods of one node reach each other by rule 105, all else goes as before") {
    EniLab lab(true);
    CHECK(lab.table("eni, nodes masquerade: before") == expected("lost", "n1", "n1", "n1"));
    CHECK(lab.stage().way("c1", Vpc::kOutside) == "via 172.30.0.1 dev eth0");
    check_next_door(lab, "masquerade");
    CHECK(lab.table("eni, nodes masquerade: after") == expected("own", "n1", "n1", "n1"));
    CHECK(lab.stage().way("c1", Vpc::kOutside) == "via 172.30.0.1 dev eth0");
  }

  TEST_CASE("AWS and Cilium in ENI mode: nobody masquerades, and rule 105 leaves what goes outside to the interfaces") {
    EniLab lab(false);
    CHECK(lab.table("eni, a gateway of the VPC translates: before") == expected("lost", "own", "own", "own"));
    CHECK(lab.stage().way("c1", Vpc::kOutside) == "via 172.30.0.1 dev eth1 table 11");
    check_next_door(lab, "no masquerade");
    CHECK(lab.table("eni, a gateway of the VPC translates: after") == expected("own", "own", "own", "own"));
    CHECK(lab.stage().way("c1", Vpc::kOutside) == "via 172.30.0.1 dev eth1 table 11");
    CHECK(lab.stage().way("s1", Vpc::kOutside) == "via 172.30.0.1 dev eth3 table 4");
  }

  TEST_CASE("AWS and Cilium in ENI mode: profile auto knows it from the agent or from the node's addresses") {
    EniLab lab(true);
    CHECK(profile_with(lab, kVpcIsLegacys) == "cilium-eni");  // the agent says so
    lab.agent().answer("/v1/config", R"({"status":{"ipam-mode":"cluster-pool"}})");
    CHECK(profile_with(lab, kVpcIsCiliums) == "cilium-eni");
    Json keys = kVpcIsCiliums;
    keys["cilium"]["socket"] = "";
    CHECK(profile_with(lab, keys) == "cilium-eni");
    keys = kVpcIsLegacys;
    keys["cilium"]["socket"] = "";
    keys["coexistence"] = {{"profile", "cilium-eni"}};
    CHECK(profile_with(lab, keys) == "cilium-eni");
  }

  TEST_CASE("cilium#18868: the rule that outlived its pod sends the next pod's packets to the wrong interface") {
    EniLab lab(true);
    const std::string address = leave_stale_rule(lab);
    lab.stage().start("next", 1, "cilium");
    REQUIRE(lab.stage().address("next") == address);
    CHECK(lab.stage().ask("next", "l2") == "lost");
    CHECK(lab.dropped(1, 1) > 0);
    CHECK(lab.dropped(1, 2) == 0);

    const std::string notes = lab.stage().last_notes(1);
    CAPTURE(notes);
    CHECK(notes.find("was there before " + address +
                     " was given to this pod: its packets go by table 11 because of priority 111; ") !=
          std::string::npos);
    const std::size_t begin = notes.find("`ip ") + 1;
    lab.node(1).must_run(support::words(notes.substr(begin, notes.find('`', begin) - begin)));
    CHECK(lab.stage().ask("next", "l2") == "own");
  }

  TEST_CASE("cilium#18868: with staleRules remove the next pod's packets find their way at once") {
    EniLab lab(true);
    const std::string address = leave_stale_rule(lab);
    lab.configure(1, {{"coexistence", {{"staleRules", "remove"}}}});
    lab.stage().start("next", 1, "cilium");
    REQUIRE(lab.stage().address("next") == address);
    CHECK(lab.stage().ask("next", "l2") == "own");
    CHECK(lab.stage().way("next", lab.stage().address("l2")) == "via 172.30.0.1 dev eth2 table 12");
    CHECK(lab.dropped(1, 1) == 0);
    const std::string notes = lab.stage().last_notes(1);
    CAPTURE(notes);
    CHECK(notes.find("removed rule 111: from " + address + " to 172.30.0.0/16 lookup 11") != std::string::npos);
    lab.stage().stop("next");
    CHECK(lab.node(1).net().ip("rule").find(address) == std::string::npos);
  }
}
