// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// DEL belongs to the record: it needs nothing else, succeeds twice, and touches nothing that is not its own.
namespace {

using fixture::error_of;
using fixture::Node;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr const char* kOld =
    R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge","x":9007199254740993},{"type":"portmap"},{"type":"tuning"}]})";
constexpr const char* kNew = R"({"name":"other","cniVersion":"0.3.1","plugins":[{"type":"calico"}]})";
constexpr const char* kCilium = R"({"name":"cilium","cniVersion":"0.3.1","plugins":[{"type":"cilium-cni"}]})";
const Strings kPlugins = {"bridge", "portmap", "tuning", "calico", "cilium-cni"};
const Strings kReverse = {"DEL tuning", "DEL portmap", "DEL bridge"};

/// A node with one attached pod, p1, its log cleared.
struct Attached {
  Attached() : node(kPlugins) {
    node.configure(R"("cilium":{"socket":""})");
    node.legacy(kOld);
    netns = node.pod("p1");
    const auto added = node.call("ADD", "c1", netns, {{"CNI_ARGS", "K8S_POD_NAME=p1;A=b"}});
    REQUIRE(added.ok());
    result = Json::parse(added.out);
    node.plugins().clear_log();
  }
  void check_clean() const {
    CHECK(node.plugins().leaks().empty());
    CHECK(node.records().empty());
  }
  Node node;
  std::string netns;
  Json result;
};

}  // namespace

TEST_SUITE("verbs.del") {
  TEST_CASE("A5.1 DEL succeeds again and again, and runs the plugins once") {
    const Attached pod;
    for (int i = 0; i < 3; ++i) {
      const auto deleted = pod.node.call("DEL", "c1", pod.netns);
      CHECK(deleted.ok());
      CHECK(deleted.out.empty());
    }
    CHECK(pod.node.plugins().names() == kReverse);
    pod.check_clean();
  }

  TEST_CASE("A5.1 DEL of what nobody knows succeeds, runs nothing and leaves the namespace alone") {
    const Node node(kPlugins);
    node.legacy(kOld);
    node.cilium(kCilium);
    const std::string netns = node.pod("p1");
    node.add_link("p1", "eth0");
    CHECK(node.call("DEL", "stranger", netns).ok());
    CHECK(node.plugins().calls().empty());
    CHECK(node.has_link("p1", "eth0"));
  }

  TEST_CASE("A5.2 DEL needs no namespace, list, node-state or prevResult") {
    for (const char* without : {"variable", "namespace", "lists", "node-state", "everything"}) {
      CAPTURE(without);
      const Attached pod;
      const std::string what = without;
      const bool all = what == "everything";
      if (what == "namespace" || all) pod.node.remove_pod("p1");
      if (what == "lists" || all) {
        std::filesystem::remove_all(pod.node.net_dir());
        std::filesystem::remove_all(pod.node.state_dir() / "networks");
      }
      if (what == "node-state" || all) pod.node.node_state("garbage \x01");
      const auto deleted = pod.node.call("DEL", "c1", what == "variable" || all ? "" : pod.netns);
      CAPTURE(deleted.out);
      CHECK(deleted.ok());
      CHECK(pod.node.plugins().names() == kReverse);
      for (const auto& call : pod.node.plugins().calls()) {
        const Json input = Json::parse(call.input);
        CHECK(input.at("prevResult") == pod.result);
        CHECK(input.at("name") == "cbr0");
        CHECK(call.env.at("CNI_ARGS") == "K8S_POD_NAME=p1;A=b");
      }
      pod.check_clean();
    }
  }

  TEST_CASE("A5.3 DEL goes to the plugins of the ADD when the legacy list is another network's by now") {
    const Attached pod;
    pod.node.legacy(kNew);
    REQUIRE(pod.node.call("ADD", "c2", pod.node.pod("p2")).ok());
    pod.node.plugins().clear_log();
    CHECK(pod.node.call("DEL", "c1", pod.netns).ok());
    CHECK(pod.node.plugins().names() == kReverse);
    CHECK(pod.node.plugins().calls().back().input.find(R"("x":9007199254740993)") != std::string::npos);
    CHECK(pod.node.plugins().leaks() == Strings{"calico,c2,eth0"});
  }

  TEST_CASE("A5.3 DEL goes to the network of the ADD when the node has moved, and when it has moved back") {
    const Attached pod;
    pod.node.cilium(kCilium);
    pod.node.node_state("cilium");
    const std::string netns = pod.node.pod("p2");
    REQUIRE(pod.node.call("ADD", "c2", netns).ok());
    pod.node.plugins().clear_log();
    CHECK(pod.node.call("DEL", "c1", pod.netns).ok());
    CHECK(pod.node.plugins().names() == kReverse);
    pod.node.node_state("legacy");
    pod.node.plugins().clear_log();
    CHECK(pod.node.call("DEL", "c2", netns).ok());
    CHECK(pod.node.plugins().names() == Strings{"DEL cilium-cni"});
    pod.check_clean();
  }

  TEST_CASE("A5.5 a namespace path that leads to another pod by now is not passed on") {
    const Attached pod;
    pod.node.remove_pod("p1");
    CHECK(pod.node.pod("p1") == pod.netns);
    pod.node.add_link("p1", "eth0");
    CHECK(pod.node.call("DEL", "c1", pod.netns).ok());
    for (const auto& call : pod.node.plugins().calls()) CHECK(call.env.at("CNI_NETNS").empty());
    CHECK(pod.node.has_link("p1", "eth0"));
    pod.check_clean();
  }

  TEST_CASE("B6.5 a plugin that fails on DEL stops no other, is named, and the next DEL finishes the work") {
    for (const std::string failing : {"bridge", "portmap", "tuning"}) {
      CAPTURE(failing);
      const Attached pod;
      pod.node.plugins().script(failing,
                                R"({"DEL":{"stdout":"{\"code\":42,\"msg\":\"handle x not found\"}","exit":1}})");
      const auto error = error_of(pod.node.call("DEL", "c1", pod.netns));
      CHECK(error.code == 42);
      CHECK(error.says(failing));
      CHECK(pod.node.plugins().names() == kReverse);
      CHECK(pod.node.plugins().leaks() == Strings{failing + ",c1,eth0"});
      CHECK(pod.node.records().size() == 1);
      pod.node.plugins().forget_scripts();
      CHECK(pod.node.call("DEL", "c1", "").ok());
      pod.check_clean();
    }
  }

  TEST_CASE("A10.4 an error of a real failure is not one that the runtime swallows") {
    const Attached pod;
    for (const char* step :
         {R"({"stderr":"open /x: No such file or directory","exit":1})", R"({"stdout":"Not Found","exit":2})",
          R"({"stdout":"{\"code\":3,\"msg\":\"container not found\",\"details\":\"NOT FOUND\"}","exit":1})"}) {
      CAPTURE(step);
      pod.node.plugins().script("portmap", std::string(R"({"DEL":)") + step + "}");
      (void)error_of(pod.node.call("DEL", "c1", pod.netns));  // error_of looks for the phrases
      CHECK(pod.node.records().size() == 1);
    }
  }

  TEST_CASE("B5.9 a plugin whose binary is gone for good fails DEL a few times, then what is local is cleaned") {
    const Node node({"bridge"});
    node.legacy(
        R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge","ipam":{"type":"host-local","subnet":"10.1.0.0/16"}}]})");
    const std::string netns = node.pod("p1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    node.add_link("p1", "eth0");
    fixture::write_file("/var/lib/cni/networks/cbr0/10.1.0.5", "c1\r\neth0");
    fixture::write_file("/var/lib/cni/networks/cbr0/10.1.0.6", "c2\r\neth0");
    node.remove_plugin("bridge");
    int failures = 0;
    while (failures < 10) {
      const auto deleted = node.call("DEL", "c1", netns);
      if (deleted.ok()) break;
      CHECK(error_of(deleted).code == 101);
      CHECK(node.has_link("p1", "eth0"));
      ++failures;
    }
    CHECK(failures == 4);
    CHECK(node.records().empty());
    CHECK_FALSE(node.has_link("p1", "eth0"));
    CHECK_FALSE(std::filesystem::exists("/var/lib/cni/networks/cbr0/10.1.0.5"));
    CHECK(std::filesystem::exists("/var/lib/cni/networks/cbr0/10.1.0.6"));
    CHECK(fixture::read_file(node.state_dir() / "events.jsonl").find("given up") != std::string::npos);
  }

  TEST_CASE("B5.9 a DEL that fails for another reason is never given up") {
    const Attached pod;
    pod.node.plugins().script("bridge", R"({"DEL":{"stdout":"{\"code\":11,\"msg\":\"later\"}","exit":1}})");
    for (int i = 0; i < 12; ++i) CHECK(error_of(pod.node.call("DEL", "c1", pod.netns)).code == 11);
    CHECK(pod.node.records().size() == 1);
    pod.node.plugins().forget_scripts();
    CHECK(pod.node.call("DEL", "c1", pod.netns).ok());
    pod.check_clean();
  }

  TEST_CASE("A12.3 DEL passes the arguments and capabilities of the ADD, whatever the runtime sends now") {
    const Node node({"bridge"});
    node.legacy(
        R"({"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"bridge","capabilities":{"mac":true,"ips":true}}]})");
    const std::string netns = node.pod("p1");
    const fixture::Env env = {
        {"CNI_CONTAINERID", "c1"}, {"CNI_IFNAME", "eth0"}, {"CNI_NETNS", netns}, {"CNI_PATH", node.bin_dir()}};
    fixture::Env add = env;
    add.insert({{"CNI_COMMAND", "ADD"}, {"CNI_ARGS", "B=1;A=2"}});
    REQUIRE(node.call(add, node.request(R"("runtimeConfig":{"mac":"c2:11:22:33:44:55","aliases":["x"]})")).ok());
    fixture::Env del = env;
    del.insert({{"CNI_COMMAND", "DEL"}, {"CNI_ARGS", "C=3"}});
    CHECK(node.call(del, node.request(R"("runtimeConfig":{"ips":["10.1.2.3/16"]})")).ok());
    const auto call = node.plugins().calls().back();
    CHECK(call.env.at("CNI_ARGS") == "B=1;A=2");
    CHECK(Json::parse(call.input).at("runtimeConfig") == Json{{"mac", "c2:11:22:33:44:55"}});
    CHECK_FALSE(Json::parse(call.input).contains("prevResult"));
  }

  TEST_CASE("a record that was cut short is no obstacle to DEL, nor to the next ADD") {
    for (const bool whole_intent : {true, false}) {
      CAPTURE(whole_intent);
      const Attached pod;
      const auto file = pod.node.state_dir() / "attachments" / pod.node.records().front();
      const std::string text = fixture::read_file(file);
      const std::size_t intent = text.find('\n');
      fixture::write_file(file, text.substr(0, whole_intent ? intent + 10 : intent / 2));
      CHECK(pod.node.call("DEL", "c1", pod.netns).ok());
      CHECK(pod.node.records().empty());
      CHECK(pod.node.plugins().names() == (whole_intent ? kReverse : Strings{}));
      CHECK(pod.node.call("ADD", "c1", pod.netns).ok());
    }
  }

  TEST_CASE("a record that is none is kept for people, and DEL goes on as without one") {
    const Attached pod;
    const std::string name = pod.node.records().front();
    fixture::write_file(pod.node.state_dir() / "attachments" / name, "[1,2]\n");
    CHECK(pod.node.call("DEL", "c1", pod.netns).ok());
    CHECK(pod.node.records() == Strings{name + ".broken"});
    CHECK(pod.node.call("ADD", "c1", pod.netns).ok());
  }
}
