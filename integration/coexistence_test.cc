// SPDX-License-Identifier: Apache-2.0

// Rules, routes and NAT between the networks in a real kernel, judged by ip and nft. No packets: labs/ has those.

#include <doctest/doctest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"
#include "integration/support/process.h"

namespace {

using nlohmann::json;
using support::Finished;
using support::must_run;
using Strings = std::vector<std::string>;

// A sanitizer makes each process twenty times as large.
#if defined(__SANITIZE_ADDRESS__)
constexpr int kPods = 16;
constexpr int kPodsBesideAThief = 8;
#else
constexpr int kPods = 200;
constexpr int kPodsBesideAThief = 30;
#endif

constexpr const char* kNetworks = R"("timeouts":{"lock":"240s"},"legacy":{"cidrs":["10.244.0.0/16","fd00:244::/56"]},)"
                                  R"("cilium":{"socket":"","cidrs":["10.245.0.0/16","fd00:245::/56"]},)";
constexpr const char* kEverything =
    R"("coexistence":{"profile":"none","preserveSource":"both",
       "rules":[{"priority":900,"to":"10.245.0.0/16","table":"main","suppressPrefixLength":0},
                {"priority":900,"to":"fd00:245::/56","table":"main","suppressPrefixLength":0},
                {"priority":901,"iif":"up0","table":300}],
       "routes":[{"dst":"10.7.0.0/16","via":"192.0.2.254","dev":"up0","table":300,"mtu":1400},
                 {"dst":"fd00:7::/48","dev":"up0","table":300}]})";
constexpr const char* kLess =
    R"("coexistence":{"profile":"none","preserveSource":"to-legacy",
       "rules":[{"priority":902,"to":"10.6.0.0/16","table":300},
                {"priority":900,"to":"fd00:245::/56","table":"main","suppressPrefixLength":0}],
       "routes":[{"dst":"10.7.0.0/16","via":"192.0.2.254","dev":"up0","table":300,"mtu":1300}]})";

std::string shell(const std::string& line) { return must_run({"sh", "-c", line}); }

/// A node in a network namespace of its own, with up0, and rules, routes and a chain of others.
struct Stage {
  fixture::Node node{{"bridge"}};

  Stage() {
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
    shell(
        "ip link set lo up; ip link add up0 type veth peer name up1;"
        "ip link set up0 addrgenmode none; ip link set up1 addrgenmode none; ip link set up0 up; ip link set up1 up;"
        "ip addr add 192.0.2.1/24 dev up0; ip addr add 2001:db8::1/64 dev up0 nodad; sysctl -qw net.ipv4.ip_forward=1;"
        "ip rule add to 10.0.1.7 lookup main priority 512 proto 3; ip rule add from 10.0.1.7 lookup 2 priority 1536;"
        "ip route add 10.99.0.0/16 via 192.0.2.254 table 300; ip -6 route add fd00:99::/48 dev up0 table 300;"
        "nft add table inet others; nft 'add chain inet others post { type nat hook postrouting priority 100; }';"
        "nft add rule inet others post ip saddr 10.244.0.0/16 masquerade");
    node.legacy(R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]})");
    configure(kEverything);
  }

  void configure(const std::string& coexistence) const { node.configure(kNetworks + coexistence); }

  [[nodiscard]] Finished add(const std::string& id, const std::string& netns) const {
    return node.call({{"CNI_COMMAND", "ADD"},
                      {"CNI_CONTAINERID", id},
                      {"CNI_IFNAME", "eth0"},
                      {"CNI_NETNS", netns},
                      {"CNI_PATH", node.bin_dir()}},
                     node.request(), std::chrono::minutes(4));
  }
  void must_add(const std::string& id) const {
    const Finished added = add(id, node.pod(id));
    INFO(added.out << added.err);
    REQUIRE(added.ok());
  }
  /// ADDs of as many pods at once, in one namespace: this plugin makes no link.
  [[nodiscard]] std::vector<Finished> add_at_once(int pods, const std::string& prefix) const {
    const std::string netns = node.pod(prefix);
    std::vector<std::future<Finished>> calls;
    for (int i = 0; i < pods; ++i)
      calls.push_back(
          std::async(std::launch::async, [this, id = prefix + std::to_string(i), netns] { return add(id, netns); }));
    std::vector<Finished> out;
    for (std::future<Finished>& call : calls) out.push_back(call.get());
    return out;
  }

  [[nodiscard]] json command(Strings words, int status = 0) const {
    words.emplace_back("--json");
    const Finished done = node.command(std::move(words));
    INFO(done.out << done.err);
    REQUIRE(done.status == status);
    return json::parse(done.out);
  }
  /// Everything of the node that ip and nft show.
  [[nodiscard]] static std::string everything() {
    return shell("ip rule; ip -6 rule; ip route show table all; nft list ruleset");
  }
  /// What is ours of it, in the words of `crossover status`.
  [[nodiscard]] static Strings ours() {
    std::istringstream all(
        shell("ip route show table all | sed 's/^/route /; s/ pref medium//';"
              "nft list ruleset | sed -n 's/ snat ip to / snat to /; s/ snat ip6 to / snat to /;"
              "  s/^[[:space:]]*\\(.*snat to.*\\) comment .*/nat \\1 proto 157/p';"
              "ip rule | sed 's/^/rule /'; ip -6 rule | sed 's/^/rule -6 /'"));
    Strings out;
    for (std::string line; std::getline(all, line);) {
      std::replace(line.begin(), line.end(), '\t', ' ');
      while (!line.empty() && line.back() == ' ') line.pop_back();
      if (line.find("proto 157") == std::string::npos) continue;
      if (line.starts_with("nat ")) line.erase(line.find(" proto 157"));
      out.push_back(line);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
};

/// One a line, for doctest to show.
std::string text(const Strings& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + '\n';
  return out;
}

Strings sorted(const json& texts) {
  Strings out = texts.get<Strings>();
  std::sort(out.begin(), out.end());
  return out;
}

const Strings kAll = {
    "nat ip saddr 10.244.0.0/16 ip daddr 10.245.0.0/16 snat to ip saddr",
    "nat ip saddr 10.245.0.0/16 ip daddr 10.244.0.0/16 snat to ip saddr",
    "nat ip6 saddr fd00:244::/56 ip6 daddr fd00:245::/56 snat to ip6 saddr",
    "nat ip6 saddr fd00:245::/56 ip6 daddr fd00:244::/56 snat to ip6 saddr",
    "route 10.7.0.0/16 via 192.0.2.254 dev up0 table 300 proto 157 mtu 1400",
    "route fd00:7::/48 dev up0 table 300 proto 157 metric 1024",
    "rule -6 900: from all to fd00:245::/56 lookup main suppress_prefixlength 0 proto 157",
    "rule -6 901: from all iif up0 lookup 300 proto 157",
    "rule 900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157",
    "rule 901: from all iif up0 lookup 300 proto 157",
};

}  // namespace

TEST_SUITE("coexistence") {
  TEST_CASE("very many ADDs at once leave exactly one of each rule and route, and one chain") {
    const Stage stage;
    const std::string before = Stage::everything();
    for (const Finished& added : stage.add_at_once(kPods, "p")) CHECK_MESSAGE(added.ok(), added.out << added.err);
    CHECK(text(Stage::ours()) == text(kAll));
    const std::string chains = shell("nft list ruleset | grep -c 'chain preserve_source'");
    CHECK(chains == "1\n");
    (void)stage.command({"uninstall", "--coexistence"});
    CHECK(Stage::everything() == before);
  }

  TEST_CASE(
      "somebody deletes a rule of ours over and over while pods are added: each ADD has it, or says who may be it") {
    const Stage stage;
    stage.must_add("first");
    std::atomic<bool> goes_on = true;
    std::atomic<int> stolen = 0;
    std::future<void> thief = std::async(std::launch::async, [&] {
      while (goes_on)
        if (support::run({"ip", "rule", "del", "priority", "900", "to", "10.245.0.0/16"}).ok()) ++stolen;
    });
    const std::vector<Finished> added = stage.add_at_once(kPodsBesideAThief, "p");
    goes_on = false;
    thief.get();
    for (const Finished& one : added) {
      INFO(one.out << one.err);
      if (one.ok()) continue;
      CHECK(fixture::error_of(one).code == 11);
      CHECK(fixture::error_of(one).details.find("ManageForeignRoutingPolicyRules=no") != std::string::npos);
    }
    CHECK(stolen > 0);
    stage.must_add("last");
    CHECK(text(Stage::ours()) == text(kAll));
  }

  TEST_CASE("status says what ip and nft show") {
    const Stage stage;
    const json none = stage.command({"status"}).at("coexistence");
    CHECK(text(sorted(none.at("wanted"))) == text(kAll));
    CHECK(none.at("present").empty());
    stage.must_add("c1");
    const json all = stage.command({"status"});
    CHECK(text(sorted(all.at("coexistence").at("present"))) == text(Stage::ours()));
    CHECK(text(Stage::ours()) == text(kAll));
    CHECK(shell("nft list chain inet crossover preserve_source").find("type nat hook postrouting priority") !=
          std::string::npos);
    shell("ip rule del priority 901; nft flush chain inet crossover preserve_source");
    CHECK(text(sorted(stage.command({"status"}).at("coexistence").at("present"))) == text(Stage::ours()));
    CHECK(Stage::ours().size() == kAll.size() - 5);
  }

  TEST_CASE("reconcile puts back what a flush of everything took, and a second one has nothing to do") {
    const Stage stage;
    stage.must_add("c1");
    shell(
        "nft flush ruleset; ip route flush table 300; ip -6 route flush table 300;"
        "for p in 900 901; do ip rule del priority $p; ip -6 rule del priority $p; done");
    CHECK(Stage::ours().empty());
    const json report = stage.command({"reconcile"}).at("coexistence");
    CHECK(report.at("done").size() == 7);
    CHECK(text(sorted(report.at("present"))) == text(kAll));
    CHECK(text(Stage::ours()) == text(kAll));
    CHECK(stage.command({"reconcile"}).at("coexistence").at("done").empty());
  }

  TEST_CASE("after a change of the configuration reconcile leaves what it asks for, and everything of others") {
    const Stage stage;
    const std::string before = Stage::everything();
    stage.must_add("c1");
    stage.configure(kLess);
    (void)stage.command({"reconcile"});
    CHECK(text(Stage::ours()) ==
          text({"nat ip saddr 10.245.0.0/16 ip daddr 10.244.0.0/16 snat to ip saddr",
                "nat ip6 saddr fd00:245::/56 ip6 daddr fd00:244::/56 snat to ip6 saddr",
                "route 10.7.0.0/16 via 192.0.2.254 dev up0 table 300 proto 157 mtu 1300",
                "rule -6 900: from all to fd00:245::/56 lookup main suppress_prefixlength 0 proto 157",
                "rule 902: from all to 10.6.0.0/16 lookup 300 proto 157"}));
    stage.configure("\"coexistence\":{\"profile\":\"none\"}");
    (void)stage.command({"reconcile"});
    CHECK(Stage::everything() == before);
  }

  TEST_CASE("uninstall --coexistence leaves the node byte for byte as it was, others' twins of our rules included") {
    const Stage stage;
    shell("ip rule add to 10.245.0.0/16 lookup main suppress_prefixlength 0 priority 900 proto 4");
    const std::string before = Stage::everything();
    stage.must_add("c1");
    CHECK(Stage::ours().size() == kAll.size() - 1);  // that one is there already
    const std::string during = Stage::everything();
    const json would = stage.command({"uninstall", "--coexistence", "--dry-run"});
    CHECK(would.at("done").size() == 6);
    CHECK(Stage::everything() == during);
    CHECK(stage.command({"uninstall", "--coexistence"}).at("done").size() == 6);
    CHECK(Stage::everything() == before);
    CHECK(stage.command({"uninstall", "--coexistence"}).at("done").empty());
  }

  TEST_CASE("what the kernel refuses, and what another owner has, is refused with its own words") {
    const Stage stage;
    stage.configure(R"("coexistence":{"profile":"none",
        "routes":[{"dst":"10.7.0.0/16","via":"198.51.100.9","dev":"up0","table":300}]})");
    const std::string before = Stage::everything();
    const auto refused = [&](const std::string& id) {
      const Finished added = stage.add(id, stage.node.pod(id));
      REQUIRE_FALSE(added.ok());
      CHECK(fixture::error_of(added).code == 122);
      CHECK(Stage::everything() == before);
      return fixture::error_of(added).details;
    };
    CHECK(refused("c1") ==
          "route 10.7.0.0/16 via 198.51.100.9 dev up0 table 300 proto 157: Network is unreachable (Nexthop has invalid "
          "gateway); `via` is on no link of this node: name `dev`, or set `onlink`");
    stage.configure(R"("coexistence":{"profile":"none","rules":[{"priority":1530,"to":"10.7.0.0/16","table":300}],
        "routes":[{"dst":"10.99.0.0/16","dev":"up0","table":300}]})");
    CHECK(refused("c2") ==
          "route 10.99.0.0/16 dev up0 table 300 proto 157 scope link: another owner has one: 10.99.0.0/16 via "
          "192.0.2.254 dev up0 table 300");
    stage.configure(R"("coexistence":{"profile":"none","routes":[{"dst":"10.7.0.0/16","dev":"up9","table":300}]})");
    CHECK(refused("c3") == "`coexistence.routes`: there is no device up9 on this node");
  }

  TEST_CASE("a rule of an address's former pod is named, and removed alone where that was asked for") {
    const Stage stage;
    const json result = {{"cniVersion", "1.0.0"}, {"ips", {{{"address", "10.0.9.9/24"}}}}};
    stage.node.plugins().script("bridge", json{{"ADD", {{"stdout", result.dump()}}}}.dump());
    shell(
        "ip rule add from 10.0.9.8 to 10.0.0.0/16 lookup 11 priority 111 proto kernel;"
        "ip rule add from 10.0.9.0/24 to 10.0.0.0/16 lookup 11 priority 111 proto kernel");
    const std::string with_others = Stage::everything();
    shell("ip rule add from 10.0.9.9 to 10.0.0.0/16 lookup 11 priority 111 proto kernel");
    const std::string with_stale = Stage::everything();
    const auto events = [&] { return fixture::read_file(stage.node.state_dir() / "events.jsonl"); };

    stage.configure(R"("coexistence":{"profile":"none","staleRules":"off"})");
    stage.must_add("c1");
    CHECK(events().find("10.0.9.9 was given") == std::string::npos);
    stage.configure(R"("coexistence":{"profile":"none"})");
    stage.must_add("c2");
    CHECK(
        events().find("rule 111: from 10.0.9.9 to 10.0.0.0/16 lookup 11 proto 2 was there before 10.0.9.9 was given to "
                      "this pod: its packets go by table 11 because of priority 111") != std::string::npos);
    CHECK(Stage::everything() == with_stale);
    stage.configure(R"("coexistence":{"profile":"none","staleRules":"remove"})");
    stage.must_add("c3");
    CHECK(Stage::everything() == with_others);
    CHECK(events().find("removed rule 111: from 10.0.9.9 to 10.0.0.0/16 lookup 11 proto 2") != std::string::npos);
  }
}
