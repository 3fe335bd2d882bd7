// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/cilium_eni.h"

#include "integration/labs/plugin_list.h"

namespace lab {
namespace {

using Json = nlohmann::json;
using support::Node;

/// The interface's number, and ten.
unsigned table_of(unsigned index) { return 10 + index; }

std::string comment(const std::string& text) { return " -m comment --comment \"" + text + "\" -j "; }

}  // namespace

void CiliumEni::build(const support::Cluster& cluster) {
  for (const Node& node : cluster.nodes()) {
    node.net().sysctl("net.ipv4.conf.eth0.rp_filter", "2");
    std::vector<std::string> lines = {"rule add from all lookup local pref 100", "rule del pref 0",
                                      "rule add fwmark 0x80/0x80 lookup main pref 109 protocol kernel"};
    for (const unsigned index : interfaces_) {
      const Eni eni = Vpc::eni(node, index);
      const std::string way = " dev " + eni.device + " proto kernel table " + std::to_string(table_of(index));
      lines.push_back(std::string("route add ") + Vpc::kRouter + way + " scope link");
      lines.push_back(std::string("route add default via ") + Vpc::kRouter + way);
      node.net().sysctl("net.ipv4.conf." + eni.device + ".rp_filter", "0");
    }
    node.net().ip_batch(lines);
    add_chains(node);
  }
}

void CiliumEni::add_chains(const Node& node) const {
  const std::string pre = "-A CILIUM_PRE_mangle ";
  std::string text = "*mangle\n:CILIUM_PRE_mangle - [0:0]\n-I PREROUTING" +
                     comment("cilium-feeder: CILIUM_PRE_mangle") + "CILIUM_PRE_mangle\n" + pre +
                     "-i eth0 -m addrtype --dst-type LOCAL --limit-iface-in" + comment("cilium: primary ENI") +
                     "CONNMARK --set-xmark 0x80/0x80\n" + pre + "-i lxc+" + comment("cilium: primary ENI") +
                     "CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80\nCOMMIT\n";
  if (masquerade_)
    text += "*nat\n:CILIUM_POST_nat - [0:0]\n-I POSTROUTING" + comment("cilium-feeder: CILIUM_POST_nat") +
            "CILIUM_POST_nat\n-A CILIUM_POST_nat ! -d " + Vpc::kCidr + " -o eth0" +
            comment("cilium masquerade non-cluster") + "MASQUERADE\nCOMMIT\n";
  node.must_run({"iptables-restore", "--noflush"}, text);
}

ListFile CiliumEni::list(const Node& node) const {
  Json interfaces = Json::array();
  for (const unsigned index : interfaces_) {
    std::vector<std::string> free = Vpc::eni(node, index).free;
    if (index == interfaces_.front()) free.resize(on_first_);
    interfaces.push_back(Json{{"table", table_of(index)}, {"addresses", free}});
  }
  Json plugin = {{"type", "cilium-cni"}, {"interfaces", interfaces}};
  if (masquerade_) plugin["vpc"] = Vpc::kCidr;
  return {"/etc/cni/net.d/crossover.d/05-cilium.conflist", list_of("cilium", plugin)};
}

std::string CiliumEni::translated(const Node& from, const Node&) const { return from.address(); }

}  // namespace lab
