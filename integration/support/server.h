// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "conf/fd.h"
#include "integration/support/namespaces.h"

namespace support {

/// A socket in that namespace: SOCK_STREAM or SOCK_DGRAM, not blocking.
[[nodiscard]] conf::UniqueFd socket_in(const Netns& netns, int family, int type);

/// Answers on one port of one namespace, and says who asked. A lost packet is waited for 700 ms. Throws
/// std::runtime_error where a system call fails that should not.
class Server {
 public:
  /// `address`: "::" or "0.0.0.0" for all.
  Server(const Netns& netns, int type, const std::string& address, std::uint16_t port);

  /// The address that asks, as this server sees it; nothing if `client` reaches somebody else or nobody. `size`: of the
  /// only datagram that is sent and of its answer, with UDP.
  std::optional<std::string> asked_by(const Netns& client, const std::string& address, std::uint16_t port,
                                      std::size_t size = 1);

 private:
  std::optional<std::string> accepted(const conf::UniqueFd& client);
  std::optional<std::string> received(const conf::UniqueFd& client, std::size_t size);

  int type_;
  conf::UniqueFd fd_;
};

}  // namespace support
