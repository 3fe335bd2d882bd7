// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "integration/fixture/agent.h"
#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

namespace {

using fixture::Env;
using fixture::error_of;
using fixture::Node;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr const char* kPlain =
    R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"},{"type":"portmap"}]})";
constexpr const char* kNewest =
    R"({"name":"cbr0","cniVersion":"1.1.0","plugins":[{"type":"bridge"},{"type":"portmap"}]})";
constexpr const char* kCilium = R"({"name":"cilium","cniVersion":"1.1.0","plugins":[{"type":"cilium-cni"}]})";

constexpr const char* kPrevResult = R"("prevResult":{"cniVersion":"1.0.0"})";

support::Finished check(const Node& node, const std::string& id, const std::string& netns,
                        const std::string& more = kPrevResult) {
  return node.call({{"CNI_COMMAND", "CHECK"},
                    {"CNI_CONTAINERID", id},
                    {"CNI_IFNAME", "eth0"},
                    {"CNI_NETNS", netns},
                    {"CNI_PATH", node.bin_dir()}},
                   node.request(more));
}

// As containerd sends it: all variables there, most of them empty.
support::Finished status(const Node& node) {
  return node.call({{"CNI_COMMAND", "STATUS"},
                    {"CNI_CONTAINERID", ""},
                    {"CNI_IFNAME", ""},
                    {"CNI_NETNS", ""},
                    {"CNI_ARGS", ""},
                    {"CNI_PATH", node.bin_dir()}},
                   node.request("", "1.1.0"));
}

support::Finished gc(const Node& node, const std::string& members) {
  return node.call({{"CNI_COMMAND", "GC"}, {"CNI_PATH", node.bin_dir()}}, node.request(members, "1.1.0"));
}

std::string valid(const Strings& ids) {
  Json list = Json::array();
  for (const auto& id : ids) list.push_back({{"containerID", id}, {"ifname", "eth0"}});
  return R"("cni.dev/valid-attachments":)" + list.dump();
}

/// A node with attached pods c1, c2, ..., their interfaces there, its log cleared.
void attach(const Node& node, int pods) {
  for (int i = 1; i <= pods; ++i) {
    const std::string id = "c" + std::to_string(i);
    REQUIRE(node.call("ADD", id, node.pod(id)).ok());
    node.add_link(id, "eth0");
  }
  node.plugins().clear_log();
}

}  // namespace

TEST_SUITE("verbs.check") {
  TEST_CASE("A6.1 CHECK passes the recorded result to every plugin, and ignores what they print") {
    const Node node({"bridge", "portmap"});
    node.legacy(kPlain);
    attach(node, 1);
    node.plugins().script("bridge", R"({"CHECK":{"stdout":"OK"}})");
    const auto checked = check(node, "c1", "/run/netns/c1");
    CAPTURE(checked.out);
    CHECK(checked.ok());
    CHECK(checked.out.empty());
    REQUIRE(node.plugins().names() == Strings{"CHECK bridge", "CHECK portmap"});
    for (const auto& call : node.plugins().calls())
      CHECK(Json::parse(call.input).at("prevResult").at("interfaces").at(1).at("sandbox") == "/run/netns/c1");
  }

  TEST_CASE("A6.1 CHECK without prevResult, of an unknown attachment, or of one whose ADD did not end is an error") {
    const Node node({"bridge", "portmap"});
    node.legacy(kPlain);
    attach(node, 1);
    CHECK(error_of(check(node, "c1", "/run/netns/c1", "")).code == 7);
    CHECK(error_of(check(node, "c2", "/run/netns/c1")).code == 3);
    const auto record = node.state_dir() / "attachments" / "c1:eth0";
    const std::string text = fixture::read_file(record);
    fixture::write_file(record, text.substr(0, text.find('\n') + 1));
    CHECK(error_of(check(node, "c1", "/run/netns/c1")).code == 11);
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("A6.3 CHECK fails when the interface, the namespace or the pod behind its path is gone") {
    const Node node({"bridge", "portmap"});
    node.legacy(kPlain);
    attach(node, 1);
    node.remove_link("c1", "eth0");
    CHECK(error_of(check(node, "c1", "/run/netns/c1")).code == 3);
    node.remove_pod("c1");
    CHECK(error_of(check(node, "c1", "/run/netns/c1")).code == 8);
    CHECK(node.pod("c1") == "/run/netns/c1");
    node.add_link("c1", "eth0");
    CHECK(error_of(check(node, "c1", "/run/netns/c1")).code == 8);
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("A6.5 the first plugin that fails CHECK ends it, and its error comes back with its name") {
    const Node node({"bridge", "portmap"});
    node.legacy(kPlain);
    attach(node, 1);
    node.plugins().script("bridge", R"({"CHECK":{"stdout":"{\"code\":11,\"msg\":\"daemon down\"}","exit":1}})");
    const auto error = error_of(check(node, "c1", "/run/netns/c1"));
    CHECK(error.code == 11);
    CHECK(error.says("bridge"));
    CHECK(error.says("daemon down"));
    CHECK(node.plugins().names() == Strings{"CHECK bridge"});
    node.plugins().script("bridge", R"({"CHECK":{"stderr":"panic: runtime error","exit":2}})");
    const auto crash = error_of(check(node, "c1", "/run/netns/c1"));
    CHECK(crash.code == 102);
    CHECK(crash.says("bridge"));
  }
}

TEST_SUITE("verbs.status") {
  TEST_CASE("A7.1 STATUS succeeds if ADD could, and says 50 with the reason if not") {
    const Node node({"bridge", "portmap"});
    CHECK(error_of(status(node)).code == 50);
    node.legacy(kPlain);
    CHECK(status(node).ok());
    CHECK(node.plugins().calls().empty());
    node.remove_plugin("portmap");
    const auto missing = error_of(status(node));
    CHECK(missing.code == 50);
    CHECK(missing.says("portmap"));
    node.install("portmap");
    CHECK(status(node).ok());
  }

  TEST_CASE("A7.1 STATUS says 50 when no address is left") {
    const Node node({"bridge"});
    node.legacy(R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge","ipam":{"type":"host-local",)"
                R"("ranges":[[{"subnet":"10.1.0.0/30"}]]}}]})");
    CHECK(status(node).ok());
    fixture::write_file("/var/lib/cni/networks/cbr0/10.1.0.2", "c1\r\neth0");
    const auto full = error_of(status(node));
    CHECK(full.code == 50);
    CHECK(full.says("cbr0"));
  }

  TEST_CASE("A7.2 hold is no failure: the node stays Ready") {
    const Node node({"bridge"});
    node.legacy(kPlain);
    node.node_state("hold");
    CHECK(status(node).ok());
  }

  TEST_CASE("A7.3 STATUS goes to the plugins that ADD would run, and their code comes back") {
    const Node node({"bridge", "portmap", "cilium-cni"});
    node.legacy(kNewest);
    node.cilium(kCilium);
    node.configure(R"("cilium":{"socket":""})");
    // A plugin that a busy machine makes late is passed over, so what is asked for is seen sooner or later.
    const auto until = [&](const std::string& name, int wanted) {
      for (int tries = 0; tries < 300; ++tries) {
        node.plugins().clear_log();
        const auto answer = status(node);
        const auto calls = node.plugins().calls();
        if (!calls.empty() && calls.back().name() == name && calls.back().done && answer.status == wanted)
          return answer;
      }
      FAIL("STATUS never got to " << name);
      return support::Finished{};
    };
    CHECK(until("STATUS portmap", 0).ok());
    CHECK(node.plugins().names() == Strings{"STATUS bridge", "STATUS portmap"});
    const Json input = Json::parse(node.plugins().calls().front().input);
    CHECK(input == Json{{"type", "bridge"}, {"name", "cbr0"}, {"cniVersion", "1.1.0"}});
    node.node_state("cilium");
    node.plugins().script("cilium-cni", R"({"STATUS":{"stdout":"{\"code\":51,\"msg\":\"DaemonDown\"}","exit":1}})");
    const auto error = error_of(until("STATUS cilium-cni", 1));
    CHECK(error.code == 51);
    CHECK(error.says("DaemonDown"));
  }

  TEST_CASE("A7.4 STATUS does not hang on an agent or a plugin that does") {
    const Node node({"bridge", "portmap", "cilium-cni"});
    node.legacy(kPlain);
    node.cilium(kCilium);
    node.plugins().script("cilium-cni", R"({"STATUS":{"waitFor":"never"}})");
    fixture::Agent agent("/var/run/cilium/cilium.sock");
    CHECK(status(node).ok());  // the plugin is late, which is no failure
    agent.fall_silent();
    const auto error = error_of(status(node));
    CHECK(error.code == 50);
    CHECK(error.says("agent"));
  }

  TEST_CASE("A7.1 STATUS of a node on cilium follows whenNotReady, as ADD does") {
    const Node node({"bridge", "portmap", "cilium-cni"});
    node.legacy(kPlain);
    node.cilium(kCilium);
    node.node_state("cilium");
    CHECK(error_of(status(node)).code == 50);
    node.configure(R"("cilium":{"whenNotReady":"legacy"})");
    CHECK(status(node).ok());
    node.configure(R"("cilium":{"whenNotReady":"delegate"})");
    CHECK(status(node).ok());
  }
}

TEST_SUITE("verbs.gc") {
  TEST_CASE("A8.2 a GC without a list destroys nothing, an empty list destroys everything") {
    const Node node({"bridge", "portmap"});
    node.legacy(kPlain);
    attach(node, 3);
    CHECK(gc(node, "").ok());
    CHECK(node.plugins().calls().empty());
    CHECK(node.records().size() == 3);
    CHECK(gc(node, valid({})).ok());
    CHECK(node.records().empty());
    CHECK(node.plugins().leaks().empty());
  }

  TEST_CASE("A8.1 GC detaches what is not in the list, under either name of it") {
    for (const std::string key : {"cni.dev/valid-attachments", "cni.dev/attachments"}) {
      CAPTURE(key);
      const Node node({"bridge", "portmap"});
      node.legacy(kPlain);
      attach(node, 3);
      CHECK(gc(node, "\"" + key + R"(":[{"containerID":"c2","ifname":"eth0"},{"containerID":"c3","ifname":"net1"}])")
                .ok());
      CHECK(node.records() == Strings{"c2:eth0"});
      CHECK(node.plugins().leaks() == Strings{"bridge,c2,eth0", "portmap,c2,eth0"});
      CHECK(check(node, "c2", "/run/netns/c2").ok());
    }
  }

  TEST_CASE("A8.3 GC goes on after a failure and says what is left, which the next GC finishes") {
    const Node node({"bridge", "portmap"});
    node.legacy(kPlain);
    attach(node, 3);
    node.plugins().script("bridge", R"({"DEL":{"stdout":"{\"code\":11,\"msg\":\"later\"}","exit":1}})");
    const auto error = error_of(gc(node, valid({"c1"})));
    CHECK(error.says("c2"));
    CHECK(error.says("c3"));
    CHECK(node.records().size() == 3);
    node.plugins().forget_scripts();
    CHECK(gc(node, valid({"c1"})).ok());
    CHECK(node.records() == Strings{"c1:eth0"});
    CHECK(node.plugins().leaks() == Strings{"bridge,c1,eth0", "portmap,c1,eth0"});
  }

  TEST_CASE("A8.4 GC goes on to the plugins of both lists, with both names of what is valid") {
    const Node node({"bridge", "portmap", "cilium-cni"});
    node.configure(R"("cilium":{"socket":""})");
    node.legacy(kNewest);
    node.cilium(kCilium);
    attach(node, 1);
    CHECK(gc(node, valid({"c1", "elsewhere"})).ok());
    CHECK(node.plugins().names() == Strings{"GC bridge", "GC portmap", "GC cilium-cni"});
    const Json list = {{{"containerID", "c1"}, {"ifname", "eth0"}}, {{"containerID", "elsewhere"}, {"ifname", "eth0"}}};
    for (const auto& call : node.plugins().calls()) {
      CHECK(Json::parse(call.input).at("cni.dev/valid-attachments") == list);
      CHECK(Json::parse(call.input).at("cni.dev/attachments") == list);
      CHECK_FALSE(Json::parse(call.input).contains("prevResult"));
    }
  }

  TEST_CASE("A8.5 disableGC keeps GC from a list's plugins") {
    const Node node({"bridge", "portmap"});
    node.legacy(R"({"name":"cbr0","cniVersion":"1.1.0","disableGC":true,"plugins":[{"type":"bridge"}]})");
    CHECK(gc(node, valid({})).ok());
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("A8.1 a GC whose list has another shape is refused and destroys nothing") {
    const Node node({"bridge", "portmap"});
    node.legacy(kPlain);
    attach(node, 1);
    for (const char* list :
         {"{}", "7", R"("c1")", R"(["c1"])", R"([{"containerID":7,"ifname":"eth0"}])", R"([{"ifname":"eth0"}])"}) {
      CAPTURE(list);
      CHECK(error_of(gc(node, std::string(R"("cni.dev/valid-attachments":)") + list)).code == 7);
    }
    CHECK(node.plugins().calls().empty());
    CHECK(node.records().size() == 1);
  }
}
