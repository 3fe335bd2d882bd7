// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "conf/fd.h"
#include "tests/support/scratch.h"

// A server on a unix socket that serves connections in a process of its own, as well or as badly as it is told to.
namespace fake {

inline conf::UniqueFd listen_on(const std::string& path, int backlog) {
  conf::UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.data(), path.size());
  REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(::listen(listener.get(), backlog) == 0);
  return listener;
}

/// All of `text`, unless the other side has gone.
inline void say(int connection, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(connection, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

inline std::string read_request(int connection) {
  std::string request;
  char one = 0;
  while (request.find("\r\n\r\n") == std::string::npos && ::recv(connection, &one, 1, 0) == 1) request += one;
  return request;
}

class Server {
 public:
  /// `serve` gets each connection in turn, with the request already read; the connection is closed when it returns.
  explicit Server(const std::function<void(int)>& serve)
      : Server([serve](int connection, const std::string& /*request*/) { serve(connection); }) {}
  /// The same, with what was asked.
  explicit Server(const std::function<void(int, const std::string&)>& serve) {
    const conf::UniqueFd listener = listen_on(path(), 16);
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    requests_.reset(ends[0]);
    conf::UniqueFd tell(ends[1]);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ != 0) return;
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);  // however the test ends
    for (;;) {
      const conf::UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const std::string request = read_request(connection.get());
      if (::write(tell.get(), request.data(), request.size()) < 0) ::_exit(1);
      serve(connection.get(), request);
    }
  }
  /// Answers every request with `answer`.
  explicit Server(const std::string& answer) : Server([answer](int connection) { say(connection, answer); }) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    (void)::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] std::string path() const { return folder_.file("agent.sock"); }
  /// What the server was asked, once it was.
  [[nodiscard]] std::string request() const {
    std::array<char, 4096> text{};
    const ssize_t got = ::read(requests_.get(), text.data(), text.size());
    return {text.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
  }

 private:
  scratch::Folder folder_;
  conf::UniqueFd requests_;
  pid_t pid_ = -1;
};

/// An answer with a length, as a good server gives it.
inline std::string answer(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) +
         " Whatever\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

}  // namespace fake
