// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "integration/runtimes/containerd.h"
#include "integration/runtimes/site.h"

namespace runtimes {

inline constexpr const char* kLegacyAdd = "ADD bridge, ADD portmap";
inline constexpr const char* kLegacyLife = "ADD bridge, ADD portmap, DEL portmap, DEL bridge";
inline constexpr const char* kCiliumAdd = "ADD cilium-cni";
inline constexpr const char* kCiliumLife = "ADD cilium-cni, DEL cilium-cni";

/// Who asks containerd for pods.
class Kubelet {
 public:
  explicit Kubelet(const Containerd& containerd) : cri_(containerd.cri()) {}

  [[nodiscard]] std::string run(const std::string& name) const {
    Pod pod;
    pod.name = name;
    return cri_.run_pod(pod);
  }
  void remove(const std::string& id) const {
    cri_.stop_pod(id);
    cri_.remove_pod(id);
  }
  [[nodiscard]] PodStatus status(const std::string& id) const { return cri_.pod_status(id); }

 private:
  const Cri& cri_;
};

/// A node that Crossover was installed on before containerd started, and whose state is set.
struct Installed {
  explicit Installed(const std::string& state = "legacy") {
    site.install();
    set(state);
    containerd = std::make_unique<Containerd>(site.node());
  }
  void set(const std::string& state) const { (void)site.crossover({"set", state, "as a test wants it"}); }
  [[nodiscard]] Kubelet kubelet() const { return Kubelet(*containerd); }

  Site site;
  std::unique_ptr<Containerd> containerd;
};

}  // namespace runtimes
