// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/ip.h"

// What Cilium's agent says, from the bodies of its answers; 1.13 and newer. Every version says other things, so
// whatever is not there or of another kind is empty, false or nothing, and texts are the agent's own words. Pure.
namespace plugin {

/// /v1/healthz.
struct AgentHealth {
  bool answered = false;
  std::string problem;         ///< why there is no answer, or none to use
  std::string state;           ///< cilium.state: Ok, Warning, Failure, Disabled
  std::string cni_file_state;  ///< cni-file.state: Ok, Disabled, Failure; empty if the agent is too old to say
  /// Whether the agent itself maps hostPorts (kube-proxy replacement); nothing if it did not say.
  std::optional<bool> host_ports = std::nullopt;
  std::string cni_file_message = {};
  std::string version = {};                 ///< "1.19.4"
  std::string kube_proxy_replacement = {};  ///< "True" or "False"; before 1.14 Strict, Partial, Probe or Disabled
  bool node_ports = false;                  ///< it serves NodePorts itself
  bool socket_lb = false;                   ///< it rewrites what processes connect to
  bool socket_lb_host_only = false;         ///< but not for those in pods
  std::string routing = {};                 ///< between hosts: Tunnel or Native; since 1.16
  std::string tunnel_protocol = {};         ///< vxlan, geneve
  std::string host_routing = {};            ///< within the host: BPF or Legacy
  std::string masquerading = {};            ///< BPF, iptables; "off"
  std::vector<conf::IpAddr> health_addresses = {};  ///< of its own health endpoint

  [[nodiscard]] bool healthy() const { return answered && (state == "Ok" || state == "Warning"); }
};
[[nodiscard]] AgentHealth parse_health(const std::string& body);

/// /v1/config. Half of it is the agent's own option map, which is no published API: it changes with each version.
struct AgentConfig {
  std::string ipam_mode;                         ///< "cluster-pool", "eni"
  std::uint32_t route_mtu = 0;                   ///< bytes; 0: not known
  std::uint32_t device_mtu = 0;                  ///< likewise
  std::vector<conf::IpPrefix> pod_cidrs = {};    ///< of each family that is on
  std::vector<conf::IpAddr> routers = {};        ///< cilium_host's addresses
  std::string routing = {};                      ///< "tunnel", "native"
  std::string tunnel_protocol = {};              ///< "vxlan", "geneve"
  std::uint16_t tunnel_port = 0;                 ///< 0: not said, as by 1.19
  std::optional<bool> legacy_host_routing = {};  ///< bpf.hostLegacyRouting
  std::optional<bool> socket_lb_host_only = {};  ///< socketLB.hostNamespaceOnly
};
[[nodiscard]] AgentConfig parse_agent_config(const std::string& body);

enum class Endpoint { kPresent, kAbsent, kUnknown };

/// Whether the body of /v1/endpoint/<id> is an endpoint, and not another interface's than `ifname`'s. Agents that only
/// know containers do not name interfaces: asked by container, the one endpoint that they have of it is eth0's, and of
/// another interface nothing is known.
enum class AskedBy { kAttachment, kContainer };
[[nodiscard]] Endpoint parse_endpoint(const std::string& body, std::string_view ifname, AskedBy by);

}  // namespace plugin
