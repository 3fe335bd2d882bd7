// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <utility>

#include "integration/labs/stage.h"

// The labs' nodes beside real ones, as they were recorded: the same rules, routes, chains and sysctls but for names and
// addresses. tests/data/node-state has them without what the kernel itself makes.

namespace {

using lab::Stage;
using Lines = std::vector<std::string>;
/// What each name and address of the recorded node is here, in the order of replacement.
using Names = std::vector<std::pair<std::string, std::string>>;

std::string replaced(std::string text, const Names& names) {
  for (const auto& [from, to] : names)
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  return text;
}

/// Comments differ, as does what a pod's device is called.
std::string plain(const std::string& line) {
  static const std::regex comment(R"( -m comment --comment ("[^"]*"|\S+))");
  static const std::regex device("cali[0-9a-f]{11}");
  std::string out = std::regex_replace(std::regex_replace(line, comment, ""), device, "caliPOD");
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

Lines lines(const std::string& text, const std::string& pattern) {
  const std::regex wanted(pattern);
  Lines out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (std::regex_search(line, wanted)) out.push_back(plain(line));
  return out;
}

std::string recorded(const std::string& lab, const std::string& file, const Names& names) {
  std::ifstream in(std::string(TEST_DATA) + "/node-state/" + lab + "/" + file);
  REQUIRE(in.good());
  return replaced({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()}, names);
}

std::string of_chains(const std::string& chains) { return "^-A (" + chains + ") "; }

std::string sysctls(const Stage& stage, const std::string& device) {
  std::string out = device;
  stage.node(1).net().enter([&] {
    for (const std::string key : {"rp_filter", "forwarding", "accept_local", "proxy_arp", "arp_ignore"}) {
      std::ifstream in("/proc/sys/net/ipv4/conf/" + device + "/" + key);
      std::string value;
      in >> value;
      out += " " + key + "=" + value;
    }
  });
  return out;
}

/// portmap and kube-proxy set route_localnet when there is something to map.
void check_sysctls(const Stage& stage, const std::string& text, const Lines& devices) {
  for (const std::string& device : devices) {
    const Lines found = lines(text, "^" + device + " rp_filter");
    REQUIRE(found.size() == 1);
    CHECK(sysctls(stage, device) == std::regex_replace(found[0], std::regex(" route_localnet=."), ""));
  }
}

void check_node(Stage& stage, const std::string& name, const Names& names, const std::string& chains) {
  stage.add_services();
  const support::Node& node = stage.node(1);
  CHECK(lines(node.must_run({"ip", "rule"}), ".") == lines(recorded(name, "ip-rule.txt", names), "."));
  const std::string routes = node.must_run({"ip", "-4", "route", "show", "table", "all"});
  Lines found = lines(routes, "^(?!.*table local)");
  Lines wanted = lines(recorded(name, "ip-route.txt", names), ".");
  std::sort(found.begin(), found.end());
  std::sort(wanted.begin(), wanted.end());
  CHECK(found == wanted);
  const std::string tables = node.must_run({"iptables-save", "-t", "raw"}) +
                             node.must_run({"iptables-save", "-t", "filter"}) +
                             node.must_run({"iptables-save", "-t", "nat"});
  const Lines rules = lines(tables, of_chains(chains));
  CHECK(rules.size() > 10);
  CHECK(rules == lines(recorded(name, "iptables.txt", names), of_chains(chains)));
}

constexpr const char* kCiliumChains = "CILIUM_PRE_raw|CILIUM_OUTPUT_raw|CILIUM_FORWARD|CILIUM_POST_nat|";

}  // namespace

TEST_SUITE("labs.shape") {
  TEST_CASE("a node of flannel and Cilium is as it was recorded") {
    Stage stage("flannel", BIN_DIR);
    const Names names = {{"10.244.0.0/16", "ALL"},          {"10.244.1.", "10.244.2."},
                         {"10.244.0.", "10.244.1."},        {"ALL", "10.244.0.0/16"},
                         {"10.245.0.249", "10.245.1.254"},  {"10.245.1.0/24", "10.245.2.0/24"},
                         {"10.245.0.0/24", "10.245.1.0/24"}};
    check_node(stage, "flannel", names,
               std::string(kCiliumChains) + "FLANNEL-POSTRTG|FLANNEL-FWD|KUBE-POSTROUTING|KUBE-MARK-MASQ");
    check_sysctls(stage, recorded("flannel", "sysctl.txt", {}), {"all", "eth0", "flannel.1", "cni0", "cilium_host"});
  }

  TEST_CASE("a node of Calico and Cilium is as it was recorded") {
    Stage stage("calico", BIN_DIR);
    const Names names = {{"10.246.27.63", "10.246.1.63"},
                         {"10.246.141.255", "10.246.2.63"},
                         {"10.246.27.0/26", "10.246.1.0/26"},
                         {"10.246.141.192/26", "10.246.2.0/26"},
                         {"10.246.27.0 ", stage.party("l1").address + " "},
                         {"10.245.0.202", "10.245.1.254"},
                         {"10.245.1.0/24", "10.245.2.0/24"},
                         {"10.245.0.0/24", "10.245.1.0/24"},
                         {"-j NOTRACK", "-j CT --notrack"},
                         {"-m set --match-set cali40masq-ipam-pools src", "-s 10.246.0.0/16"},
                         {"-m set ! --match-set cali40network-ip-pools dst", "! -d 10.246.0.0/16"}};
    check_node(stage, "calico", names,
               std::string(kCiliumChains) + "cali-PREROUTING|cali-POSTROUTING|cali-nat-outgoing|KUBE-POSTROUTING");
    check_sysctls(stage, recorded("calico", "sysctl.txt", {}), {"all", "eth0", "vxlan.calico", "cilium_host"});
  }
}
