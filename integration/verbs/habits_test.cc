// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <optional>

#include <nlohmann/json.hpp>

#include "integration/fixture/agent.h"
#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"
#include "integration/fixture/recording.h"

// What cilium-cni, Calico's, flannel's and AWS's plugins do beside the specification, with their recorded words
// (tests/data/runtime, tests/data/habits) or those of the issue that is named.
namespace {

using fixture::error_of;
using fixture::Node;
using fixture::Recording;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;
namespace fs = std::filesystem;

constexpr const char* kCilium = R"({"name":"cilium","cniVersion":"1.0.0","plugins":[{"type":"cilium-cni"}]})";
constexpr const char* kCalico =
    R"({"name":"k8s-pod-network","cniVersion":"1.0.0","plugins":[{"type":"calico","ipam":{"type":"host-local"}}]})";
constexpr const char* kFlannel =
    R"({"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel","delegate":{"isDefaultGateway":true}}]})";
constexpr const char* kSocket = "/var/run/cilium/cilium.sock";

Recording recorded(const std::string& name) { return fixture::read_recording(TEST_DATA "/runtime/" + name + ".txt"); }

/// What a plugin does on one verb, as its script.
std::string step(const std::string& verb, const Json& what) { return Json{{verb, what}}.dump(); }

std::string failing(const std::string& verb, const std::string& msg) {
  return step(verb, {{"stdout", Json{{"code", 999}, {"msg", msg}}.dump()}, {"exit", 1}});
}

/// A call for c1 in its namespace, with more members in its stdin than the usual ones.
support::Finished call_with(const Node& node, const std::string& verb, const std::string& members,
                            const std::string& version = "1.0.0") {
  return node.call({{"CNI_COMMAND", verb},
                    {"CNI_CONTAINERID", "c1"},
                    {"CNI_IFNAME", "eth0"},
                    {"CNI_NETNS", "/run/netns/c1"},
                    {"CNI_PATH", node.bin_dir()}},
                   node.request(members, version));
}

constexpr const char* kPrevResult = R"("prevResult":{"cniVersion":"1.0.0"})";

support::Finished gc(const Node& node) {  // of a runtime that knows no pod any more
  return node.call({{"CNI_COMMAND", "GC"}, {"CNI_PATH", node.bin_dir()}},
                   node.request(R"("cni.dev/valid-attachments":[])", "1.1.0"));
}

support::Finished status(const Node& node, const fixture::Env& path) {
  fixture::Env env = path;
  env["CNI_COMMAND"] = "STATUS";
  return node.call(env, node.request({}, "1.1.0"));
}

std::string events(const Node& node) { return fixture::read_file(node.state_dir() / "events.jsonl"); }

/// A node on cilium, with a pod in namespace c1.
struct OnCilium {
  OnCilium() : node({"cilium-cni"}) {
    agent.emplace(kSocket);
    node.cilium(kCilium);
    netns = node.pod("c1");
    const auto added = node.call("ADD", "c1", netns, {{"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=a"}});
    CAPTURE(added.out);
    REQUIRE(added.ok());
    node.add_link("c1", "eth0");
  }
  /// Another process under the same socket: it knows no endpoint.
  void restart_agent() {
    agent.reset();
    agent.emplace(kSocket);
  }
  Node node;
  std::optional<fixture::Agent> agent;
  std::string netns;
};

// hoferbeck's in cilium#40459 with 1.17.5, where the runtime sent no namespace.
constexpr const char* kNoNamespace =
    R"(opening netns pinned at : open : no such file or directory: stat netns path "": stat : no such file or directory)";

}  // namespace

TEST_SUITE("verbs.habits") {
  TEST_CASE("cilium-cni's list is called cilium on ADD, CHECK and DEL, and prevResult comes on CHECK and DEL alone") {
    const OnCilium on;
    const auto checked = call_with(on.node, "CHECK", kPrevResult);
    CAPTURE(checked.out);
    CHECK(checked.ok());
    CHECK(on.node.call("DEL", "c1", on.netns).ok());
    REQUIRE(on.node.plugins().names() == Strings{"ADD cilium-cni", "CHECK cilium-cni", "DEL cilium-cni"});
    for (const auto& call : on.node.plugins().calls()) {
      const Json input = Json::parse(call.input);
      CHECK(input.at("name") == "cilium");
      // On ADD cilium-cni refuses it, on CHECK it panics without it: what it gets is the result of its own ADD.
      CHECK(input.contains("prevResult") == (call.verb != "ADD"));
      if (call.verb != "ADD") CHECK(input.at("prevResult").contains("interfaces"));
    }
  }

  TEST_CASE("B4.4 a prevResult that reaches us on ADD is refused before cilium-cni would refuse it") {
    const Node node({"cilium-cni"});
    const fixture::Agent agent(kSocket);
    node.cilium(kCilium);
    (void)node.pod("c1");
    const auto error = error_of(call_with(node, "ADD", kPrevResult));
    CHECK(error.code == 7);
    CHECK(error.says("prevResult"));
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("A6.5 cilium-cni's panic on CHECK is an error with its name and last words, and the pod stays") {
    const OnCilium on;
    on.node.plugins().script(
        "cilium-cni",
        step("CHECK", {{"stderr", fixture::read_file(TEST_DATA "/habits/cilium-cni-check-panic.txt")}, {"exit", 2}}));
    const auto error = error_of(call_with(on.node, "CHECK", kPrevResult));
    CHECK(error.code == 102);
    CHECK(error.msg == "cilium-cni: exit status 2 without a CNI error");
    CHECK(error.says("panic: runtime error: invalid memory address or nil pointer dereference"));
    CHECK(on.node.records().size() == 1);
  }

  TEST_CASE("cilium#40459: DEL without a namespace succeeds once the agent has no such endpoint, not before") {
    OnCilium on;
    on.node.plugins().script("cilium-cni", failing("DEL", kNoNamespace));
    on.agent->answer("/v1/endpoint/cni-attachment-id:c1:eth0", R"({"id":7})");
    CHECK(error_of(on.node.call("DEL", "c1", on.netns)).code == 999);  // its namespace is there: another trouble
    on.node.remove_pod("c1");
    CHECK(error_of(on.node.call("DEL", "c1", "")).says("cilium-cni: opening netns pinned at"));
    CHECK(on.node.records().size() == 1);
    on.restart_agent();
    CHECK(on.node.call("DEL", "c1", on.netns).ok());  // the path that is gone is not passed on
    CHECK(on.node.records().empty());
    CHECK(events(on.node).find("cilium's agent has no such endpoint") != std::string::npos);
  }

  TEST_CASE("cilium#40459: while the agent cannot be asked the error stands, and GC finishes when it can") {
    OnCilium on;
    on.node.plugins().script("cilium-cni", failing("DEL", kNoNamespace));
    on.node.remove_pod("c1");
    on.agent->fall_silent();
    on.node.configure(R"("timeouts":{"agent":"100ms"})");
    for (int i = 0; i < 7; ++i) CHECK(error_of(on.node.call("DEL", "c1", "")).code == 999);  // never given up
    CHECK(on.node.records().size() == 1);
    on.restart_agent();
    on.node.configure();
    const auto swept = gc(on.node);
    CAPTURE(swept.out);
    CHECK(swept.ok());
    CHECK(on.node.records().empty());
  }

  TEST_CASE("another failure of cilium-cni's DEL is one, whatever the agent says") {
    const OnCilium on;
    on.node.remove_pod("c1");
    on.node.plugins().script("cilium-cni", failing("DEL", "unable to release IP: ipam plugin failed"));
    CHECK(error_of(on.node.call("DEL", "c1", "")).code == 999);
    CHECK(on.node.records().size() == 1);
  }

  TEST_CASE("a cilium-cni that waits for its agent is stopped at timeouts.delegate: ADD is undone, DEL done later") {
    const Recording add = recorded("containerd-cilium-cni-ADD-err-0.3.1");
    CHECK(add.out.find("after 30.000000 seconds timeout") != std::string::npos);  // what it would have said
    Node node({"cilium-cni"});
    const fixture::Agent agent(kSocket);
    node.configure(R"("timeouts":{"delegate":"2s"})");  // which the DEL after it must keep, on a busy machine
    node.cilium(kCilium);
    const std::string netns = node.pod("c1");
    node.plugins().script("cilium-cni", step("ADD", {{"sleepMs", 30000}}));
    const auto late = error_of(node.call("ADD", "c1", netns));
    CHECK(late.code == 103);
    CHECK(late.msg == "cilium-cni: no answer in time, so it was stopped");
    CHECK(node.records().empty());
    CHECK(node.plugins().leaks().empty());  // its DEL came after it

    node.plugins().forget_scripts();
    for (const std::string finisher : {"DEL", "GC"}) {
      CAPTURE(finisher);
      node.configure();
      REQUIRE(node.call("ADD", "c1", netns).ok());
      node.plugins().script("cilium-cni", step("DEL", {{"sleepMs", 42000}}));
      node.configure(R"("timeouts":{"delegate":"300ms"})");
      CHECK(error_of(node.call("DEL", "c1", netns)).code == 103);
      CHECK(node.records().size() == 1);
      node.configure();
      node.plugins().forget_scripts();
      if (finisher == "GC") node.remove_pod("c1");
      CHECK((finisher == "GC" ? gc(node) : node.call("DEL", "c1", netns)).ok());
      CHECK(node.records().empty());
      CHECK(node.plugins().leaks().empty());
    }
  }

  TEST_CASE("a DEL that cilium-cni only wrote into its agent's queue is done, and the queue is nothing of ours") {
    const Recording queued = recorded("containerd-cilium-cni-DEL-ok-queued-0.3.1");
    REQUIRE(queued.err.find("Wrote queued deletion file") != std::string::npos);
    OnCilium on;
    on.agent->fall_silent();
    const std::string file = "/run/cilium/deleteQueue/bac58643.delete";
    fixture::write_file(file, R"({"container-id":"c1"})");
    on.node.plugins().script("cilium-cni", step("DEL", {{"stderr", queued.err}}));
    const auto deleted = on.node.call("DEL", "c1", on.netns);
    CHECK(deleted.ok());
    CHECK(deleted.out.empty());
    CHECK(on.node.records().empty());
    for (const Strings& command : {Strings{"gc", "--dry-run"}, Strings{"gc"}, Strings{"status"}}) {
      const auto said = on.node.command(command);
      CHECK(said.out.find("deleteQueue") == std::string::npos);
    }
    CHECK(fixture::read_file(file) == R"({"container-id":"c1"})");
  }

  TEST_CASE("cilium-cni, which would delete a stranger's eth0, never hears of one") {
    for (const std::string agent_is : {"well", "silent", "gone"}) {
      CAPTURE(agent_is);
      const Node node({"cilium-cni"});
      std::optional<fixture::Agent> agent(kSocket);
      node.cilium(kCilium);
      node.node_state("cilium");
      const std::string netns = node.pod("s1");
      node.add_link("s1", "eth0");
      if (agent_is == "silent") agent->fall_silent();
      if (agent_is == "gone") agent.reset();
      CHECK(node.call("DEL", "stranger", netns).ok());
      CHECK(node.has_link("s1", "eth0"));
      CHECK(node.plugins().calls().empty());
    }
  }

  TEST_CASE("cilium-cni's DEL goes by container id alone: the DEL of another interface does not reach it") {
    const OnCilium on;
    const fixture::Env second = {{"CNI_IFNAME", "net1"}};
    on.node.plugins().clear_log();
    const auto refused = error_of(on.node.call("ADD", "c1", on.netns, second));
    CHECK(refused.says("cilium takes one interface of a container"));
    CHECK(on.node.call("DEL", "c1", on.netns, second).ok());  // as the runtime does after a failed ADD
    CHECK(on.node.plugins().calls().empty());
    CHECK(on.node.records() == Strings{"c1:eth0"});
    CHECK(on.node.call("DEL", "c1", on.netns).ok());
    CHECK(on.node.plugins().leaks().empty());
  }

  TEST_CASE("calico#4857: a DEL that Calico's lost credentials fail for ever is given up, what is local is freed") {
    // The first as in the issue, the others once the account and the daemon are gone.
    for (const char* words : {"error getting ClusterInformation: connection is unauthorized: Unauthorized",
                              "clusterinformations.crd.projectcalico.org \"default\" is forbidden",
                              "stat /etc/cni/net.d/calico-kubeconfig: no such file or directory"}) {
      CAPTURE(words);
      const Node node({"calico"});
      node.legacy(kCalico);
      const std::string netns = node.pod("c1");
      REQUIRE(node.call("ADD", "c1", netns).ok());
      node.add_link("c1", "eth0");
      const fs::path lease = "/var/lib/cni/networks/k8s-pod-network/10.244.7.3";  // Canal's way
      fixture::write_file(lease, "c1\r\neth0");
      node.plugins().script("calico", failing("DEL", words));
      for (int tries = 1; tries <= 4; ++tries) {
        const auto error = error_of(node.call("DEL", "c1", netns));
        CHECK(error.code == 999);
        CHECK(error.says("calico"));
        CHECK(error.says("try " + std::to_string(tries) + " of 5"));
        CHECK(node.has_link("c1", "eth0"));
        CHECK(fs::exists(lease));
      }
      CHECK(node.call("DEL", "c1", netns).ok());
      CHECK_FALSE(node.has_link("c1", "eth0"));
      CHECK_FALSE(fs::exists(lease));
      CHECK(node.records().empty());
      CHECK(events(node).find("given up after 5 tries") != std::string::npos);
      CHECK(events(node).find("addresses that a plugin keeps elsewhere may stay taken") != std::string::npos);
    }
  }

  TEST_CASE("Calico's credentials that come back in time end in an ordinary DEL") {
    const Node node({"calico"});
    node.legacy(kCalico);
    const std::string netns = node.pod("c1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    node.plugins().script("calico", failing("DEL", "connection is unauthorized: Unauthorized"));
    for (int i = 0; i < 4; ++i) CHECK_FALSE(node.call("DEL", "c1", netns).ok());
    node.plugins().forget_scripts();
    CHECK(node.call("DEL", "c1", netns).ok());
    CHECK(node.plugins().leaks().empty());
    CHECK(node.records().empty());
  }

  TEST_CASE("Calico's handle is the network's name and the container: DEL has the name of the ADD's list") {
    const Recording calico = recorded("direct-calico-CHECK-ok-prev-1.0.0");
    const Node node({"calico"});
    node.legacy(fixture::list_of(calico));
    const std::string netns = node.pod("c1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    node.legacy(R"({"name":"other","cniVersion":"1.0.0","plugins":[{"type":"calico"}]})");
    CHECK(node.call("DEL", "c1", netns).ok());
    CHECK(Json::parse(node.plugins().calls().back().input).at("name") == "k8s-pod-network");
  }

  TEST_CASE("flannel without subnet.env, as after a reboot: STATUS and ADD say who writes it, and nothing is left") {
    const Node node({});
    fs::create_symlink(fs::path(BIN_DIR) / "flannel-stand-in", node.bin_dir() / "flannel");
    const fixture::Env path = {{"CNI_PATH", node.bin_dir().string() + ":/usr/lib/cni"}};
    node.legacy(kFlannel);
    fs::remove("/run/flannel/subnet.env");
    const auto not_ready = error_of(status(node, path));
    CHECK(not_ready.code == 50);
    CHECK(not_ready.says(
        "cbr0: /run/flannel/subnet.env is missing; flanneld writes that file when it starts on this node"));
    const std::string netns = node.pod("c1");
    const Json refused = Json::parse(node.call("ADD", "c1", netns, path).out);
    CHECK(refused.at("code") == 999);
    const Json as_recorded = Json::parse(recorded("containerd-flannel-ADD-err-0.3.1").out);
    CHECK(refused.at("msg") == "flannel: " + as_recorded.at("msg").get<std::string>());
    CHECK(refused.at("details").get<std::string>().find("flanneld writes that file when it starts on this node") !=
          std::string::npos);
    CHECK(node.records().empty());

    fixture::write_file("/run/flannel/subnet.env", "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\n");
    CHECK(status(node, path).ok());
    const auto added = node.call("ADD", "c1", netns, path);
    CAPTURE(added.out);
    CHECK(added.ok());
    CHECK(node.call("DEL", "c1", netns, path).ok());
    CHECK_FALSE(node.has_link("c1", "eth0"));
    (void)support::run({"ip", "link", "del", "cni0"});  // bridge leaves it
    fs::remove("/run/flannel/subnet.env");
  }

  TEST_CASE("flannel without its file of the container does nothing on DEL: the address and the interface are freed") {
    for (const bool file_is_there : {true, false}) {
      CAPTURE(file_is_there);
      const Node node({});
      fs::create_symlink(fs::path(BIN_DIR) / "flannel-stand-in", node.bin_dir() / "flannel");
      const fixture::Env path = {{"CNI_PATH", node.bin_dir().string() + ":/usr/lib/cni"}};
      fixture::write_file("/run/flannel/subnet.env", "FLANNEL_SUBNET=10.244.1.1/24\n");
      node.legacy(kFlannel);
      const std::string netns = node.pod("c1");
      const std::string other = node.pod("c2");
      REQUIRE(node.call("ADD", "c1", netns, path).ok());
      REQUIRE(node.call("ADD", "c2", other, path).ok());
      const fs::path leases = "/var/lib/cni/networks/cbr0";
      REQUIRE(fixture::read_file(leases / "10.244.1.2").substr(0, 2) == "c1");
      REQUIRE(fs::exists("/var/lib/cni/flannel/c1"));
      if (!file_is_there) fs::remove("/var/lib/cni/flannel/c1");
      CHECK(node.call("DEL", "c1", netns, path).ok());
      CHECK_FALSE(fs::exists(leases / "10.244.1.2"));
      CHECK_FALSE(node.has_link("c1", "eth0"));
      CHECK(node.records() == Strings{"c2:eth0"});
      CHECK(fs::exists(leases / "10.244.1.3"));
      CHECK(node.has_link("c2", "eth0"));
      const bool said = events(node).find("removed /var/lib/cni/networks/cbr0/10.244.1.2") != std::string::npos;
      CHECK(said == !file_is_there);
      CHECK(node.call("DEL", "c2", other, path).ok());
      (void)support::run({"ip", "link", "del", "cni0"});  // bridge leaves it
      fs::remove("/run/flannel/subnet.env");
    }
  }

  // As aws-cni prints them (amazon-vpc-cni-k8s, cmd/routed-eni-cni-plugin/cni.go): an interface that does not exist,
  // with the number of a VLAN for a MAC and of a device for a sandbox.
  TEST_CASE("A11.6 AWS's DEL has its own odd result to the byte, and so has the runtime") {
    for (const char* odd :
         {R"({"name":"dummy5a1d3c6f","mac":"0","sandbox":"2"})", R"({"name":"dummy5a1d3c6f","mac":"17"})"}) {
      CAPTURE(odd);
      const std::string result =
          "{\n    \"cniVersion\": \"0.4.0\",\n    \"interfaces\": [\n        {\"name\":\"eni5a1d3c6f\"},"
          "{\"name\":\"eth0\",\"sandbox\":\"/run/netns/c1\", \"x-aws\": 9007199254740993},\n" +
          std::string(odd) +
          "],\n  \"ips\": [{\"version\":\"4\",\"interface\":1,\"address\":\"10.0.5.7/32\"}],\n  \"dns\": {},"
          " \"x\" : 1e2 }";
      const Node node({"aws-cni", "egress-cni", "portmap"});
      node.legacy(
          R"({"cniVersion":"0.4.0","name":"aws-cni","disableCheck":true,"plugins":[{"name":"aws-cni","type":"aws-cni",)"
          R"("vethPrefix":"eni"},{"type":"portmap","capabilities":{"portMappings":true},"snat":true}]})");
      for (const char* plugin : {"aws-cni", "portmap"})
        node.plugins().script(plugin, step("ADD", {{"stdout", result}}));
      (void)node.pod("c1");
      const auto added = call_with(node, "ADD", {}, "0.4.0");
      CHECK(Json::parse(added.out) == Json::parse(result));
      CHECK(call_with(node, "DEL", kPrevResult, "0.4.0").ok());
      for (const auto& call : node.plugins().calls()) {
        if (call.verb == "ADD" && call.type == "aws-cni") continue;
        CAPTURE(call.input);
        CHECK(call.input.find("\"prevResult\":" + result) != std::string::npos);
      }
      CHECK(node.plugins().names() == Strings{"ADD aws-cni", "ADD portmap", "DEL portmap", "DEL aws-cni"});
      CHECK(node.plugins().leaks().empty());
    }
  }
}
