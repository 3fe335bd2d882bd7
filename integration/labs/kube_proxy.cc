// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/kube_proxy.h"

namespace lab {
namespace {

constexpr const char* kFrame =
    "*filter\n:KUBE-FORWARD - [0:0]\n"
    "-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n"
    "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n"
    "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n"
    "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    "COMMIT\n"
    "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-NODEPORTS - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n"
    "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
    "-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
    "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n"
    "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n"
    "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
    "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n"
    "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE "
    "--random-fully\n";

std::string chains(const Service& service, const std::string& protocol) {
  const std::string id = service.name + "-" + protocol;
  const std::string to = " -d " + service.address + "/32 -p " + protocol + " -m " + protocol + " --dport 80 -j ";
  return ":KUBE-SVC-" + id + " - [0:0]\n:KUBE-SEP-" + id + " - [0:0]\n:KUBE-EXT-" + id + " - [0:0]\n" +  //
         "-A KUBE-SERVICES" + to + "KUBE-SVC-" + id + "\n" +                                             //
         "-A KUBE-SVC-" + id + " ! -s 10.244.0.0/15" + to + "KUBE-MARK-MASQ\n" +                         //
         "-A KUBE-SVC-" + id + " -j KUBE-SEP-" + id + "\n" +                                             //
         "-A KUBE-SEP-" + id + " -s " + service.backend + "/32 -j KUBE-MARK-MASQ\n" +                    //
         "-A KUBE-SEP-" + id + " -p " + protocol + " -j DNAT --to-destination " + service.backend + ":8080\n" +
         "-A KUBE-NODEPORTS -p " + protocol + " -m " + protocol + " --dport " + std::to_string(service.node_port) +
         " -j KUBE-EXT-" + id + "\n" +                   //
         "-A KUBE-EXT-" + id + " -j KUBE-MARK-MASQ\n" +  //
         "-A KUBE-EXT-" + id + " -j KUBE-SVC-" + id + "\n";
}

}  // namespace

void add_kube_proxy(const support::Node& node, const std::vector<Service>& services) {
  std::string text = kFrame;
  for (const Service& service : services)
    for (const std::string protocol : {"tcp", "udp"}) text += chains(service, protocol);
  // Must be the last rule of its chain.
  text += "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\nCOMMIT\n";
  node.must_run({"iptables-restore", "--noflush"}, text);
}

void add_pod_services(const support::Netns& datapath, const std::vector<Service>& services) {
  std::string to_backend;
  std::string to_itself;
  for (const Service& service : services) {
    to_backend += "iifname != { \"cilium_net\", \"cilium_vxlan\", \"to_host\" } ip daddr " + service.address +
                  " meta l4proto { tcp, udp } th dport 80 dnat to " + service.backend + ":8080\n";
    to_itself += "ip saddr " + service.backend + " ip daddr " + service.backend + " snat to 169.254.42.1\n";
  }
  support::must_run(inside(datapath, nullptr, {"nft", "-f", "-"}), {},
                    "table ip services {\nchain prerouting {\ntype nat hook prerouting priority -100\n" + to_backend +
                        "}\nchain postrouting {\ntype nat hook postrouting priority 100\n" + to_itself + "}\n}\n");
}

}  // namespace lab
