// SPDX-License-Identifier: Apache-2.0
#include "netlink/fib.h"

#include <doctest/doctest.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/fakes/fib.h"
#include "tests/netlink/fib_samples.h"
#include "tests/support/scratch.h"

using conf::Family;
using conf::IpAddr;
using conf::IpPrefix;
using netlink::Fib;
using netlink::KernelFib;
using netlink::kOurProtocol;
using netlink::Link;
using netlink::Route;
using netlink::RouteFilter;
using netlink::RouteType;
using netlink::Rule;
using samples::kOurs;
using samples::kStranger;
using samples::kStrangers;
using samples::made_rules;
using samples::route;
using samples::rule;
using samples::with_metric;
using samples::with_protocol;

namespace {

/// The same story against the kernel, in a namespace with the link "v0" (10.0.0.1/24, fd00::1/64), and against the
/// fake.
void both(const std::function<void(Fib&, std::uint32_t link)>& story) {
  SUBCASE("the kernel") {
    const scratch::Host host;
    scratch::sh(
        "ip link set lo up; ip link add v0 mtu 1450 type veth peer name v1; ip link set v0 up; ip link set v1 up;"
        "ip addr add 10.0.0.1/24 dev v0; ip addr add fd00::1/64 dev v0 nodad");
    KernelFib fib;
    story(fib, fib.link("v0").value().index);
  }
  SUBCASE("in memory") {
    fakes::FakeFib fib;
    fib.state.links[0].up = true;
    const std::uint32_t link = fib.add_link("v0", "veth", 1450);
    fib.add_address(link, "10.0.0.1/24");
    fib.add_address(link, "fd00::1/64");
    story(fib, link);
  }
}

}  // namespace

TEST_SUITE("netlink.fib") {
  TEST_CASE("a rule is there once, whoever else has one like it") {
    both([](Fib& fib, std::uint32_t) {
      const Rule ours = rule(900, "10.245.0.0/16");
      const Rule theirs = with_protocol(ours, kStranger);
      CHECK(fib.add(theirs).ok());
      CHECK(fib.add(ours).ok());  // with another protocol it is another rule
      CHECK(fib.add(ours).error == EEXIST);
      CHECK(made_rules(fib) == std::vector<Rule>{theirs, ours});  // behind those of its priority
      CHECK(fib.remove(ours).ok());
      CHECK(fib.remove(ours).error == ENOENT);
      CHECK(made_rules(fib) == std::vector<Rule>{theirs});
    });
  }

  TEST_CASE("a rule that suppresses something else is another rule, and is taken for one without") {
    both([](Fib& fib, std::uint32_t) {
      const Rule plain = rule(900, "10.245.0.0/16");
      Rule suppressing = plain;
      suppressing.suppress_prefix_length = 0;
      Rule other = plain;
      other.suppress_prefix_length = 8;
      for (const Rule& one : {suppressing, plain, other}) CHECK(fib.add(one).ok());
      for (const Rule& one : {suppressing, plain, other}) CHECK(fib.add(one).error == EEXIST);
      CHECK(fib.remove(other).ok());
      CHECK(fib.remove(other).error == ENOENT);
      CHECK(fib.remove(plain).ok());
      CHECK(made_rules(fib) == std::vector<Rule>{plain});  // not the one that was meant
    });
  }

  TEST_CASE("rules of both families are listed in the order of evaluation, IPv4's first") {
    both([](Fib& fib, std::uint32_t) {
      Rule six = rule(904, "fd00:245::/56");
      six.suppress_prefix_length = 127;
      Rule from = rule(105, "10.244.0.0/16");
      from.from = IpPrefix::parse("10.245.3.0/24");
      from.iif = "lo";
      from.mark = 0x80;
      from.mark_mask = 0xff;
      from.table = 30000;
      const Rule late = rule(905, "10.0.0.0/8");
      for (const Rule& one : {six, late, from, rule(900, "10.245.0.0/16")}) CHECK(fib.add(one).ok());
      CHECK(made_rules(fib) == std::vector<Rule>{from, rule(900, "10.245.0.0/16"), late, six});
      std::vector<std::string> kernels;
      for (const Rule& one : fib.rules())
        if (one.protocol == RTPROT_KERNEL) kernels.push_back(one.str());
      CHECK(kernels ==
            std::vector<std::string>{"0: from all lookup local proto 2", "32766: from all lookup main proto 2",
                                     "32767: from all lookup default proto 2", "0: from all lookup local proto 2",
                                     "32766: from all lookup main proto 2"});
      CHECK(fib.remove(from).ok());
      CHECK(fib.remove(six).ok());
      CHECK(made_rules(fib) == std::vector<Rule>{rule(900, "10.245.0.0/16"), late});
    });
  }

  TEST_CASE("a deletion takes the first rule that has all that it says") {
    both([](Fib& fib, std::uint32_t) {
      Rule narrow = rule(900, "10.245.0.0/16");
      narrow.from = IpPrefix::parse("10.244.0.0/16");
      const Rule wide = rule(900, "10.245.0.0/16");
      CHECK(fib.add(wide).ok());
      CHECK(fib.remove(wide).ok());
      CHECK(fib.add(narrow).ok());
      CHECK(fib.add(wide).error == EEXIST);  // to the kernel, what it leaves out fits any
      CHECK(fib.add(with_protocol(wide, kStranger)).ok());
      Rule elsewhere = wide;
      elsewhere.table = 30000;
      CHECK(fib.remove(elsewhere).error == ENOENT);
      CHECK(fib.remove(rule(901, "10.245.0.0/16")).error == ENOENT);
      CHECK(fib.remove(rule(900, "10.246.0.0/16")).error == ENOENT);
      CHECK(fib.remove(with_protocol(wide, kStranger + 1)).error == ENOENT);
      CHECK(fib.remove(wide).ok());
      CHECK(made_rules(fib) == std::vector<Rule>{with_protocol(wide, kStranger)});
      CHECK(fib.add(wide).ok());
      CHECK(fib.add(narrow).ok());
      CHECK(fib.remove(narrow).ok());
      CHECK(made_rules(fib) == std::vector<Rule>{with_protocol(wide, kStranger), wide});
    });
  }

  TEST_CASE("a route is there once, and nobody's is replaced") {
    both([](Fib& fib, std::uint32_t link) {
      const Route theirs = with_protocol(route("10.245.0.0/16", link), kStranger);
      Route ours = route("10.245.0.0/16", link);
      ours.mtu = 1400;
      CHECK(fib.add(theirs).ok());
      CHECK(fib.add(ours).error == EEXIST);  // other protocol, other MTU: the same place
      CHECK(fib.routes(kOurs).empty());
      CHECK(fib.add(with_metric(ours, 50)).ok());
      CHECK(fib.routes(kOurs) == std::vector<Route>{with_metric(ours, 50)});
      CHECK(fib.routes(kStrangers) == std::vector<Route>{theirs});
      CHECK(fib.remove(with_protocol(theirs, kOurProtocol)).ok());  // without a metric it fits any of ours
      CHECK(fib.remove(ours).error == ESRCH);
      CHECK(fib.routes(kStrangers) == std::vector<Route>{theirs});
      CHECK(fib.remove(theirs).ok());
    });
  }

  TEST_CASE("a route says what it was told: gateway, on-link, MTU, source, metric, table") {
    both([](Fib& fib, std::uint32_t link) {
      Route four = route("10.245.0.0/16", link, 4'000'000'001);
      four.via = IpAddr::parse("10.99.0.1");
      four.onlink = true;
      four.mtu = 1400;
      four.metric = 7;
      four.src = IpAddr::parse("10.0.0.1");
      four.scope = netlink::scope_for(four);
      Route six = route("fd00:245::/56", link);
      six.via = IpAddr::parse("fd00::9");
      six.mtu = 1400;
      six.src = IpAddr::parse("fd00::1");
      Route by_six = route("10.246.0.0/16", link);
      by_six.via = IpAddr::parse("fe80::1");
      by_six.scope = netlink::scope_for(by_six);
      for (const Route& one : {four, six, by_six}) CHECK(fib.add(one).ok());
      std::vector<Route> expected{four, by_six, with_metric(six, netlink::kDefaultMetric6)};
      std::vector<Route> found = fib.routes(kOurs);
      REQUIRE(found.size() == 3);
      if (found[0].table == 30000) std::swap(found[0], found[1]);  // tables come in no order
      CHECK(found == expected);
      for (const Route& one : expected) {
        CHECK(fib.remove(with_protocol(one, kStranger)).error == ESRCH);
        CHECK(fib.remove(one).ok());
        CHECK(fib.remove(one).error == ESRCH);
      }
    });
  }

  TEST_CASE("a route's deletion is exact about what it names") {
    both([](Fib& fib, std::uint32_t link) {
      Route there = route("10.245.0.0/16", link);
      there.via = IpAddr::parse("10.0.0.9");
      there.mtu = 1400;
      there.scope = netlink::scope_for(there);
      CHECK(fib.add(there).ok());
      const auto changed = [&there](const std::function<void(Route&)>& change) {
        Route other = there;
        change(other);
        return other;
      };
      for (const Route& other :
           {changed([](Route& one) { one.table = 30001; }), changed([](Route& one) { one.dst.prefix_len = 17; }),
            changed([](Route& one) { one.via = IpAddr::parse("10.0.0.8"); }), changed([](Route& one) { one.link = 1; }),
            changed([](Route& one) { one.metric = 5; }), changed([](Route& one) { one.mtu = 1300; }),
            changed([](Route& one) { one.scope = RT_SCOPE_LINK; }),
            changed([](Route& one) { one.type = RouteType::kBlackhole; }),
            changed([](Route& one) { one.src = IpAddr::parse("10.0.0.1"); })}) {
        CAPTURE(other.str());
        CHECK(fib.remove(other).error == ESRCH);
      }
      CHECK(fib.remove(there).ok());
    });
  }

  TEST_CASE("a deletion without a metric takes the lowest") {
    both([](Fib& fib, std::uint32_t link) {
      const Route ours = route("10.245.0.0/16", link);
      CHECK(fib.add(with_metric(ours, 9)).ok());
      CHECK(fib.add(with_metric(ours, 4)).ok());
      CHECK(fib.remove(ours).ok());
      CHECK(fib.routes(kOurs) == std::vector<Route>{with_metric(ours, 9)});
      CHECK(fib.add(ours).ok());
      CHECK(fib.remove(ours).ok());
      CHECK(fib.routes(kOurs) == std::vector<Route>{with_metric(ours, 9)});
    });
  }

  TEST_CASE("IPv6 has no metric 0, and leads nowhere by lo") {
    both([](Fib& fib, std::uint32_t link) {
      const Route ours = route("fd00:245::/56", link);
      CHECK(fib.add(ours).ok());
      CHECK(fib.add(with_metric(ours, netlink::kDefaultMetric6)).error == EEXIST);
      CHECK(fib.routes(kOurs) == std::vector<Route>{with_metric(ours, netlink::kDefaultMetric6)});
      CHECK(fib.remove(ours).ok());
      for (const char* dst : {"10.245.0.0/16", "fd00:245::/56"}) {
        Route nowhere = route(dst, 0);
        nowhere.type = RouteType::kBlackhole;
        nowhere.scope = netlink::scope_for(nowhere);
        CHECK(fib.add(nowhere).ok());
        const std::vector<Route> found = fib.routes(kOurs);
        REQUIRE(found.size() == 1);
        CHECK(found[0].type == RouteType::kBlackhole);
        CHECK(found[0].link == (found[0].dst.addr.family == Family::kIpv4 ? 0 : fib.link("lo")->index));
        CHECK(fib.remove(found[0]).ok());
      }
    });
  }

  TEST_CASE("only the routes that are asked for are given") {
    both([](Fib& fib, std::uint32_t link) {
      const Route four = route("10.245.0.0/16", link);
      const Route six = with_metric(route("fd00:245::/56", link), 5);
      const Route theirs = with_protocol(route("10.246.0.0/16", link), kStranger);
      const Route in_main = route("10.247.0.0/16", link, netlink::kMainTable);
      for (const Route& one : {four, six, theirs, in_main}) CHECK(fib.add(one).ok());
      CHECK(fib.routes({.family = {}, .table = 30000, .protocol = {}}) == std::vector<Route>{four, theirs, six});
      CHECK(fib.routes({.family = Family::kIpv4, .table = 30000, .protocol = kOurProtocol}) ==
            std::vector<Route>{four});
      CHECK(fib.routes({.family = Family::kIpv6, .table = 30000, .protocol = {}}) == std::vector<Route>{six});
      CHECK(fib.routes({.family = {}, .table = netlink::kMainTable, .protocol = kOurProtocol}) ==
            std::vector<Route>{in_main});
      // A table that is not there is an empty one, though the kernel says that it is an error.
      for (const auto family : {std::optional<Family>(), std::optional(Family::kIpv4), std::optional(Family::kIpv6)})
        CHECK(fib.routes({.family = family, .table = 4711, .protocol = {}}).empty());
    });
  }

  TEST_CASE("a route by a link that is not there is refused") {
    both([](Fib& fib, std::uint32_t link) {
      CHECK(fib.add(route("10.245.0.0/16", link + 100)).error == ENODEV);
      CHECK(fib.add(route("fd00:245::/56", link + 100)).error == ENODEV);
      CHECK(fib.routes(kOurs).empty());
    });
  }

  TEST_CASE("links and addresses are listed, and a link is found by its name") {
    both([](Fib& fib, std::uint32_t link) {
      const Link v0{.index = link, .name = "v0", .kind = "veth", .up = true, .mtu = 1450};
      CHECK(fib.link("v0") == v0);
      CHECK_FALSE(fib.link("v7").has_value());
      const std::vector<Link> links = fib.links();
      CHECK(std::count(links.begin(), links.end(), v0) == 1);
      CHECK(links.front() == Link{.index = 1, .name = "lo", .kind = "", .up = true, .mtu = 65536});
      std::set<std::string> addresses;
      for (const netlink::LinkAddress& one : fib.addresses())
        if (one.link == link) addresses.insert(one.address.str());
      CHECK(addresses.count("10.0.0.1/24") == 1);
      CHECK(addresses.count("fd00::1/64") == 1);
    });
  }

  TEST_CASE("in memory, the change that is to fail does, before or after its work") {
    fakes::FakeFib fib;
    using What = fakes::FibFault::What;
    fib.fail({.error = EPERM, .what = What::kAddRule, .nth = 2, .times = 1, .after_effect = false});
    fib.fail({.error = ENOBUFS, .what = What::kRemoveRule, .nth = 1, .times = 1, .after_effect = true});
    fib.fail({.error = EOPNOTSUPP, .what = What::kAddRoute, .nth = 1, .times = 0, .after_effect = false});
    CHECK(fib.add(rule(900, "10.1.0.0/16")).ok());
    CHECK(fib.add(rule(901, "10.2.0.0/16")).error == EPERM);
    CHECK(fib.add(rule(902, "10.3.0.0/16")).ok());
    CHECK(fib.remove(rule(900, "10.1.0.0/16")).error == ENOBUFS);
    CHECK(made_rules(fib) == std::vector<Rule>{rule(902, "10.3.0.0/16")});
    for (int i = 0; i < 3; ++i) CHECK(fib.add(route("10.1.0.0/16", 1)).error == EOPNOTSUPP);
    CHECK(fib.calls.changes == 7);
    fib.clear_faults();
    CHECK(fib.add(route("10.1.0.0/16", 1)).ok());
  }

  TEST_CASE("in memory, a competitor's changes come before ours and are not counted") {
    fakes::FakeFib fib;
    const Rule ours = rule(900, "10.1.0.0/16");
    fib.before_change = [&] { CHECK(fib.add(ours).ok()); };
    CHECK(fib.add(ours).error == EEXIST);
    fib.before_change = nullptr;
    fib.before_look = [&] { CHECK(fib.remove(ours).ok()); };
    CHECK(made_rules(fib).empty());
    CHECK(
        fib.calls ==
        fakes::FibCalls{
            .rule_dumps = 1, .route_dumps = 0, .address_dumps = 0, .link_dumps = 0, .link_requests = 0, .changes = 1});
  }

  TEST_CASE("in memory, a link takes its routes and addresses along, and no rule") {
    fakes::FakeFib fib;
    const std::uint32_t link = fib.add_link("v0");
    fib.add_address(link, "10.0.0.1/24");
    CHECK(fib.add(route("10.1.0.0/16", link)).ok());
    CHECK(fib.add(rule(900, "10.1.0.0/16")).ok());
    fib.delete_link("v0");
    CHECK(fib.routes(kOurs).empty());
    CHECK(fib.addresses().empty());
    CHECK(made_rules(fib).size() == 1);
  }
}
