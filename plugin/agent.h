// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "plugin/agent_answers.h"

// Cilium's agent, asked over its unix socket. Small on purpose: health, configuration, and whether an endpoint exists.
namespace plugin {

class Agent {
 public:
  virtual ~Agent() = default;
  /// GET /v1/healthz. In full: the brief answer (`brief: true`) has no cni-file, which says who is in charge of the
  /// node, and no kube-proxy-replacement, and the full one took 0.6 ms on a real node.
  [[nodiscard]] virtual AgentHealth health(const std::string& socket, std::chrono::milliseconds deadline) = 0;
  /// GET /v1/config; all empty if there is no usable answer.
  [[nodiscard]] virtual AgentConfig config(const std::string& socket, std::chrono::milliseconds deadline) = 0;
  /// GET /v1/endpoint/cni-attachment-id:<id>:<ifname>, as agents since 1.15 understand it. One that refuses it (400) is
  /// asked for container-id:<id>, within the same deadline.
  [[nodiscard]] virtual Endpoint endpoint(const std::string& socket, const std::string& container_id,
                                          const std::string& ifname, std::chrono::milliseconds deadline) = 0;
};

class SocketAgent final : public Agent {
 public:
  [[nodiscard]] AgentHealth health(const std::string& socket, std::chrono::milliseconds deadline) override;
  [[nodiscard]] AgentConfig config(const std::string& socket, std::chrono::milliseconds deadline) override;
  [[nodiscard]] Endpoint endpoint(const std::string& socket, const std::string& container_id, const std::string& ifname,
                                  std::chrono::milliseconds deadline) override;
};

}  // namespace plugin
