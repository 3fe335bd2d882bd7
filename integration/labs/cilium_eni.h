// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "integration/labs/network.h"
#include "integration/labs/vpc.h"

namespace lab {

/// Cilium in ENI mode: its pods have addresses of the VPC too, of interfaces of its own, and their packets to the VPC
/// leave by these, wherever the receiver is.
class CiliumEni final : public Network {
 public:
  /// `interfaces`: by index; the first has room for `on_first` pods. `masquerade`: the node translates what leaves the
  /// VPC, by eth0 therefore; else that leaves by the pod's interface too.
  CiliumEni(std::vector<unsigned> interfaces, unsigned on_first, bool masquerade)
      : interfaces_(std::move(interfaces)), on_first_(on_first), masquerade_(masquerade) {}

  [[nodiscard]] std::string name() const override { return "cilium-eni"; }
  [[nodiscard]] std::string prefix() const override { return "172.30"; }
  /// Of nodes in a Vpc.
  void build(const support::Cluster& cluster) override;
  [[nodiscard]] ListFile list(const support::Node& node) const override;
  [[nodiscard]] std::string translated(const support::Node& from, const support::Node& to) const override;

 private:
  void add_chains(const support::Node& node) const;

  std::vector<unsigned> interfaces_;
  unsigned on_first_;
  bool masquerade_;
};

}  // namespace lab
