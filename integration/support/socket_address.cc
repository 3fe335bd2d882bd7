// SPDX-License-Identifier: Apache-2.0
#include "integration/support/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <stdexcept>

namespace support {

SocketAddress socket_address(const std::string& text, std::uint16_t port) {
  SocketAddress out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.size = sizeof(*v4);
  } else {
    if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) != 1) throw std::runtime_error("no address: " + text);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.size = sizeof(*v6);
  }
  return out;
}

std::string address_text(const sockaddr_storage& storage) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = storage.ss_family == AF_INET
                          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr)
                          : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
  return ::inet_ntop(storage.ss_family, bytes, text.data(), text.size());
}

}  // namespace support
