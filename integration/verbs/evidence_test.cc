// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "integration/fixture/agent.h"
#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// DEL of pods that are older than Crossover: attached by libcni directly, deleted through Crossover.
namespace {

using fixture::Node;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr const char* kFlannel =
    R"({"name":"cbr0","cniVersion":"0.4.0","plugins":[{"type":"flannel","delegate":{"isDefaultGateway":true}},)"
    R"({"type":"portmap","capabilities":{"portMappings":true}}]})";
constexpr const char* kHostLocal =
    R"({"name":"net-a","cniVersion":"0.3.1","plugins":[{"type":"bridge","ipam":{"type":"host-local","subnet":"10.1.0.0/16"}}]})";
constexpr const char* kCilium = R"({"name":"cilium","cniVersion":"0.3.1","plugins":[{"type":"cilium-cni"}]})";
const Strings kPlugins = {"flannel", "portmap", "bridge", "cilium-cni"};

Strings options(const std::string& id, const std::string& netns) {
  return {"--id",    id,
          "--netns", netns,
          "--args",  "IgnoreUnknown=1;K8S_POD_NAME=old",
          "--caps",  R"({"portMappings":[{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]})"};
}

bool cached(const std::string& file) { return std::filesystem::exists("/var/lib/cni/results/" + file); }

}  // namespace

TEST_SUITE("verbs.evidence") {
  TEST_CASE("libcni's cache of any network is replayed, with its list, arguments, capabilities and result") {
    for (const bool list_is_gone : {false, true}) {
      CAPTURE(list_is_gone);
      const Node node(kPlugins);
      node.legacy(kFlannel);
      const std::string netns = node.pod("old");
      const auto added = node.libcni("add", node.net_dir() / "10-legacy.conflist", options("c1", netns));
      REQUIRE(added.ok());
      REQUIRE(cached("cbr0-c1-eth0"));
      if (list_is_gone) node.legacy(kHostLocal);
      node.plugins().clear_log();
      const auto deleted = node.libcni("del", node.conflist(), {"--id", "c1", "--netns", netns});
      CAPTURE(deleted.out);
      CHECK(deleted.ok());
      REQUIRE(node.plugins().names() == Strings{"DEL portmap", "DEL flannel"});
      for (const auto& call : node.plugins().calls()) {
        CHECK(call.env.at("CNI_ARGS") == "IgnoreUnknown=1;K8S_POD_NAME=old");
        CHECK(call.env.at("CNI_NETNS") == netns);
        const Json input = Json::parse(call.input);
        CHECK(input.at("name") == "cbr0");
        CHECK(input.at("prevResult") == Json::parse(added.out));
        CHECK(input.contains("runtimeConfig") == (call.type == "portmap"));
      }
      CHECK(node.plugins().leaks().empty());
      CHECK_FALSE(cached("cbr0-c1-eth0"));
      CHECK(node.libcni("del", node.conflist(), {"--id", "c1", "--netns", netns}).ok());
      CHECK(node.plugins().calls().size() == 2);
    }
  }

  TEST_CASE("B7.4 the cache is matched by what it says, not by its ambiguous name") {
    const Node node(kPlugins);
    node.legacy(R"({"name":"a","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]})");
    const std::string netns = node.pod("old");
    REQUIRE(node.libcni("add", node.net_dir() / "10-legacy.conflist", {"--id", "b-c1", "--netns", netns}).ok());
    REQUIRE(cached("a-b-c1-eth0"));  // as network "a-b" and container "c1" would be called
    node.plugins().clear_log();
    CHECK(node.call("DEL", "c1", netns).ok());
    CHECK(node.call("DEL", "b", netns).ok());
    CHECK(node.call("DEL", "b-c1", netns, {{"CNI_IFNAME", "net1"}}).ok());
    CHECK(node.plugins().calls().empty());
    CHECK(cached("a-b-c1-eth0"));
    CHECK(node.call("DEL", "b-c1", netns).ok());
    CHECK(node.plugins().names() == Strings{"DEL bridge"});
  }

  TEST_CASE("B7.3 a cache file that is cut short or holds something else is passed over") {
    const Node node(kPlugins);
    node.legacy(kFlannel);
    const std::string netns = node.pod("old");
    REQUIRE(node.libcni("add", node.net_dir() / "10-legacy.conflist", options("c1", netns)).ok());
    const std::string whole = fixture::read_file("/var/lib/cni/results/cbr0-c1-eth0");
    node.plugins().clear_log();
    for (const std::string& text : {whole.substr(0, whole.size() / 2), std::string(), std::string("[]"),
                                    std::string(R"({"containerId":"c1","ifName":"eth0","config":"!!"})")}) {
      CAPTURE(text);
      fixture::write_file("/var/lib/cni/results/cbr0-c1-eth0", text);
      CHECK(node.call("DEL", "c1", netns).ok());
      CHECK(node.plugins().calls().empty());
    }
  }

  TEST_CASE("the runtime's cache of our own network is no evidence") {
    const Node node(kPlugins);
    node.legacy(kFlannel);
    const std::string netns = node.pod("p1");
    REQUIRE(node.libcni("add", node.conflist(), {"--id", "c1", "--netns", netns}).ok());
    REQUIRE(cached("crossover-c1-eth0"));
    std::filesystem::remove_all(node.state_dir());
    node.plugins().clear_log();
    CHECK(node.libcni("del", node.conflist(), {"--id", "c1", "--netns", netns}).ok());
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("host-local's file that names the container sends DEL to the legacy list") {
    for (const char* content : {"c1\r\neth0", "c1\neth0", "c1"}) {
      CAPTURE(content);
      const Node node(kPlugins);
      node.legacy(kHostLocal);
      const std::string netns = node.pod("old");
      fixture::write_file("/var/lib/cni/networks/net-a/10.1.0.7", content);
      CHECK(node.call("DEL", "c", netns).ok());
      CHECK(node.call("DEL", "c12", netns).ok());
      CHECK(node.plugins().calls().empty());
      CHECK(node.call("DEL", "c1", netns, {{"CNI_ARGS", "A=b"}}).ok());
      REQUIRE(node.plugins().names() == Strings{"DEL bridge"});
      CHECK(node.plugins().calls().front().env.at("CNI_ARGS") == "A=b");
      CHECK(node.plugins().calls().front().env.at("CNI_NETNS") == netns);
    }
  }

  TEST_CASE("flannel's file for the container sends DEL to the legacy list") {
    const Node node(kPlugins);
    node.legacy(kFlannel);
    fixture::write_file("/var/lib/cni/flannel/c1", "{}");
    CHECK(node.call("DEL", "c1", "").ok());
    CHECK(node.plugins().names() == Strings{"DEL portmap", "DEL flannel"});
  }

  TEST_CASE("an endpoint of cilium's agent sends DEL to cilium, at the socket's default place and elsewhere") {
    for (const bool default_place : {true, false}) {
      CAPTURE(default_place);
      const Node node(kPlugins);
      fixture::Agent agent(default_place ? "/var/run/cilium/cilium.sock" : (node.dir() / "agent.sock").string());
      if (!default_place) node.configure(R"("cilium":{"socket":")" + agent.socket() + R"("})");
      node.legacy(kHostLocal);
      node.cilium(kCilium);
      agent.healthy("Ok", "Disabled");
      agent.answer("/v1/endpoint/cni-attachment-id:c1:eth0", R"({"id":7})");
      CHECK(node.call("DEL", "c2", "").ok());
      CHECK(node.call("DEL", "c1", "", {{"CNI_IFNAME", "net1"}}).ok());
      CHECK(node.plugins().calls().empty());
      CHECK(node.call("DEL", "c1", "").ok());
      CHECK(node.plugins().names() == Strings{"DEL cilium-cni"});
    }
  }

  TEST_CASE("an agent that is silent or gone is no evidence, and no failure") {
    const Node node(kPlugins);
    node.legacy(kHostLocal);
    node.cilium(kCilium);
    {
      fixture::Agent agent("/var/run/cilium/cilium.sock");
      agent.fall_silent();
      CHECK(node.call("DEL", "c1", "").ok());
    }
    REQUIRE(std::filesystem::exists("/var/run/cilium/cilium.sock"));  // as SIGKILL leaves it
    CHECK(node.call("DEL", "c1", "").ok());
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("never both networks: the first evidence in the order cache, legacy's files, agent decides") {
    const Node node(kPlugins);
    fixture::Agent agent("/var/run/cilium/cilium.sock");
    node.legacy(kFlannel);
    node.cilium(kCilium);
    const std::string netns = node.pod("old");
    REQUIRE(node.libcni("add", node.net_dir() / "10-legacy.conflist", options("c1", netns)).ok());
    node.legacy(kHostLocal);
    fixture::write_file("/var/lib/cni/networks/net-a/10.1.0.7", "c1\r\neth0");
    agent.answer("/v1/endpoint/cni-attachment-id:c1:eth0", R"({"id":7})");
    const auto deleted_by = [&] {
      node.plugins().clear_log();
      CHECK(node.call("DEL", "c1", netns).ok());
      return node.plugins().names();
    };
    CHECK(deleted_by() == Strings{"DEL portmap", "DEL flannel"});
    CHECK(deleted_by() == Strings{"DEL bridge"});
    std::filesystem::remove("/var/lib/cni/networks/net-a/10.1.0.7");
    CHECK(deleted_by() == Strings{"DEL cilium-cni"});
  }

  TEST_CASE("a DEL by evidence that fails is remembered, so that the next one finishes it") {
    const Node node(kPlugins);
    node.legacy(kFlannel);
    const std::string netns = node.pod("old");
    REQUIRE(node.libcni("add", node.net_dir() / "10-legacy.conflist", options("c1", netns)).ok());
    node.plugins().script("flannel", R"({"DEL":{"stdout":"{\"code\":11,\"msg\":\"later\"}","exit":1}})");
    CHECK(fixture::error_of(node.call("DEL", "c1", netns)).code == 11);
    std::filesystem::remove_all(node.net_dir());
    node.plugins().forget_scripts();
    node.plugins().clear_log();
    CHECK(node.call("DEL", "c1", netns).ok());
    CHECK(node.plugins().names() == Strings{"DEL portmap", "DEL flannel"});
    CHECK(node.plugins().calls().front().env.at("CNI_NETNS") == netns);
    CHECK(node.plugins().leaks().empty());
    CHECK(node.records().empty());
    CHECK_FALSE(cached("cbr0-c1-eth0"));
  }
}
