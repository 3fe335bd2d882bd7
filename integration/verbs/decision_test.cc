// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <optional>

#include <nlohmann/json.hpp>

#include "integration/fixture/agent.h"
#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// Which network a new pod joins, seen by the plugin that is run; `explain` must say the same before.
namespace {

using fixture::Agent;
using fixture::error_of;
using fixture::Node;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr const char* kLegacy =
    R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"flannel"},{"type":"portmap"}]})";
constexpr const char* kCilium = R"({"name":"cilium","cniVersion":"0.3.1","plugins":[{"type":"cilium-cni"}]})";
constexpr const char* kSecond = R"({"name":"second","cniVersion":"1.0.0","plugins":[{"type":"ptp"}]})";

/// A node with both lists; pods are p1, p2, ...
class Decisions {
 public:
  Decisions() : node({"flannel", "portmap", "cilium-cni", "ptp"}) {
    node.legacy(kLegacy);
    node.cilium(kCilium);
  }

  /// "legacy", "cilium" or "code N": what an ADD does, undone again. explain and the ADD must agree.
  std::string join(const std::string& more = {}, const std::string& args = {}) {
    node.configure(more);
    const Strings explained = explain(args);
    const std::string name = "p" + std::to_string(++pods_);
    const fixture::Env env = {{"CNI_COMMAND", "ADD"},        {"CNI_CONTAINERID", name},    {"CNI_IFNAME", "eth0"},
                              {"CNI_NETNS", node.pod(name)}, {"CNI_PATH", node.bin_dir()}, {"CNI_ARGS", args}};
    node.plugins().clear_log();
    const auto added = node.call(env, node.request(annotations_));
    const std::string seen = added.ok() ? network_of(node.plugins().names()) : refused(error_of(added));
    CHECK(explained == Strings{seen});
    (void)node.call("DEL", name, "");  // judged elsewhere
    return seen;
  }

  void annotate(const std::string& value) {
    annotations_ =
        R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"crossover.cni/network":")" + value + R"("}})";
    annotation_ = "crossover.cni/network=" + value;
  }

  Node node;

 private:
  static std::string network_of(const Strings& names) {
    if (names == Strings{"ADD flannel", "ADD portmap"}) return "legacy";
    if (names == Strings{"ADD cilium-cni"} || names == Strings{"ADD ptp"}) return "cilium";
    return "something else";
  }

  std::string refused(const fixture::Error& error) const {
    CHECK(node.plugins().calls().empty());
    CHECK_FALSE(error.details.empty());
    return "code " + std::to_string(error.code);
  }

  // What `crossover explain` expects of the same pod.
  Strings explain(const std::string& args) const {
    Strings arguments = {"explain", "--json"};
    for (const auto& [key, option] :
         {std::pair<std::string, std::string>{"K8S_POD_NAMESPACE=", "--namespace"}, {"K8S_POD_UID=", "--uid"}}) {
      const std::size_t at = args.find(key);
      if (at == std::string::npos) continue;
      const std::size_t begin = at + key.size();
      arguments.insert(arguments.end(), {option, args.substr(begin, args.find(';', begin) - begin)});
    }
    if (!annotation_.empty()) arguments.insert(arguments.end(), {"--annotation", annotation_});
    const auto answer = node.command(arguments);
    CAPTURE(answer.err);
    const Json json = Json::parse(answer.out);
    if (json.at("network") == "none") return {"code " + json.at("code").dump()};
    return {json.at("network").get<std::string>()};
  }

  std::string annotations_;
  std::string annotation_;
  int pods_ = 0;
};

}  // namespace

TEST_SUITE("verbs.decision") {
  TEST_CASE("node-state's word decides, a missing one or auto leaves it to the default") {
    Decisions on;
    Agent agent("/var/run/cilium/cilium.sock");
    agent.healthy("Ok", "Disabled");
    CHECK(on.join() == "legacy");
    const std::vector<std::pair<std::string, std::string>> words = {
        {"legacy", "legacy"}, {"cilium", "cilium"}, {"cilium\n", "cilium"}, {"cilium moved by the rollout\n", "cilium"},
        {"auto", "legacy"},   {"auto x", "legacy"}, {"hold", "code 11"},    {"hold until noon", "code 11"}};
    for (const auto& expected : words) {
      CAPTURE(expected.first);
      on.node.node_state(expected.first);
      CHECK(on.join() == expected.second);
    }
  }

  TEST_CASE("a node-state that is anything else holds new pods, and the error says why") {
    Decisions on;
    for (const std::string word : {"", "Cilium", "ciliu", "legacy,cilium", "\x01\x02", "\xff"}) {
      CAPTURE(word);
      on.node.node_state(word);
      CHECK(on.join() == "code 11");
    }
    on.node.node_state(std::string(100000, 'x'));
    CHECK(on.join() == "code 11");
    std::filesystem::remove(on.node.state_dir() / "node-state");
    std::filesystem::create_directory(on.node.state_dir() / "node-state");
    CHECK(on.join() == "code 11");
    const auto error = error_of(on.node.call("ADD", "c1", on.node.pod("c1")));
    CHECK(error.says("node-state"));
  }

  TEST_CASE("cilium's own claim is its list in place and an agent that manages it") {
    Decisions on;
    Agent agent("/var/run/cilium/cilium.sock");
    const std::vector<std::pair<std::string, std::string>> claims = {
        {"Ok", "cilium"}, {"Disabled", "legacy"}, {"Failure", "legacy"}, {"", "legacy"}};
    for (const auto& expected : claims) {
      CAPTURE(expected.first);
      agent.healthy("Ok", expected.first);
      CHECK(on.join() == expected.second);
    }
    agent.healthy("Warning", "Ok");
    CHECK(on.join() == "cilium");
    std::filesystem::remove_all(on.node.net_dir() / "crossover.d");
    std::filesystem::remove_all(on.node.state_dir() / "networks");
    CHECK(on.join() == "legacy");
  }

  TEST_CASE("a list of another second network moves pods only by node-state, and without any agent") {
    Decisions on;
    on.node.cilium(kSecond);
    const std::string second =
        R"("cilium":{"conflist":")" + (on.node.net_dir() / "crossover.d/05-cilium.conflist").string() + R"("})";
    CHECK(on.join(second) == "legacy");
    on.node.node_state("cilium");
    CHECK(on.join(second) == "cilium");
  }

  TEST_CASE("whenNotReady decides for a node on cilium whose agent is gone, silent or ill") {
    for (const std::string agent_is : {"gone", "dead", "silent", "ill"}) {
      for (const std::string by : {"node-state", "claim"}) {
        // An agent that answers and is ill makes no claim of its own unless it says so: covered by node-state.
        if (agent_is == "gone" && by == "claim") continue;
        CAPTURE(agent_is);
        CAPTURE(by);
        Decisions on;
        if (by == "node-state") on.node.node_state("cilium");
        std::optional<Agent> agent;
        if (agent_is != "gone") agent.emplace("/var/run/cilium/cilium.sock");
        if (agent_is == "dead") agent.reset();
        if (agent_is == "silent") agent->fall_silent();
        if (agent_is == "ill") agent->healthy("Failure", "Ok");
        CHECK(on.join() == "code 11");
        CHECK(on.join(R"("cilium":{"whenNotReady":"fail"})") == "code 11");
        CHECK(on.join(R"("cilium":{"whenNotReady":"legacy"})") == "legacy");
        CHECK(on.join(R"("cilium":{"whenNotReady":"delegate"})") == "cilium");
      }
    }
  }

  TEST_CASE("a pod's annotation decides if it is honoured and both networks are usable") {
    Decisions on;
    Agent agent("/var/run/cilium/cilium.sock");
    agent.healthy("Ok", "Disabled");
    const std::string honoured = R"("allowPodOverride":true)";
    on.annotate("cilium");
    CHECK(on.join() == "legacy");
    CHECK(on.join(honoured) == "cilium");
    agent.healthy("Failure", "Disabled");
    CHECK(on.join(honoured) == "legacy");
    agent.healthy("Ok", "Ok");
    on.annotate("legacy");
    CHECK(on.join() == "cilium");
    CHECK(on.join(honoured) == "legacy");
    on.annotate("both");
    CHECK(on.join(honoured) == "code 7");
    on.node.node_state("hold");
    on.annotate("legacy");
    CHECK(on.join(honoured) == "code 11");
  }

  TEST_CASE("a canary sends its namespaces and its share of pods to cilium while the node is on legacy") {
    Decisions on;
    Agent agent("/var/run/cilium/cilium.sock");
    agent.healthy("Ok", "Disabled");
    const std::string args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_UID=66ce973b-378c-4b31-a7cb-f8f74802e7b1";
    CHECK(on.join("", args) == "legacy");
    CHECK(on.join(R"("canary":{"namespaces":["shop"]})", args) == "cilium");
    CHECK(on.join(R"("canary":{"namespaces":["shop2","sho"]})", args) == "legacy");
    CHECK(on.join(R"("canary":{"percent":100})", args) == "cilium");
    CHECK(on.join(R"("canary":{"percent":0})", args) == "legacy");
    CHECK(on.join(R"("canary":{"percent":100})") == "legacy");  // nothing to hash
    agent.fall_silent();
    CHECK(on.join(R"("canary":{"namespaces":["shop"]})", args) == "code 11");  // the list is in place, its agent silent
    on.node.node_state("legacy");
    CHECK(on.join(R"("canary":{"namespaces":["shop"]})", args) == "legacy");
  }

  TEST_CASE("a pod keeps its share of a canary: the same uid, the same network") {
    Decisions on;
    Agent agent("/var/run/cilium/cilium.sock");
    agent.healthy("Ok", "Disabled");
    int moved = 0;
    for (int i = 0; i < 20; ++i) {
      const std::string args = "K8S_POD_UID=uid-" + std::to_string(i);
      const std::string first = on.join(R"("canary":{"percent":50})", args);
      CHECK(on.join(R"("canary":{"percent":50})", args) == first);
      if (first == "cilium") {
        ++moved;
        CHECK(on.join(R"("canary":{"percent":80})", args) == "cilium");
      }
    }
    CHECK(moved > 0);
    CHECK(moved < 20);
  }

  TEST_CASE("a list that is torn is served by its last good copy, one that never was good by nothing") {
    Decisions on;
    on.node.node_state("legacy");
    CHECK(on.join() == "legacy");
    on.node.legacy(std::string(kLegacy).substr(0, 40));
    CHECK(on.join() == "legacy");
    std::filesystem::remove_all(on.node.state_dir() / "networks");
    CHECK(on.join() == "code 11");
    std::filesystem::rename(on.node.net_dir() / "10-legacy.conflist",
                            on.node.net_dir() / "10-legacy.conflist.cilium_bak");
    on.node.legacy(kLegacy, "10-legacy.conflist.cilium_bak");
    CHECK(on.join() == "legacy");
  }
}
