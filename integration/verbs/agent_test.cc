// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "integration/fixture/agent.h"
#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// Cilium's agent beside a legacy network: one that behaves badly, and one whose settings break legacy pods.
namespace {

using fixture::Agent;
using fixture::error_of;
using fixture::Node;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr const char* kSocket = "/var/run/cilium/cilium.sock";
constexpr const char* kLegacy = R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]})";
constexpr const char* kCilium = R"({"name":"cilium","cniVersion":"0.3.1","plugins":[{"type":"cilium-cni"}]})";

std::string recorded(const std::string& name) {
  std::ifstream file(TEST_DATA "/agent/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Json shown(const Node& node, const std::string& command) {
  const auto finished = node.command({command, "--json"});
  REQUIRE(finished.ok());
  return Json::parse(finished.out);
}

std::string answer(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// How an agent can misbehave, and what is said of it; with its deadline of 150 ms.
struct Manner {
  std::string name;
  std::string first;
  std::string again;
  std::string problem;
};

std::vector<Manner> manners() {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string late = "no answer within 150 ms";
  return {
      {"drips", ok + "\r\n{", " ", late},
      {"drips its header", ok, "A: b\r\n", late},
      {"tears its answer", answer(R"({"cilium":{"state":"Ok"}})").substr(0, 50), "", "answer torn after 50 bytes"},
      {"never ends its body", ok + "\r\n", std::string(1 << 20, ' '), "answer of more than 4 MiB"},
      {"never ends its header", ok, "A: " + std::string(1 << 14, 'b') + "\r\n",
       "answer is no HTTP: a header of more than 65536 bytes"},
      {"fails", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "", "/v1/healthz: HTTP status 500"},
      {"hangs up", "", "", "answer torn after 0 bytes"},
      {"speaks something else", std::string("\0\xff\x01garbage", 10), "", "answer is no HTTP: bad status line"},
      {"answers with a page", answer("<!DOCTYPE html><html></html>"), "",
       "invalid JSON: /v1/healthz, byte 0: invalid literal"},
      {"says other kinds of values", answer(R"({"cilium":[1],"cni-file":7,"kube-proxy-replacement":"no"})"), "",
       "/v1/healthz: no cilium.state in the answer"},
      {"nests without end", answer(std::string(100'000, '[')), "",
       "invalid JSON: /v1/healthz, byte 128: nested deeper than 128 levels"},
  };
}

bool has(const Json& warnings, const std::string& words) {
  for (const Json& warning : warnings)
    if (warning.get<std::string>().find(words) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_SUITE("verbs.agent") {
  TEST_CASE("an agent that behaves badly stops nothing for longer than its deadline, and is named") {
    const Node node({"bridge", "cilium-cni"});
    node.configure(R"("timeouts":{"agent":"150ms"})");
    node.legacy(kLegacy);
    node.cilium(kCilium);
    node.node_state("cilium");
    const std::string netns = node.pod("p");
    Agent agent(kSocket);
    for (const Manner& manner : manners()) {
      CAPTURE(manner.name);
      agent.be_rude(manner.first, manner.again);
      const std::string seen = shown(node, "status").at("networks").at("cilium").at("problem");
      CAPTURE(seen);
      CHECK(seen.find(manner.problem) != std::string::npos);
      const Json choice = shown(node, "explain");
      CHECK(choice.at("code") == 11);
      const auto added = error_of(node.call("ADD", "c1", netns));
      CHECK(added.code == 11);
      CHECK(added.details == choice.at("reason").get<std::string>());
      CHECK(added.says(manner.problem));
      const auto status =
          error_of(node.call({{"CNI_COMMAND", "STATUS"}, {"CNI_PATH", node.bin_dir()}}, node.request("", "1.1.0")));
      CHECK(status.code == 50);
      CHECK(node.call("DEL", "stranger", "").ok());
    }
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("an older agent's endpoint is found by its container, for eth0 alone") {
    const Node node({"bridge", "cilium-cni"});
    node.legacy(kLegacy);
    node.cilium(kCilium);
    Agent agent(kSocket);
    agent.healthy("Ok", "Disabled");
    agent.refuse("/v1/endpoint/cni-attachment-id:c1:eth0");
    agent.refuse("/v1/endpoint/cni-attachment-id:c1:net1");
    agent.answer("/v1/endpoint/container-id:c1", R"({"id":7,"status":{"networking":{"interface-name":"lxc1"}}})");
    CHECK(node.call("DEL", "c1", "", {{"CNI_IFNAME", "net1"}}).ok());
    CHECK(node.plugins().calls().empty());
    CHECK(node.call("DEL", "c1", "").ok());
    CHECK(node.plugins().names() == Strings{"DEL cilium-cni"});
  }

  TEST_CASE("status warns of Cilium's settings that break legacy pods, until the legacy network is gone") {
    const Node node({"bridge", "cilium-cni"});
    node.configure(R"("cilium":{"cidrs":["10.245.0.0/16"]})");
    node.legacy(kLegacy);  // and no list of Cilium's: its agent is in secondary mode
    Agent agent(kSocket);
    agent.answer("/v1/healthz", recorded("healthz-secondary.json"));
    agent.answer("/v1/config", recorded("config.json"));
    (void)support::must_run({"ip", "link", "add", "flannel.1", "type", "vxlan", "id", "1", "dstport", "8472"});
    (void)support::must_run({"ip", "link", "add", "cilium_vxlan", "type", "vxlan", "external", "dstport", "8473"});
    fixture::write_file("/run/flannel/subnet.env", "FLANNEL_NETWORK=10.244.0.0/16\n");
    const Json quiet = shown(node, "status");
    CHECK_FALSE(quiet.contains("warnings"));
    CHECK(quiet.at("agent").at("routing") == "tunnel vxlan 8473");
    CHECK(quiet.at("agent").at("podCIDRs") == Json{"10.245.1.0/24"});

    agent.answer("/v1/healthz", recorded("1.18/healthz.json"));
    agent.answer("/v1/config", recorded("1.18/config.json"));
    fixture::write_file("/run/flannel/subnet.env", "FLANNEL_NETWORK=10.240.0.0/12\n");
    (void)support::must_run({"ip", "link", "del", "cilium_vxlan"});
    (void)support::must_run({"ip", "link", "add", "cilium_vxlan", "type", "vxlan", "external", "dstport", "8472"});
    const Json warnings = shown(node, "status").at("warnings");
    CAPTURE(warnings);
    CHECK(warnings.size() == 6);
    CHECK(has(warnings, "set bpf.hostLegacyRouting=true"));
    CHECK(has(warnings, "set kubeProxyReplacement=false"));
    CHECK(has(warnings, "set socketLB.hostNamespaceOnly=true"));
    CHECK(has(warnings,
              "10.245.1.0/24 (this node's block of the agent) and 10.240.0.0/12 (FLANNEL_NETWORK in "
              "/run/flannel/subnet.env)"));
    CHECK(has(warnings, "10.245.0.0/16 (`cilium.cidrs`) and 10.240.0.0/12"));
    CHECK(has(warnings, "flannel.1 both want UDP port 8472: only one of them can be up; set tunnelPort=8473"));
    const std::string table = node.command({"status"}).out;
    for (const Json& warning : warnings)
      CHECK(table.find("warning: " + warning.get<std::string>() + "\n") != std::string::npos);

    const std::string installed = node.command({"install", "--dry-run", "--bin-dir", node.bin_dir().string()}).out;
    for (const Json& warning : warnings)
      CHECK(installed.find("mind: " + warning.get<std::string>() + "\n") != std::string::npos);

    std::filesystem::remove(node.net_dir() / "10-legacy.conflist");
    CHECK_FALSE(shown(node, "status").contains("warnings"));
    for (const char* link : {"flannel.1", "cilium_vxlan"}) (void)support::must_run({"ip", "link", "del", link});
    std::filesystem::remove_all("/run/flannel");
  }
}
