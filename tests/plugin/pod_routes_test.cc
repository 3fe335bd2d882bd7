// SPDX-License-Identifier: Apache-2.0
#include "plugin/pod_routes.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "plugin/attachment.h"
#include "tests/fakes/fib.h"
#include "tests/plugin/plans.h"
#include "tests/support/refusal.h"

namespace {

using conf::Settings;
using netlink::Route;
using plans::addr;
using plans::cidr;
using plans::settings;
using plugin::Network;
using plugin::PodRoute;
using plugin::PodRoutesWanted;
using PodRoutes = std::vector<PodRoute>;
using Strings = std::vector<std::string>;

const std::vector<conf::IpPrefix> kBothFamilies = {cidr("10.244.1.5/24"), cidr("fd00:244::5/64")};
const std::vector<conf::IpPrefix> kFourOnly = {cidr("10.244.1.5/24")};

PodRoute to(const std::string& dst, std::uint32_t mtu) { return {.dst = cidr(dst), .mtu = mtu}; }

/// What is wanted of a node on which each destination has this MTU.
PodRoutesWanted wanted(const Settings& asked, Network network, const std::vector<conf::IpPrefix>& addresses,
                       const std::map<std::string, std::uint32_t>& mtus = {}) {
  return plugin::pod_routes(asked, network, addresses, [&](const conf::IpPrefix& dst) {
    const auto found = mtus.find(dst.str());
    return found == mtus.end() ? 0U : found->second;
  });
}

const Settings kDual = settings({"10.244.0.0/16", "fd00:244::/56"}, {"10.245.0.0/16", "fd00:245::/56"});

/// A pod's namespace with eth0 and a default route of each family.
struct Pod {
  fakes::FakeFib fib;
  std::uint32_t eth0 = fib.add_link("eth0", "veth", 1450);
  std::vector<std::string> notes;

  Pod() {
    add_default("0.0.0.0/0", "10.244.1.1", 0);
    add_default("::/0", "fd00:244::1", 1024);
  }
  Route& add_default(const std::string& dst, const std::string& via, std::uint32_t metric) {
    Route out;
    out.dst = cidr(dst);
    out.via = addr(via);
    out.link = eth0;
    out.metric = metric;
    out.protocol = 3;
    return fib.state.routes.emplace_back(out);
  }
  PodRoutes add(const PodRoutes& routes, bool derived = false) {
    notes.clear();
    return plugin::add_pod_routes(fib, "eth0", {.routes = routes, .derived = derived}, notes);
  }
  [[nodiscard]] Strings problems(const PodRoutes& routes) { return plugin::pod_route_problems(fib, "eth0", routes); }
  /// Those that are ours.
  [[nodiscard]] Strings ours() const {
    Strings out;
    for (const Route& route : fib.state.routes)
      if (route.protocol == netlink::kOurProtocol) out.push_back(route.str("eth0"));
    return out;
  }
};

TEST_SUITE_BEGIN("plugin.pod_routes");

TEST_CASE("under auto a pod gets routes to the other network, with the MTU of the crossing") {
  const std::map<std::string, std::uint32_t> mtus = {
      {"10.244.0.0/16", 1450}, {"10.245.0.0/16", 1423}, {"fd00:245::/56", 1403}};
  const PodRoutesWanted legacy = wanted(kDual, Network::kLegacy, kBothFamilies, mtus);
  CHECK(legacy.derived);
  CHECK(legacy.routes == PodRoutes{to("10.245.0.0/16", 1423), to("fd00:245::/56", 1403)});
  CHECK(wanted(kDual, Network::kCilium, kBothFamilies, mtus).routes == PodRoutes{to("10.244.0.0/16", 1450)});
  CHECK(wanted(kDual, Network::kLegacy, kFourOnly, mtus).routes == PodRoutes{to("10.245.0.0/16", 1423)});
  CHECK(wanted(kDual, Network::kLegacy, {}, mtus).routes.empty());
}

TEST_CASE("nothing is derived of an unknown MTU, without CIDRs of both, or under another profile") {
  CHECK(wanted(kDual, Network::kLegacy, kBothFamilies).routes.empty());
  const std::map<std::string, std::uint32_t> mtus = {{"10.245.0.0/16", 1423}};
  CHECK(wanted(settings({}, {"10.245.0.0/16"}), Network::kLegacy, kFourOnly, mtus).routes.empty());
  CHECK(wanted(settings({"10.244.0.0/16"}, {}), Network::kLegacy, kFourOnly, mtus).routes.empty());
  for (const conf::Profile profile : {conf::Profile::kOverlay, conf::Profile::kAwsVpcCni, conf::Profile::kNone}) {
    Settings asked = kDual;
    asked.coexistence.profile = profile;
    CHECK(wanted(asked, Network::kLegacy, kFourOnly, mtus).routes.empty());
  }
}

TEST_CASE("routes of the configuration are for pods of the network that does not own them, under every profile") {
  Settings asked = kDual;
  asked.coexistence.pod_routes = {to("10.244.0.0/16", 1400), to("10.245.0.0/16", 1380), to("fd00:245::/56", 1360),
                                  to("172.20.0.0/16", 1300)};
  for (const conf::Profile profile : {conf::Profile::kAuto, conf::Profile::kNone}) {
    asked.coexistence.profile = profile;
    const PodRoutesWanted legacy = wanted(asked, Network::kLegacy, kBothFamilies, {{"10.245.0.0/16", 1423}});
    CHECK_FALSE(legacy.derived);
    CHECK(legacy.routes == PodRoutes{to("10.245.0.0/16", 1380), to("fd00:245::/56", 1360), to("172.20.0.0/16", 1300)});
    CHECK(wanted(asked, Network::kLegacy, kFourOnly).routes ==
          PodRoutes{to("10.245.0.0/16", 1380), to("172.20.0.0/16", 1300)});
    CHECK(wanted(asked, Network::kCilium, {cidr("10.245.3.3/32")}).routes ==
          PodRoutes{to("10.244.0.0/16", 1400), to("172.20.0.0/16", 1300)});
  }
}

TEST_CASE("without CIDRs the pod's own address tells its network") {
  Settings asked = settings({}, {});
  asked.coexistence.pod_routes = {to("10.244.0.0/16", 1400), to("10.245.0.0/16", 1380)};
  CHECK(wanted(asked, Network::kLegacy, kFourOnly).routes == PodRoutes{to("10.245.0.0/16", 1380)});
}

TEST_CASE("a route goes along the pod's default path, as ours, with its MTU") {
  Pod pod;
  const PodRoutes routes = {to("10.245.0.0/16", 1400), to("fd00:245::/56", 1380)};
  CHECK(pod.add(routes) == routes);
  CHECK(pod.notes.empty());
  CHECK(pod.ours() == Strings{"10.245.0.0/16 via 10.244.1.1 dev eth0 proto 157 mtu 1400",
                              "fd00:245::/56 via fd00:244::1 dev eth0 proto 157 metric 1024 mtu 1380"});
  CHECK(pod.problems(routes).empty());
}

TEST_CASE("the path is that of the smallest metric by this interface, its source and onlink included") {
  Pod pod;
  pod.fib.state.routes.clear();
  const std::uint32_t net1 = pod.fib.add_link("net1", "veth", 1500);
  pod.add_default("0.0.0.0/0", "10.99.0.1", 0).link = net1;
  pod.add_default("0.0.0.0/0", "10.244.1.2", 200);
  Route& best = pod.add_default("0.0.0.0/0", "169.254.1.1", 100);
  best.onlink = true;
  best.src = addr("10.244.1.5");
  CHECK(pod.add({to("10.245.0.0/16", 1400)}).size() == 1);
  CHECK(pod.ours() == Strings{"10.245.0.0/16 via 169.254.1.1 dev eth0 proto 157 src 10.244.1.5 onlink mtu 1400"});
  CHECK(pod.problems({to("10.245.0.0/16", 1400)}).empty());
}

TEST_CASE("a derived route is only made where the pod would send larger packets") {
  const PodRoutes same = {to("10.245.0.0/16", 1450)};
  const PodRoutes smaller = {to("10.245.0.0/16", 1449)};
  Pod pod;
  CHECK(pod.add(same, true).empty());
  CHECK(pod.notes.empty());
  CHECK(pod.add(smaller, true) == smaller);
  Pod by_route;  // the default route's own MTU counts before its link's
  by_route.fib.state.routes[0].mtu = 1400;
  CHECK(by_route.add(smaller, true).empty());
  Pod asked;  // one of the configuration is made as it says
  CHECK(asked.add(same) == same);
}

TEST_CASE("a pod without the interface or without a default route gets none, and it is said") {
  Pod pod;
  std::erase_if(pod.fib.state.routes, [](const Route& route) { return route.dst == cidr("::/0"); });
  CHECK(pod.add({to("fd00:245::/56", 1380), to("10.245.0.0/16", 1400)}) == PodRoutes{to("10.245.0.0/16", 1400)});
  CHECK(pod.notes == Strings{"no route to fd00:245::/56 in the pod: it has no default route by eth0"});
  pod.fib.delete_link("eth0");
  CHECK(pod.add({to("10.245.0.0/16", 1400)}).empty());
  CHECK(pod.notes == Strings{"no routes to the other network: the pod has no eth0"});
  CHECK(pod.add({}).empty());
  CHECK(pod.notes.empty());
}

TEST_CASE("a route that is there already is ours if it is the same, else it stays and is said") {
  Pod pod;
  const PodRoutes routes = {to("10.245.0.0/16", 1400)};
  CHECK(pod.add(routes) == routes);
  CHECK(pod.add(routes) == routes);
  CHECK(pod.ours().size() == 1);
  CHECK(pod.add({to("10.245.0.0/16", 1300)}).empty());
  CHECK(pod.notes == Strings{"no route to 10.245.0.0/16 in the pod: File exists"});
  CHECK(pod.ours().size() == 1);
}

TEST_CASE("an answer that was lost is looked for, what the kernel refuses is said") {
  const PodRoutes routes = {to("10.245.0.0/16", 1400)};
  Pod done;
  done.fib.fail({.error = ENOBUFS, .after_effect = true});
  CHECK(done.add(routes) == routes);
  Pod lost;
  lost.fib.fail({.error = ENOBUFS});
  CHECK(lost.add(routes).empty());
  CHECK(lost.notes == Strings{"no route to 10.245.0.0/16 in the pod: No buffer space available"});
  Pod refused;
  refused.fib.fail({.error = ENETUNREACH});
  CHECK(refused.add(routes).empty());
  CHECK(refused.notes == Strings{"no route to 10.245.0.0/16 in the pod: Network is unreachable"});
}

TEST_CASE("CHECK is exact: another MTU, another way, another owner or nothing is a problem") {
  const PodRoutes routes = {to("10.245.0.0/16", 1400)};
  const Strings problem = {"route to 10.245.0.0/16 with mtu 1400 along the default route of eth0"};
  for (int harm = 0; harm < 5; ++harm) {
    CAPTURE(harm);
    Pod pod;
    REQUIRE(pod.add(routes) == routes);
    CHECK(pod.problems(routes).empty());
    Route& made = pod.fib.state.routes.back();
    if (harm == 0) made.mtu = 1500;
    if (harm == 1) made.via = addr("10.244.1.9");
    if (harm == 2) made.protocol = 4;
    if (harm == 3) pod.fib.state.routes.pop_back();
    if (harm == 4) pod.fib.delete_link("eth0");
    CHECK(pod.problems(routes) == problem);
  }
  Pod pod;
  CHECK(pod.problems({}).empty());
  CHECK(pod.fib.calls == fakes::FibCalls{});
}

TEST_CASE("records keep routes as text, and what is no such text is none") {
  const PodRoutes routes = {to("10.245.0.0/16", 1400), to("fd00:245::/56", 1380)};
  const std::string text = R"([{"dst":"10.245.0.0/16","mtu":1400},{"dst":"fd00:245::/56","mtu":1380}])";
  CHECK(plugin::pod_routes_text(routes) == text);
  CHECK(plugin::parse_pod_routes(text) == routes);
  for (
      const std::string broken :
      {"", "{", "{}", "7", R"([7,{"dst":"10.245.0.0/16"},{"mtu":7},{"dst":7,"mtu":7},{"dst":"x","mtu":7}])",
       R"([{"dst":"10.245.0.0/16","mtu":-1},{"dst":"10.245.0.0/16","mtu":"7"},{"dst":"10.245.0.0/16","mtu":4294968696}])"})
    CHECK(plugin::parse_pod_routes(broken).empty());
}

TEST_CASE("a record's result line holds the routes, and gives them back") {
  plugin::Attachment attachment;
  attachment.id = {.container_id = "5fc10b", .ifname = "eth0"};
  attachment.list = conf::parse_list(R"({"name":"a","plugins":[{"type":"ptp"}]})", "x");
  attachment.result = "{}";
  CHECK(plugin::record_text(attachment).find("podRoutes") == std::string::npos);
  CHECK(plugin::parse_record(plugin::record_text(attachment), "x").value().pod_routes.empty());
  attachment.pod_routes = {to("10.245.0.0/16", 1400)};
  const std::string text = plugin::record_text(attachment);
  CHECK(text.find(R"("podRoutes":"[{\"dst\":\"10.245.0.0/16\",\"mtu\":1400}]")") != std::string::npos);
  CHECK(plugin::parse_record(text, "x").value().pod_routes == attachment.pod_routes);
}

TEST_SUITE_END();

}  // namespace
