// SPDX-License-Identifier: Apache-2.0
#include "plugin/pods.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/scratch.h"

using netlink::NetnsId;
using plugin::KernelPods;

namespace {

std::string pod_with_eth0(scratch::Host& host, const std::string& name) {
  const std::string pod = host.add_pod(name);
  scratch::ip(pod, "link add eth0 type veth peer name other");
  return pod;
}

std::string links_in(const std::string& pod) { return scratch::ip(pod, "-o link show | wc -l"); }

}  // namespace

TEST_SUITE("plugin.pods") {
  TEST_CASE("a pod's namespace says who it is and whether it has the interface") {
    scratch::Host host;
    const std::string pod = pod_with_eth0(host, "pod");
    const auto with = KernelPods().look(pod, "eth0");
    const auto without = KernelPods().look(pod, "net1");
    REQUIRE(with);
    REQUIRE(without);
    CHECK(std::to_string(with->id.inode) == scratch::sh("stat -c %i " + pod));
    CHECK(with->id == without->id);
    CHECK(with->has_link);
    CHECK_FALSE(without->has_link);
    CHECK_FALSE(with->is_ours);
  }

  TEST_CASE("an interface's addresses are seen, and none where there is no interface or no namespace") {
    scratch::Host host;
    const std::string pod = pod_with_eth0(host, "pod");
    scratch::ip(pod, "addr add 10.9.0.2/24 dev eth0");
    const std::vector<conf::IpPrefix> seen = KernelPods().addresses(pod, "eth0");
    REQUIRE_FALSE(seen.empty());
    CHECK(seen.front().str() == "10.9.0.2/24");
    CHECK(KernelPods().addresses(pod, "net1").empty());
    CHECK(KernelPods().addresses(host.folder().file("absent"), "eth0").empty());
  }

  TEST_CASE("A1.10 our own namespace is told from a pod's") {
    const scratch::Host host;
    const auto ours = KernelPods().look("/proc/self/ns/net", "lo");
    REQUIRE(ours);
    CHECK(ours->is_ours);
    CHECK(ours->has_link);
  }

  TEST_CASE("A1.9 where there is no namespace there is nothing to see and nothing to delete") {
    scratch::Host host;
    const std::string path = host.folder().file("absent");
    CHECK_FALSE(KernelPods().look(path, "eth0").has_value());
    CHECK_FALSE(KernelPods().delete_link(path, {.inode = 1, .cookie = 1}, "eth0"));
  }

  TEST_CASE("a path whose namespace was unmounted is code 8") {
    scratch::Host host;
    const std::string path = host.folder().write("left", "");
    const auto expect = [](const conf::CniError& error, const std::string& place) {
      CHECK(error.code() == 8);
      CHECK(error.details() == place + " is a regular file; if it is empty, the namespace mounted on it is gone");
    };
    expect(scratch::error_of([&] { (void)KernelPods().look(path, "eth0"); }), path);
    expect(scratch::error_of([&] { (void)KernelPods().delete_link(path, {}, "eth0"); }), path);
  }

  TEST_CASE("an interface is deleted once") {
    scratch::Host host;
    const std::string pod = pod_with_eth0(host, "pod");
    const NetnsId id = KernelPods().look(pod, "eth0")->id;
    CHECK(KernelPods().delete_link(pod, id, "eth0"));
    CHECK(links_in(pod) == "1");
    CHECK_FALSE(KernelPods().delete_link(pod, id, "eth0"));
  }

  TEST_CASE("A5.5 in a namespace that has taken the pod's path nothing is deleted") {
    scratch::Host host;
    const std::string pod = pod_with_eth0(host, "pod");
    const std::string stranger = pod_with_eth0(host, "stranger");
    const NetnsId id = KernelPods().look(pod, "eth0")->id;
    CHECK_FALSE(KernelPods().delete_link(stranger, id, "eth0"));
    CHECK(links_in(stranger) == "3");
    SUBCASE("even if it has the old one's inode") {
      NetnsId recycled = KernelPods().look(stranger, "eth0")->id;
      recycled.cookie = id.cookie;
      REQUIRE(id.cookie != 0);
      CHECK_FALSE(KernelPods().delete_link(stranger, recycled, "eth0"));
      CHECK(links_in(stranger) == "3");
    }
  }

  TEST_CASE("on the node itself nothing is ever deleted") {
    const scratch::Host host;
    scratch::sh("ip link add eth0 type veth peer name other");
    const NetnsId ours = KernelPods().look("/proc/self/ns/net", "eth0")->id;
    CHECK_FALSE(KernelPods().delete_link("/proc/self/ns/net", ours, "eth0"));
    CHECK(scratch::sh("ip -o link show | wc -l") == "3");
  }
}
