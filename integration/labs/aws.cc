// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/aws.h"

#include "integration/labs/plugin_list.h"

namespace lab {
namespace {

using Json = nlohmann::json;
using support::Node;

constexpr const char* kCiliumCidr = "10.245.0.0/16";

/// ipamd's: the number of the device, and one.
unsigned table_of(unsigned index) { return index + 1; }

std::string comment(const std::string& text) { return " -m comment --comment \"" + text + "\""; }

}  // namespace

void Aws::build(const support::Cluster& cluster) {
  vpc_ = std::make_unique<Vpc>(cluster, options_.interfaces);
  for (const Node& node : cluster.nodes()) {
    node.net().sysctl("net.ipv4.conf.eth0.rp_filter", "2");
    add_routes(node);
    add_chains(node);
  }
}

void Aws::add_routes(const Node& node) const {
  std::vector<std::string> lines = {"rule add fwmark 0x80/0x80 lookup main pref 1024"};
  for (const unsigned index : options_.secondary) {
    const Eni eni = Vpc::eni(node, index);
    const std::string table = " table " + std::to_string(table_of(index));
    lines.push_back(std::string("route add ") + Vpc::kRouter + " dev " + eni.device + " scope link" + table);
    lines.push_back(std::string("route add default via ") + Vpc::kRouter + " dev " + eni.device + table);
    lines.push_back("rule add from " + eni.address + table + " pref 32765");
  }
  node.net().ip_batch(lines);
}

// What is marked, and so what leaves by the main table though it comes from a secondary interface's pod: connections
// that came to the node's own address by eth0, and those that AWS-SNAT-CHAIN-0 will translate to it.
void Aws::add_chains(const Node& node) const {
  const std::string primary = comment("AWS, primary ENI");
  const std::string restore = " -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80\n";
  const std::string set = " -j CONNMARK --set-xmark 0x80/0x80\n";
  std::string text = "*mangle\n-A PREROUTING -i eth0" + primary + " -m addrtype --dst-type LOCAL --limit-iface-in" +
                     set + "-A PREROUTING -i eni+" + primary + restore + "-A PREROUTING -i vlan+" + primary + restore +
                     "COMMIT\n";
  if (options_.snat != Snat::kExternal) {
    const std::string mark = "-A AWS-CONNMARK-CHAIN-0";
    const std::string snat = "-A AWS-SNAT-CHAIN-0";
    text += "*nat\n:AWS-CONNMARK-CHAIN-0 - [0:0]\n:AWS-SNAT-CHAIN-0 - [0:0]\n-A PREROUTING -i eni+" +
            comment("AWS, outbound connections") + " -j AWS-CONNMARK-CHAIN-0\n-A PREROUTING" +
            comment("AWS, CONNMARK") + restore + "-A POSTROUTING" + comment("AWS SNAT CHAIN") +
            " -j AWS-SNAT-CHAIN-0\n" + mark + " -d " + Vpc::kCidr + comment("AWS CONNMARK CHAIN, VPC CIDR") +
            " -j RETURN\n" + snat + " -d " + Vpc::kCidr + comment("AWS SNAT CHAIN") + " -j RETURN\n";
    if (options_.snat == Snat::kNodeNotToCilium)
      text += mark + " -d " + kCiliumCidr + comment("AWS CONNMARK CHAIN, EXCLUDED CIDR") + " -j RETURN\n" + snat +
              " -d " + kCiliumCidr + comment("AWS SNAT CHAIN EXCLUSION") + " -j RETURN\n";
    text += mark + comment("AWS, CONNMARK") + set + snat + " ! -o vlan+" + comment("AWS, SNAT") +
            " -m addrtype ! --dst-type LOCAL -j SNAT --to-source " + node.address() + " --random-fully\nCOMMIT\n";
  }
  node.must_run({"iptables-restore", "--noflush"}, text);
}

ListFile Aws::list(const Node& node) const {
  const std::vector<std::string> primary = Vpc::eni(node, 0).free;
  Json interfaces = Json::array(
      {Json{{"table", 254},
            {"addresses", std::vector<std::string>(primary.begin(), primary.begin() + options_.on_primary)}}});
  for (const unsigned index : options_.secondary)
    interfaces.push_back(Json{{"table", table_of(index)}, {"addresses", Vpc::eni(node, index).free}});
  const Json plugin = {{"name", "aws-cni"}, {"type", "aws-cni"}, {"vethPrefix", "eni"}, {"interfaces", interfaces}};
  return {"/etc/cni/net.d/10-aws.conflist", list_of("aws-cni", plugin)};
}

// Cilium masquerades, or the host asks himself: always by the main table.
std::string Aws::translated(const Node& from, const Node&) const { return from.address(); }

}  // namespace lab
