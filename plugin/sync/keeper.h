// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "conf/disk.h"
#include "plugin/sync/follower.h"
#include "plugin/sync/mirror.h"

// Brings the files of this node up to what was heard. They are <stateDir>/node-state, the podCIDR file, and what tells
// how old they are, <stateDir>/sync-status, one JSON object:
//
//   {"format":1,"node":"node1","server":"https://10.96.0.1:443","lastSuccess":1763741000000,
//    "problem":"","kept":["the podCIDR file stays: ..."]}
//
// `lastSuccess`: when the API server last confirmed both objects, in milliseconds since 1970 by this node's clock; 0
// for never. `problem`: why that is not now; empty if it is. `kept`: files that stay although the API server says
// otherwise.
namespace plugin::sync {

struct Places {
  std::string state_dir = "/var/lib/cni/crossover";
  std::string pod_cidrs;  ///< empty: <state_dir>/pod-cidrs
  [[nodiscard]] std::string node_state_file() const { return state_dir + "/node-state"; }
  [[nodiscard]] std::string pod_cidrs_file() const { return pod_cidrs.empty() ? state_dir + "/pod-cidrs" : pod_cidrs; }
  [[nodiscard]] std::string status_file() const { return state_dir + "/sync-status"; }
};

using Log = std::function<void(const std::string&)>;

class Keeper {
 public:
  /// `dry_run`: says what it would do, and does nothing.
  Keeper(conf::Disk& disk, Places places, std::string node, std::string server, bool dry_run, Log log);

  /// What was heard of both. False if something is wrong, by the API server or on this disk.
  bool settle(const Follower& kubernetes_node, const Follower& cilium_node);

 private:
  void settle_label(const Follower& kubernetes_node);
  void settle_blocks(const Follower& kubernetes_node, const Follower& cilium_node);
  void settle_status(const Follower& kubernetes_node, const Follower& cilium_node);
  void write(const std::string& path, const std::optional<std::string>& old, const Mirrored& wanted);
  /// False, and `from` removed, if `to` says something else than `old`.
  bool rename_if_still(const std::optional<std::string>& old, const std::string& from, const std::string& to);
  [[nodiscard]] std::int64_t last_success() const;

  conf::Disk& disk_;
  Places places_;
  std::string node_;
  std::string server_;
  bool dry_run_;
  Log log_;
  std::int64_t last_success_ = 0;
  std::vector<std::string> problems_;
  std::vector<std::string> kept_;
  std::vector<std::string> told_;
  std::string status_;
};

}  // namespace plugin::sync
