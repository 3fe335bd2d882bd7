// SPDX-License-Identifier: Apache-2.0
#include "integration/runtimes/containerd.h"

#include <signal.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "integration/runtimes/site.h"

namespace runtimes {
namespace {

constexpr const char* kSocket = "/run/containerd/containerd.sock";
constexpr const char* kConfig = "/run/containerd.toml";
constexpr const char* kLog = "/run/containerd.log";

// As on a node, but for what this machine need not have: a control group controller, CAP_SYS_RESOURCE, overlayfs.
constexpr const char* kSettings = R"(version = 2
root = "/run/containerd-root"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "crossover.test/pause:1"
  disable_cgroup = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
)";

// Mounts first, from the last to the first: what is under a mount is not ours to remove.
constexpr const char* kForget =
    "grep -oE ' /run/(containerd/|netns/cni-)[^ ]+' /proc/self/mounts | tac | xargs -r umount -l\n"
    "rm -rf /run/containerd /run/netns/cni-*\n";

}  // namespace

Containerd::Containerd(const support::Node& node) : node_(node), cri_(kSocket) {
  std::ofstream(kConfig) << kSettings;
  std::filesystem::remove(kLog);
  std::filesystem::remove_all("/run/containerd-root");
  start();
  node_.must_run({"ctr", "--namespace", "k8s.io", "images", "import", pause_image()});
}

Containerd::~Containerd() { crash(); }

void Containerd::start() {
  daemon_ = std::make_unique<Daemon>(node_.here({"containerd", "--config", kConfig}), kLog);
  eventually("containerd", [this] {
    if (!daemon_->running()) throw std::runtime_error("containerd ended: " + log());
    try {
      (void)cri_.pods();
      return true;
    } catch (const CriError&) {
      return false;
    }
  });
}

void Containerd::restart(int signal) {
  daemon_->end(signal);
  start();
}

void Containerd::crash() {
  daemon_.reset();
  kill_all("containerd-shim");
  kill_all("pause");
  (void)node_.run({"sh", "-c", kForget});
}

void Containerd::reboot(const std::function<void()>& meanwhile) {
  crash();
  meanwhile();
  start();
}

void Containerd::wait_for_network(const std::string& name) const {
  eventually("containerd to take " + name, [&] { return cri_.network() == name; });
}

std::string Containerd::log() const {
  std::ifstream file(kLog);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace runtimes
