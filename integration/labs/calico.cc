// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/calico.h"

#include "integration/labs/flannel.h"
#include "integration/labs/plugin_list.h"

namespace lab {
namespace {

using support::Cluster;
using support::Node;

std::string tunnel_mac(const Node& node) { return "0e:ca:00:00:00:" + std::to_string(10 + node.number()); }

// What comes from a pod must come from where its route points; what belongs to no known flow and begins none is
// dropped on its way from a pod and to one; the rest is allowed by the namespaces' default profile.
constexpr const char* kPolicy =
    "*raw\n:cali-PREROUTING - [0:0]\n:cali-rpf-skip - [0:0]\n:cali-from-host-endpoint - [0:0]\n"
    "-I PREROUTING -j cali-PREROUTING\n"
    "-A cali-PREROUTING -j MARK --set-xmark 0x0/0x1b0000\n"
    "-A cali-PREROUTING -p udp -m udp --dport 4789 -j CT --notrack\n"
    "-A cali-PREROUTING -i cali+ -j MARK --set-xmark 0x80000/0x80000\n"
    "-A cali-PREROUTING -m mark --mark 0x80000/0x80000 -j cali-rpf-skip\n"
    "-A cali-PREROUTING -m mark --mark 0x80000/0x80000 -m rpfilter --validmark --invert -j DROP\n"
    "-A cali-PREROUTING -m mark --mark 0x0/0x80000 -j cali-from-host-endpoint\n"
    "-A cali-PREROUTING -m mark --mark 0x10000/0x10000 -j ACCEPT\n"
    "COMMIT\n"
    "*filter\n:cali-FORWARD - [0:0]\n:cali-INPUT - [0:0]\n:cali-from-wl-dispatch - [0:0]\n"
    ":cali-to-wl-dispatch - [0:0]\n:cali-fw - [0:0]\n:cali-tw - [0:0]\n:cali-wl-to-host - [0:0]\n"
    "-I INPUT -j cali-INPUT\n"
    "-I FORWARD -j cali-FORWARD\n"
    "-A FORWARD -m mark --mark 0x10000/0x10000 -j ACCEPT\n"
    "-A FORWARD -j MARK --set-xmark 0x10000/0x10000\n"
    "-A cali-FORWARD -j MARK --set-xmark 0x0/0x1a0000\n"
    "-A cali-FORWARD -i cali+ -j cali-from-wl-dispatch\n"
    "-A cali-FORWARD -o cali+ -j cali-to-wl-dispatch\n"
    "-A cali-INPUT -s 172.30.0.0/24 -p udp -m multiport --dports 4789 -m addrtype --dst-type LOCAL -j ACCEPT\n"
    "-A cali-INPUT -p udp -m multiport --dports 4789 -m addrtype --dst-type LOCAL -j DROP\n"
    "-A cali-INPUT -i cali+ -g cali-wl-to-host\n"
    "-A cali-from-wl-dispatch -i cali+ -g cali-fw\n"
    "-A cali-from-wl-dispatch -j DROP\n"
    "-A cali-to-wl-dispatch -o cali+ -g cali-tw\n"
    "-A cali-to-wl-dispatch -j DROP\n"
    "-A cali-fw -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    "-A cali-fw -m conntrack --ctstate INVALID -j DROP\n"
    "-A cali-fw -j MARK --set-xmark 0x0/0x30000\n"
    "-A cali-fw -p udp -m multiport --dports 4789 -j DROP\n"
    "-A cali-fw -p 4 -j DROP\n"
    "-A cali-fw -j MARK --set-xmark 0x10000/0x10000\n"
    "-A cali-tw -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    "-A cali-tw -m conntrack --ctstate INVALID -j DROP\n"
    "-A cali-tw -j MARK --set-xmark 0x10000/0x10000\n"
    "-A cali-wl-to-host -j cali-from-wl-dispatch\n"
    "-A cali-wl-to-host -j ACCEPT\n"
    "COMMIT\n";

void masquerade(const Node& node, const std::string& cidr) {
  node.must_run({"iptables-restore", "--noflush"},
                "*nat\n:cali-POSTROUTING - [0:0]\n:cali-nat-outgoing - [0:0]\n:cali-fip-snat - [0:0]\n"
                ":cali-PREROUTING - [0:0]\n:cali-fip-dnat - [0:0]\n-A PREROUTING -j cali-PREROUTING\n"
                "-A cali-PREROUTING -j cali-fip-dnat\n-A POSTROUTING -j cali-POSTROUTING\n"
                "-A cali-POSTROUTING -j cali-fip-snat\n"
                "-A cali-POSTROUTING -j cali-nat-outgoing\n"
                "-A cali-POSTROUTING -o vxlan.calico -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype "
                "--src-type LOCAL -j MASQUERADE --random-fully\n"
                "-A cali-nat-outgoing -s " +
                    cidr + " ! -d " + cidr + " -j MASQUERADE --random-fully\nCOMMIT\n");
}

ListFile calico_list(nlohmann::json ipam, const std::string& file) {
  const nlohmann::json plugin = {{"type", "calico-stand-in"}, {"mtu", 1450}, {"ipam", std::move(ipam)}};
  return {"/etc/cni/net.d/" + file, list_of("k8s-pod-network", plugin)};
}

}  // namespace

std::string Calico::block(const Node& node) const { return prefix() + "." + std::to_string(node.number()) + ".0/26"; }

std::string Calico::tunnel_address(const Node& node) const {
  return prefix() + "." + std::to_string(node.number()) + ".63";
}

void Calico::build(const Cluster& cluster) {
  for (const Node& node : cluster.nodes()) {
    add_routes(cluster, node);
    node.must_run({"iptables-restore", "--noflush"}, kPolicy);
    masquerade(node, cidr());
  }
}

// The blackhole carries Felix's protocol; the ways through the tunnel were recorded without one.
void Calico::add_routes(const Cluster& cluster, const Node& node) const {
  std::vector<std::string> lines = {"link add vxlan.calico address " + tunnel_mac(node) +
                                        " mtu 1450 type vxlan id 4096 local " + node.address() +
                                        " dev eth0 dstport 4789 nolearning",
                                    "addr add " + tunnel_address(node) + "/32 dev vxlan.calico",
                                    "link set vxlan.calico up", "route add blackhole " + block(node) + " proto 80"};
  std::string forwarding;
  for (const Node& other : cluster.nodes()) {
    if (other.number() == node.number()) continue;
    lines.push_back("neigh add " + tunnel_address(other) + " lladdr " + tunnel_mac(other) +
                    " dev vxlan.calico nud permanent");
    lines.push_back("route add " + block(other) + " via " + tunnel_address(other) +
                    " dev vxlan.calico onlink mtu 1450");
    forwarding += "fdb add " + tunnel_mac(other) + " dev vxlan.calico dst " + other.address() + " self permanent\n";
  }
  node.net().ip_batch(lines);
  support::must_run({"bridge", "-n", node.name(), "-batch", "-"}, {}, forwarding);
}

ListFile Calico::list(const Node& node) const {
  const std::string last = prefix() + "." + std::to_string(node.number()) + ".62";
  return calico_list(host_local(block(node), "0.0.0.0/0", last), "10-calico.conflist");
}

// A cali device has no address: MASQUERADE takes the node's first.
std::string Calico::translated(const Node& from, const Node& to) const {
  return from.number() == to.number() ? from.address() : tunnel_address(from);
}

void Canal::build(const Cluster& cluster) {
  build_overlay(cluster, overlay_);
  for (const Node& node : cluster.nodes()) {
    node.must_run({"iptables-restore", "--noflush"}, kPolicy);
    masquerade_like_flannel(node, overlay_);
  }
}

ListFile Canal::list(const Node& node) const {
  return calico_list(host_local(overlay_.block(node), "0.0.0.0/0", {}), "10-canal.conflist");
}

std::string Canal::translated(const Node& from, const Node& to) const {
  return from.number() == to.number() ? from.address() : overlay_.tunnel_address(from);
}

}  // namespace lab
