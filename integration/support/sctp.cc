// SPDX-License-Identifier: Apache-2.0
#include "integration/support/sctp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

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
constexpr std::uint8_t kInit = 1;
constexpr std::uint8_t kInitAck = 2;
constexpr std::uint32_t kClientTag = 0x11111111;
constexpr std::uint32_t kServerTag = 0x22222222;

/// RFC 9260: the common header, and a chunk INIT or INIT ACK without parameters.
struct Packet {
  std::uint16_t from = 0;
  std::uint16_t to = 0;
  std::uint32_t tag = 0;
  std::uint32_t checksum = 0;
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint16_t length = htons(20);
  std::uint32_t initiate_tag = 0;
  std::uint32_t window = htonl(65536);
  std::uint16_t streams_out = htons(1);
  std::uint16_t streams_in = htons(1);
  std::uint32_t sequence = htonl(1);
};
static_assert(sizeof(Packet) == 32);

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

/// CRC32c over the packet whose checksum is 0, in the byte order of the wire.
std::uint32_t crc32c(const Packet& packet) {
  std::array<unsigned char, sizeof packet> bytes{};
  std::memcpy(bytes.data(), &packet, sizeof packet);
  std::uint32_t crc = ~0U;
  for (const unsigned char byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
  }
  crc = ~crc;
  const std::array<unsigned char, 4> wire{static_cast<unsigned char>(crc), static_cast<unsigned char>(crc >> 8U),
                                          static_cast<unsigned char>(crc >> 16U),
                                          static_cast<unsigned char>(crc >> 24U)};
  std::memcpy(&crc, wire.data(), wire.size());
  return crc;
}

Packet made(std::uint8_t type, std::uint16_t from, std::uint16_t to, std::uint32_t tag, std::uint32_t own_tag) {
  Packet out;
  out.type = type;
  out.from = htons(from);
  out.to = htons(to);
  out.tag = tag;
  out.initiate_tag = own_tag;
  out.checksum = crc32c(out);
  return out;
}

conf::UniqueFd raw_socket(const Netns& netns, int family) {
  conf::UniqueFd fd;
  netns.enter([&] { fd.reset(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_SCTP)); });
  require(fd.get() >= 0, "raw SCTP socket");
  return fd;
}

struct Peer {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] std::string text() const {
    std::array<char, INET6_ADDRSTRLEN> out{};
    const void* bytes = storage.ss_family == AF_INET
                            ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr)
                            : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
    return ::inet_ntop(storage.ss_family, bytes, out.data(), out.size());
  }
};

Peer peer_of(const std::string& address) {
  Peer out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  const bool is_v4 = ::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1;
  if (!is_v4) require(::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1, address.c_str());
  out.storage.ss_family = is_v4 ? AF_INET : AF_INET6;
  out.size = is_v4 ? sizeof *v4 : sizeof *v6;
  return out;
}

struct Received {
  Packet packet;
  Peer peer;
};

/// The next packet that there is, if it is one of ours. An IPv4 raw socket shows the IP header, an IPv6 one does not.
std::optional<Received> read_one(const conf::UniqueFd& fd) {
  std::array<unsigned char, 256> bytes{};
  Received out;
  const ssize_t size = ::recvfrom(fd.get(), bytes.data(), bytes.size(), 0, out.peer.get(), &out.peer.size);
  const std::size_t header = out.peer.storage.ss_family == AF_INET ? (bytes[0] & 0xFU) * 4U : 0U;
  if (size < 0 || static_cast<std::size_t>(size) < header + sizeof(Packet)) return std::nullopt;
  std::memcpy(&out.packet, bytes.data() + header, sizeof(Packet));
  return out;
}

/// A raw socket gets all SCTP of its namespace: only this type, between these ports, is what is waited for.
std::optional<Received> wait_for(const conf::UniqueFd& fd, std::uint8_t type, std::optional<std::uint16_t> from,
                                 std::uint16_t to) {
  const auto end = steady_clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now()).count();
    pollfd wanted{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (left <= 0 || ::poll(&wanted, 1, static_cast<int>(left)) != 1) return std::nullopt;
    const std::optional<Received> got = read_one(fd);
    if (got && got->packet.type == type && got->packet.to == htons(to) && (!from || got->packet.from == htons(*from)))
      return got;
  }
}

bool send_to(const conf::UniqueFd& fd, const Packet& packet, Peer peer) {
  return ::sendto(fd.get(), &packet, sizeof packet, 0, peer.get(), peer.size) == sizeof packet;
}

std::uint16_t next_port() {
  static std::uint16_t port = 40000;
  return ++port;
}

}  // namespace

SctpServer::SctpServer(const Netns& netns, std::uint16_t port)
    : v4_(raw_socket(netns, AF_INET)), v6_(raw_socket(netns, AF_INET6)), port_(port) {}

std::optional<std::string> SctpServer::asked_by(const Netns& client, const std::string& address, std::uint16_t port) {
  const Peer to = peer_of(address);
  const conf::UniqueFd& mine = to.storage.ss_family == AF_INET ? v4_ : v6_;
  const conf::UniqueFd fd = raw_socket(client, to.storage.ss_family);
  const std::uint16_t own_port = next_port();
  if (!send_to(fd, made(kInit, own_port, port, 0, kClientTag), to)) return std::nullopt;
  std::optional<Received> init = wait_for(mine, kInit, std::nullopt, port_);
  if (!init) return std::nullopt;
  // IPv6 raw sockets take no port in the address, and recvfrom may leave one there.
  if (init->peer.storage.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(init->peer.get())->sin6_port = 0;
  const Packet answer = made(kInitAck, port_, ntohs(init->packet.from), kClientTag, kServerTag);
  require(send_to(mine, answer, init->peer), "send INIT ACK");
  const std::optional<Received> got = wait_for(fd, kInitAck, port, own_port);
  if (!got || got->peer.text() != to.text()) return std::nullopt;
  return init->peer.text();
}

}  // namespace support
