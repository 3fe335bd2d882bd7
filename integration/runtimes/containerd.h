// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "integration/runtimes/cri.h"
#include "integration/runtimes/daemon.h"
#include "integration/support/cluster.h"

namespace runtimes {

/// Debian's containerd on a node, with its CRI, knowing one image.
class Containerd {
 public:
  explicit Containerd(const support::Node& node);
  /// Takes everything with it that it started.
  ~Containerd();
  Containerd(const Containerd&) = delete;
  Containerd& operator=(const Containerd&) = delete;

  /// Pods live on. Returns when it answers.
  void restart(int signal);
  /// Kills it and every pod, and takes away what a boot takes; returns when it answers again.
  void reboot(const std::function<void()>& meanwhile);
  /// Returns when it runs new pods on that network.
  void wait_for_network(const std::string& name) const;
  [[nodiscard]] const Cri& cri() const { return cri_; }
  /// What it said, for a test that failed.
  [[nodiscard]] std::string log() const;

 private:
  void start();
  void crash();

  const support::Node& node_;
  Cri cri_;
  std::unique_ptr<Daemon> daemon_;
};

}  // namespace runtimes
