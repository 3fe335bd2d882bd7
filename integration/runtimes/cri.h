// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "integration/runtimes/protobuf.h"

// The kubelet's side of the CRI (runtime.v1), as far as a pod's network needs it.
namespace runtimes {

struct HostPort {
  std::uint16_t host = 0;
  std::uint16_t container = 0;
};

struct Pod {
  std::string name;
  std::string uid = "8a2781fb-2b8d-4e6a-9c61-000000000001";
  std::string name_space = "default";
  std::map<std::string, std::string> annotations;
  std::vector<HostPort> ports;  ///< TCP
};

struct PodStatus {
  bool ready = false;
  std::string address;
  std::string netns;  ///< path
  int pid = 0;        ///< of the process that holds it
};

/// What the runtime says of a call that failed.
class CriError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// gRPC over a unix socket. Calls may be made by several threads at once. Failures are CriErrors.
class Cri {
 public:
  explicit Cri(std::string socket) : socket_(std::move(socket)) {}

  /// The sandbox's id.
  [[nodiscard]] std::string run_pod(const Pod& pod) const;
  void stop_pod(const std::string& id) const;
  void remove_pod(const std::string& id) const;
  [[nodiscard]] PodStatus pod_status(const std::string& id) const;
  [[nodiscard]] std::vector<std::string> pods() const;
  /// The name of the list that the next pod's ADD runs; empty while there is none.
  [[nodiscard]] std::string network() const;

 private:
  [[nodiscard]] std::string call(const std::string& method, const Message& request) const;

  std::string socket_;
};

}  // namespace runtimes
