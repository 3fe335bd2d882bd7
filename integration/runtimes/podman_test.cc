// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "integration/runtimes/kubelet.h"
#include "integration/runtimes/podman.h"
#include "integration/runtimes/reach.h"

// Debian's podman with its CNI backend: the same container id is attached again and again.
namespace {

using Json = nlohmann::json;
using runtimes::kCiliumAdd;
using runtimes::kCiliumLife;
using runtimes::kLegacyAdd;
using runtimes::kLegacyLife;
using runtimes::Podman;
using runtimes::Site;

struct Machine {
  Machine() : podman(site.node()) {
    site.install();
    set("legacy");
  }
  void set(const std::string& state) const { (void)site.crossover({"set", state, "as a test wants it"}); }
  [[nodiscard]] std::string network(const std::string& name) const { return site.network_of(podman.address(name)); }

  Site site;
  Podman podman;
};

}  // namespace

TEST_SUITE("runtimes.podman") {
  TEST_CASE("podman's containers join the node's network of the moment, and change it when they are started again") {
    const Machine machine;
    const Podman& podman = machine.podman;
    const std::string first = podman.run("first");
    machine.set("cilium");
    const std::string second = podman.run("second");
    CHECK(machine.network("first") == "legacy");
    CHECK(machine.network("second") == "second");
    CHECK(runtimes::echoes(podman.netns("second"), podman.address("first")));

    podman({"restart", "first"});
    CHECK(machine.site.calls(first) == std::string(kLegacyLife) + ", " + kCiliumAdd);
    CHECK(machine.network("first") == "second");
    machine.set("legacy");
    podman({"stop", "first"});
    podman({"start", "first"});
    CHECK(machine.site.calls(first) == std::string(kLegacyLife) + ", " + kCiliumLife + ", " + kLegacyAdd);
    CHECK(machine.network("first") == "legacy");
    CHECK(runtimes::echoes(podman.netns("first"), podman.address("second")));

    podman({"rm", "--force", "first", "second"});
    CHECK(machine.site.calls(first) == std::string(kLegacyLife) + ", " + kCiliumLife + ", " + kLegacyLife);
    CHECK(machine.site.calls(second) == kCiliumLife);
    CHECK(machine.site.attachments() == Json::array());
    CHECK(machine.site.leftovers() == "");
  }

  TEST_CASE("a record has what podman knows of a container, and its published port leads there") {
    const Machine machine;
    for (const std::string state : {"legacy", "cilium"}) {
      CAPTURE(state);
      machine.set(state);
      const std::string id = machine.podman.run(state, {"--publish", "18080:8080"});
      const auto record = machine.site.record(id);
      REQUIRE(record.size() == 2);
      CHECK(record[0]["pod"] == state);
      CHECK(record[0]["netns"] == machine.podman.netns(id));
      CHECK(record[0].contains("hostPorts") == (state == "cilium"));
      const Json capabilities = Json::parse(record[0]["runtimeConfig"].get<std::string>());
      CHECK(capabilities["aliases"]["crossover"][0] == id.substr(0, 12));
      const conf::UniqueFd listener = runtimes::listener_in(machine.podman.netns(id), 8080);
      CHECK(runtimes::connects(machine.site.lan(), machine.site.node().address(), 18080));
      machine.podman({"rm", "--force", id});
    }
    CHECK(machine.site.attachments() == Json::array());
  }

  TEST_CASE("a container that is started after a reboot joins anew, though its DEL never came") {
    const Machine machine;
    const std::string id = machine.podman.run("first");
    machine.podman.reboot([&] { machine.site.forget_this_boot(); });
    machine.set("cilium");
    machine.podman({"start", "first"});
    CHECK(machine.site.calls(id) == std::string(kLegacyLife) + ", " + kCiliumAdd);
    machine.podman({"rm", "--force", "first"});
    CHECK(machine.site.attachments() == Json::array());
    CHECK(machine.site.leftovers() == "");
  }
}
