// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

// Cilium's agent, asked over its unix socket. Small on purpose: health, and whether an endpoint exists.
namespace plugin {

struct AgentHealth {
  bool answered = false;
  std::string problem;         ///< why there is no answer, or none to use
  std::string state;           ///< cilium.state: Ok, Warning, Failure, Disabled
  std::string cni_file_state;  ///< cni-file.state: Ok, Disabled, Failure; empty if the agent is too old to say
  /// Whether the agent itself maps hostPorts (kube-proxy replacement); nothing if it did not say.
  std::optional<bool> host_ports = std::nullopt;
  [[nodiscard]] bool healthy() const { return answered && (state == "Ok" || state == "Warning"); }
};

/// What the plumbing between the networks needs of /v1/config.
struct AgentConfig {
  std::string ipam_mode;        ///< "cluster-pool", "eni"; empty if the agent did not say or did not answer
  std::uint32_t route_mtu = 0;  ///< bytes; 0: not known
};

enum class Endpoint { kPresent, kAbsent, kUnknown };

class Agent {
 public:
  virtual ~Agent() = default;
  /// GET /v1/healthz.
  [[nodiscard]] virtual AgentHealth health(const std::string& socket, std::chrono::milliseconds deadline) = 0;
  /// GET /v1/config; all empty if there is no usable answer.
  [[nodiscard]] virtual AgentConfig config(const std::string& socket, std::chrono::milliseconds deadline) = 0;
  /// GET /v1/endpoint/cni-attachment-id:<id>:<ifname>, as agents since 1.15 understand it.
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

/// What /v1/healthz said, from its body.
[[nodiscard]] AgentHealth parse_health(const std::string& body);

/// What /v1/config said, from its body; empty for what is not there or of another kind.
[[nodiscard]] AgentConfig parse_agent_config(const std::string& body);

}  // namespace plugin
