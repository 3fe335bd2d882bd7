// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "integration/support/cluster.h"

namespace lab {

/// One pod behind one address; TCP and UDP, port 80 to the pod's 8080, and a port of every node.
struct Service {
  std::string name;  ///< "L1", for its chains
  std::string address;
  std::string backend;
  std::uint16_t node_port = 0;
};

/// kube-proxy's chains on that node, in its iptables mode, with 10.244.0.0/15 as the cluster's CIDR: what is from
/// elsewhere gets the node's address.
void add_kube_proxy(const support::Node& node, const std::vector<Service>& services);

/// The same translation for Cilium's pods, which Cilium itself does before their packets get to the node's stack.
void add_pod_services(const support::Netns& datapath, const std::vector<Service>& services);

}  // namespace lab
