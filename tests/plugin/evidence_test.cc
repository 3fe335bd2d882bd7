// SPDX-License-Identifier: Apache-2.0
#include "plugin/evidence.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/fakes/machine.h"
#include "tests/support/refusal.h"

namespace {

using plugin::Attachment;

const conf::AttachmentId kPod{.container_id = "pod-a", .ifname = "eth0"};

// {"cniVersion":"0.3.1","name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap","capabilities":{"portMappings":true}}]}
constexpr std::string_view kConfig =
    "eyJjbmlWZXJzaW9uIjoiMC4zLjEiLCJuYW1lIjoiY2JyMCIsInBsdWdpbnMiOlt7InR5cGUiOiJmbGFubmVsIn0seyJ0eXBlIjoicG9ydG1hcCIs"
    "ImNhcGFiaWxpdGllcyI6eyJwb3J0TWFwcGluZ3MiOnRydWV9fV19";

std::string cache(const std::string& id, const std::string& ifname, std::string_view config = kConfig) {
  return R"({"kind":"cniCacheV1","containerId":")" + id + R"(","config":")" + std::string(config) + R"(","ifName":")" +
         ifname +
         R"(","networkName":"cbr0","netns":"/n","cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAME","web-0"]],)"
         R"("capabilityArgs":{"portMappings":[{"hostPort":8080}]},"result":{"cniVersion":"0.3.1","ips":[]}})";
}

std::string list(const std::string& name, const std::string& type) {
  return R"({"cniVersion":"1.0.0","name":")" + name + R"(","plugins":[{"type":")" + type + R"("}]})";
}

struct Node {
  fakes::Machine machine;
  std::vector<std::string> notes;

  std::optional<Attachment> look() {
    plugin::System system = machine.process();
    conf::Request request = machine.request(conf::Verb::kDel, kPod.container_id, "");
    return find_evidence(system, machine.settings, request, notes);
  }
};

TEST_SUITE_BEGIN("plugin.evidence");

TEST_CASE("B7.2 libcni's cache gives the list, the arguments, the capabilities and the result of the ADD") {
  const std::optional<Attachment> found = plugin::read_libcni_cache(cache("pod-a", "eth0"), "/r/cbr0-pod-a-eth0", kPod);
  REQUIRE(found);
  CHECK(found->list.name == "cbr0");
  CHECK(found->list.plugins.size() == 2);
  CHECK(found->network == plugin::Network::kLegacy);
  CHECK(found->args == "IgnoreUnknown=1;K8S_POD_NAME=web-0");
  CHECK(found->pod_name == "web-0");
  CHECK(found->runtime_config.has("portMappings"));
  CHECK(found->result == R"({"cniVersion":"0.3.1","ips":[]})");
  CHECK(found->libcni_cache == "/r/cbr0-pod-a-eth0");
}

TEST_CASE("B7.4 a cache file is matched by what it says, not by its name") {
  CHECK_FALSE(plugin::read_libcni_cache(cache("pod", "a-eth0"), "/r/cbr0-pod-a-eth0", kPod));
  CHECK_FALSE(plugin::read_libcni_cache(cache("pod-a", "net1"), "/r/cbr0-pod-a-eth0", kPod));
  CHECK_FALSE(plugin::read_libcni_cache(cache("pod-a", "eth0", "!!!"), "/r/cbr0-pod-a-eth0", kPod));
}

TEST_CASE("the cache is found under any network's name, a broken one beside it is only said") {
  Node node;
  node.machine.write(node.machine.cache_dir() + "/aaa-pod-a-eth0", "{\"kind\":");
  node.machine.write(node.machine.cache_dir() + "/old-name-pod-a-eth0", cache("pod-a", "eth0"));
  const std::optional<Attachment> found = node.look();
  REQUIRE(found);
  CHECK(found->reason == "no record; " + node.machine.cache_dir() + "/old-name-pod-a-eth0 holds its ADD");
  CHECK(node.notes.size() == 1);
}

TEST_CASE("the runtime's cache of our own list is no evidence: it would call us for ever") {
  Node node;
  // {"name":"crossover","plugins":[{"type":"crossover"}]}
  node.machine.write(
      node.machine.cache_dir() + "/crossover-pod-a-eth0",
      cache("pod-a", "eth0", "eyJuYW1lIjoiY3Jvc3NvdmVyIiwicGx1Z2lucyI6W3sidHlwZSI6ImNyb3Nzb3ZlciJ9XX0="));
  CHECK_FALSE(node.look());
}

TEST_CASE("host-local's file that names the container is the legacy list's") {
  Node node;
  node.machine.legacy(list("cbr0", "bridge"));
  node.machine.write(node.machine.lease_dir() + "/cbr0/10.244.1.5", "pod-b\r\neth0");
  CHECK_FALSE(node.look());
  node.machine.write(node.machine.lease_dir() + "/cbr0/10.244.1.6", "pod-a\r\neth0");
  const std::optional<Attachment> found = node.look();
  REQUIRE(found);
  CHECK(found->list.name == "cbr0");
  CHECK(found->reason == "no record; " + node.machine.lease_dir() + "/cbr0/10.244.1.6 names the container");
}

TEST_CASE("flannel's file of the container is evidence if the legacy list runs flannel") {
  Node node;
  node.machine.write(node.machine.dir() + "/flannel/pod-a", "{}");
  node.machine.legacy(list("cbr0", "bridge"));
  CHECK_FALSE(node.look());
  node.machine.legacy(list("cbr0", "flannel"));
  CHECK(node.look());
}

TEST_CASE("an endpoint that the agent has is cilium's, one it cannot be asked about is nobody's") {
  Node node;
  node.machine.cilium(list("cilium", "cilium-cni"));
  node.machine.agent.endpoint_of = nullptr;
  CHECK_FALSE(node.look());
  REQUIRE(node.notes.size() == 1);
  CHECK(node.notes[0] == "cilium's agent could not be asked about the endpoint");
  node.machine.agent.endpoint_of = [](const conf::AttachmentId& id) {
    return id == kPod ? plugin::Endpoint::kPresent : plugin::Endpoint::kAbsent;
  };
  const std::optional<Attachment> found = node.look();
  REQUIRE(found);
  CHECK(found->network == plugin::Network::kCilium);
  CHECK(found->args.find("K8S_POD_NAME=pod-pod-a") != std::string::npos);
}

TEST_CASE("a DEL that nobody knows anything of runs no plugin and succeeds") {
  Node node;
  node.machine.legacy(list("cbr0", "bridge"));
  node.machine.cilium(list("cilium", "cilium-cni"));
  node.machine.namespaces.add("/n");
  node.machine.namespaces.add_link("/n", "eth0");
  CHECK(node.machine.del("stranger", "/n").empty());
  CHECK(node.machine.world.asks().empty());
}

TEST_CASE("a pod older than Crossover is taken apart by its cache, once, and the cache file goes") {
  Node node;
  node.machine.legacy(list("today", "bridge"));
  node.machine.install({"flannel", "portmap"});
  const std::string file = node.machine.cache_dir() + "/cbr0-pod-a-eth0";
  node.machine.write(file, cache("pod-a", "eth0"));
  CHECK(node.machine.del("pod-a", "").empty());
  CHECK(node.machine.world.names() == std::vector<std::string>{"DEL portmap", "DEL flannel"});
  CHECK_FALSE(std::filesystem::exists(file));
  CHECK(node.machine.del("pod-a", "").empty());
  CHECK(node.machine.world.asks().size() == 2);
}

TEST_SUITE_END();

}  // namespace
