// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "conf/fd.h"
#include "integration/support/namespaces.h"
#include "integration/support/socket_address.h"

namespace support {

/// Hears which echo requests of ICMP or ICMPv6 reach an address of one namespace; its kernel answers them. A lost one
/// is waited for 700 ms. Throws std::runtime_error where a system call fails that should not.
class EchoListener {
 public:
  EchoListener(const Netns& netns, const std::string& address);

  /// The address that the request came from; nothing unless `client` gets an answer, from the address it asked.
  std::optional<std::string> asked_by(const Netns& client);

 private:
  std::optional<std::string> heard(std::uint64_t token);

  SocketAddress address_;
  conf::UniqueFd fd_;
};

}  // namespace support
