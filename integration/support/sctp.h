// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "conf/fd.h"
#include "integration/support/namespaces.h"

namespace support {

/// Answers the INIT of an SCTP association on one port of one namespace, and says who asked. Both ends are raw sockets,
/// so that the redirection of SCTP can be tested on a kernel without SCTP sockets; only netfilter must know it. A lost
/// packet is waited for 700 ms. Throws std::runtime_error where a system call fails that should not.
class SctpServer {
 public:
  SctpServer(const Netns& netns, std::uint16_t port);

  /// The address that asks, as this server sees it; nothing if no INIT comes to this port, or if the client does not
  /// get its INIT ACK from the address and port it asked.
  std::optional<std::string> asked_by(const Netns& client, const std::string& address, std::uint16_t port);

 private:
  conf::UniqueFd v4_;
  conf::UniqueFd v6_;
  std::uint16_t port_;
};

}  // namespace support
