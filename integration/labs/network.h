// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "integration/support/cluster.h"

// What the daemons of a CNI leave on the nodes of a cluster, rebuilt: devices, rules, routes, sysctls, chains. Compared
// with what was recorded on real nodes in shape_test.cc. (`labs` would be a function of libc.)
namespace lab {

struct ListFile {
  std::string path;
  std::string text;
};

enum class Family { kIpv4, kIpv6 };

class Network {
 public:
  Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  virtual ~Network() = default;

  /// "flannel"
  [[nodiscard]] virtual std::string name() const = 0;
  /// The first two numbers of all its addresses: "10.244".
  [[nodiscard]] virtual std::string prefix() const = 0;
  /// The first three groups of all its IPv6 addresses, "fd00:10:244"; empty if it has only IPv4.
  [[nodiscard]] virtual std::string prefix6() const { return {}; }
  /// All there is on every node as soon as the daemons run, pods or not. Call once.
  virtual void build(const support::Cluster& cluster) = 0;
  /// The list that its daemon writes on that node.
  [[nodiscard]] virtual ListFile list(const support::Node& node) const = 0;
  /// Whom a pod of this network on `to` takes a stranger on `from` for: the address that node gives to what it lets
  /// into this network, without anything of ours.
  [[nodiscard]] virtual std::string translated(const support::Node& from, const support::Node& to) const = 0;
  /// The same with IPv6.
  [[nodiscard]] virtual std::string translated6(const support::Node&, const support::Node&) const { return {}; }

  /// Whether Crossover has to know Cilium's CIDR for the two networks to reach each other.
  [[nodiscard]] virtual bool needs_cidrs() const { return false; }

  [[nodiscard]] std::string cidr() const { return prefix() + ".0.0/16"; }
  [[nodiscard]] std::string cidr6() const { return prefix6() + "::/56"; }
  /// The node's share of it.
  [[nodiscard]] std::string block6(const support::Node& node) const { return address6_of(node, "") + "/64"; }
  [[nodiscard]] std::string address6_of(const support::Node& node, const std::string& last) const {
    return prefix6() + ":" + std::to_string(node.number()) + "::" + last;
  }
  [[nodiscard]] bool owns(const std::string& address) const { return address.starts_with(prefix() + "."); }
};

}  // namespace lab
