// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "integration/labs/cilium.h"
#include "integration/labs/network.h"

namespace lab {

/// What the nodes' configuration asks for: `coexistence.preserveSource`, and the half of it that does not exist.
enum class Preserve { kOff, kToLegacy, kBoth, kToCiliumOnly };

/// A cluster between two networks: a legacy one, and Cilium beside it on every node, with
/// the same families.
class Lab {
 public:
  /// `iptables_restore`: Cilium's.
  explicit Lab(std::unique_ptr<Network> legacy, std::string iptables_restore = "iptables-restore");

  /// As when the second network's agent runs everywhere before the first node is moved.
  void build(const support::Cluster& cluster);
  [[nodiscard]] ListFile legacy_list(const support::Node& node) const { return legacy_->list(node); }
  [[nodiscard]] ListFile second_list(const support::Node& node) const { return cilium_.list(node); }
  /// Off asks for nothing that is not needed; else the list tells both networks' CIDRs too.
  [[nodiscard]] ListFile crossover_list(Preserve mode = Preserve::kOff) const;
  /// "legacy" or "second", by a pod's address.
  [[nodiscard]] std::string network_of(const std::string& address) const;

  [[nodiscard]] const Network& legacy() const { return *legacy_; }
  [[nodiscard]] const Cilium& cilium() const { return cilium_; }
  [[nodiscard]] Cilium& cilium() { return cilium_; }

 private:
  std::unique_ptr<Network> legacy_;
  Cilium cilium_;
};

/// A lab by its name: one of `lab_names`; aws, where addresses cannot be preserved; or flannel over VXLAN with other
/// means of translation: flannel-nft, flannel-iptables-legacy (Cilium too); or, with IPv6 on both
/// sides, flannel-dual. Throws std::invalid_argument.
[[nodiscard]] Lab lab_named(const std::string& name);
[[nodiscard]] const std::vector<std::string>& lab_names();

}  // namespace lab
