// SPDX-License-Identifier: Apache-2.0
#include "integration/support/server.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "integration/support/socket_address.h"

namespace support {
namespace {

constexpr int kPatience = 700;  // milliseconds, for what is to be lost

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

bool ready(const conf::UniqueFd& fd, short what) {
  pollfd wanted{.fd = fd.get(), .events = what, .revents = 0};
  return ::poll(&wanted, 1, kPatience) == 1;
}

/// Whether the server gets something; at once no if the client is told that it will not.
bool arrives(const conf::UniqueFd& server, const conf::UniqueFd& client) {
  std::array<pollfd, 2> wanted{pollfd{.fd = server.get(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = client.get(), .events = 0, .revents = 0}};
  return ::poll(wanted.data(), wanted.size(), kPatience) > 0 && (wanted[0].revents & POLLIN) != 0;
}

bool answer_on(const conf::UniqueFd& client) {
  char byte = 0;
  return ready(client, POLLIN) && ::recv(client.get(), &byte, 1, 0) == 1 && byte == 'x';
}

}  // namespace

conf::UniqueFd socket_in(const Netns& netns, int family, int type) {
  conf::UniqueFd fd;
  netns.enter([&] { fd.reset(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); });
  require(fd.get() >= 0, "socket");
  return fd;
}

Server::Server(const Netns& netns, int type, const std::string& address, std::uint16_t port) : type_(type) {
  SocketAddress own = socket_address(address, port);
  fd_ = socket_in(netns, own.family(), type);
  const int on = 1;
  require(::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "SO_REUSEADDR");
  require(::bind(fd_.get(), own.get(), own.size) == 0, "bind");
  if (type == SOCK_STREAM) require(::listen(fd_.get(), 16) == 0, "listen");
}

std::optional<std::string> Server::asked_by(const Netns& client, const std::string& address, std::uint16_t port,
                                            std::size_t size) {
  SocketAddress to = socket_address(address, port);
  const conf::UniqueFd fd = socket_in(client, to.family(), type_);
  const int connected = ::connect(fd.get(), to.get(), to.size);
  if (connected != 0 && errno != EINPROGRESS) return std::nullopt;
  return type_ == SOCK_STREAM ? accepted(fd) : received(fd, size);
}

std::optional<std::string> Server::accepted(const conf::UniqueFd& client) {
  if (!ready(fd_, POLLIN)) return std::nullopt;
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  const conf::UniqueFd mine(::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
  require(mine.get() >= 0, "accept");
  require(::send(mine.get(), "x", 1, MSG_NOSIGNAL) == 1, "send");
  return answer_on(client) ? std::optional(address_text(peer)) : std::nullopt;
}

std::optional<std::string> Server::received(const conf::UniqueFd& client, std::size_t size) {
  const std::string question(size, '?');
  if (::send(client.get(), question.data(), size, 0) != static_cast<ssize_t>(size) || !arrives(fd_, client))
    return std::nullopt;
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof peer;
  std::string answer(size, 'x');
  const ssize_t got = ::recvfrom(fd_.get(), answer.data(), size, 0, reinterpret_cast<sockaddr*>(&peer), &peer_size);
  require(got == static_cast<ssize_t>(size), "recvfrom");
  answer.assign(size, 'x');
  const ssize_t sent = ::sendto(fd_.get(), answer.data(), size, 0, reinterpret_cast<sockaddr*>(&peer), peer_size);
  require(sent == static_cast<ssize_t>(size), "sendto");
  return answer_on(client) ? std::optional(address_text(peer)) : std::nullopt;
}

}  // namespace support
