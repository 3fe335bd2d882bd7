// SPDX-License-Identifier: Apache-2.0
#include "integration/runtimes/podman.h"

#include <filesystem>
#include <fstream>

#include "integration/runtimes/daemon.h"

namespace runtimes {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "/run/containers.conf";
constexpr const char* kStorage = "/run/storage.conf";
constexpr const char* kRoot = "/run/rootfs";
constexpr const char* kKept = "/run/podman-kept";  // stays over a boot

// As on a machine of Docker's times, but for control group controllers, which this one need not have.
constexpr const char* kSettings = R"([containers]
pids_limit = 0
apparmor_profile = "unconfined"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
static_dir = "/run/podman-kept/libpod"
volume_path = "/run/podman-kept/volumes"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
)";

constexpr const char* kStorageSettings = R"([storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/run/podman-kept/storage"
)";

constexpr const char* kForget =
    "grep -oE ' /run/(containers/|libpod/|netns/netns-)[^ ]+' /proc/self/mounts | tac | xargs -r umount -l\n"
    "rm -rf /run/containers /run/libpod /run/runc /run/netns/netns-* /dev/shm/libpod_lock\n";

}  // namespace

Podman::Podman(const support::Node& node) : node_(node) {
  fs::remove_all(kKept);
  std::ofstream(kConfig) << kSettings;
  std::ofstream(kStorage) << kStorageSettings;
  fs::create_directories(kRoot);
  fs::copy_file(std::string(BIN_DIR) + "/pause", std::string(kRoot) + "/pause", fs::copy_options::overwrite_existing);
}

Podman::~Podman() { crash(); }

std::string Podman::operator()(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), {"env", std::string("CONTAINERS_CONF=") + kConfig,
                                       std::string("CONTAINERS_STORAGE_CONF=") + kStorage, "podman"});
  std::string out = node_.must_run(std::move(arguments));
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

std::string Podman::run(const std::string& name, const std::vector<std::string>& options) const {
  std::vector<std::string> arguments = {"run", "--detach", "--name", name, "--network", "crossover"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.insert(arguments.end(), {"--rootfs", kRoot, "/pause"});
  return (*this)(std::move(arguments));
}

std::string Podman::address(const std::string& container) const {
  return (*this)({"inspect", "--format", "{{(index .NetworkSettings.Networks \"crossover\").IPAddress}}", container});
}

std::string Podman::netns(const std::string& container) const {
  return (*this)({"inspect", "--format", "{{.NetworkSettings.SandboxKey}}", container});
}

void Podman::crash() const {
  kill_all("conmon");
  kill_all("podman");
  kill_all("pause");
  (void)node_.run({"sh", "-c", kForget});
}

void Podman::reboot(const std::function<void()>& meanwhile) const {
  crash();
  meanwhile();
}

}  // namespace runtimes
