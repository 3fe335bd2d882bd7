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
#include "tests/netlink/fib_samples.h"
#include "tests/netlink/hex.h"
#include "tests/support/scratch.h"

using conf::Family;
using conf::IpAddr;
using netlink::KernelFib;
using netlink::kOurProtocol;
using netlink::Link;
using netlink::Route;
using netlink::Rule;
using samples::kOurs;
using samples::kStranger;
using samples::made_rules;
using samples::route;
using samples::rule;
using samples::with_protocol;

namespace {

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

// What only the kernel can show: its own words, what others made, and lists that are long or change.
TEST_SUITE("netlink.fib") {
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
