// SPDX-License-Identifier: Apache-2.0
#include "integration/support/echo.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>

namespace support {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPatience{700};  // for what is to be lost

struct Types {
  std::uint8_t request;
  std::uint8_t reply;
};
Types types(int family) { return family == AF_INET ? Types{8, 0} : Types{128, 129}; }

/// RFC 792 and 4443. The token tells one question from another: translation changes the identifier.
struct Echo {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint16_t checksum = 0;
  std::uint16_t identifier = 0;
  std::uint16_t sequence = 0;
  std::uint64_t token = 0;
};
static_assert(sizeof(Echo) == 16);

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

/// RFC 1071, of a packet whose checksum is 0. The kernel puts it into ICMPv6 itself.
std::uint16_t checksum(const Echo& echo) {
  std::array<std::uint16_t, sizeof echo / 2> words{};
  std::memcpy(words.data(), &echo, sizeof echo);
  std::uint32_t sum = 0;
  for (const std::uint16_t word : words) sum += word;
  while ((sum >> 16U) != 0) sum = (sum & 0xffffU) + (sum >> 16U);
  return static_cast<std::uint16_t>(~sum);
}

Echo request(int family, std::uint64_t token) {
  Echo echo;
  echo.type = types(family).request;
  echo.identifier = static_cast<std::uint16_t>(token);
  echo.token = token;
  if (family == AF_INET) echo.checksum = checksum(echo);
  return echo;
}

conf::UniqueFd raw_socket(const Netns& netns, int family) {
  conf::UniqueFd fd;
  const int protocol = family == AF_INET ? static_cast<int>(IPPROTO_ICMP) : static_cast<int>(IPPROTO_ICMPV6);
  netns.enter([&] { fd.reset(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)); });
  require(fd.get() >= 0, "raw ICMP socket");
  return fd;
}

/// The next packet that waits; a type that nobody asks for if it is too short. IPv4 sockets give its header too.
Echo next(const conf::UniqueFd& fd, int family, sockaddr_storage& peer) {
  std::array<char, 2048> bytes{};
  socklen_t size = sizeof peer;
  const ssize_t got = ::recvfrom(fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&peer), &size);
  const std::size_t header = family == AF_INET ? sizeof(ip) : 0;  // nobody here sends options
  Echo echo;
  echo.type = 255;
  if (got >= static_cast<ssize_t>(header + sizeof echo)) std::memcpy(&echo, bytes.data() + header, sizeof echo);
  return echo;
}

/// Who sent the packet of that type and token that is there or comes in that time.
std::optional<std::string> await(const conf::UniqueFd& fd, int family, std::uint8_t type, std::uint64_t token,
                                 milliseconds patience) {
  const auto end = steady_clock::now() + patience;
  for (auto left = patience; left.count() >= 0;
       left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now())) {
    pollfd wanted{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, static_cast<int>(left.count())) != 1) return std::nullopt;
    sockaddr_storage peer{};
    const Echo echo = next(fd, family, peer);
    if (echo.type == type && echo.token == token) return address_text(peer);
  }
  return std::nullopt;
}

std::uint64_t new_token() {
  static std::uint64_t last = 0;
  return ++last;
}

}  // namespace

EchoListener::EchoListener(const Netns& netns, const std::string& address) : address_(socket_address(address, 0)) {
  fd_ = raw_socket(netns, address_.family());
  require(::bind(fd_.get(), address_.get(), address_.size) == 0, "bind");
}

std::optional<std::string> EchoListener::asked_by(const Netns& client) {
  const int family = address_.family();
  const std::uint64_t token = new_token();
  const conf::UniqueFd fd = raw_socket(client, family);
  // Takes only what comes from the address that it asks.
  if (::connect(fd.get(), address_.get(), address_.size) != 0) return std::nullopt;
  const Echo echo = request(family, token);
  if (::send(fd.get(), &echo, sizeof echo, 0) != static_cast<ssize_t>(sizeof echo)) return std::nullopt;
  if (!await(fd, family, types(family).reply, token, kPatience)) return std::nullopt;
  return heard(token);
}

std::optional<std::string> EchoListener::heard(std::uint64_t token) {
  return await(fd_, address_.family(), types(address_.family()).request, token, milliseconds(0));
}

}  // namespace support
