// SPDX-License-Identifier: Apache-2.0
#include "plugin/agent.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <variant>

#include "plugin/http.h"

namespace plugin {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kHealthTarget = "/v1/healthz";
constexpr std::string_view kConfigTarget = "/v1/config";

AgentHealth no_health(std::string problem) {
  AgentHealth out;
  out.problem = std::move(problem);
  return out;
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

/// Nothing without an answer.
std::optional<HttpAnswer> ask(const std::string& socket, const std::string& target, Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  auto answer = http_get(socket, target, left);
  HttpAnswer* http = std::get_if<HttpAnswer>(&answer);
  return http == nullptr ? std::nullopt : std::optional<HttpAnswer>(std::move(*http));
}

}  // namespace

AgentHealth SocketAgent::health(const std::string& socket, std::chrono::milliseconds deadline) {
  const auto answer = http_get(socket, kHealthTarget, deadline);
  if (const auto* problem = std::get_if<std::string>(&answer)) return no_health(*problem);
  const HttpAnswer& http = std::get<HttpAnswer>(answer);
  if (http.status != 200) return no_health(fmt::format("{}: HTTP status {}", kHealthTarget, http.status));
  return parse_health(http.body);
}

AgentConfig SocketAgent::config(const std::string& socket, std::chrono::milliseconds deadline) {
  const auto answer = http_get(socket, kConfigTarget, deadline);
  const HttpAnswer* http = std::get_if<HttpAnswer>(&answer);
  return http != nullptr && http->status == 200 ? parse_agent_config(http->body) : AgentConfig{};
}

Endpoint SocketAgent::endpoint(const std::string& socket, const std::string& container_id, const std::string& ifname,
                               std::chrono::milliseconds deadline) {
  const Clock::time_point until = Clock::now() + deadline;
  const std::string id = percent_encoded(container_id);
  AskedBy by = AskedBy::kAttachment;
  auto answer = ask(socket, fmt::format("/v1/endpoint/cni-attachment-id:{}:{}", id, percent_encoded(ifname)), until);
  if (answer && answer->status == 400) {
    by = AskedBy::kContainer;
    answer = ask(socket, fmt::format("/v1/endpoint/container-id:{}", id), until);
  }
  if (answer && answer->status == 200) return parse_endpoint(answer->body, ifname, by);
  return answer && answer->status == 404 ? Endpoint::kAbsent : Endpoint::kUnknown;
}

}  // namespace plugin
