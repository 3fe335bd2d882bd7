// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "integration/labs/network.h"

namespace lab {

/// Cilium as the second network: overlay on port 8473, L7 proxy on, iptables masquerade, kube-proxy beside it.
///
/// Its BPF programs are imitated by a namespace for each node, `<node>-datapath`, that holds the pods' devices, the
/// tunnel and cilium_net, and only forwards. So the node's stack sees what it sees of real Cilium: what it sends to
/// cilium_host is gone past it, whether to a pod of its own or into the tunnel; what the tunnel brings for a pod never
/// shows up; what a pod sends beyond Cilium's network comes in by an lxc device that has no address. (Real Cilium has
/// such a device for each pod; here `lxc_pods` stands for all of them.)
class Cilium final : public Network {
 public:
  /// `iptables_restore`: the program that makes its chains.
  explicit Cilium(std::string iptables_restore = "iptables-restore") : iptables_restore_(std::move(iptables_restore)) {}

  [[nodiscard]] std::string name() const override { return "cilium"; }
  [[nodiscard]] std::string prefix() const override { return overlay_.prefix; }
  [[nodiscard]] std::string prefix6() const override { return dual_ ? "fd00:10:245" : ""; }
  void build(const support::Cluster& cluster) override;
  [[nodiscard]] ListFile list(const support::Node& node) const override;
  [[nodiscard]] std::string translated(const support::Node& from, const support::Node& to) const override;
  [[nodiscard]] std::string translated6(const support::Node& from, const support::Node& to) const override;

  [[nodiscard]] const support::Netns& datapath(const support::Node& node) const { return datapaths_.at(node.number()); }
  /// cilium_host's address.
  [[nodiscard]] std::string router(const support::Node& node) const;
  [[nodiscard]] std::string router6(const support::Node& node) const { return address6_of(node, "fe"); }
  /// Before `build`: its pods have IPv6 too, in the same tunnel.
  void add_ipv6() { dual_ = true; }
  /// CIDRs that the node's block must not be mistaken for part of: of the legacy networks.
  void reserve(const std::string& cidr) { reserved_.push_back(cidr); }

 private:
  void add_devices(const support::Node& node);
  void add_routes(const support::Cluster& cluster, const support::Node& node) const;
  void join_tunnel(const support::Cluster& cluster, const support::Node& node) const;
  void add_chains(const support::Node& node) const;
  void build6(const support::Cluster& cluster, const support::Node& node) const;
  void add_routes6(const support::Cluster& cluster, const support::Node& node) const;
  void join_tunnel6(const support::Cluster& cluster, const support::Node& node) const;

  support::Overlay overlay_{.device = "cilium_vxlan", .prefix = "10.245", .vni = 2, .port = 8473};
  std::string iptables_restore_;
  bool dual_ = false;
  std::vector<std::string> reserved_;
  std::map<unsigned, support::Netns> datapaths_;
};

}  // namespace lab
