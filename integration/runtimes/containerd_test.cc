// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "integration/runtimes/kubelet.h"
#include "integration/runtimes/reach.h"

// Debian's containerd and a kubelet's calls, with Crossover as the list that it loads.
namespace {

using Json = nlohmann::json;
using runtimes::Containerd;
using runtimes::Installed;
using runtimes::kCiliumAdd;
using runtimes::kCiliumLife;
using runtimes::kLegacyAdd;
using runtimes::kLegacyLife;
using runtimes::Kubelet;
using runtimes::PodStatus;
using runtimes::Site;
using Strings = std::vector<std::string>;

}  // namespace

TEST_SUITE("runtimes.containerd") {
  TEST_CASE("a pod lives and dies on the legacy network, and its record has what containerd knows of it") {
    const Installed node;
    runtimes::Pod pod;
    pod.name = "web-0";
    pod.name_space = "shop";
    pod.annotations = {{"crossover.cni/network", "legacy"}};
    const std::string id = node.containerd->cri().run_pod(pod);
    const PodStatus status = node.kubelet().status(id);
    CHECK(status.ready);
    CHECK(node.site.network_of(status.address) == "legacy");
    CHECK(node.site.reaches(status.address));
    CHECK(node.site.calls(id) == kLegacyAdd);

    const auto record = node.site.record(id);
    REQUIRE(record.size() == 2);
    const Json& intent = record[0];
    CHECK(intent["containerID"] == id);
    CHECK(intent["ifname"] == "eth0");
    CHECK(intent["network"] == "legacy");
    CHECK(intent["namespace"] == "shop");
    CHECK(intent["pod"] == "web-0");
    CHECK(intent["uid"] == pod.uid);
    CHECK(intent["netns"] == status.netns);
    CHECK(intent["path"] == "/opt/cni/bin");
    CHECK(intent["args"].get<std::string>().find("K8S_POD_INFRA_CONTAINER_ID=" + id) != std::string::npos);
    CHECK(Json::parse(intent["list"].get<std::string>())["name"] == "cbr0");
    const Json capabilities = Json::parse(intent["runtimeConfig"].get<std::string>());
    CHECK(capabilities["io.kubernetes.cri.pod-annotations"]["crossover.cni/network"] == "legacy");
    CHECK(Json::parse(record[1]["result"].get<std::string>())["ips"][0]["address"] == status.address + "/24");

    node.kubelet().remove(id);
    CHECK(node.site.calls(id) == kLegacyLife);
    CHECK(node.site.leftovers() == "");
  }

  TEST_CASE(
      "pods from before Crossover, of both networks and after a rollback reach each other and end where they began") {
    const Site site;
    const Containerd containerd(site.node());
    const Kubelet kubelet(containerd);
    const std::string older = kubelet.run("older");
    site.install();
    containerd.wait_for_network("crossover");
    const auto start = [&](const std::string& name, const std::string& state) {
      (void)site.crossover({"set", state, "step by step"});
      return kubelet.run(name);
    };
    const std::string before = start("before", "legacy");
    const std::string moved = start("moved", "cilium");
    const std::string back = start("back", "legacy");
    const std::string again = start("again", "cilium");
    for (const std::string& id : {older, before, back}) CHECK(site.calls(id) == kLegacyAdd);
    for (const std::string& id : {moved, again}) CHECK(site.calls(id) == kCiliumAdd);
    CHECK(site.attachments().size() == 4);
    for (const std::string& id : {older, before, moved, back, again}) CHECK(site.reaches(kubelet.status(id).address));
    CHECK(runtimes::echoes(kubelet.status(moved).netns, kubelet.status(older).address));
    CHECK(runtimes::echoes(kubelet.status(before).netns, kubelet.status(again).address));

    for (const std::string& id : {older, before}) kubelet.remove(id);  // while the node is on the second network
    (void)site.crossover({"set", "legacy", "rolled back"});
    for (const std::string& id : {moved, again, back}) kubelet.remove(id);
    for (const std::string& id : {older, before, back}) CHECK(site.calls(id) == kLegacyLife);
    for (const std::string& id : {moved, again}) CHECK(site.calls(id) == kCiliumLife);
    CHECK(site.leftovers() == "");
  }

  TEST_CASE("a hostPort leads to a pod of either network, by its list's plugin or by Crossover") {
    const Installed node;
    for (const std::string state : {"legacy", "cilium"}) {
      CAPTURE(state);
      node.set(state);
      runtimes::Pod pod;
      pod.name = state;
      pod.ports = {{18080, 8080}};
      const std::string id = node.containerd->cri().run_pod(pod);
      const conf::UniqueFd listener = runtimes::listener_in(node.kubelet().status(id).netns, 8080);
      CHECK(runtimes::connects(node.site.lan(), node.site.node().address(), 18080));
      CHECK(node.site.record(id).at(0).contains("hostPorts") == (state == "cilium"));
      node.kubelet().remove(id);
      CHECK_FALSE(runtimes::connects(node.site.lan(), node.site.node().address(), 18080));
    }
  }

  TEST_CASE("after uninstall containerd itself takes down what Crossover attached, and gc what is left of it") {
    const Installed node;
    const std::string id = node.kubelet().run("web-0");
    (void)node.site.crossover({"uninstall"});
    node.containerd->wait_for_network("cbr0");
    const std::string later = node.kubelet().run("web-1");
    CHECK(node.site.record(later).empty());
    for (const std::string& each : {id, later}) node.kubelet().remove(each);
    // Without Crossover containerd's two DELs, of the pod's stop and of its removal, come to the plugins.
    for (const std::string& each : {id, later})
      CHECK(node.site.calls(each) == std::string(kLegacyLife) + ", DEL portmap, DEL bridge");
    CHECK(node.site.attachments().size() == 1);
    (void)node.site.crossover({"gc"});
    CHECK(node.site.attachments() == Json::array());
    CHECK(node.site.leftovers() == "");
  }

  // containerd keeps what it knows of `lo` in libcni's cache, too; that is no pod of the legacy network.
  TEST_CASE("after retire containerd takes down what Crossover attached with Cilium's own list") {
    const Installed node("cilium");
    const std::string id = node.kubelet().run("web-0");
    (void)node.site.crossover({"retire"});
    node.containerd->wait_for_network("cilium");
    const std::string later = node.kubelet().run("web-1");
    CHECK(node.site.record(later).empty());
    for (const std::string& each : {id, later}) node.kubelet().remove(each);
    for (const std::string& each : {id, later})
      CHECK(node.site.calls(each) == std::string(kCiliumLife) + ", DEL cilium-cni");
    (void)node.site.crossover({"gc"});
    CHECK(node.site.leftovers() == "");
  }
}
