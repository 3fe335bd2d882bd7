// SPDX-License-Identifier: Apache-2.0

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "plugin/agent.h"
#include "plugin/http.h"

// Whatever comes over the agent's socket is an answer or a sentence; a body is never longer than what came, and its
// health, its configuration and its endpoint are values.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(data, data + size);
  const auto answer = plugin::parse_http_answer(bytes);
  if (const auto* sentence = std::get_if<std::string>(&answer)) {
    if (sentence->empty() || sentence->find('\n') != std::string::npos) std::abort();
    return 0;
  }
  const auto& http = std::get<plugin::HttpAnswer>(answer);
  if (http.status < 200 || http.status > 599 || http.body.size() > bytes.size()) std::abort();
  const plugin::AgentHealth health = plugin::parse_health(http.body);
  if (!health.answered && health.problem.empty()) std::abort();
  const plugin::AgentConfig config = plugin::parse_agent_config(http.body);
  if (config.pod_cidrs.size() > 2 || config.route_mtu > 65535 || config.device_mtu > 65535) std::abort();
  (void)plugin::parse_endpoint(http.body, "eth0", plugin::AskedBy::kContainer);
  return 0;
}
