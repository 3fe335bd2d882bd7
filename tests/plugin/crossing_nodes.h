// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>

#include "plugin/cli.h"
#include "tests/plugin/plans.h"
#include "tests/plugin/story.h"

// Nodes in memory between two networks.
namespace plans {

using fakes::Machine;

/// What aws_node asks for.
inline const netlink::Rule kWanted = suppressing(rule_to(900, "10.245.0.0/16"), 0);
inline const std::string kWantedText =
    "rule 900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157";

inline void pod_with_default_route(Machine& machine, const std::string& netns) {
  machine.namespaces.add(netns);
  netlink::Route route;
  route.dst = cidr("0.0.0.0/0");
  route.via = addr("10.244.1.1");
  route.link = 2;  // eth0 will be the second
  route.protocol = 3;
  machine.namespaces.fib_of(netns).state.routes = {route};
}

/// flannel's node: pods behind cni0, Cilium's behind cilium_host with a smaller MTU.
inline void flannel_node(Machine& machine) {
  story::cilium_node(machine);
  machine.node_state("legacy");
  pod_with_default_route(machine, story::kPod);
  machine.settings.legacy_cidrs = {cidr("10.244.0.0/16")};
  machine.settings.cilium_cidrs = {cidr("10.245.0.0/16")};
  fakes::FakeFib& fib = machine.node_fib;
  const auto add = [&](const std::string& dst, const std::string& name, const std::string& kind, std::uint32_t mtu) {
    netlink::Route route;
    route.dst = cidr(dst);
    route.link = fib.add_link(name, kind, mtu);
    route.protocol = 3;
    fib.state.routes.push_back(route);
  };
  add("10.244.1.0/24", "cni0", "bridge", 1450);
  add("10.244.2.0/24", "flannel.1", "vxlan", 1450);
  add("10.245.0.0/16", "cilium_host", "veth", 1400);
}

/// The same with aws-cni: a plan of one rule under auto.
inline void aws_node(Machine& machine) {
  flannel_node(machine);
  machine.legacy(R"({"cniVersion":"1.0.0","name":"aws-cni","plugins":[{"type":"aws-cni"}]})");
  machine.node_fib.add_address(2, "192.0.2.7/24");
  machine.agent.settings.ipam_mode = "cluster-pool";
}

inline std::size_t count(const Machine& machine, const netlink::Rule& rule) {
  const auto& rules = machine.node_fib.state.rules;
  return static_cast<std::size_t>(std::count(rules.begin(), rules.end(), rule));
}

inline plugin::Report reconcile(Machine& machine, bool as_json = true) {
  plugin::System system = machine.process();
  return plugin::reconcile_report(system, machine.settings, as_json);
}

}  // namespace plans
