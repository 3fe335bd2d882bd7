// SPDX-License-Identifier: Apache-2.0
#include "netlink/dump.h"

#include <cerrno>
#include <string>

namespace netlink {

conf::CniError changing_error(std::string_view what) {
  return {conf::Code::kTryAgainLater, std::string(what) + " keep changing",
          "they changed " + std::to_string(kListTries) + " times in a row while they were listed"};
}

conf::CniError list_error(std::string_view what, const Ack& ack) {
  return {conf::Code::kIo, std::string(what) + " cannot be listed", "the kernel says: " + ack.str()};
}

Ack dump(Socket& socket, std::vector<std::byte> request, std::string_view what, const std::function<void()>& restart,
         const Socket::Reply& reply) {
  for (int i = 0; i < kListTries; ++i) {
    restart();
    Ack ack = socket.request(request, reply);
    if (ack.error != EINTR) return ack;
  }
  throw changing_error(what);
}

}  // namespace netlink
