// SPDX-License-Identifier: Apache-2.0
#include "integration/runtimes/reach.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "integration/support/process.h"

namespace runtimes {
namespace {

using conf::UniqueFd;

sockaddr_in address_of(const std::string& text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  (void)::inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  return address;
}

/// Of the thread's namespace.
UniqueFd listener(std::uint16_t port) {
  UniqueFd made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in any = address_of("0.0.0.0", port);
  if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0 || ::listen(made.get(), 8) != 0)
    made.reset();
  return made;
}

}  // namespace

UniqueFd listener_in(const std::string& netns, std::uint16_t port) {
  UniqueFd made;
  std::thread([&] {
    const UniqueFd space(::open(netns.c_str(), O_RDONLY | O_CLOEXEC));
    if (::setns(space.get(), CLONE_NEWNET) == 0) made = listener(port);
  }).join();
  if (!made) throw std::runtime_error("cannot listen in " + netns);
  return made;
}

bool connects(const support::Netns& from, const std::string& address, std::uint16_t port) {
  bool connected = false;
  from.enter([&] {
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{2, 0};
    (void)::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    const sockaddr_in there = address_of(address, port);
    connected = ::connect(client.get(), reinterpret_cast<const sockaddr*>(&there), sizeof(there)) == 0;
  });
  return connected;
}

bool echoes(const std::string& netns, const std::string& address) {
  return support::run({"nsenter", "--net=" + netns, "ping", "-n", "-q", "-c", "1", "-W", "5", address}).ok();
}

}  // namespace runtimes
