// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "integration/support/namespaces.h"
#include "integration/support/process.h"

// Nodes on one segment, and what a CNI's daemon leaves on each of them.
namespace support {

inline constexpr std::string_view kNetDir = "/etc/cni/net.d";
inline constexpr std::string_view kCniStateDir = "/var/lib/cni";

/// A machine: eth0 with 172.30.0.<10+number>/24, forwarding on, rp_filter off, its own /etc/cni and /var/lib/cni.
class Node {
 public:
  Node(unsigned number, const Netns& lan);

  [[nodiscard]] unsigned number() const { return number_; }
  [[nodiscard]] const std::string& name() const { return net_.name(); }
  [[nodiscard]] std::string address() const;
  [[nodiscard]] const Netns& net() const { return net_; }
  /// A file of the node as seen from here.
  [[nodiscard]] std::string file(std::string_view path) const { return view_.file(path); }

  [[nodiscard]] Finished run(std::vector<std::string> argv, const std::map<std::string, std::string>& env = {},
                             std::string_view input = {}) const;
  std::string must_run(std::vector<std::string> argv, std::string_view input = {}) const;
  /// The command line that runs `argv` on this node, for who starts it himself.
  [[nodiscard]] std::vector<std::string> here(std::vector<std::string> argv) const {
    return inside(net_, &view_, std::move(argv));
  }
  /// Appears under its name complete, as it should; directories are made.
  void write(std::string_view path, std::string_view text) const;
  [[nodiscard]] std::string read(std::string_view path) const;

 private:
  unsigned number_;
  Netns net_;
  MountView view_;
};

/// `nodes` machines on a bridge, which lives in a namespace of its own and is 172.30.0.1, the way out of all of them.
class Cluster {
 public:
  explicit Cluster(unsigned nodes);
  [[nodiscard]] const Netns& lan() const { return lan_; }
  [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }

 private:
  Netns lan_;
  std::vector<Node> nodes_;
};

/// A network of /24s, one a node: <prefix>.<number>.0/24 out of <prefix>.0.0/16, carried by VXLAN.
struct Overlay {
  std::string device;  ///< "flannel.1"
  std::string prefix;  ///< "10.244"
  std::uint32_t vni = 1;
  std::uint16_t port = 8472;

  [[nodiscard]] std::string all() const { return prefix + ".0.0/16"; }
  [[nodiscard]] std::string block(const Node& node) const;
  /// The tunnel device's own address on a node: the first of its block.
  [[nodiscard]] std::string tunnel_address(const Node& node) const;
};

/// What flanneld makes on every node: the device without learning, and for each other node a route through its tunnel
/// address, a neighbour and a forwarding entry, all of them permanent.
void build_overlay(const Cluster& cluster, const Overlay& overlay);

}  // namespace support
