// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

// What packets of new flows take from a client to a pod. Everything is in one thread, which is in the namespace of
// neither: the kernel passes a packet on inside the call that sends it, and no scheduler is in the figures.
namespace bench {

struct Flow {
  std::filesystem::path client;  ///< namespaces
  std::filesystem::path pod;
  std::string address;  ///< whom the client asks
  std::uint16_t port = 0;
  std::uint16_t pod_port = 0;
};

/// Microseconds from the sending of a UDP datagram until the pod has it, `count` times, each from a port of its own.
/// Ends the benchmark if one is lost.
[[nodiscard]] std::vector<double> first_packets(const Flow& flow, unsigned count);

/// TCP connections made one after the other, per second, in `seconds`. Ends the benchmark if one is refused.
[[nodiscard]] double connections_per_second(const Flow& flow, double seconds);

}  // namespace bench
