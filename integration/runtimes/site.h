// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "integration/fixture/agent.h"
#include "integration/labs/lab.h"
#include "integration/support/cluster.h"

// A node of Flannel with Cilium beside it, as a real runtime finds it: real paths, each of them the test's own.
namespace runtimes {

/// Where a test of this process may write besides /run; calls `support::isolate`. Before the first thread.
void isolate_once();

/// The archive of an image, crossover.test/pause:1, that holds the program `pause` and starts it.
[[nodiscard]] std::string pause_image();
inline constexpr const char* kPauseImage = "crossover.test/pause:1";

class Site {
 public:
  Site();

  [[nodiscard]] const support::Node& node() const { return cluster_.nodes().front(); }
  /// The network beyond the node.
  [[nodiscard]] const support::Netns& lan() const { return cluster_.lan(); }
  [[nodiscard]] fixture::Agent& agent() { return agent_; }

  /// `crossover` of the build on the node; throws with what it says if it fails.
  std::string crossover(std::vector<std::string> arguments) const;
  /// `crossover install`, as the manual has it.
  void install() const;
  /// `crossover attachments --json`
  [[nodiscard]] nlohmann::json attachments() const;
  /// The file of a record, all its lines.
  [[nodiscard]] std::vector<nlohmann::json> record(const std::string& id) const;

  /// Which plugins were called for that container, in order: "ADD bridge, ADD portmap". Without the IPAM plugins.
  [[nodiscard]] std::string calls(const std::string& id) const;
  /// CNI_NETNS of that container's last DEL of a plugin.
  [[nodiscard]] std::string netns_of_del(const std::string& id) const;
  /// From now on calls of `plugin` wait, having been counted, until it is let go.
  void hold(const std::string& plugin) const;
  void let_go(const std::string& plugin) const;

  /// "legacy" or "second", by a pod's address.
  [[nodiscard]] std::string network_of(const std::string& address) const { return lab_.network_of(address); }
  /// An echo of ICMP, from the node.
  [[nodiscard]] bool reaches(const std::string& address) const;

  /// What is on the node that was not there in the beginning, but for the bridge of the legacy network: lines.
  [[nodiscard]] std::string leftovers() const;
  /// As a boot leaves it: another boot id, no devices of pods, no tables of netfilter that nobody puts back.
  void forget_this_boot() const;

 private:
  bool isolated_;  // before the first namespace
  support::Cluster cluster_{1};
  lab::Lab lab_;
  fixture::Agent agent_;
  std::set<std::string> before_;
};

}  // namespace runtimes
