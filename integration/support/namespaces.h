// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/fd.h"

// Machines made of namespaces. After `isolate` the process lives in a mount namespace of its own, whose /run is empty:
// all that is made here hangs on this process, so the kernel takes it away with us however we end, and the machine's
// own /run/netns, CNI configuration and state are never seen nor touched.
namespace support {

/// Call once, as root, before the first thread. `own_dirs` ("/etc/cni") can be given to every `MountView`: they need
/// not exist on this machine, and are empty directories from here on.
void isolate(const std::vector<std::string>& own_dirs);

/// A network namespace, bound to /run/netns/<name> as runtimes do it, with `lo` up. Gone with this object.
class Netns {
 public:
  explicit Netns(std::string name);
  ~Netns();
  Netns(Netns&&) noexcept = default;
  Netns& operator=(Netns&&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string path() const;
  /// Runs `work` on a thread that is in the namespace; what it throws comes back.
  void enter(const std::function<void()>& work) const;
  /// "net.ipv4.ip_forward" or, for interface names with dots, "net/ipv4/conf/flannel.1/rp_filter".
  void sysctl(std::string_view key, std::string_view value) const;
  /// `ip` in this namespace: ip("link set lo up"). Throws what it says if it fails.
  std::string ip(std::string_view arguments) const;
  /// Many of them at the price of one program.
  void ip_batch(const std::vector<std::string>& lines) const;

 private:
  std::string name_;
};

/// A view of the file system in which each of `own_dirs` of `isolate` is an empty directory of its own; the rest,
/// network namespaces included, is shared. Gone with this object and the last program in it.
class MountView {
 public:
  MountView();
  /// To be opened by nsenter(1).
  [[nodiscard]] std::string path() const;
  /// The same place in the view as seen from here: file("/etc/cni/net.d/x") can be opened by this process.
  [[nodiscard]] std::string file(std::string_view path) const;

 private:
  conf::UniqueFd root_;
  conf::UniqueFd fd_;
};

/// The command line that runs `argv` in that network namespace and, if given, that view. Working directory: /.
[[nodiscard]] std::vector<std::string> inside(const Netns& net, const MountView* view, std::vector<std::string> argv);

/// Both ends of a new pair, up.
void add_veth(const Netns& a, const std::string& name_a, const Netns& b, const std::string& name_b);

}  // namespace support
