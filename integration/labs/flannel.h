// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "integration/labs/network.h"

namespace lab {

/// flanneld with Debian's bridge, host-local and portmap: node N has 10.244.N.0/24 on cni0.
class Flannel final : public Network {
 public:
  enum class Backend { kVxlan, kHostGateway };
  /// Who translates addresses: iptables over nf_tables or its own kernel part, or nft as with EnableNFTables.
  enum class Masquerade { kIptables, kIptablesLegacy, kNft };
  enum class Families { kIpv4, kDual };  ///< dual: with VXLAN and iptables
  explicit Flannel(Backend backend, Masquerade masquerade = Masquerade::kIptables, Families families = Families::kIpv4)
      : backend_(backend), masquerade_(masquerade), families_(families) {}

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::string prefix() const override { return overlay_.prefix; }
  [[nodiscard]] std::string prefix6() const override { return families_ == Families::kDual ? "fd00:10:244" : ""; }
  void build(const support::Cluster& cluster) override;
  [[nodiscard]] ListFile list(const support::Node& node) const override;
  [[nodiscard]] std::string translated(const support::Node& from, const support::Node& to) const override;
  [[nodiscard]] std::string translated6(const support::Node& from, const support::Node& to) const override;

 private:
  void build_overlay6(const support::Cluster& cluster) const;
  void masquerade6(const support::Node& node) const;
  void masquerade(const support::Node& node) const;

  Backend backend_;
  Masquerade masquerade_;
  Families families_;
  support::Overlay overlay_{.device = "flannel.1", .prefix = "10.244", .vni = 1, .port = 8472};
};

/// flanneld's FLANNEL-POSTRTG and FLANNEL-FWD: addresses stay inside the network and are the node's beyond it, both
/// ways.
void masquerade_like_flannel(const support::Node& node, const support::Overlay& overlay,
                             const std::string& program = "iptables-restore");

}  // namespace lab
