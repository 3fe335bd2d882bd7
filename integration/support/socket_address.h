// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace support {

/// An IPv4 or IPv6 address as system calls take it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
};

/// Throws std::runtime_error for what is no address.
[[nodiscard]] SocketAddress socket_address(const std::string& text, std::uint16_t port);
[[nodiscard]] std::string address_text(const sockaddr_storage& storage);

}  // namespace support
