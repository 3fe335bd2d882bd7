// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "integration/labs/network.h"
#include "integration/labs/vpc.h"

namespace lab {

/// The AWS VPC CNI: pods have addresses of the VPC, the first of a node those of eth0, the others those of secondary
/// interfaces, whose packets have to leave by them.
class Aws final : public Network {
 public:
  /// Who translates what leaves the VPC.
  enum class Snat {
    kNode,  ///< the node, as usual: also what goes to Cilium's pods, which leaves by the main table therefore
    kNodeNotToCilium,  ///< AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS has Cilium's CIDR
    kExternal,         ///< AWS_VPC_K8S_CNI_EXTERNALSNAT: nobody here
  };
  struct Options {
    Snat snat = Snat::kNode;
    unsigned interfaces = 2;                ///< that a node has
    std::vector<unsigned> secondary = {1};  ///< those of them whose addresses are this network's, besides eth0
    unsigned on_primary = 2;                ///< pods that get an address of eth0
  };
  explicit Aws(Options options) : options_(std::move(options)) {}

  [[nodiscard]] std::string name() const override { return "aws"; }
  [[nodiscard]] std::string prefix() const override { return "172.30"; }
  void build(const support::Cluster& cluster) override;
  [[nodiscard]] ListFile list(const support::Node& node) const override;
  [[nodiscard]] std::string translated(const support::Node& from, const support::Node& to) const override;
  [[nodiscard]] bool needs_cidrs() const override { return true; }

  /// After `build`.
  [[nodiscard]] const Vpc& vpc() const { return *vpc_; }

 private:
  void add_routes(const support::Node& node) const;
  void add_chains(const support::Node& node) const;

  Options options_;
  std::unique_ptr<Vpc> vpc_;
};

}  // namespace lab
