// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/ipv6.h"

namespace lab {

using support::Netns;
using support::Node;

std::string address6(const Node& node) { return "fd00:172:30::" + std::to_string(10 + node.number()); }

void add_ipv6(const support::Cluster& cluster) {
  for (const Node& node : cluster.nodes()) {
    forward_ipv6(node.net());
    node.net().ip("addr add " + address6(node) + "/64 dev eth0 nodad");
  }
}

void forward_ipv6(const Netns& netns) {
  for (const std::string scope : {"all", "default"}) {
    netns.sysctl("net.ipv6.conf." + scope + ".forwarding", "1");
    netns.sysctl("net.ipv6.conf." + scope + ".accept_dad", "0");
  }
}

void ip6(const Netns& netns, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  support::must_run({"ip", "-6", "-n", netns.name(), "-batch", "-"}, {}, text);
}

}  // namespace lab
