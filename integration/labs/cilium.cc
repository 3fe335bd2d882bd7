// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/cilium.h"

#include "integration/labs/ipv6.h"
#include "integration/labs/plugin_list.h"

namespace lab {
namespace {

using Json = nlohmann::json;
using support::Netns;
using support::Node;

// Both ends of a pair have the same address: without ARP the kernel addresses a frame to the sender's own.
constexpr const char* kHostPair = "0e:c1:00:00:00:01";
constexpr const char* kPodsPair = "0e:c1:00:00:00:02";

std::string tunnel_mac(const Node& node) { return "0e:c1:00:00:01:" + std::to_string(10 + node.number()); }

// Of the agent's chains those that pods' packets meet, in either family. OWN: the node's block, ROUTER: cilium_host's
// address.
constexpr const char* kChains =
    "*raw\n:CILIUM_PRE_raw - [0:0]\n:CILIUM_OUTPUT_raw - [0:0]\n"
    "-I PREROUTING -j CILIUM_PRE_raw\n"
    "-I OUTPUT -j CILIUM_OUTPUT_raw\n"
    "-A CILIUM_PRE_raw -p udp -m udp --dport 8473 -j CT --notrack\n"
    "-A CILIUM_PRE_raw -m mark --mark 0x200/0xf00 -j CT --notrack\n"
    "-A CILIUM_OUTPUT_raw -p udp -m udp --dport 8473 -j CT --notrack\n"
    "-A CILIUM_OUTPUT_raw -o cilium_host -m mark --mark 0xa00/0xfffffeff -j CT --notrack\n"
    "-A CILIUM_OUTPUT_raw -o cilium_host -m mark --mark 0x800/0xe00 -j CT --notrack\n"
    "COMMIT\n"
    "*filter\n:CILIUM_FORWARD - [0:0]\n"
    "-I FORWARD -j CILIUM_FORWARD\n"
    "-A CILIUM_FORWARD -o cilium_host -j ACCEPT\n"
    "-A CILIUM_FORWARD -i cilium_host -j ACCEPT\n"
    "-A CILIUM_FORWARD -i lxc+ -j ACCEPT\n"
    "-A CILIUM_FORWARD -i cilium_net -j ACCEPT\n"
    "COMMIT\n"
    "*nat\n:CILIUM_PRE_nat - [0:0]\n:CILIUM_OUTPUT_nat - [0:0]\n:CILIUM_POST_nat - [0:0]\n"
    "-I PREROUTING -j CILIUM_PRE_nat\n"
    "-I OUTPUT -j CILIUM_OUTPUT_nat\n"
    "-I POSTROUTING -j CILIUM_POST_nat\n"
    "-A CILIUM_POST_nat -s OWN ! -d OWN ! -o cilium_+ -j MASQUERADE\n"
    "-A CILIUM_POST_nat -m mark --mark 0xa00/0xe00 -j ACCEPT\n"
    "-A CILIUM_POST_nat ! -s OWN ! -d OWN -o cilium_host -j SNAT --to-source ROUTER\n"
    "-A CILIUM_POST_nat -s LOOPBACK -o cilium_host -j SNAT --to-source ROUTER\n"
    "-A CILIUM_POST_nat -o cilium_host -m mark --mark 0xf00/0xf00 -m conntrack --ctstate DNAT -j SNAT "
    "--to-source ROUTER\n"
    "COMMIT\n";

std::string chains(const std::string& block, const std::string& router, const std::string& loopback) {
  std::string text = kChains;
  for (const auto& [word, meaning] :
       {std::pair{"OWN", block}, std::pair{"ROUTER", router}, std::pair{"LOOPBACK", loopback}})
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word))
      text.replace(at, std::string_view(word).size(), meaning);
  return text;
}

std::string pair(const std::string& here, const std::string& there, const Netns& netns, const std::string& mac) {
  return "link add " + here + " mtu 1450 address " + mac + " type veth peer name " + there + " mtu 1450 address " +
         mac + " netns " + netns.name();
}

}  // namespace

std::string Cilium::router(const Node& node) const {
  return overlay_.prefix + "." + std::to_string(node.number()) + ".254";
}

std::string Cilium::translated(const Node& from, const Node&) const { return router(from); }

void Cilium::build(const support::Cluster& cluster) {
  for (const Node& node : cluster.nodes()) {
    add_devices(node);
    add_routes(cluster, node);
    join_tunnel(cluster, node);
    add_chains(node);
    if (dual_) build6(cluster, node);
  }
}

void Cilium::add_devices(const Node& node) {
  const Netns& datapath = datapaths_.emplace(node.number(), node.name() + "-datapath").first->second;
  if (dual_) forward_ipv6(datapath);
  for (const std::string scope : {"all", "default"}) datapath.sysctl("net.ipv4.conf." + scope + ".rp_filter", "0");
  datapath.sysctl("net.ipv4.ip_forward", "1");
  datapath.sysctl("net.ipv4.conf.all.send_redirects", "0");
  // Made here, so that it tunnels over the node's network, before it moves.
  node.net().ip_batch({pair("cilium_host", "cilium_net", datapath, kHostPair),
                       pair("lxc_pods", "to_host", datapath, kPodsPair),
                       "link add cilium_vxlan address " + tunnel_mac(node) + " mtu 1450 type vxlan id 2 local " +
                           node.address() + " dstport 8473 nolearning",
                       "link set cilium_vxlan netns " + datapath.name(), "link set cilium_host arp off up",
                       "link set lxc_pods up", "addr add " + router(node) + "/32 dev cilium_host"});
  datapath.ip_batch({"link set cilium_net arp off up", "link set to_host arp off up", "link set cilium_vxlan up"});
  for (const std::string key : {"rp_filter", "send_redirects"})
    node.net().sysctl("net.ipv4.conf.cilium_host." + key, "0");
  node.net().sysctl("net.ipv4.conf.cilium_host.accept_local", "1");
  node.net().sysctl("net.ipv4.conf.lxc_pods.rp_filter", "0");
}

void Cilium::add_routes(const support::Cluster& cluster, const Node& node) const {
  const std::string host = " dev cilium_host proto kernel ";
  const std::string by_router = " via " + router(node) + host + "src " + router(node);
  std::vector<std::string> lines = {
      "rule add from all lookup local pref 100",         "rule del pref 0",
      "rule add fwmark 0x200/0xf00 lookup 2004 pref 9",  "route add local default dev lo table 2004 proto kernel",
      "route add " + router(node) + host + "scope link", "route add " + overlay_.block(node) + by_router};
  for (const Node& other : cluster.nodes())
    if (other.number() != node.number())
      lines.push_back("route add " + overlay_.block(other) + by_router + " mtu 1400");
  node.net().ip_batch(lines);
}

// What cilium_host's and cilium_vxlan's programs know: who is where.
void Cilium::join_tunnel(const support::Cluster& cluster, const Node& node) const {
  // What is for the node itself gets in by cilium_host if the tunnel brought it, by the lxc device if a pod sent it.
  std::vector<std::string> lines = {"route add default dev to_host", "route add default dev cilium_net table 100",
                                    "rule add iif cilium_vxlan to " + router(node) + " lookup 100"};
  std::string forwarding;
  for (const Node& other : cluster.nodes()) {
    if (other.number() == node.number()) continue;
    lines.push_back("neigh add " + router(other) + " lladdr " + tunnel_mac(other) + " dev cilium_vxlan nud permanent");
    lines.push_back("route add " + overlay_.block(other) + " via " + router(other) + " dev cilium_vxlan onlink");
    forwarding += "fdb add " + tunnel_mac(other) + " dev cilium_vxlan dst " + other.address() + " self permanent\n";
  }
  datapath(node).ip_batch(lines);
  support::must_run({"bridge", "-n", datapath(node).name(), "-batch", "-"}, {}, forwarding);
}

void Cilium::add_chains(const Node& node) const {
  node.must_run({iptables_restore_, "--noflush"}, chains(overlay_.block(node), router(node), "127.0.0.1/32"));
}

std::string Cilium::translated6(const Node& from, const Node&) const { return router6(from); }

void Cilium::build6(const support::Cluster& cluster, const Node& node) const {
  add_routes6(cluster, node);
  join_tunnel6(cluster, node);
  node.must_run({"ip6tables-restore", "--noflush"}, chains(block6(node), router6(node), "::1/128"));
}

// Without a next hop: for IPv6 the kernel takes no address of its own as one.
void Cilium::add_routes6(const support::Cluster& cluster, const Node& node) const {
  const std::string by_router = " dev cilium_host proto kernel src " + router6(node);
  std::vector<std::string> lines = {"addr add " + router6(node) + "/128 dev cilium_host nodad",
                                    "rule add from all lookup local pref 100",
                                    "rule del pref 0",
                                    "rule add fwmark 0x200/0xf00 lookup 2004 pref 9",
                                    "route add local default dev lo table 2004 proto kernel",
                                    "route add " + block6(node) + by_router};
  for (const Node& other : cluster.nodes())
    if (other.number() != node.number()) lines.push_back("route add " + block6(other) + by_router + " mtu 1400");
  ip6(node.net(), lines);
}

void Cilium::join_tunnel6(const support::Cluster& cluster, const Node& node) const {
  std::vector<std::string> lines = {"route add default dev to_host", "route add default dev cilium_net table 100",
                                    "rule add iif cilium_vxlan to " + router6(node) + " lookup 100"};
  for (const Node& other : cluster.nodes()) {
    if (other.number() == node.number()) continue;
    lines.push_back("neigh add " + router6(other) + " lladdr " + tunnel_mac(other) + " dev cilium_vxlan nud permanent");
    lines.push_back("route add " + block6(other) + " via " + router6(other) + " dev cilium_vxlan onlink");
  }
  ip6(datapath(node), lines);
}

// cilium-cni stands beside the other plugins as a program that lets ptp work in the datapath's namespace.
ListFile Cilium::list(const Node& node) const {
  Json reserved = Json::array();
  for (const std::string& cidr : reserved_) reserved.push_back(cidr);
  Json ipam = {{"type", "crossover-ipam"},
               {"podCIDRs", Json::array({overlay_.block(node)})},
               {"clusterPool", {{"ipv4", {{"cidrs", Json::array({overlay_.all()})}, {"maskSize", 24}}}}},
               {"reservedCIDRs", reserved},
               {"routes", Json::array({Json{{"dst", "0.0.0.0/0"}}})}};
  if (dual_) {
    ipam["podCIDRs"].push_back(block6(node));
    ipam["clusterPool"]["ipv6"] = {{"cidrs", Json::array({cidr6()})}, {"maskSize", 64}};
    ipam["routes"].push_back({{"dst", "::/0"}});
  }
  const Json plugin = {{"type", "cilium-stand-in"},
                       {"datapath", "/run/netns/" + node.name() + "-datapath"},
                       {"mtu", 1450},
                       {"ipMasq", false},
                       {"ipam", ipam}};
  return {"/etc/cni/net.d/crossover.d/05-cilium.conflist", list_of("cilium", plugin)};
}

}  // namespace lab
