// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <signal.h>

#include <future>
#include <nlohmann/json.hpp>

#include "integration/runtimes/kubelet.h"

// containerd with Crossover, when something gets between an ADD and its DEL.
namespace {

using Json = nlohmann::json;
using runtimes::eventually;
using runtimes::Installed;
using runtimes::kCiliumLife;
using runtimes::kLegacyLife;
using runtimes::PodStatus;
using Strings = std::vector<std::string>;

#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t kCrowd = 6;
#else
constexpr std::size_t kCrowd = 20;
#endif

constexpr const char* kLegacyList = "/etc/cni/net.d/10-flannel.conflist";
constexpr const char* kOurList = "/etc/cni/net.d/00-crossover.conflist";

/// The node's legacy list under another name and with other addresses.
std::string renamed_legacy(const support::Node& node) {
  Json list = Json::parse(node.read(kLegacyList));
  list["name"] = "cbr1";
  list["plugins"][0]["ipam"]["ranges"][0][0]["rangeStart"] = "10.244.1.100";
  return list.dump();
}

}  // namespace

TEST_SUITE("runtimes.containerd") {
  TEST_CASE("pods outlive a containerd that is killed and one that is stopped, and end where they began") {
    const Installed node;
    const std::string legacy = node.kubelet().run("legacy");
    node.set("cilium");
    const std::string second = node.kubelet().run("second");
    for (const int signal : {SIGKILL, SIGTERM}) {
      CAPTURE(signal);
      node.containerd->restart(signal);
      for (const std::string& id : {legacy, second}) {
        const PodStatus status = node.kubelet().status(id);
        CHECK(status.ready);
        CHECK(node.site.reaches(status.address));
      }
    }
    for (const std::string& id : {legacy, second}) node.kubelet().remove(id);
    CHECK(node.site.calls(legacy) == kLegacyLife);
    CHECK(node.site.calls(second) == kCiliumLife);
    CHECK(node.site.leftovers() == "");
  }

  TEST_CASE("a containerd that is killed in the middle of an ADD leaves nothing once the pod is stopped") {
    const Installed node;
    node.site.hold("bridge");
    auto running = std::async(std::launch::async, [&] { return node.kubelet().run("cut"); });
    eventually("the ADD", [&] { return node.site.attachments().size() == 1; });
    const std::string id = node.site.attachments()[0]["containerID"];
    node.containerd->restart(SIGKILL);
    CHECK_THROWS_AS((void)running.get(), runtimes::CriError);
    node.site.let_go("bridge");
    REQUIRE(node.containerd->cri().pods() == Strings{id});
    CHECK_FALSE(node.kubelet().status(id).ready);
    node.kubelet().remove(id);
    CHECK(node.site.calls(id).ends_with(", DEL portmap, DEL bridge"));
    CHECK(node.site.leftovers() == "");
  }

  TEST_CASE("lists that are written anew in the middle of an ADD are the next pod's, and each DEL runs its own") {
    const Installed node;
    node.site.hold("bridge");
    auto running = std::async(std::launch::async, [&] { return node.kubelet().run("early"); });
    eventually("the ADD", [&] { return node.site.attachments().size() == 1; });
    const std::string early = node.site.attachments()[0]["containerID"];
    Json ours = Json::parse(node.site.node().read(kOurList));
    ours["plugins"][0]["log"] = {{"level", "debug"}};
    node.site.node().write(kOurList, ours.dump());
    node.site.node().write(kLegacyList, renamed_legacy(node.site.node()));
    node.site.let_go("bridge");
    CHECK(running.get() == early);
    const std::string late = node.kubelet().run("late");
    CHECK(Json::parse(node.site.record(early)[0]["list"].get<std::string>())["name"] == "cbr0");
    CHECK(Json::parse(node.site.record(late)[0]["list"].get<std::string>())["name"] == "cbr1");
    CHECK(node.kubelet().status(early).address == "10.244.1.2");
    CHECK(node.kubelet().status(late).address == "10.244.1.100");
    for (const std::string& id : {early, late}) node.kubelet().remove(id);
    for (const std::string& id : {early, late}) CHECK(node.site.calls(id) == kLegacyLife);
    CHECK(node.site.leftovers() == "");
  }

  TEST_CASE("after a reboot DELs without a namespace free what pods of both networks had") {
    const Installed node;
    const std::string legacy = node.kubelet().run("legacy");
    node.set("cilium");
    const std::string second = node.kubelet().run("second");
    node.containerd->reboot([&] { node.site.forget_this_boot(); });
    for (const std::string& id : {legacy, second}) {
      CHECK_FALSE(node.kubelet().status(id).ready);
      CHECK(node.site.record(id).size() == 2);
    }
    const std::string after = node.kubelet().run("after");
    for (const std::string& id : {legacy, second, after}) node.kubelet().remove(id);
    CHECK(node.site.calls(legacy) == kLegacyLife);
    CHECK(node.site.calls(second) == kCiliumLife);
    CHECK(node.site.netns_of_del(legacy) == "none");
    CHECK(node.site.netns_of_del(second) == "none");
    CHECK(node.site.attachments() == Json::array());
    CHECK(node.site.leftovers() == "");
  }

  TEST_CASE("many pods that start and end at once, some of them killed, all have addresses of their own") {
    const Installed node;
    std::vector<std::future<std::string>> starts;
    for (std::size_t i = 0; i < kCrowd; ++i) {
      if (i == kCrowd / 2) node.set("cilium");
      starts.push_back(
          std::async(std::launch::async, [&node, i] { return node.kubelet().run("pod-" + std::to_string(i)); }));
    }
    Strings ids;
    for (auto& start : starts) ids.push_back(start.get());
    std::set<std::string> addresses;
    for (const std::string& id : ids) addresses.insert(node.kubelet().status(id).address);
    CHECK(addresses.size() == kCrowd);
    CHECK(node.site.attachments().size() == kCrowd);
    for (std::size_t i = 0; i < kCrowd; i += 3) {
      REQUIRE(::kill(node.kubelet().status(ids[i]).pid, SIGKILL) == 0);
      eventually("containerd to notice", [&] { return !node.kubelet().status(ids[i]).ready; });
    }
    std::vector<std::future<void>> stops;
    for (const std::string& id : ids)
      stops.push_back(std::async(std::launch::async, [&node, &id] { node.kubelet().remove(id); }));
    for (auto& stop : stops) stop.get();
    CHECK(node.containerd->cri().pods().empty());
    CHECK(node.site.leftovers() == "");
  }
}
