// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "integration/fixture/node.h"

// A node is handed to Crossover and back, with real libcni as the runtime: what its DEL finds is what matters.
namespace {

namespace fs = std::filesystem;
using fixture::Call;
using fixture::Finished;
using fixture::Node;
using fixture::read_file;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr const char* kLegacy =
    R"({"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"bridge"},{"type":"portmap","capabilities":{"portMappings":true}}]})";
constexpr const char* kCilium = R"({"cniVersion":"1.0.0","name":"cilium","plugins":[{"type":"cilium-cni"}]})";
constexpr const char* kCache = "/var/lib/cni/results/";

/// What a runtime passes for one pod.
Strings pod_options(const std::string& id, const std::string& netns) {
  return {"--id",    id,
          "--netns", netns,
          "--args",  "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + id,
          "--caps",  R"({"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]})"};
}

struct Handed {
  Handed() : node({"bridge", "portmap", "cilium-cni"}) {
    node.legacy(kLegacy);
    fs::remove(node.conflist());
  }
  [[nodiscard]] Finished crossover(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--bin-dir", node.bin_dir().string()});
    return node.command(std::move(arguments));
  }
  /// The configuration with this node's places; install writes one that has the machine's.
  void install() const {
    node.configure(R"("cilium":{"socket":""})");
    const Finished installed = crossover({"install"});
    CHECK_MESSAGE(installed.ok(), installed.err);
  }
  [[nodiscard]] Call last(const std::string& name) const {
    Call out;
    for (const Call& call : node.plugins().calls())
      if (call.name() == name) out = call;
    return out;
  }
  Node node;
};

Json cache_of(const std::string& network, const std::string& id) {
  return Json::parse(read_file(std::string(kCache) + network + '-' + id + "-eth0"));
}

}  // namespace

TEST_SUITE("verbs.install") {
  TEST_CASE("install makes a node whose next pod goes through Crossover, to the list that it had") {
    const Handed handed;
    CHECK(handed.crossover({"install", "--dry-run"}).ok());
    CHECK_FALSE(fs::exists(handed.node.conflist()));
    handed.install();
    const std::string netns = handed.node.pod("p1");
    CHECK(handed.node.libcni("add", handed.node.conflist(), pod_options("p1", netns)).ok());
    CHECK(handed.node.plugins().names() == Strings{"ADD bridge", "ADD portmap"});
    CHECK(handed.node.records().size() == 1);
  }

  TEST_CASE("what the cache gets for the legacy list is what libcni itself would have kept") {
    const Handed handed;
    const std::string direct = handed.node.pod("p1");
    const std::string through = handed.node.pod("p2");
    const fs::path list = handed.node.net_dir() / "10-legacy.conflist";
    REQUIRE(handed.node.libcni("add", list, pod_options("p1", direct)).ok());
    handed.install();
    REQUIRE(handed.node.libcni("add", handed.node.conflist(), pod_options("p2", through)).ok());
    CHECK_FALSE(fs::exists(std::string(kCache) + "cbr0-p2-eth0"));
    const Finished handed_back = handed.crossover({"uninstall"});
    CHECK_MESSAGE(handed_back.ok(), handed_back.err);

    const Json theirs = cache_of("cbr0", "p1");
    const Json ours = cache_of("cbr0", "p2");
    for (const auto& member : theirs.items()) {
      CAPTURE(member.key());
      REQUIRE(ours.contains(member.key()));
      CHECK(ours[member.key()].type() == member.value().type());
    }
    CHECK(ours["networkName"] == theirs["networkName"]);
    CHECK(ours["capabilityArgs"] == theirs["capabilityArgs"]);
    CHECK(ours["cniArgs"].size() == theirs["cniArgs"].size());
  }

  TEST_CASE("after uninstall containerd's DEL finds the ADD under the legacy list's name") {
    const Handed handed;
    handed.install();
    const std::string netns = handed.node.pod("p1");
    REQUIRE(handed.node.libcni("add", handed.node.conflist(), pod_options("p1", netns)).ok());
    const fs::path kept = handed.node.dir() / "crossover.conflist";  // for gc; without --conf it has the defaults
    fs::copy_file(handed.node.conflist(), kept);
    REQUIRE(handed.crossover({"uninstall"}).ok());
    CHECK_FALSE(fs::exists(handed.node.conflist()));
    const Json added = Json::parse(handed.last("ADD portmap").input);
    handed.node.plugins().clear_log();
    CHECK(handed.node.libcni("del", handed.node.net_dir() / "10-legacy.conflist", pod_options("p1", netns)).ok());
    CHECK(handed.node.plugins().names() == Strings{"DEL portmap", "DEL bridge"});
    const Json deleted = Json::parse(handed.last("DEL portmap").input);
    CHECK(deleted["prevResult"].is_object());
    CHECK(deleted["name"] == "cbr0");
    CHECK(deleted["runtimeConfig"] == added["runtimeConfig"]);
    CHECK(handed.node.plugins().leaks().empty());
    CHECK_FALSE(fs::exists(std::string(kCache) + "cbr0-p1-eth0"));
    // The record is left, and gc takes it once the namespace is gone.
    handed.node.remove_pod("p1");
    const Finished swept = support::run({(handed.node.bin_dir() / "crossover").string(), "gc", "--conf", kept.string()},
                                        {{"RECORDER_DIR", handed.node.plugins().dir().string()}});
    CHECK_MESSAGE(swept.ok(), swept.out << swept.err);
    CHECK(handed.node.records().empty());
  }

  TEST_CASE("after uninstall CRI-O's DEL, with the list of the ADD, still comes to the record") {
    const Handed handed;
    handed.install();
    const std::string netns = handed.node.pod("p1");
    REQUIRE(handed.node.libcni("add", handed.node.conflist(), pod_options("p1", netns)).ok());
    const fs::path kept = handed.node.dir() / "crossover.conflist";  // CRI-O has it in memory
    fs::copy_file(handed.node.conflist(), kept);
    REQUIRE(handed.crossover({"uninstall"}).ok());
    handed.node.plugins().clear_log();
    Strings options = pod_options("p1", netns);
    options.emplace_back("--cached");
    CHECK(handed.node.libcni("del", kept, options).ok());
    CHECK(handed.node.plugins().names() == Strings{"DEL portmap", "DEL bridge"});
    CHECK(handed.node.plugins().leaks().empty());
    CHECK(handed.node.records().empty());
  }

  TEST_CASE("uninstall is refused while a pod is on the second network, and changes nothing") {
    const Handed handed;
    handed.install();
    handed.node.cilium(kCilium);
    handed.node.node_state("cilium moved");
    const std::string netns = handed.node.pod("p1");
    REQUIRE(handed.node.libcni("add", handed.node.conflist(), pod_options("p1", netns)).ok());
    const Finished refused = handed.crossover({"uninstall"});
    CHECK(refused.status == 1);
    CHECK(refused.err.find("1 pods are on the second network") != std::string::npos);
    CHECK(refused.err.find("default/p1") != std::string::npos);
    CHECK(fs::exists(handed.node.conflist()));
  }

  TEST_CASE("retire hands the node to the second list: its DEL finds the ADD, and the next pod goes there") {
    const Handed handed;
    handed.install();
    handed.node.cilium(kCilium);
    handed.node.node_state("cilium moved");
    const std::string netns = handed.node.pod("p1");
    const std::string next = handed.node.pod("p2");
    REQUIRE(handed.node.libcni("add", handed.node.conflist(), pod_options("p1", netns)).ok());
    const Finished retired = handed.crossover({"retire"});
    CHECK_MESSAGE(retired.ok(), retired.err);
    CHECK_FALSE(fs::exists(handed.node.conflist()));
    const fs::path list = handed.node.net_dir() / "05-cilium.conflist";
    REQUIRE(fs::exists(list));
    handed.node.plugins().clear_log();
    CHECK(handed.node.libcni("del", list, pod_options("p1", netns)).ok());
    CHECK(Json::parse(handed.last("DEL cilium-cni").input)["prevResult"].is_object());
    CHECK(handed.node.libcni("add", list, pod_options("p2", next)).ok());
    CHECK(handed.node.plugins().names() == Strings{"DEL cilium-cni", "ADD cilium-cni"});
  }

  TEST_CASE("retire is refused while a pod is on the legacy network that is older than Crossover") {
    const Handed handed;
    const std::string netns = handed.node.pod("p1");
    REQUIRE(handed.node.libcni("add", handed.node.net_dir() / "10-legacy.conflist", pod_options("p1", netns)).ok());
    handed.install();
    handed.node.cilium(kCilium);
    const Finished refused = handed.crossover({"retire"});
    CHECK(refused.status == 1);
    CHECK(refused.err.find("1 pods are on the legacy network: default/p1") != std::string::npos);
  }
}
