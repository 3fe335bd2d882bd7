// SPDX-License-Identifier: Apache-2.0
#include "integration/support/cluster.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace support {
namespace {

namespace fs = std::filesystem;

/// Locally administered, and different for each device of a node.
std::string hardware_address(std::uint32_t vni, unsigned node) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "0e:00:00:00:00:00";
  text[12] = kDigits[vni / 16 % 16];
  text[13] = kDigits[vni % 16];
  text[15] = kDigits[node / 16 % 16];
  text[16] = kDigits[node % 16];
  return text;
}

std::string node_name(unsigned number) { return "node" + std::to_string(number); }

}  // namespace

Node::Node(unsigned number, const Netns& lan) : number_(number), net_(node_name(number)) {
  const std::string port = "port" + std::to_string(number);
  add_veth(net_, "eth0", lan, port);
  lan.ip("link set " + port + " master br0");
  net_.ip_batch({"addr add " + address() + "/24 dev eth0", "route add default via 172.30.0.1"});
  net_.sysctl("net.ipv4.conf.all.rp_filter", "0");
  net_.sysctl("net.ipv4.conf.default.rp_filter", "0");
  net_.sysctl("net.ipv4.ip_forward", "1");
}

std::string Node::address() const { return "172.30.0." + std::to_string(10 + number_); }

Finished Node::run(std::vector<std::string> argv, const std::map<std::string, std::string>& env,
                   std::string_view input) const {
  return support::run(inside(net_, &view_, std::move(argv)), env, input);
}

std::string Node::must_run(std::vector<std::string> argv, std::string_view input) const {
  return support::must_run(inside(net_, &view_, std::move(argv)), {}, input);
}

void Node::write(std::string_view path, std::string_view text) const {
  const fs::path target(file(path));
  fs::create_directories(target.parent_path());
  const fs::path draft = target.parent_path() / ("." + target.filename().string() + ".new");
  std::ofstream out(draft, std::ios::binary);
  out << text << std::flush;
  if (!out) throw std::runtime_error("write " + std::string(path) + " on " + name());
  fs::rename(draft, target);
}

std::string Node::read(std::string_view path) const {
  std::ifstream in(file(path), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Cluster::Cluster(unsigned nodes) : lan_("lan") {
  lan_.ip_batch({"link add br0 type bridge", "addr add 172.30.0.1/24 dev br0", "link set br0 up"});
  nodes_.reserve(nodes);
  for (unsigned number = 1; number <= nodes; ++number) nodes_.emplace_back(number, lan_);
}

std::string Overlay::block(const Node& node) const { return prefix + "." + std::to_string(node.number()) + ".0/24"; }

std::string Overlay::tunnel_address(const Node& node) const {
  return prefix + "." + std::to_string(node.number()) + ".0";
}

void build_overlay(const Cluster& cluster, const Overlay& overlay) {
  for (const Node& node : cluster.nodes()) {
    std::vector<std::string> lines = {
        "link add " + overlay.device + " address " + hardware_address(overlay.vni, node.number()) +
            " mtu 1450 type vxlan id " + std::to_string(overlay.vni) + " local " + node.address() +
            " dev eth0 dstport " + std::to_string(overlay.port) + " nolearning",
        "addr add " + overlay.tunnel_address(node) + "/32 dev " + overlay.device, "link set " + overlay.device + " up"};
    std::string forwarding;
    for (const Node& other : cluster.nodes()) {
      if (other.number() == node.number()) continue;
      const std::string mac = hardware_address(overlay.vni, other.number());
      const std::string peer = overlay.tunnel_address(other);
      lines.push_back("neigh add " + peer + " lladdr " + mac + " dev " + overlay.device + " nud permanent");
      lines.push_back("route add " + overlay.block(other) + " via " + peer + " dev " + overlay.device + " onlink");
      forwarding += "fdb add " + mac + " dev " + overlay.device + " dst " + other.address() + " self permanent\n";
    }
    node.net().ip_batch(lines);
    support::must_run({"bridge", "-n", node.name(), "-batch", "-"}, {}, forwarding);
  }
}

}  // namespace support
