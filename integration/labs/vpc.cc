// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/vpc.h"

#include <stdexcept>

namespace lab {

using support::Node;

Eni Vpc::eni(const Node& node, unsigned index) {
  const std::string number = std::to_string(node.number());
  const std::string device = "eth" + std::to_string(index);
  const std::string block = "172.30." + number + ".";
  Eni out{.device = device,
          .port = "port" + number + (index == 0 ? "" : device),
          .address = "172.30.0." + std::to_string(10 + node.number() + 10 * index),
          .pods = block + std::to_string(16 * index) + "/28",
          .free = {}};
  for (unsigned i = 1; i < 15; ++i) out.free.push_back(block + std::to_string(16 * index + i));
  return out;
}

Vpc::Vpc(const support::Cluster& cluster, unsigned interfaces)
    : cluster_(cluster), interfaces_(interfaces), outside_("outside") {
  const support::Netns& router = cluster.lan();
  router.ip("link del br0");
  router.ip("route add blackhole default");
  router.sysctl("net.ipv4.ip_forward", "1");
  for (const std::string scope : {"all", "default"}) router.sysctl("net.ipv4.conf." + scope + ".rp_filter", "0");
  support::add_veth(router, "out", outside_, "eth0");
  router.ip("addr add 198.51.100.1/24 dev out");
  outside_.ip_batch({std::string("addr add ") + kOutside + "/24 dev eth0", "route add default via 198.51.100.1"});
  for (const Node& node : cluster.nodes())
    for (unsigned index = 0; index < interfaces; ++index) connect(node, eni(node, index));
  check_sources();
}

void Vpc::connect(const Node& node, const Eni& eni) const {
  const support::Netns& router = cluster_.lan();
  if (eni.device != "eth0") {
    support::add_veth(node.net(), eni.device, router, eni.port);
    node.net().ip("addr add " + eni.address + "/24 dev " + eni.device + " noprefixroute");
  }
  router.sysctl("net.ipv4.conf." + eni.port + ".proxy_arp", "1");
  router.sysctl("net.ipv4.neigh." + eni.port + ".proxy_delay", "0");
  router.sysctl("net.ipv4.conf." + eni.port + ".send_redirects", "0");
  router.ip_batch({std::string("addr add ") + kRouter + "/32 dev " + eni.port,
                   "route add " + eni.address + " dev " + eni.port,
                   "route add " + eni.pods + " via " + eni.address + " dev " + eni.port});
}

void Vpc::check_sources() const {
  std::string counters;
  std::string rules;
  for (const Node& node : cluster_.nodes())
    for (unsigned index = 0; index < interfaces_; ++index) {
      const Eni one = eni(node, index);
      counters += "counter " + one.port + "_passed {}\ncounter " + one.port + "_dropped {}\n";
      rules += "iifname " + one.port + " ip saddr { " + one.address + ", " + one.pods + " } counter name " + one.port +
               "_passed accept\niifname " + one.port + " counter name " + one.port + "_dropped drop\n";
    }
  support::must_run(support::inside(cluster_.lan(), nullptr, {"nft", "-f", "-"}), {},
                    "table ip vpc {\n" + counters +
                        "chain source_check {\ntype filter hook prerouting priority -300\n" + rules + "}\n}\n");
}

std::uint64_t Vpc::count(const std::string& counter) const {
  const std::string text =
      support::must_run(support::inside(cluster_.lan(), nullptr, {"nft", "list", "counter", "ip", "vpc", counter}));
  const std::size_t at = text.find("packets ");
  if (at == std::string::npos) throw std::runtime_error("no counter in " + text);
  return std::stoull(text.substr(at + 8));
}

}  // namespace lab
