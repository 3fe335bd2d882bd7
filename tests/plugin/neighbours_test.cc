// SPDX-License-Identifier: Apache-2.0
#include "plugin/neighbours.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "conf/list.h"
#include "plugin/cli.h"
#include "tests/plugin/crossing_nodes.h"

using conf::IpPrefix;
using fakes::Machine;
using nlohmann::json;
using plans::cidr;
using plugin::neighbour_warnings;
using plugin::Neighbours;
using Strings = std::vector<std::string>;

namespace {

const std::string kBpf =
    "Cilium routes by BPF on this host, past the kernel's routing and NAT: its pods miss kube-proxy's Services and the "
    "way to legacy pods; set bpf.hostLegacyRouting=true until the last legacy pod is gone";
const std::string kSocketLb =
    "Cilium's socket load balancer also rewrites what legacy pods of this node connect to: their Services depend on "
    "Cilium's agent instead of kube-proxy; set socketLB.hostNamespaceOnly=true until the last legacy pod is gone";

std::string replacement(const std::string& mode) {
  return "Cilium serves NodePorts instead of kube-proxy (kubeProxyReplacement " + mode +
         "): load balancers in front of legacy pods were seen to break; set kubeProxyReplacement=false and keep "
         "kube-proxy until the last legacy pod is gone";
}

std::string overlap(const std::string& what) {
  return "Cilium's addresses overlap the legacy network's, " + what + ": two pods can get the same one; set ";
}

std::string recorded(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(TEST_DATA "/agent/" + name).rdbuf();
  REQUIRE_FALSE(text.str().empty());
  return text.str();
}

/// A node whose agent says what tests/data/agent/<dir> has, beside a legacy network that lives.
Neighbours beside_legacy(const std::string& dir = "") {
  Neighbours out;
  out.legacy_lives = true;
  out.health = plugin::parse_health(recorded(dir + "healthz.json"));
  out.config = plugin::parse_agent_config(recorded(dir + "config.json"));
  return out;
}

/// The same, of which nothing needs a warning, with `pool` as the legacy network's.
Neighbours with_pool(const std::string& pool, const std::string& source = "`legacy.cidrs`") {
  Neighbours out = beside_legacy();
  out.legacy_pools = {{.cidr = cidr(pool), .source = source}};
  return out;
}

netlink::Link vxlan(const std::string& name, std::uint16_t port) {
  netlink::Link out;
  out.name = name;
  out.kind = "vxlan";
  out.vxlan_port = port;
  return out;
}

std::string both_want(const std::string& link, unsigned port, unsigned instead = 8473) {
  return "Cilium's tunnel and " + link + " both want UDP port " + std::to_string(port) +
         ": only one of them can be up; set tunnelPort=" + std::to_string(instead) + " and open it between the nodes";
}

json status(Machine& machine) {
  plugin::System system = machine.process();
  return json::parse(plugin::status_report(system, machine.settings, true).text);
}

Strings pools(const std::string& ipam) {
  Strings out;
  const std::string list = R"({"name":"l","cniVersion":"1.0.0","plugins":[{"type":"bridge","ipam":)" + ipam + "}]}";
  for (const IpPrefix& pool : plugin::pools_of(conf::parse_list(list, "a list"))) out.push_back(pool.str());
  return out;
}

}  // namespace

TEST_SUITE("plugin.neighbours") {
  TEST_CASE("an agent as the migration wants it needs no warning") {
    for (const std::string dir : {"", "1.14/", "1.16/"}) {
      CAPTURE(dir);
      CHECK(neighbour_warnings(beside_legacy(dir)) == Strings{});
    }
  }

  TEST_CASE("BPF host routing, and what takes kube-proxy's place, break legacy pods") {
    CHECK(neighbour_warnings(beside_legacy("1.13/")) == Strings{kBpf, replacement("Strict"), kSocketLb});
    CHECK(neighbour_warnings(beside_legacy("1.15/")) == Strings{kBpf, replacement("True")});
    CHECK(neighbour_warnings(beside_legacy("1.18/")) == Strings{kBpf, replacement("True"), kSocketLb});
  }

  TEST_CASE("nothing is said of them once the legacy network is gone") {
    for (const std::string dir : {"1.13/", "1.15/", "1.18/"}) {
      CAPTURE(dir);
      Neighbours here = beside_legacy(dir);
      here.legacy_lives = false;
      here.legacy_pools = {{.cidr = cidr("10.0.0.0/8"), .source = "`legacy.cidrs`"}};
      here.cilium_cidrs = {cidr("192.0.2.0/24")};
      here.links = {vxlan("cilium_vxlan", 8472), vxlan("flannel.1", 8472)};
      CHECK(neighbour_warnings(here) == Strings{});
    }
  }

  TEST_CASE("NodePorts alone are enough, and the option alone tells of BPF host routing") {
    Neighbours here = beside_legacy();
    here.health.kube_proxy_replacement = "Partial";
    here.health.node_ports = true;
    CHECK(neighbour_warnings(here) == Strings{replacement("Partial")});
    here = beside_legacy();
    here.health.host_routing.clear();
    CHECK(neighbour_warnings(here) == Strings{});
    here.config.legacy_host_routing = false;
    CHECK(neighbour_warnings(here) == Strings{kBpf});
    here.config.legacy_host_routing.reset();
    CHECK(neighbour_warnings(here) == Strings{});
  }

  TEST_CASE("a socket load balancer of the host's own processes is nobody's trouble") {
    Neighbours here = beside_legacy();
    here.health.socket_lb = true;
    CHECK(neighbour_warnings(here) == Strings{kSocketLb});
    here.config.socket_lb_host_only = true;
    CHECK(neighbour_warnings(here) == Strings{});
    here.config.socket_lb_host_only = false;
    here.health.socket_lb_host_only = true;
    CHECK(neighbour_warnings(here) == Strings{});
  }

  TEST_CASE("one pool for both networks is said with both sides, whoever says it") {
    CHECK(neighbour_warnings(with_pool("10.244.0.0/16")) == Strings{});
    CHECK(neighbour_warnings(with_pool("10.240.0.0/12", "FLANNEL_NETWORK in /run/flannel/subnet.env")) ==
          Strings{overlap("10.245.1.0/24 (this node's block of the agent) and 10.240.0.0/12 (FLANNEL_NETWORK in "
                          "/run/flannel/subnet.env)") +
                  "ipam.operator.clusterPoolIPv4PodCIDRList to a CIDR of its own"});
    Neighbours here = with_pool("10.244.0.0/16", "/etc/cni/net.d/10-bridge.conflist");
    here.config = {};
    here.cilium_cidrs = {cidr("10.245.0.0/16"), cidr("10.244.128.0/17")};
    CHECK(neighbour_warnings(here) ==
          Strings{overlap("10.244.128.0/17 (`cilium.cidrs`) and 10.244.0.0/16 (/etc/cni/net.d/10-bridge.conflist)") +
                  "ipam.operator.clusterPoolIPv4PodCIDRList to a CIDR of its own"});
    Neighbours six = beside_legacy("1.14/");
    six.legacy_pools = {{.cidr = cidr("fd00::/16"), .source = "`legacy.cidrs`"}};
    CHECK(neighbour_warnings(six) ==
          Strings{overlap("fd00:245:1::/120 (this node's block of the agent) and fd00::/16 (`legacy.cidrs`)") +
                  "ipam.operator.clusterPoolIPv6PodCIDRList to a CIDR of its own"});
  }

  TEST_CASE("in the mode kubernetes the cure is another mode") {
    Neighbours here = beside_legacy("1.15/");
    here.legacy_pools = {{.cidr = cidr("10.244.0.0/16"), .source = "`legacy.cidrs`"}};
    CHECK(neighbour_warnings(here).back() ==
          overlap("10.244.1.0/24 (this node's block of the agent) and 10.244.0.0/16 (`legacy.cidrs`)") +
              "ipam.mode=cluster-pool (in the mode kubernetes both share one block) and "
              "ipam.operator.clusterPoolIPv4PodCIDRList to a CIDR of its own");
  }

  TEST_CASE("in ENI mode the range that the agent names is nobody's") {
    Neighbours here = beside_legacy("1.17/");
    here.health.cni_file_state = "Ok";
    here.legacy_pools = {{.cidr = cidr("10.0.0.0/8"), .source = "`legacy.cidrs`"}};
    here.cilium_cidrs = {cidr("192.0.2.0/24")};
    CHECK(neighbour_warnings(here) == Strings{});
  }

  TEST_CASE("a block of Cilium's outside of cilium.cidrs is left out by rules and routes") {
    Neighbours here = beside_legacy();
    here.cilium_cidrs = {cidr("10.245.0.0/16")};
    CHECK(neighbour_warnings(here) == Strings{});
    here.cilium_cidrs = {cidr("10.245.1.0/25"), cidr("10.250.0.0/16")};
    CHECK(neighbour_warnings(here) ==
          Strings{"Cilium's block of this node, 10.245.1.0/24, is in no `cilium.cidrs`: what is between the networks "
                  "leaves it out; add Cilium's whole pool there"});
  }

  TEST_CASE("two tunnels on one port, known from the agent or from its device") {
    Neighbours here = beside_legacy("1.14/");
    here.config.tunnel_port = 8472;
    here.links = {vxlan("flannel.1", 8472)};
    CHECK(neighbour_warnings(here) == Strings{both_want("flannel.1", 8472)});
    here.links = {vxlan("flannel.1", 8473)};
    CHECK(neighbour_warnings(here) == Strings{});
    here = beside_legacy();
    here.links = {vxlan("flannel.1", 8472)};
    CHECK(neighbour_warnings(here) == Strings{});  // nobody knows Cilium's port
    here.links.push_back(vxlan("cilium_vxlan", 8473));
    CHECK(neighbour_warnings(here) == Strings{});
    here.links.push_back(vxlan("vxlan.calico", 8473));
    CHECK(neighbour_warnings(here) == Strings{both_want("vxlan.calico", 8473, 8474)});
    here.links = {vxlan("cilium_vxlan", 8472), vxlan("flannel.1", 8472)};
    CHECK(neighbour_warnings(here) == Strings{both_want("flannel.1", 8472)});
    here.health.routing = "Native";
    CHECK(neighbour_warnings(here) == Strings{});
  }

  TEST_CASE("a list that the agent cannot write is said with or without a legacy network, in printable words") {
    Neighbours here;
    here.health.cni_file_state = "Failure";
    here.health.cni_file_message = "mkdir /host/x:\n\x1b[2Jread-only";
    const Strings said = {
        "Cilium's agent cannot write its list (mkdir /host/x:??[2Jread-only); see write-cni-conf-when-ready in its "
        "CiliumNodeConfig"};
    CHECK(neighbour_warnings(here) == said);
    here.legacy_lives = true;
    CHECK(neighbour_warnings(here) == said);
    here.health.cni_file_message = std::string(100'000, 'x');
    CHECK(neighbour_warnings(here).front().size() < 400);
  }

  TEST_CASE("an agent that says nothing is no reason for a warning") {
    Neighbours here;
    here.legacy_lives = true;
    here.legacy_pools = {{.cidr = cidr("10.244.0.0/16"), .source = "`legacy.cidrs`"}};
    here.links = {vxlan("flannel.1", 8472)};
    CHECK(neighbour_warnings(here) == Strings{});
  }

  TEST_CASE("pools of a list are host-local's subnets and calico-ipam's pools, odd ones left out") {
    CHECK(pools(R"({"type":"host-local","subnet":"10.1.2.0/24"})") == Strings{"10.1.2.0/24"});
    CHECK(pools(R"({"ranges":[[{"subnet":"10.1.0.0/16"},{"subnet":"10.2.0.0/16"}],[{"subnet":"fd00::/64"}]]})") ==
          Strings{"10.1.0.0/16", "10.2.0.0/16", "fd00::/64"});
    CHECK(pools(R"({"type":"calico-ipam","ipv4_pools":["10.3.0.0/16","default"],"ipv6_pools":["fd01::/48"]})") ==
          Strings{"10.3.0.0/16", "fd01::/48"});
    for (const std::string odd : {"{}", "[]", "7", R"({"subnet":"usePodCidr"})", R"({"ranges":{}})",
                                  R"({"ranges":[7,[7,{"subnet":7}]],"ipv4_pools":7})"}) {
      CAPTURE(odd);
      CHECK(pools(odd) == Strings{});
    }
  }

  TEST_CASE("status asks the agent once for each answer, and shows what it said") {
    Machine machine;
    plans::flannel_node(machine);
    machine.agent.answer = plugin::parse_health(recorded("healthz.json"));
    machine.agent.settings = plugin::parse_agent_config(recorded("config.json"));
    machine.write(machine.dir() + "/flannel.env", "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\n");
    const json seen = status(machine);
    CHECK(machine.agent.asked == 1);
    CHECK(machine.agent.asked_config == 1);
    CHECK_FALSE(seen.contains("warnings"));
    CHECK(seen["agent"] == json({{"state", "Ok"},
                                 {"version", ""},
                                 {"cniFile", "Ok"},
                                 {"ipamMode", "cluster-pool"},
                                 {"podCIDRs", {"10.245.1.0/24"}},
                                 {"routers", {"10.245.1.90"}},
                                 {"healthAddresses", {"10.245.1.115"}},
                                 {"routing", "tunnel vxlan"},
                                 {"hostRouting", "Legacy"},
                                 {"kubeProxyReplacement", "False"},
                                 {"masquerading", "iptables"},
                                 {"deviceMTU", 1450},
                                 {"routeMTU", 1400},
                                 {"hostPorts", false}}));
    machine.write(machine.dir() + "/flannel.env", "FLANNEL_NETWORK=10.0.0.0/8\n");
    CHECK(status(machine)["warnings"].size() == 2);  // the agent's block and cilium.cidrs
  }

  TEST_CASE("status of an agent without an answer says so, and waits for no second one") {
    Machine machine;
    plans::aws_node(machine);
    machine.agent.answer = {};
    const json seen = status(machine);
    CHECK(seen["agent"] == json({{"problem", machine.dir() + "/cilium.sock: no answer"}}));
    CHECK(machine.agent.asked_config == 0);
  }

  TEST_CASE("before Cilium has a list here, its agent is asked if its socket is at the usual place") {
    Machine machine;
    plans::flannel_node(machine);
    std::filesystem::remove_all(machine.net_dir() + "/crossover.d");
    machine.agent.answer = plugin::parse_health(recorded("1.13/healthz.json"));
    CHECK_FALSE(status(machine).contains("agent"));
    CHECK(machine.agent.asked == 0);
    machine.write(machine.dir() + "/cilium.sock", "");
    const json seen = status(machine);
    CHECK(seen["agent"]["version"] == "1.13.18");
    CHECK(seen["warnings"] == json({kBpf, replacement("Strict"), kSocketLb}));
    CHECK(machine.agent.asked_config == 1);
    machine.settings.cilium_socket = "";
    CHECK_FALSE(status(machine).contains("agent"));
  }

  TEST_CASE("the legacy network lives by its list or by a pod of it, not by the last good copy") {
    Machine machine;
    plans::flannel_node(machine);
    machine.agent.answer = plugin::parse_health(recorded("1.18/healthz.json"));
    machine.agent.settings = plugin::parse_agent_config(recorded("1.18/config.json"));
    const std::string pod = "/run/netns/a";
    (void)machine.add("a", pod);
    CHECK(status(machine)["warnings"] == json({kBpf, replacement("True"), kSocketLb}));
    std::filesystem::remove(machine.net_dir() + "/10-legacy.conflist");
    CHECK(status(machine)["warnings"] == json({kBpf, replacement("True"), kSocketLb}));
    (void)machine.del("a", pod);
    CHECK_FALSE(status(machine).contains("warnings"));
  }

  TEST_CASE("the table has what the agent said, in its words") {
    Machine machine;
    plans::flannel_node(machine);
    machine.agent.answer = plugin::parse_health(recorded("1.13/healthz.json"));
    machine.agent.settings = plugin::parse_agent_config(recorded("1.13/config.json"));
    plugin::System system = machine.process();
    const std::string table = plugin::status_report(system, machine.settings, false).text;
    CAPTURE(table);
    CHECK(table.find("cilium's agent\n"
                     "  state                   Ok, 1.13.18\n"
                     "  addresses               10.0.1.0/24 by cluster-pool\n"
                     "  its own                 10.0.1.77, 10.0.1.9\n"
                     "  routing                 tunnel vxlan 8472\n"
                     "  on the host             BPF\n"
                     "  kube-proxy replacement  Strict\n"
                     "  masquerading            BPF\n"
                     "  MTU                     1500, of routes 1450\n") != std::string::npos);
    CHECK(table.find("warning: " + kBpf + "\n") != std::string::npos);
  }

  TEST_CASE("an ADD on AWS asks for the configuration once") {
    Machine machine;
    plans::aws_node(machine);
    machine.install({"aws-cni"});
    (void)machine.add("a", "/run/netns/a");
    CHECK(machine.agent.asked_config == 1);
  }
}
