// SPDX-License-Identifier: Apache-2.0
#include "plugin/crossing.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/fakes/machine.h"
#include "tests/plugin/plans.h"

namespace {

using netlink::Link;
using netlink::Route;
using plans::cidr;
using plugin::crossing_links;
using plugin::crossing_mtu;
using plugin::crossing_warnings;
using Strings = std::vector<std::string>;

Link link(std::uint32_t index, const std::string& name, const std::string& kind, std::uint32_t mtu) {
  return {.index = index, .name = name, .kind = kind, .up = true, .mtu = mtu};
}
const std::vector<Link> kLinks = {link(1, "lo", "", 65536), link(2, "eth0", "", 9001),
                                  link(3, "flannel.1", "vxlan", 1450), link(4, "cni0", "bridge", 1450),
                                  link(5, "cilium_host", "veth", 1500)};

Route route(const std::string& dst, std::uint32_t by, std::uint32_t mtu = 0) {
  Route out;
  out.dst = cidr(dst);
  out.link = by;
  out.mtu = mtu;
  out.protocol = 3;
  return out;
}
const std::vector<Route> kMain = {route("0.0.0.0/0", 2), route("10.244.1.0/24", 4), route("10.244.2.0/24", 3),
                                  route("10.245.0.0/24", 5), route("10.245.1.0/24", 5, 1423)};

/// A machine's settings as files.
struct Sysctls {
  fakes::Machine machine;
  void set(const std::string& key, const std::string& value) { machine.write(dir() + "/net/" + key, value + "\n"); }
  [[nodiscard]] std::string dir() const { return machine.dir() + "/sys"; }
  [[nodiscard]] Strings warnings(bool v4, bool v6, const Strings& links) {
    return crossing_warnings(machine.disk, dir(), v4, v6, links);
  }
};

TEST_SUITE_BEGIN("plugin.crossing");

TEST_CASE("the MTU of a crossing is the smallest of the ways into it, a route's own before its link's") {
  CHECK(crossing_mtu(kMain, kLinks, cidr("10.244.0.0/16")) == 1450);
  CHECK(crossing_mtu(kMain, kLinks, cidr("10.245.0.0/16")) == 1423);
  CHECK(crossing_mtu(kMain, kLinks, cidr("10.245.0.0/24")) == 1500);
}

TEST_CASE("without a way inside it is the closest around, and 0 without any") {
  CHECK(crossing_mtu(kMain, kLinks, cidr("10.244.1.128/25")) == 1450);
  CHECK(crossing_mtu(kMain, kLinks, cidr("10.9.0.0/16")) == 9001);
  CHECK(crossing_mtu(kMain, kLinks, cidr("fd00::/56")) == 0);
  CHECK(crossing_mtu({}, kLinks, cidr("10.9.0.0/16")) == 0);
  CHECK(crossing_mtu({route("10.9.0.0/16", 99)}, kLinks, cidr("10.9.0.0/16")) == 0);  // by a link that went
}

TEST_CASE("routes that lead nowhere, and those of other tables, are no ways") {
  Route blackhole = route("10.9.1.0/26", 0);
  blackhole.type = netlink::RouteType::kBlackhole;
  Route elsewhere = route("10.9.2.0/24", 3);
  elsewhere.table = 7;
  const std::vector<Route> main = {route("0.0.0.0/0", 2), blackhole, elsewhere};
  CHECK(crossing_mtu(main, kLinks, cidr("10.9.0.0/16")) == 9001);
  CHECK(crossing_links(main, kLinks, cidr("10.9.0.0/16")).empty());
}

TEST_CASE("the links of a crossing are virtual ones, each once") {
  CHECK(crossing_links(kMain, kLinks, cidr("10.244.0.0/16")) == Strings{"cni0", "flannel.1"});
  CHECK(crossing_links(kMain, kLinks, cidr("10.245.0.0/16")) == Strings{"cilium_host"});
  CHECK(crossing_links(kMain, kLinks, cidr("10.9.0.0/16")).empty());  // the node's own
}

TEST_CASE("forwarding that is off is a warning with its cure, for the families that cross") {
  Sysctls node;
  node.set("ipv4/ip_forward", "0");
  node.set("ipv6/conf/all/forwarding", "0");
  const std::string four = "net.ipv4.ip_forward is 0: no packet goes from one network to the other; set it to 1";
  const std::string six =
      "net.ipv6.conf.all.forwarding is 0: no packet goes from one network to the other; set it to 1";
  CHECK(node.warnings(true, true, {}) == Strings{four, six});
  CHECK(node.warnings(true, false, {}) == Strings{four});
  CHECK(node.warnings(false, true, {}) == Strings{six});
  CHECK(node.warnings(false, false, {}).empty());
  node.set("ipv4/ip_forward", "1");
  node.set("ipv6/conf/all/forwarding", "1");
  CHECK(node.warnings(true, true, {}).empty());
}

TEST_CASE("a reverse path filter, strict or loose, of all links or of one between the networks, is a warning") {
  Sysctls node;
  node.set("ipv4/ip_forward", "1");
  node.set("ipv4/conf/all/rp_filter", "0");
  node.set("ipv4/conf/flannel.1/rp_filter", "1");
  node.set("ipv4/conf/cilium_host/rp_filter", "2");
  node.set("ipv4/conf/cni0/rp_filter", "0");
  const auto of = [](const std::string& link, int value) {
    return "rp_filter of " + link + " is " + std::to_string(value) +
           ": packets between the networks that come in by it are dropped; set net/ipv4/conf/" + link +
           "/rp_filter to 0";
  };
  CHECK(node.warnings(true, true, {"cni0", "flannel.1", "cilium_host", "gone0"}) ==
        Strings{of("flannel.1", 1), of("cilium_host", 2)});
  CHECK(node.warnings(false, true, {"flannel.1"}).empty());  // IPv6 has none
  node.set("ipv4/conf/all/rp_filter", "2");
  CHECK(node.warnings(true, false, {"cni0"}) ==
        Strings{"net.ipv4.conf.all.rp_filter is 2: packets between the networks come back another way and are dropped; "
                "set it to 0"});
}

TEST_CASE("settings that are not there, not readable or no numbers warn of nothing") {
  Sysctls node;
  CHECK(node.warnings(true, true, {"flannel.1"}).empty());
  node.set("ipv4/ip_forward", "");
  node.set("ipv6/conf/all/forwarding", "off");
  node.set("ipv4/conf/all/rp_filter/x", "a folder is there");
  CHECK(node.warnings(true, true, {"flannel.1"}).empty());
}

TEST_SUITE_END();

}  // namespace
