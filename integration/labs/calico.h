// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "integration/labs/network.h"

namespace lab {

/// Felix and Calico's plugin, VXLAN on port 4789: node N has the block 10.246.N.0/26, a route of 32 bits for each pod
/// and a blackhole for the rest. CIDRs stand where Felix has sets of addresses, and one chain for all pods where it has
/// one for each.
class Calico final : public Network {
 public:
  [[nodiscard]] std::string name() const override { return "calico"; }
  [[nodiscard]] std::string prefix() const override { return "10.246"; }
  void build(const support::Cluster& cluster) override;
  [[nodiscard]] ListFile list(const support::Node& node) const override;
  [[nodiscard]] std::string translated(const support::Node& from, const support::Node& to) const override;

 private:
  [[nodiscard]] std::string block(const support::Node& node) const;
  [[nodiscard]] std::string tunnel_address(const support::Node& node) const;
  void add_routes(const support::Cluster& cluster, const support::Node& node) const;
};

/// Calico's pods and policy, flannel's network between the nodes: 10.244.N.0/24.
class Canal final : public Network {
 public:
  [[nodiscard]] std::string name() const override { return "canal"; }
  [[nodiscard]] std::string prefix() const override { return overlay_.prefix; }
  void build(const support::Cluster& cluster) override;
  [[nodiscard]] ListFile list(const support::Node& node) const override;
  [[nodiscard]] std::string translated(const support::Node& from, const support::Node& to) const override;

 private:
  support::Overlay overlay_{.device = "flannel.1", .prefix = "10.244", .vni = 1, .port = 8472};
};

}  // namespace lab
