// SPDX-License-Identifier: Apache-2.0
#include "plugin/agent.h"

#include <fmt/format.h>

#include <string_view>
#include <variant>

#include "conf/error.h"
#include "conf/json.h"
#include "plugin/http.h"

namespace plugin {
namespace {

constexpr std::size_t kMaxHealthBytes = std::size_t{4} << 20;
constexpr std::string_view kHealthTarget = "/v1/healthz";
constexpr std::string_view kConfigTarget = "/v1/config";
constexpr long long kLargestMtu = 65535;

AgentHealth no_health(std::string problem) {
  return {.answered = false, .problem = std::move(problem), .state = {}, .cni_file_state = {}};
}

// Whatever is not there or of another kind is empty: every agent version says other things.

conf::Object part_of(const conf::Object& whole, std::string_view key) {
  const std::string* raw = whole.find(key);
  if (raw == nullptr || conf::kind_of(*raw) != "object") return {};
  return conf::Object::parse(*raw, kHealthTarget, kMaxHealthBytes);
}

std::string text_of(const conf::Object& part, std::string_view key) {
  const std::string* raw = part.find(key);
  return raw == nullptr ? std::string() : conf::as_string(*raw).value_or("");
}

/// From kube-proxy-replacement. A feature that is off is an empty object; an agent that lists none is told by its mode:
/// "True" since 1.14, "Strict" before, when "Partial" and "Probe" told nothing.
std::optional<bool> host_ports_of(const conf::Object& health) {
  const conf::Object replacement = part_of(health, "kube-proxy-replacement");
  const std::string mode = text_of(replacement, "mode");
  if (mode.empty()) return std::nullopt;
  const conf::Object features = part_of(replacement, "features");
  if (!features.has("hostPort")) return mode == "True" || mode == "Strict";
  const conf::Object feature = part_of(features, "hostPort");
  const std::string* enabled = feature.find("enabled");
  return enabled != nullptr && *enabled == "true";
}

/// As a path segment (RFC 3986): all but the unreserved characters in percent form.
std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace

AgentHealth parse_health(const std::string& body) {
  try {
    const conf::Object health = conf::Object::parse(body, kHealthTarget, kMaxHealthBytes);
    AgentHealth parsed{.answered = true,
                       .problem = {},
                       .state = text_of(part_of(health, "cilium"), "state"),
                       .cni_file_state = text_of(part_of(health, "cni-file"), "state"),
                       .host_ports = host_ports_of(health)};
    if (parsed.state.empty()) parsed.problem = fmt::format("{}: no cilium.state in the answer", kHealthTarget);
    return parsed;
  } catch (const conf::CniError& error) {
    return no_health(error.what());
  }
}

AgentHealth SocketAgent::health(const std::string& socket, std::chrono::milliseconds deadline) {
  const auto answer = http_get(socket, kHealthTarget, deadline, kMaxHealthBytes);
  if (const auto* problem = std::get_if<std::string>(&answer)) return no_health(*problem);
  const HttpAnswer& http = std::get<HttpAnswer>(answer);
  if (http.status != 200) return no_health(fmt::format("{}: HTTP status {}", kHealthTarget, http.status));
  return parse_health(http.body);
}

AgentConfig parse_agent_config(const std::string& body) {
  try {
    const conf::Object status = part_of(conf::Object::parse(body, kConfigTarget, kMaxHealthBytes), "status");
    const std::string* mtu = status.find("routeMTU");
    const long long value = mtu == nullptr ? 0 : conf::as_integer(*mtu).value_or(0);
    return {.ipam_mode = text_of(status, "ipam-mode"),
            .route_mtu = value > 0 && value <= kLargestMtu ? static_cast<std::uint32_t>(value) : 0};
  } catch (const conf::CniError&) {
    return {};
  }
}

AgentConfig SocketAgent::config(const std::string& socket, std::chrono::milliseconds deadline) {
  const auto answer = http_get(socket, kConfigTarget, deadline, kMaxHealthBytes);
  const HttpAnswer* http = std::get_if<HttpAnswer>(&answer);
  return http != nullptr && http->status == 200 ? parse_agent_config(http->body) : AgentConfig{};
}

Endpoint SocketAgent::endpoint(const std::string& socket, const std::string& container_id, const std::string& ifname,
                               std::chrono::milliseconds deadline) {
  const std::string target =
      fmt::format("/v1/endpoint/cni-attachment-id:{}:{}", percent_encoded(container_id), percent_encoded(ifname));
  const auto answer = http_get(socket, target, deadline);
  const HttpAnswer* http = std::get_if<HttpAnswer>(&answer);
  if (http == nullptr) return Endpoint::kUnknown;
  if (http->status == 200) return Endpoint::kPresent;
  return http->status == 404 ? Endpoint::kAbsent : Endpoint::kUnknown;
}

}  // namespace plugin
