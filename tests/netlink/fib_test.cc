// SPDX-License-Identifier: Apache-2.0
#include "netlink/fib.h"

#include <doctest/doctest.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "netlink/message.h"
#include "netlink/netns.h"
#include "tests/fakes/fib.h"
#include "tests/netlink/hex.h"
#include "tests/support/scratch.h"

using conf::Family;
using conf::IpAddr;
using conf::IpPrefix;
using netlink::Ack;
using netlink::Fib;
using netlink::KernelFib;
using netlink::kOurProtocol;
using netlink::Link;
using netlink::Route;
using netlink::RouteFilter;
using netlink::RouteType;
using netlink::Rule;

namespace {

constexpr std::uint8_t kStranger = 80;
const RouteFilter kOurs{.family = {}, .table = {}, .protocol = kOurProtocol};
const RouteFilter kStrangers{.family = {}, .table = {}, .protocol = kStranger};

Rule rule(std::uint32_t priority, const std::string& to, std::uint8_t protocol = kOurProtocol) {
  Rule made;
  made.priority = priority;
  made.to = IpPrefix::parse(to).value();
  made.family = made.to->addr.family;
  made.protocol = protocol;
  return made;
}

Route route(const std::string& dst, std::uint32_t link, std::uint32_t table = 30000) {
  Route made;
  made.dst = IpPrefix::parse(dst).value();
  made.link = link;
  made.table = table;
  made.scope = netlink::scope_for(made);
  return made;
}

template <typename T>
T with_protocol(T made, std::uint8_t protocol) {
  made.protocol = protocol;
  return made;
}

/// As it is read back.
Route with_metric(Route made, std::uint32_t metric) {
  made.metric = metric;
  return made;
}

/// Without the kernel's own.
std::vector<Rule> made_rules(Fib& fib) {
  std::vector<Rule> rules = fib.rules();
  std::erase_if(rules, [](const Rule& one) { return one.protocol == RTPROT_KERNEL; });
  return rules;
}

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

/// `ip route` of all tables, sorted; without what says nothing about the route itself.
std::vector<std::string> lines_of_ip() {
  std::istringstream text(scratch::sh(
      "ip route show table all | sed -E 's/ (pref medium|linkdown|error -[0-9]+|metric 0)\\b//g; s/ +$//'"));
  std::vector<std::string> out;
  for (std::string line; std::getline(text, line);) out.push_back(line);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> lines_of(KernelFib& fib) {
  std::map<std::uint32_t, std::string> names;
  for (const Link& link : fib.links()) names[link.index] = link.name;
  std::vector<std::string> out;
  for (const Route& one : fib.routes({})) out.push_back(one.str(names[one.link]));
  std::sort(out.begin(), out.end());
  return out;
}

/// Runs `script` for `ip -batch`.
void batch(const scratch::Host& host, const std::string& script, const std::string& family = "-4") {
  scratch::sh("ip " + family + " -batch " + host.folder().write("batch", script));
}

constexpr unsigned kRounds = 300;

/// Another process that does `work` again and again until the end of the scope.
class Meanwhile {
 public:
  explicit Meanwhile(const std::function<void(unsigned round)>& work) : pid_(::fork()) {
    if (pid_ != 0) return;
    for (unsigned round = 0; round < kRounds; ++round) work(round);
    ::_exit(0);
  }
  Meanwhile(const Meanwhile&) = delete;
  Meanwhile& operator=(const Meanwhile&) = delete;
  ~Meanwhile() {
    (void)::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] bool is_over() const {
    siginfo_t state{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WNOHANG | WNOWAIT) == 0 && state.si_pid == pid_;
  }

 private:
  pid_t pid_;
};

void breathe() { (void)::usleep(1000); }

/// The first half of the rounds adds what `make` makes, the second takes it away. Nothing comes and goes within two
/// lists, so that two that are the same are whole however slow this machine is.
template <typename Make>
void come_and_go(KernelFib& fib, unsigned round, Make make) {
  constexpr unsigned kHalf = kRounds / 2;
  if (round < kHalf)
    (void)fib.add(make(round));
  else
    (void)fib.remove(make(round - kHalf));
  breathe();
}

/// RTM_NEWADDR or RTM_DELADDR of 10.6.0.1/32 on "lo".
void change_address(std::uint16_t type, int flags) {
  static netlink::Socket socket = netlink::Socket::open(NETLINK_ROUTE);
  ifaddrmsg header{};
  header.ifa_family = 2;
  header.ifa_prefixlen = 32;
  header.ifa_index = 1;
  netlink::MessageWriter writer;
  writer.begin(type, flags, std::as_bytes(std::span(&header, 1)));
  writer.bytes(IFA_LOCAL, hex::bytes("0a060001"));
  std::vector<std::byte> message = writer.take();
  (void)socket.request(message);
}

/// Lists while `work` goes on beside, and judges each list that came. Those that never settled are code 11.
template <typename Look, typename Judge>
void look_meanwhile(const std::function<void(unsigned)>& work, Look look, Judge judge) {
  const Meanwhile meanwhile(work);
  unsigned lists = 0;
  for (unsigned i = 0; i < 2000 && !meanwhile.is_over(); ++i) {
    try {
      judge(look());
      ++lists;
    } catch (const conf::CniError& error) {
      REQUIRE(error.code() == 11);
    }
  }
  CHECK(lists > 0);
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

  TEST_CASE("routes that ip made are read as ip prints them") {
    const scratch::Host host;
    scratch::sh(
        "ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up;"
        "ip addr add 10.0.0.1/24 dev v0; ip addr add fd00::1/64 dev v0 nodad");
    // As Calico, flannel, Cilium and the AWS VPC CNI leave them.
    batch(host,
          "route add 10.244.7.9 dev v0 scope link\n"
          "route add blackhole 10.244.7.0/26 proto 80\n"
          "route add 10.244.8.64/26 via 10.244.8.64 dev v0 proto 80 onlink mtu 1450\n"
          "route add 10.245.0.90 dev v0 proto kernel scope link\n"
          "route add 10.245.1.0/24 via 10.0.0.5 dev v0 proto kernel src 10.0.0.1 mtu 1400\n"
          "route add local 0.0.0.0/0 dev lo table 2004 proto kernel\n"
          "route add default via 10.0.0.3 dev v0 table 11 metric 100\n"
          "route add default via inet6 fe80::1 dev v0 proto static\n"
          "route add throw 10.3.0.0/24 proto dhcp\n"
          "route add unreachable 10.4.0.0/24 table 1000000 metric 4294967295\n"
          "route add prohibit 10.5.0.0/24 proto bird\n");
    batch(host,
          "route add fd00:245::/56 via fd00::5 dev v0 proto 157 mtu 1400 src fd00::1\n"
          "route add default via fe80::1 dev v0 table 30000 metric 3\n"
          "route add blackhole fd00:9::/64 proto 80\n"
          "route add unreachable fd00:a::/64\n",
          "-6");
    KernelFib fib;
    const std::vector<std::string> found = lines_of(fib);
    CHECK(found == lines_of_ip());
    CHECK(found.size() > 20);
  }

  TEST_CASE("routes of ip's that we do not know in full say so") {
    const scratch::Host host;
    scratch::sh(
        "ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up; ip addr add 10.0.0.1/24 dev v0");
    batch(host,
          "nexthop add id 5 via 10.0.0.9 dev v0\n"
          "route add 10.1.0.0/24 nhid 5\n"
          "route add 10.2.0.0/24 nexthop via 10.0.0.3 nexthop via 10.0.0.4\n"
          "route add 10.3.0.0/24 encap ip id 5 dst 192.0.2.1 dev v0\n"
          "route add 10.4.0.0/24 via 10.0.0.3 mtu lock 1400\n"
          "route add 10.5.0.0/24 via 10.0.0.3 realm 5\n"
          "route add 10.6.0.0/24 via 10.0.0.3 tos 0x10\n"
          "route add 10.7.0.0/24 via 10.0.0.3\n");
    std::set<std::string> more;
    std::set<std::string> known;
    KernelFib fib;
    for (const Route& one : fib.routes({.family = Family::kIpv4, .table = netlink::kMainTable, .protocol = {}}))
      (one.has_more ? more : known).insert(one.dst.str());
    CHECK(more == std::set<std::string>{"10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24", "10.5.0.0/24",
                                        "10.6.0.0/24"});
    CHECK(known == std::set<std::string>{"10.0.0.0/24", "10.7.0.0/24"});
  }

  TEST_CASE("a refusal comes with the kernel's own sentence") {
    const scratch::Host host;
    scratch::sh("ip link add v0 type veth peer name v1; ip link set v0 up; ip addr add 10.0.0.1/24 dev v0");
    KernelFib fib;
    Route lost = route("10.245.0.0/16", fib.link("v0")->index);
    lost.via = IpAddr::parse("192.0.2.1");
    lost.scope = netlink::scope_for(lost);
    CHECK(fib.add(lost).str() == "Network is unreachable (Nexthop has invalid gateway)");
    Route foreign = route("10.245.0.0/16", fib.link("v0")->index);
    foreign.src = IpAddr::parse("192.0.2.2");
    CHECK(fib.add(foreign).str() == "Invalid argument (Invalid prefsrc address)");
    Route down = route("10.245.0.0/16", fib.link("v1")->index);
    CHECK(fib.add(down).str() == "Network is down (Device for nexthop is not up)");
  }

  TEST_CASE("a thousand routes and rules are listed whole") {
    const scratch::Host host;
    scratch::sh("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up");
    KernelFib fib;
    const std::uint32_t link = fib.link("v0")->index;
    std::set<std::string> rules;
    std::set<std::string> routes;
    for (unsigned i = 1; i <= 1500; ++i) {
      const std::string four = "10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24";
      const std::string six = "fd01:" + std::to_string(i) + "::/64";
      for (const std::string& dst : {four, six}) {
        REQUIRE(fib.add(route(dst, link)).ok());
        routes.insert(dst);
      }
      REQUIRE(fib.add(rule(1000 + i, four)).ok());
      rules.insert(four);
    }
    const std::vector<Route> listed = fib.routes(kOurs);
    CHECK(listed.size() == routes.size());
    for (const Route& one : listed) routes.erase(one.dst.str());
    CHECK(routes.empty());
    const std::vector<Rule> made = made_rules(fib);
    CHECK(made.size() == rules.size());
    CHECK(
        std::is_sorted(made.begin(), made.end(), [](const Rule& a, const Rule& b) { return a.priority < b.priority; }));
    for (const Rule& one : made) rules.erase(one.to->str());
    CHECK(rules.empty());
  }

  TEST_CASE("rules are listed whole while others come and go before them") {
    const scratch::Host host;
    KernelFib fib;
    std::vector<Rule> stable;
    for (unsigned i = 0; i < 1000; ++i) {
      stable.push_back(rule(1000 + i, "10.245.0.0/16"));
      REQUIRE(fib.add(stable.back()).ok());
    }
    look_meanwhile(
        [](unsigned round) {
          static KernelFib other;
          come_and_go(other, round, [](unsigned i) { return rule(1 + i, "192.0.2.1/32", kStranger); });
        },
        [&fib] { return fib.rules(); },
        [&stable](std::vector<Rule> rules) {
          std::erase_if(rules, [](const Rule& one) { return one.protocol != kOurProtocol; });
          CHECK(rules == stable);
        });
  }

  TEST_CASE("routes are listed whole while others come and go before them") {
    const scratch::Host host;
    scratch::sh("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up");
    KernelFib fib;
    const std::uint32_t link = fib.link("v0")->index;
    for (unsigned i = 0; i < 1000; ++i) REQUIRE(fib.add(route("fd01:" + std::to_string(i) + "::/64", link)).ok());
    look_meanwhile(
        [link](unsigned round) {
          static KernelFib other;
          come_and_go(other, round, [link](unsigned i) {
            return with_protocol(route("fd00:" + std::to_string(1 + i) + "::/64", link), kStranger);
          });
        },
        [&fib] { return fib.routes({.family = {}, .table = 30000, .protocol = {}}); },
        [](std::vector<Route> routes) {
          std::erase_if(routes, [](const Route& one) { return one.protocol != kOurProtocol; });
          std::set<std::string> names;
          for (const Route& one : routes) names.insert(one.dst.str());
          CHECK(routes.size() == 1000);
          CHECK(names.size() == 1000);
        });
  }

  TEST_CASE("addresses are listed whole while others come and go, for the kernel says when they did") {
    const scratch::Host host;
    scratch::sh("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up");
    std::string script;
    for (unsigned i = 0; i < 500; ++i)
      script += "addr add 10.7." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250) + "/32 dev v0\n";
    batch(host, script);
    KernelFib fib;
    const std::uint32_t link = fib.link("v0")->index;
    // The first address of the first link: all others move.
    look_meanwhile(
        [](unsigned) {
          change_address(RTM_NEWADDR, NLM_F_CREATE);
          breathe();
          change_address(RTM_DELADDR, 0);
          breathe();
        },
        [&fib] { return fib.addresses(); },
        [link](const std::vector<netlink::LinkAddress>& addresses) {
          std::set<std::string> names;
          for (const netlink::LinkAddress& one : addresses)
            if (one.link == link && one.address.addr.family == Family::kIpv4) names.insert(one.address.str());
          CHECK(names.size() == 500);
        });
  }

  TEST_CASE("what is asked through a socket of another namespace is that one's") {
    scratch::Host host;
    const auto pod = netlink::Netns::open(host.add_pod("pod"));
    REQUIRE(pod);
    KernelFib inside(pod->route_socket());
    KernelFib outside;
    CHECK(inside.add(rule(900, "10.245.0.0/16")).ok());
    CHECK(made_rules(inside).size() == 1);
    CHECK(made_rules(outside).empty());
  }
}
