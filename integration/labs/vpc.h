// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "integration/support/cluster.h"

namespace lab {

/// An elastic network interface.
struct Eni {
  std::string device;             ///< of the node: "eth1"
  std::string port;               ///< of the router
  std::string address;            ///< its primary one, 172.30.0.<10 + node + 10 * index>
  std::string pods;               ///< the prefix assigned to it for pods, 172.30.<node>.<16 * index>/28
  std::vector<std::string> free;  ///< the addresses of it
};

/// A VPC of AWS, 172.30.0.0/16, made out of a cluster's segment: each interface of each node hangs on a port of a
/// router, 172.30.0.1, which answers every ARP, knows whose each address is, and drops a packet whose source is not one
/// of the interface that it came from (AWS's source/destination check). What it has no route to is gone without a word.
class Vpc {
 public:
  /// `interfaces`: of each node, eth0 included.
  Vpc(const support::Cluster& cluster, unsigned interfaces);

  static constexpr const char* kCidr = "172.30.0.0/16";
  static constexpr const char* kRouter = "172.30.0.1";
  static constexpr const char* kOutside = "198.51.100.2";
  [[nodiscard]] static Eni eni(const support::Node& node, unsigned index);

  /// Somebody beyond the VPC, kOutside.
  [[nodiscard]] const support::Netns& outside() const { return outside_; }
  /// Packets from that interface that the check let through, and that it dropped.
  [[nodiscard]] std::uint64_t passed(const Eni& eni) const { return count(eni.port + "_passed"); }
  [[nodiscard]] std::uint64_t dropped(const Eni& eni) const { return count(eni.port + "_dropped"); }

 private:
  void connect(const support::Node& node, const Eni& eni) const;
  void check_sources() const;
  [[nodiscard]] std::uint64_t count(const std::string& counter) const;

  const support::Cluster& cluster_;
  unsigned interfaces_;
  support::Netns outside_;
};

}  // namespace lab
