// SPDX-License-Identifier: Apache-2.0
#include "plugin/agent_answers.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "conf/json.h"

namespace plugin {
namespace {

using conf::IpAddr;
using conf::IpPrefix;
using conf::Object;

constexpr std::size_t kMaxAnswerBytes = std::size_t{4} << 20;
constexpr std::string_view kHealthTarget = "/v1/healthz";
constexpr std::string_view kConfigTarget = "/v1/config";
constexpr std::string_view kEndpointTarget = "/v1/endpoint";
constexpr long long kLargestMtu = 65535;
constexpr long long kLargestPort = 65535;

Object part_of(const Object& whole, std::string_view key) {
  const std::string* raw = whole.find(key);
  if (raw == nullptr || conf::kind_of(*raw) != "object") return {};
  return Object::parse(*raw, key, kMaxAnswerBytes);
}

std::string text_of(const Object& part, std::string_view key) {
  const std::string* raw = part.find(key);
  return raw == nullptr ? std::string() : conf::as_string(*raw).value_or("");
}

std::optional<bool> flag_of(const Object& part, std::string_view key) {
  const std::string* raw = part.find(key);
  if (raw == nullptr || (*raw != "true" && *raw != "false")) return std::nullopt;
  return *raw == "true";
}

bool is_on(const Object& part, std::string_view key) { return flag_of(part, key).value_or(false); }

std::uint32_t number_of(const Object& part, std::string_view key, long long largest) {
  const std::string* raw = part.find(key);
  const long long value = raw == nullptr ? 0 : conf::as_integer(*raw).value_or(0);
  return value > 0 && value <= largest ? static_cast<std::uint32_t>(value) : 0;
}

/// "1.19.4" of "1.19.4 (v1.19.4-3ee8ab2)    Stale status data".
std::string version_in(const std::string& message) {
  const std::string first = message.substr(0, message.find(' '));
  return !first.empty() && first.front() >= '0' && first.front() <= '9' ? first : std::string();
}

/// A feature that is off is an empty object; an agent that lists none is told by its mode: "True" since 1.14, "Strict"
/// before, when "Partial" and "Probe" told nothing.
void read_kube_proxy_replacement(const Object& health, AgentHealth& out) {
  const Object replacement = part_of(health, "kube-proxy-replacement");
  const std::string mode = text_of(replacement, "mode");
  out.kube_proxy_replacement = mode;
  const Object features = part_of(replacement, "features");
  const bool all = mode == "True" || mode == "Strict";
  const auto has = [&](std::string_view name) {
    return features.has(name) ? is_on(part_of(features, name), "enabled") : all;
  };
  if (!mode.empty()) out.host_ports = has("hostPort");
  out.node_ports = has("nodePort");
  out.socket_lb = has("socketLB");
  out.socket_lb_host_only = is_on(features, "bpfSocketLBHostnsOnly");
}

void read_routing(const Object& health, AgentHealth& out) {
  const Object routing = part_of(health, "routing");
  out.routing = text_of(routing, "inter-host-routing-mode");
  out.tunnel_protocol = text_of(routing, "tunnel-protocol");
  out.host_routing = text_of(routing, "intra-host-routing-mode");
  if (out.host_routing.empty()) out.host_routing = text_of(part_of(health, "host-routing"), "mode");  // before 1.16
}

std::string masquerading_of(const Object& health) {
  const Object masquerading = part_of(health, "masquerading");
  if (masquerading.empty()) return {};
  const Object protocols = part_of(masquerading, "enabledProtocols");
  const bool any = is_on(masquerading, "enabled") || is_on(protocols, "ipv4") || is_on(protocols, "ipv6");
  return any ? text_of(masquerading, "mode") : "off";
}

std::vector<IpAddr> addresses_of_health(const Object& health) {
  std::vector<IpAddr> out;
  const Object allocations = part_of(part_of(health, "ipam"), "allocations");
  for (const conf::Member& one : allocations.members())
    if (const auto address = IpAddr::parse(one.key); address && conf::as_string(one.value) == "health")
      out.push_back(*address);
  std::sort(out.begin(), out.end());
  return out;
}

void read_addressing(const Object& status, AgentConfig& out) {
  const Object addressing = part_of(status, "addressing");
  for (const std::string_view family : {"ipv4", "ipv6"}) {
    const Object part = part_of(addressing, family);
    if (!is_on(part, "enabled")) continue;
    if (const auto cidr = IpPrefix::parse(text_of(part, "alloc-range"))) out.pod_cidrs.push_back(cidr->masked());
    if (const auto router = IpAddr::parse(text_of(part, "ip"))) out.routers.push_back(*router);
  }
}

/// 1.13 says Tunnel ("vxlan", "geneve", "disabled"), later ones RoutingMode and, some of them, TunnelProtocol.
void read_tunnel(const Object& options, AgentConfig& out) {
  const std::string tunnel = text_of(options, "Tunnel");
  out.routing = text_of(options, "RoutingMode");
  if (out.routing.empty() && !tunnel.empty()) out.routing = tunnel == "disabled" ? "native" : "tunnel";
  if (out.routing != "tunnel") return;
  out.tunnel_protocol = text_of(options, "TunnelProtocol");
  if (out.tunnel_protocol.empty()) out.tunnel_protocol = tunnel;
  out.tunnel_port = static_cast<std::uint16_t>(number_of(options, "TunnelPort", kLargestPort));
}

AgentHealth read_health(const Object& health) {
  AgentHealth out;
  out.answered = true;
  const Object cilium = part_of(health, "cilium");
  out.state = text_of(cilium, "state");
  if (out.state.empty()) out.problem = fmt::format("{}: no cilium.state in the answer", kHealthTarget);
  out.version = version_in(text_of(cilium, "msg"));
  const Object cni_file = part_of(health, "cni-file");
  out.cni_file_state = text_of(cni_file, "state");
  out.cni_file_message = text_of(cni_file, "msg");
  read_kube_proxy_replacement(health, out);
  read_routing(health, out);
  out.masquerading = masquerading_of(health);
  out.health_addresses = addresses_of_health(health);
  return out;
}

}  // namespace

AgentHealth parse_health(const std::string& body) {
  try {
    return read_health(Object::parse(body, kHealthTarget, kMaxAnswerBytes));
  } catch (const conf::CniError& error) {
    AgentHealth out;
    out.problem = error.what();
    return out;
  }
}

AgentConfig parse_agent_config(const std::string& body) {
  try {
    const Object status = part_of(Object::parse(body, kConfigTarget, kMaxAnswerBytes), "status");
    const Object options = part_of(status, "daemonConfigurationMap");
    AgentConfig out;
    out.ipam_mode = text_of(status, "ipam-mode");
    out.route_mtu = number_of(status, "routeMTU", kLargestMtu);
    out.device_mtu = number_of(status, "deviceMTU", kLargestMtu);
    read_addressing(status, out);
    read_tunnel(options, out);
    out.legacy_host_routing = flag_of(options, "EnableHostLegacyRouting");
    out.socket_lb_host_only = flag_of(options, "BPFSocketLBHostnsOnly");
    return out;
  } catch (const conf::CniError&) {
    return {};
  }
}

Endpoint parse_endpoint(const std::string& body, std::string_view ifname, AskedBy by) {
  try {
    const Object endpoint = Object::parse(body, kEndpointTarget, kMaxAnswerBytes);
    const std::string* id = endpoint.find("id");
    if (id == nullptr || !conf::as_integer(*id)) return Endpoint::kUnknown;
    const std::string named = text_of(part_of(part_of(endpoint, "status"), "networking"), "container-interface-name");
    if (!named.empty()) return named == ifname ? Endpoint::kPresent : Endpoint::kAbsent;
    return by == AskedBy::kAttachment || ifname == "eth0" ? Endpoint::kPresent : Endpoint::kUnknown;
  } catch (const conf::CniError&) {
    return Endpoint::kUnknown;
  }
}

}  // namespace plugin
