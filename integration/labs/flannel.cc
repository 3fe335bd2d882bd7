// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/flannel.h"

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

std::string Flannel::name() const { return backend_ == Backend::kVxlan ? "flannel" : "flannel-host-gw"; }

void Flannel::build(const support::Cluster& cluster) {
  if (backend_ == Backend::kVxlan) build_overlay(cluster, overlay_);
  for (const Node& node : cluster.nodes()) {
    if (backend_ == Backend::kHostGateway)
      for (const Node& other : cluster.nodes())
        if (other.number() != node.number())
          node.net().ip("route add " + overlay_.block(other) + " via " + other.address() + " dev eth0");
    masquerade(node);
  }
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
  const nlohmann::json bridge = {{"type", "bridge"},
                                 {"bridge", "cni0"},
                                 {"mtu", backend_ == Backend::kVxlan ? 1450 : 1500},
                                 {"isDefaultGateway", true},
                                 {"hairpinMode", true},
                                 {"ipMasq", false},
                                 {"ipam", host_local(overlay_.block(node), overlay_.all(), {})}};
  return {"/etc/cni/net.d/10-flannel.conflist", list_of("cbr0", bridge)};
}

// MASQUERADE takes the address of the device that the packet leaves by.
std::string Flannel::translated(const Node& from, const Node& to) const {
  if (from.number() == to.number()) return overlay_.prefix + "." + std::to_string(from.number()) + ".1";
  return backend_ == Backend::kVxlan ? overlay_.tunnel_address(from) : from.address();
}

}  // namespace lab
