// SPDX-License-Identifier: Apache-2.0
#include "plugin/habits.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/fakes/machine.h"
#include "tests/support/refusal.h"

namespace {

using plugin::blames_the_namespace;
using plugin::credentials_are_gone;
using plugin::cure_for;
using support::refusal_of;

constexpr const char* kNoNamespace = "opening netns pinned at : open : no such file or directory";

/// A node with a pod of cilium, whose cilium-cni fails on DEL as those of 1.16 to 1.18 do without a namespace.
struct Lost {
  Lost() {
    machine.cilium(R"({"name":"cilium","cniVersion":"1.0.0","plugins":[{"type":"cilium-cni"}]})");
    machine.legacy(R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]})");
    machine.node_state("cilium");
    machine.agent.be_healthy();
    machine.namespaces.add("/n");
    (void)machine.add("pod-a", "/n");
    machine.world.on("cilium-cni", "DEL", [](const fakes::Ask&) { return fakes::failed(999, kNoNamespace); });
    set_endpoint(plugin::Endpoint::kAbsent);
  }
  void set_endpoint(plugin::Endpoint answer) {
    machine.agent.endpoint_of = [answer](const conf::AttachmentId&) { return answer; };
  }
  [[nodiscard]] bool on_record() const {
    return std::filesystem::exists(machine.state_dir() + "/attachments/pod-a:eth0");
  }
  fakes::Machine machine;
};

conf::NetworkList list(const std::string& plugin) {
  return conf::parse_list(R"({"name":"cbr0","cniVersion":"0.3.1","plugins":[)" + plugin + "]}", "list");
}

TEST_SUITE_BEGIN("plugin.habits");

TEST_CASE("credentials are gone when they are refused or their file is missing, not when nobody answers") {
  CHECK(credentials_are_gone("error getting ClusterInformation: connection is unauthorized: Unauthorized"));
  CHECK(credentials_are_gone("pods \"a\" is forbidden: User cannot get resource"));
  CHECK(credentials_are_gone("stat /etc/cni/net.d/calico-kubeconfig: no such file or directory"));
  CHECK_FALSE(credentials_are_gone("Get \"https://10.96.0.1:443/api\": connect: connection refused"));
  CHECK_FALSE(credentials_are_gone("open /run/flannel/subnet.env: no such file or directory"));
  CHECK_FALSE(credentials_are_gone("stat /var/lib/calico/nodename: no such file or directory"));
}

TEST_CASE("only cilium-cni's own complaint of the namespace is one") {
  CHECK(blames_the_namespace("cilium-cni", kNoNamespace));
  CHECK_FALSE(blames_the_namespace("calico", kNoNamespace));
  CHECK_FALSE(blames_the_namespace("cilium-cni", "unable to release IP: no such file or directory"));
}

TEST_CASE("a cure is named where a plugin's own words do not") {
  CHECK(cure_for("flannel", "loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file or directory") ==
        "flanneld writes that file when it starts on this node: look at its pod's state and log");
  CHECK(cure_for("cilium-cni", "unable to connect to Cilium agent: failed to create cilium agent client") ==
        "its agent does not run on this node: look at its pod's state and log");
  CHECK(cure_for("calico", "connection is unauthorized: Unauthorized") ==
        "its daemon renews its credentials while it runs on this node");
  CHECK(cure_for("bridge", "no IP addresses available").empty());
}

TEST_CASE("flannel's files are where its configuration says, else in their usual places") {
  plugin::Places places;
  CHECK_FALSE(flannel_subnet_file(list(R"({"type":"bridge"})"), places));
  CHECK_FALSE(flannel_container_file(list(R"({"type":"bridge"})"), places, "c1"));
  CHECK(flannel_subnet_file(list(R"({"type":"flannel"})"), places) == "/run/flannel/subnet.env");
  CHECK(flannel_container_file(list(R"({"type":"flannel"})"), places, "c1") == "/var/lib/cni/flannel/c1");
  const conf::NetworkList moved = list(R"({"type":"flannel","subnetFile":"/run/k3s/subnet.env","dataDir":"/data"})");
  CHECK(flannel_subnet_file(moved, places) == "/run/k3s/subnet.env");
  CHECK(flannel_container_file(moved, places, "c1") == "/data/c1");
  CHECK(flannel_subnet_file(list(R"({"type":"flannel","subnetFile":7})"), places) == "/run/flannel/subnet.env");
}

TEST_CASE("cilium#40459: only a namespace that is gone and an endpoint that is gone make the failure none") {
  Lost lost;
  CHECK(refusal_of([&] { return lost.machine.del("pod-a", "/n"); }).code() == 999);  // the namespace is there
  lost.machine.namespaces.remove("/n");
  lost.set_endpoint(plugin::Endpoint::kPresent);
  CHECK(refusal_of([&] { return lost.machine.del("pod-a", ""); }).code() == 999);
  lost.set_endpoint(plugin::Endpoint::kUnknown);
  CHECK(refusal_of([&] { return lost.machine.del("pod-a", ""); }).code() == 999);
  CHECK(lost.on_record());
  lost.set_endpoint(plugin::Endpoint::kAbsent);
  CHECK(lost.machine.del("pod-a", "").empty());
  CHECK_FALSE(lost.on_record());
}

TEST_CASE("cilium#40459: with the agent's socket turned off nobody can say that the endpoint is gone") {
  Lost lost;
  lost.machine.namespaces.remove("/n");
  lost.machine.settings.cilium_socket = "";
  CHECK(refusal_of([&] { return lost.machine.del("pod-a", ""); }).code() == 999);
  CHECK(lost.on_record());
}

TEST_CASE("cilium#40459: another plugin's failure stands, though cilium-cni's is none") {
  Lost lost;
  lost.machine.world.allow("cilium-cni", "DEL");
  (void)lost.machine.del("pod-a", "/n");
  lost.machine.cilium(R"({"name":"cilium","cniVersion":"1.0.0","plugins":[{"type":"cilium-cni"},{"type":"portmap"}]})");
  (void)lost.machine.add("pod-a", "/n");
  lost.machine.namespaces.remove("/n");
  lost.machine.world.on("cilium-cni", "DEL", [](const fakes::Ask&) { return fakes::failed(999, kNoNamespace); });
  lost.machine.world.refuse("portmap", "DEL");
  const conf::CniError error = refusal_of([&] { return lost.machine.del("pod-a", ""); });
  CHECK(error.msg().find("portmap: ") == 0);
  CHECK(error.details().find("opening netns") == std::string::npos);
  CHECK(lost.on_record());
}

TEST_SUITE_END();

}  // namespace
