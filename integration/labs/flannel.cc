// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/flannel.h"

#include "integration/labs/ipv6.h"
#include "integration/labs/plugin_list.h"

namespace lab {

using support::Node;

namespace {

/// The same in a table of flannel's own, with EnableNFTables.
std::string nft_table(const std::string& all, const std::string& block) {
  return "table ip flannel-ipv4 {\nchain postrtg {\ntype nat hook postrouting priority srcnat\n"
         "meta mark & 0x4000 == 0x4000 return\n"
         "ip saddr " +
         all + " ip daddr " + all +
         " return\n"
         "ip saddr " +
         all +
         " ip daddr != 224.0.0.0/4 masquerade fully-random\n"
         "ip saddr != " +
         all + " ip daddr " + block +
         " return\n"
         "ip saddr != " +
         all + " ip daddr " + all + " masquerade fully-random\n}\n}\n";
}

constexpr const char* kDevice6 = "flannel-v6.1";

std::string hardware_address6(const Node& node) { return "0e:f1:00:00:06:" + std::to_string(10 + node.number()); }

}  // namespace

void masquerade_like_flannel(const Node& node, const support::Overlay& overlay, const std::string& program) {
  const std::string all = overlay.all();
  const std::string rule = "-A FLANNEL-POSTRTG -m comment --comment \"flanneld masq\" ";
  const std::string forward = " -m comment --comment \"flanneld forward\" -j ";
  node.must_run(
      {program, "--noflush"},
      "*nat\n:FLANNEL-POSTRTG - [0:0]\n-A POSTROUTING -m comment --comment \"flanneld masq\" -j FLANNEL-POSTRTG\n" +
          rule + "-m mark --mark 0x4000/0x4000 -j RETURN\n" +                                //
          rule + "-s " + all + " -d " + all + " -j RETURN\n" +                               //
          rule + "-s " + all + " ! -d 224.0.0.0/4 -j MASQUERADE --random-fully\n" +          //
          rule + "! -s " + all + " -d " + overlay.block(node) + " -j RETURN\n" +             //
          rule + "! -s " + all + " -d " + all + " -j MASQUERADE --random-fully\nCOMMIT\n" +  //
          "*filter\n:FLANNEL-FWD - [0:0]\n-A FORWARD" + forward + "FLANNEL-FWD\n-A FLANNEL-FWD -s " + all + forward +
          "ACCEPT\n-A FLANNEL-FWD -d " + all + forward + "ACCEPT\nCOMMIT\n");
}

std::string Flannel::name() const {
  if (families_ == Families::kDual) return "flannel-dual";
  return backend_ == Backend::kVxlan ? "flannel" : "flannel-host-gw";
}

void Flannel::build(const support::Cluster& cluster) {
  if (backend_ == Backend::kVxlan) build_overlay(cluster, overlay_);
  for (const Node& node : cluster.nodes()) {
    if (backend_ == Backend::kHostGateway)
      for (const Node& other : cluster.nodes())
        if (other.number() != node.number())
          node.net().ip("route add " + overlay_.block(other) + " via " + other.address() + " dev eth0");
    masquerade(node);
  }
  if (families_ == Families::kDual) build_overlay6(cluster);
}

// A second device of the same VNI and port, whose tunnel is IPv6 itself: the kernel makes 1430 of the MTU.
void Flannel::build_overlay6(const support::Cluster& cluster) const {
  add_ipv6(cluster);
  const std::string dev = std::string(" dev ") + kDevice6;
  for (const Node& node : cluster.nodes()) {
    std::vector<std::string> lines = {
        "link add " + std::string(kDevice6) + " address " + hardware_address6(node) +
            " mtu 1450 type vxlan id 1 local " + address6(node) + " dev eth0 dstport 8472 nolearning",
        "addr add " + address6_of(node, "") + "/128" + dev + " nodad", "link set " + std::string(kDevice6) + " up"};
    std::string forwarding;
    for (const Node& other : cluster.nodes()) {
      if (other.number() == node.number()) continue;
      const std::string mac = hardware_address6(other);
      lines.push_back("neigh add " + address6_of(other, "") + " lladdr " + mac + dev + " nud permanent");
      lines.push_back("route add " + block6(other) + " via " + address6_of(other, "") + dev + " onlink");
      forwarding += "fdb add " + mac + dev + " dst " + address6(other) + " self permanent\n";
    }
    ip6(node.net(), lines);
    support::must_run({"bridge", "-n", node.name(), "-batch", "-"}, {}, forwarding);
    masquerade6(node);
  }
}

void Flannel::masquerade6(const Node& node) const {
  const std::string all = cidr6();
  const std::string own = block6(node);
  const std::string rule = "-A FLANNEL-POSTRTG -m comment --comment \"flanneld masq\" ";
  node.must_run(
      {"ip6tables-restore", "--noflush"},
      "*nat\n:FLANNEL-POSTRTG - [0:0]\n-A POSTROUTING -m comment --comment \"flanneld masq\" -j FLANNEL-POSTRTG\n" +
          rule + "-m mark --mark 0x4000/0x4000 -j RETURN\n" +                     //
          rule + "-s " + own + " -d " + all + " -j RETURN\n" +                    //
          rule + "-s " + all + " -d " + own + " -j RETURN\n" +                    //
          rule + "-s " + all + " ! -d ff00::/8 -j MASQUERADE --random-fully\n" +  //
          rule + "! -s " + all + " -d " + own + " -j RETURN\n" +                  //
          rule + "! -s " + all + " -d " + all + " -j MASQUERADE --random-fully\nCOMMIT\n");
}

void Flannel::masquerade(const Node& node) const {
  if (masquerade_ == Masquerade::kNft) {
    node.must_run({"nft", "-f", "-"}, nft_table(overlay_.all(), overlay_.block(node)));
    return;
  }
  const bool legacy = masquerade_ == Masquerade::kIptablesLegacy;
  masquerade_like_flannel(node, overlay_, legacy ? "iptables-legacy-restore" : "iptables-restore");
}

// What flannel's plugin hands to bridge, delegating with the values of /run/flannel/subnet.env.
ListFile Flannel::list(const Node& node) const {
  nlohmann::json ipam = host_local(overlay_.block(node), overlay_.all(), {});
  if (families_ == Families::kDual) {
    ipam["ranges"].push_back(nlohmann::json::array({nlohmann::json{{"subnet", block6(node)}}}));
    ipam["routes"].push_back({{"dst", cidr6()}});
  }
  const nlohmann::json bridge = {{"type", "bridge"},
                                 {"bridge", "cni0"},
                                 {"mtu", backend_ == Backend::kVxlan ? 1450 : 1500},
                                 {"isDefaultGateway", true},
                                 {"hairpinMode", true},
                                 {"ipMasq", false},
                                 {"ipam", ipam}};
  return {"/etc/cni/net.d/10-flannel.conflist", list_of("cbr0", bridge)};
}

// MASQUERADE takes the address of the device that the packet leaves by.
std::string Flannel::translated(const Node& from, const Node& to) const {
  if (from.number() == to.number()) return overlay_.prefix + "." + std::to_string(from.number()) + ".1";
  return backend_ == Backend::kVxlan ? overlay_.tunnel_address(from) : from.address();
}

std::string Flannel::translated6(const Node& from, const Node& to) const {
  return address6_of(from, from.number() == to.number() ? "1" : "");
}

}  // namespace lab
