// SPDX-License-Identifier: Apache-2.0
#include "bench/traffic.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "bench/measure.h"
#include "bench/stage.h"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr timeval kPatience{.tv_sec = 5, .tv_usec = 0};
constexpr std::uint16_t kFirstSourcePort = 30'000;

sockaddr_in address_of(const std::string& text, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  if (::inet_pton(AF_INET, text.c_str(), &out.sin_addr) != 1) give_up("no address: " + text);
  return out;
}

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {
    if (fd_ < 0) give_up("no socket");
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) (void)::close(fd_);  // nothing is left to be lost in it
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

template <typename T>
void set(const Socket& socket, int option, const T& value) {
  if (::setsockopt(socket.fd(), SOL_SOCKET, option, &value, sizeof value) != 0) give_up("cannot set a socket up");
}

Socket bound(int type, std::uint16_t port) {
  Socket out(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const sockaddr_in own = address_of("0.0.0.0", port);
  set(out, SO_REUSEADDR, 1);
  set(out, SO_RCVTIMEO, kPatience);
  if (::bind(out.fd(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) give_up("cannot bind a socket");
  return out;
}

Socket server(const Flow& flow, int type) {
  enter(flow.pod);
  Socket out = bound(type, flow.pod_port);
  if (type == SOCK_STREAM && ::listen(out.fd(), 16) != 0) give_up("cannot listen");
  enter(flow.client);
  return out;
}

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// The client resets: a port that waits for late segments would be missing soon.
void connect_once(const sockaddr_in& to, const Socket& listener) {
  const Socket client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  set(client, SO_SNDTIMEO, kPatience);
  set(client, SO_LINGER, linger{.l_onoff = 1, .l_linger = 0});
  if (::connect(client.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) give_up("cannot connect");
  const Socket accepted(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
}

}  // namespace

std::vector<double> first_packets(const Flow& flow, unsigned count) {
  const Socket pod = server(flow, SOCK_DGRAM);
  const sockaddr_in to = address_of(flow.address, flow.port);
  std::vector<double> out;
  for (unsigned i = 0; i < count; ++i) {
    const Socket client = bound(SOCK_DGRAM, static_cast<std::uint16_t>(kFirstSourcePort + i));
    char byte = 'x';
    const auto begin = Clock::now();
    if (::sendto(client.fd(), &byte, 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 1 ||
        ::recv(pod.fd(), &byte, 1, 0) != 1)
      give_up("a datagram is lost");
    out.push_back(seconds_since(begin) * 1e6);
  }
  return out;
}

double connections_per_second(const Flow& flow, double seconds) {
  const Socket pod = server(flow, SOCK_STREAM);
  const sockaddr_in to = address_of(flow.address, flow.port);
  unsigned count = 0;
  const auto begin = Clock::now();
  while (seconds_since(begin) < seconds) {
    connect_once(to, pod);
    ++count;
  }
  return count / seconds_since(begin);
}

}  // namespace bench
