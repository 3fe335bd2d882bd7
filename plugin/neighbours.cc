// SPDX-License-Identifier: Apache-2.0
#include "plugin/neighbours.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "conf/error.h"
#include "conf/json.h"
#include "ipam/source.h"
#include "plugin/habits.h"

namespace plugin {
namespace {

using conf::IpPrefix;
using conf::Object;

constexpr std::string_view kCiliumVxlan = "cilium_vxlan";
constexpr std::size_t kMaxShown = 200;

/// Modes in which alloc-range is what pods get; in others (eni, azure, crd) it is a range that nobody uses.
constexpr std::array<std::string_view, 3> kModesOfBlocks = {"cluster-pool", "cluster-pool-v2beta", "kubernetes"};

/// One look, made warning by warning.
class Looking {
 public:
  explicit Looking(const Neighbours& here) : here_(here) {}

  std::vector<std::string> run() {
    if (here_.legacy_lives) {
      host_routing();
      kube_proxy_replacement();
      socket_lb();
      overlaps();
      uncovered_blocks();
      tunnel();
    }
    cni_file();
    return std::move(out_);
  }

 private:
  void host_routing() {
    const bool said = !here_.health.host_routing.empty();
    const bool by_bpf = said ? here_.health.host_routing == "BPF" : here_.config.legacy_host_routing == false;
    if (by_bpf)
      out_.emplace_back(
          "Cilium routes by BPF on this host, past the kernel's routing and NAT: its pods miss kube-proxy's Services "
          "and the way to legacy pods; set bpf.hostLegacyRouting=true until the last legacy pod is gone");
  }

  // Beside aws-node all load balancers broke the moment Cilium started (cilium#21579).
  void kube_proxy_replacement() {
    const std::string& mode = here_.health.kube_proxy_replacement;
    if (mode == "True" || mode == "Strict" || here_.health.node_ports)
      out_.push_back(fmt::format(
          "Cilium serves NodePorts instead of kube-proxy (kubeProxyReplacement {}): load balancers in front of legacy "
          "pods were seen to break; set kubeProxyReplacement=false and keep kube-proxy until the last legacy pod is "
          "gone",
          mode));
  }

  void socket_lb() {
    const bool host_only = here_.health.socket_lb_host_only || here_.config.socket_lb_host_only.value_or(false);
    if (here_.health.socket_lb && !host_only)
      out_.emplace_back(
          "Cilium's socket load balancer also rewrites what legacy pods of this node connect to: their Services depend "
          "on Cilium's agent instead of kube-proxy; set socketLB.hostNamespaceOnly=true until the last legacy pod is "
          "gone");
  }

  bool gives_blocks() const {
    return std::find(kModesOfBlocks.begin(), kModesOfBlocks.end(), here_.config.ipam_mode) != kModesOfBlocks.end();
  }

  void overlaps() {
    if (gives_blocks())
      for (const IpPrefix& block : here_.config.pod_cidrs) overlap(block, "this node's block of the agent");
    for (const IpPrefix& cidr : here_.cilium_cidrs) overlap(cidr, "`cilium.cidrs`");
  }

  void overlap(const IpPrefix& cidr, std::string_view source) {
    const auto pool = std::find_if(here_.legacy_pools.begin(), here_.legacy_pools.end(),
                                   [&](const LegacyPool& one) { return one.cidr.overlaps(cidr); });
    if (pool == here_.legacy_pools.end()) return;
    const std::string_view mode = here_.config.ipam_mode == "kubernetes"
                                      ? "ipam.mode=cluster-pool (in the mode kubernetes both share one block) and "
                                      : "";
    out_.push_back(fmt::format(
        "Cilium's addresses overlap the legacy network's, {} ({}) and {} ({}): two pods can get the same one; set "
        "{}ipam.operator.clusterPoolIPv{}PodCIDRList to a CIDR of its own",
        cidr.str(), source, pool->cidr.str(), pool->source, mode, cidr.addr.family == conf::Family::kIpv4 ? 4 : 6));
  }

  void uncovered_blocks() {
    if (!gives_blocks() || here_.cilium_cidrs.empty()) return;
    for (const IpPrefix& block : here_.config.pod_cidrs)
      if (std::none_of(here_.cilium_cidrs.begin(), here_.cilium_cidrs.end(), [&](const IpPrefix& cidr) {
            return cidr.prefix_len <= block.prefix_len && cidr.contains(block.addr);
          }))
        out_.push_back(
            fmt::format("Cilium's block of this node, {}, is in no `cilium.cidrs`: what is between the networks leaves "
                        "it out; add Cilium's whole pool there",
                        block.str()));
  }

  void tunnel() {
    const unsigned port = tunnel_port(here_);
    for (const netlink::Link& link : here_.links)
      if (link.kind == "vxlan" && link.name != kCiliumVxlan && port != 0 && link.vxlan_port == port)
        out_.push_back(fmt::format(
            "Cilium's tunnel and {} both want UDP port {}: only one of them can be up; set tunnelPort={} and open it "
            "between the nodes",
            link.name, port, port == 8473 ? 8474 : 8473));
  }

  void cni_file() {
    if (here_.health.cni_file_state == "Failure")
      out_.push_back(
          fmt::format("Cilium's agent cannot write its list ({}); see write-cni-conf-when-ready in its "
                      "CiliumNodeConfig",
                      shown(here_.health.cni_file_message)));
  }

  static std::string shown(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, kMaxShown)) out += (c >= 0 && c < ' ') || c == '\x7f' ? '?' : c;
    return out;
  }

  const Neighbours& here_;
  std::vector<std::string> out_;
};

void add_cidr(const std::string* raw, std::vector<IpPrefix>& out) {
  if (raw == nullptr) return;
  if (const auto cidr = IpPrefix::parse(conf::as_string(*raw).value_or(""))) out.push_back(cidr->masked());
}

/// host-local's `subnet` and `ranges`, and calico-ipam's `ipv4_pools` and `ipv6_pools`.
void add_pools(const Object& ipam, std::vector<IpPrefix>& out) {
  add_cidr(ipam.find("subnet"), out);
  const auto elements = [](const std::string* raw) {
    return raw != nullptr && conf::kind_of(*raw) == "array" ? conf::parse_array(*raw, "ipam")
                                                            : std::vector<std::string>{};
  };
  for (const std::string_view key : {"ipv4_pools", "ipv6_pools"})
    for (const std::string& pool : elements(ipam.find(key))) add_cidr(&pool, out);
  for (const std::string& set : elements(ipam.find("ranges")))
    for (const std::string& range : elements(&set))
      if (conf::kind_of(range) == "object") add_cidr(Object::parse(range, "ipam.ranges").find("subnet"), out);
}

std::vector<LegacyPool> legacy_pools(System& system, const conf::Settings& settings, const Node& node) {
  constexpr std::size_t kMaxSubnetEnv = 4096;
  std::vector<LegacyPool> out;
  const auto add = [&](const std::vector<IpPrefix>& cidrs, const std::string& source) {
    for (const IpPrefix& cidr : cidrs) out.push_back({.cidr = cidr, .source = source});
  };
  add(settings.legacy_cidrs, "`legacy.cidrs`");
  if (!node.lists.legacy) return out;
  add(pools_of(node.lists.legacy->list), node.lists.legacy->file);
  // Canal has flannel's daemon without its plugin.
  const std::string file =
      flannel_subnet_file(node.lists.legacy->list, system.places).value_or(system.places.flannel_subnet);
  try {
    if (const auto text = system.disk.read(file, kMaxSubnetEnv))
      add(ipam::read_flannel_networks(*text), "FLANNEL_NETWORK in " + file);
  } catch (const conf::CniError&) {
    return out;
  }
  return out;
}

// In secondary mode an agent runs on each node, and its list is on none: that is when its settings are looked at.
std::string agent_socket(System& system, const conf::Settings& settings, const Node& node) {
  if (!node.socket.empty() || settings.cilium_socket) return node.socket;
  return system.disk.info(system.places.cilium_socket) ? system.places.cilium_socket : std::string();
}

void ask_agent(System& system, const conf::Settings& settings, const Node& node, Neighbours& out) {
  const std::string socket = agent_socket(system, settings, node);
  out.has_agent = !socket.empty();
  if (!out.has_agent) return;
  out.health = node.facts.agent;
  const bool was_asked = out.health.answered || !out.health.problem.empty();
  if (!was_asked) out.health = system.agent.health(socket, settings.agent_timeout);
  if (!out.health.answered) return;
  out.config = node.socket.empty() ? system.agent.config(socket, settings.agent_timeout)
                                   : node.agent_config(system, settings.agent_timeout);
}

}  // namespace

unsigned tunnel_port(const Neighbours& here) {
  const bool native = here.health.routing == "Native" || here.config.routing == "native";
  if (native || here.config.tunnel_port != 0) return native ? 0U : here.config.tunnel_port;
  for (const netlink::Link& link : here.links)
    if (link.name == kCiliumVxlan) return link.vxlan_port;
  return 0;
}

std::vector<IpPrefix> pools_of(const conf::NetworkList& list) {
  std::vector<IpPrefix> out;
  for (const conf::PluginConf& plugin : list.plugins) {
    const std::string* raw = plugin.conf.find("ipam");
    if (raw != nullptr && conf::kind_of(*raw) == "object") add_pools(Object::parse(*raw, "ipam"), out);
  }
  return out;
}

std::vector<std::string> neighbour_warnings(const Neighbours& here) { return Looking(here).run(); }

Neighbours look_at_neighbours(System& system, const conf::Settings& settings, const Node& node,
                              std::size_t legacy_pods) {
  Neighbours out;
  out.legacy_lives = legacy_pods > 0 || (node.lists.legacy && node.lists.legacy->in_place);
  ask_agent(system, settings, node, out);
  out.cilium_cidrs = settings.cilium_cidrs;
  out.legacy_pools = legacy_pools(system, settings, node);
  try {
    out.links = system.fib.links();
  } catch (const conf::CniError&) {
    out.links.clear();
  }
  return out;
}

}  // namespace plugin
