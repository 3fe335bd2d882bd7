// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "integration/support/cluster.h"

// A cluster to migrate: what the two networks' daemons leave on a node, and their plugin lists.
namespace integration {

struct ListFile {
  std::string path;
  std::string text;
};

class Lab {
 public:
  virtual ~Lab() = default;
  /// Devices, routes and masquerade of both networks on every node: the second one's are there from the start, as they
  /// are when its agent runs everywhere.
  virtual void build(const support::Cluster& cluster) const = 0;
  [[nodiscard]] virtual ListFile legacy_list(const support::Node& node) const = 0;
  [[nodiscard]] virtual ListFile second_list(const support::Node& node) const = 0;
  [[nodiscard]] virtual ListFile crossover_list() const = 0;
  /// "legacy" or "second", by a pod's address.
  [[nodiscard]] virtual std::string network_of(const std::string& address) const = 0;
};

/// Flannel as the legacy network: Debian's bridge, host-local and portmap, VXLAN on port 8472. The second network is
/// Debian's ptp and our crossover-ipam, VXLAN on port 8473.
class FlannelLab final : public Lab {
 public:
  void build(const support::Cluster& cluster) const override;
  [[nodiscard]] ListFile legacy_list(const support::Node& node) const override;
  [[nodiscard]] ListFile second_list(const support::Node& node) const override;
  [[nodiscard]] ListFile crossover_list() const override;
  [[nodiscard]] std::string network_of(const std::string& address) const override;

 private:
  support::Overlay legacy_{.device = "flannel.1", .prefix = "10.244", .vni = 1, .port = 8472};
  support::Overlay second_{.device = "second.1", .prefix = "10.245", .vni = 2, .port = 8473};
};

}  // namespace integration
