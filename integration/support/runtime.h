// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "integration/support/cluster.h"

// A container runtime, as far as CNI can tell: it takes the first list of net.d that there is at the moment, for an ADD
// and for a DEL alike (containerd does the same), and lets the real libcni run it.
namespace support {

/// A pod's sandbox: a network namespace on a node, attached or not.
struct Sandbox {
  const Node* node = nullptr;
  std::string pod;              ///< its name
  std::string id;               ///< the container id
  std::uint16_t host_port = 0;  ///< 0: none; else this port of the node leads to `pod_port`, TCP and UDP
  std::uint16_t pod_port = 0;
  std::unique_ptr<Netns> netns;
  std::string address;   ///< after an ADD
  std::string address6;  ///< of IPv6, if it has one besides
};

class Runtime {
 public:
  /// `driver`: libcni-driver; `cni_path`: where the plugins are.
  Runtime(std::string driver, std::string cni_path) : driver_(std::move(driver)), cni_path_(std::move(cni_path)) {}

  /// Makes the namespace and attaches it; throws with the plugin's words if that fails.
  [[nodiscard]] Sandbox start(const Node& node, const std::string& pod, std::uint16_t host_port = 0,
                              std::uint16_t pod_port = 0) const;
  /// Detaches it and removes the namespace.
  void stop(Sandbox& sandbox) const;
  /// The list that a call would use now; empty if there is none.
  [[nodiscard]] static std::string conflist(const Node& node);

 private:
  [[nodiscard]] std::string call(const std::string& verb, const Sandbox& sandbox) const;

  std::string driver_;
  std::string cni_path_;
};

}  // namespace support
