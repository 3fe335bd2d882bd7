// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "integration/support/cluster.h"

namespace runtimes {

/// Debian's podman on a node, with its CNI backend. Its network is Crossover's list.
class Podman {
 public:
  explicit Podman(const support::Node& node);
  /// Takes every container with it.
  ~Podman();
  Podman(const Podman&) = delete;
  Podman& operator=(const Podman&) = delete;

  /// podman with those arguments; what it prints, without the end of its line. Throws what it says if it fails.
  std::string operator()(std::vector<std::string> arguments) const;
  /// Starts a container; its id.
  [[nodiscard]] std::string run(const std::string& name, const std::vector<std::string>& options = {}) const;
  [[nodiscard]] std::string address(const std::string& container) const;
  /// The path of its network namespace.
  [[nodiscard]] std::string netns(const std::string& container) const;
  /// Kills all and takes away what a boot takes.
  void reboot(const std::function<void()>& meanwhile) const;

 private:
  void crash() const;

  const support::Node& node_;
};

}  // namespace runtimes
