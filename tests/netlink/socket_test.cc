// SPDX-License-Identifier: Apache-2.0
#include "netlink/socket.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "netlink/link.h"
#include "tests/support/scratch.h"

using netlink::Ack;
using netlink::decode_ack;
using netlink::Socket;

namespace {

using Bytes = std::vector<std::byte>;

template <typename T>
void append(Bytes& to, const T& value) {
  const auto at = to.size();
  to.resize(at + sizeof(value));
  std::memcpy(to.data() + at, &value, sizeof(value));
}

void append_text(Bytes& to, std::uint16_t type, std::string_view text) {
  append(to, nlattr{.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + text.size() + 1), .nla_type = type});
  for (const char c : text) to.push_back(static_cast<std::byte>(c));
  do to.push_back(std::byte{0});
  while (to.size() % 4 != 0);
}

Bytes sealed(std::uint16_t type, int flags, const Bytes& payload) {
  Bytes message;
  append(message, nlmsghdr{.nlmsg_len = static_cast<std::uint32_t>(sizeof(nlmsghdr) + payload.size()),
                           .nlmsg_type = type,
                           .nlmsg_flags = static_cast<std::uint16_t>(flags),
                           .nlmsg_seq = 1,
                           .nlmsg_pid = 2});
  message.insert(message.end(), payload.begin(), payload.end());
  return message;
}

/// NLMSG_ERROR for a request of `echoed` bytes behind its header, as a kernel without NETLINK_CAP_ACK repeats them.
Bytes error_message(int error, int flags, std::size_t echoed, std::string_view sentence) {
  Bytes payload;
  append(payload, nlmsgerr{.error = -error,
                           .msg = {.nlmsg_len = static_cast<std::uint32_t>(sizeof(nlmsghdr) + echoed),
                                   .nlmsg_type = RTM_NEWROUTE,
                                   .nlmsg_flags = 0,
                                   .nlmsg_seq = 1,
                                   .nlmsg_pid = 2}});
  if ((flags & NLM_F_CAPPED) == 0) payload.resize(payload.size() + (echoed + 3) / 4 * 4);
  if (!sentence.empty()) append_text(payload, NLMSGERR_ATTR_MSG, sentence);
  return sealed(NLMSG_ERROR, flags, payload);
}

Bytes link_request(int flags, const std::string& name = {}) {
  Bytes payload;
  append(payload, ifinfomsg{});
  if (!name.empty()) append_text(payload, IFLA_IFNAME, name);
  return sealed(RTM_GETLINK, flags, payload);
}

std::set<std::string> dump_names(Socket& socket, int& messages) {
  Bytes request = link_request(NLM_F_DUMP);
  std::set<std::string> names;
  const Ack ack = socket.request(request, [&](std::span<const std::byte> message) {
    ++messages;
    if (const auto link = netlink::decode_link(message)) names.insert(link->name);
  });
  CHECK(ack.str() == "ok");
  return names;
}

void add_many_links() {
  for (int i = 0; i < 40; ++i) {
    scratch::sh("ip link add a" + std::to_string(i) + " type veth peer name b" + std::to_string(i));
  }
}

}  // namespace

TEST_SUITE("netlink.socket") {
  TEST_CASE("an ack of zero is ok") {
    const auto ack = decode_ack(error_message(0, NLM_F_CAPPED, 40, ""));
    REQUIRE(ack);
    CHECK(ack->ok());
    CHECK(ack->str() == "ok");
  }

  TEST_CASE("an ack holds the errno and the kernel's sentence") {
    SUBCASE("behind the header alone, when the kernel cut the request off") {
      const auto ack = decode_ack(error_message(EEXIST, NLM_F_CAPPED | NLM_F_ACK_TLVS, 44, "Gateway is bad"));
      REQUIRE(ack);
      CHECK(ack->error == EEXIST);
      CHECK(ack->str() == "File exists (Gateway is bad)");
    }
    SUBCASE("behind the echoed request, padded") {
      const auto ack = decode_ack(error_message(EEXIST, NLM_F_ACK_TLVS, 43, "Gateway is bad"));
      REQUIRE(ack);
      CHECK(ack->str() == "File exists (Gateway is bad)");
    }
    SUBCASE("without attributes, an echoed request is no sentence") {
      const auto ack = decode_ack(error_message(EEXIST, 0, 44, ""));
      REQUIRE(ack);
      CHECK(ack->str() == "File exists");
    }
  }

  TEST_CASE("A10.4 an ack's text never says what containerd takes for success") {
    const auto ack = decode_ack(error_message(ENOENT, NLM_F_CAPPED | NLM_F_ACK_TLVS, 44, "Device not found"));
    REQUIRE(ack);
    CHECK(ack->str() == "no such path (Device absent)");
  }

  TEST_CASE("the end of a dump holds its errno and sentence") {
    Bytes payload;
    append(payload, -EINVAL);
    append_text(payload, NLMSGERR_ATTR_MSG, "Invalid family");
    const auto ack = decode_ack(sealed(NLMSG_DONE, NLM_F_MULTI | NLM_F_ACK_TLVS, payload));
    REQUIRE(ack);
    CHECK(ack->error == EINVAL);
    CHECK(ack->sentence == "Invalid family");
    CHECK(decode_ack(sealed(NLMSG_DONE, NLM_F_MULTI, {}))->ok());
  }

  TEST_CASE("other messages are no ack") {
    CHECK_FALSE(decode_ack(sealed(RTM_NEWLINK, 0, Bytes(32))).has_value());
    CHECK_FALSE(decode_ack({}).has_value());
  }

  TEST_CASE("an ack cut short anywhere is no ack") {
    const Bytes whole = error_message(EEXIST, NLM_F_CAPPED | NLM_F_ACK_TLVS, 44, "Gateway is bad");
    for (std::size_t length = 0; length < whole.size(); ++length) {
      CAPTURE(length);
      CHECK_FALSE(decode_ack(std::span(whole).first(length)).has_value());
    }
  }

  TEST_CASE("an ack whose own length is cut short keeps its errno and never reads beyond") {
    const Bytes whole = error_message(EEXIST, NLM_F_CAPPED | NLM_F_ACK_TLVS, 44, "Gateway is bad");
    for (std::size_t length = sizeof(nlmsghdr); length < whole.size(); ++length) {
      CAPTURE(length);
      Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      const auto own_length = static_cast<std::uint32_t>(length);
      std::memcpy(cut.data(), &own_length, sizeof(own_length));
      const auto ack = decode_ack(cut);
      CHECK(ack.has_value() == (length >= sizeof(nlmsghdr) + sizeof(nlmsgerr)));
      if (!ack) continue;
      CHECK(ack->error == EEXIST);
      CHECK(ack->sentence == (length + 1 < whole.size() ? "" : "Gateway is bad"));  // the last byte is padding
    }
  }

  TEST_CASE("an ack that claims to echo more than there is has no sentence") {
    Bytes message = error_message(EEXIST, NLM_F_ACK_TLVS, 40, "Gateway is bad");
    const std::uint32_t echoed = 0xFFFFFFF0U;
    std::memcpy(message.data() + sizeof(nlmsghdr) + sizeof(int), &echoed, sizeof(echoed));
    CHECK(decode_ack(message)->str() == "File exists");
  }

  TEST_CASE("a socket is close-on-exec") {
    const auto newest_fd = [] {
      const conf::UniqueFd probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      return probe.get();
    };
    const int fd = newest_fd();
    const Socket socket = Socket::open(NETLINK_ROUTE);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }

  TEST_CASE("a bus that does not exist is code 5") {
    const conf::CniError error = scratch::error_of([] { (void)Socket::open(31); });
    CHECK(error.code() == 5);
    CHECK(error.details() == "open netlink socket: Protocol not supported");
  }

  TEST_CASE("a refused request comes back with the kernel's errno and sentence") {
    const scratch::Host host;
    Socket socket = Socket::open(NETLINK_ROUTE);
    Bytes request = link_request(0);
    const std::uint32_t flags = 1;  // ifi_flags must be zero where headers are checked strictly
    std::memcpy(request.data() + sizeof(nlmsghdr) + offsetof(ifinfomsg, ifi_flags), &flags, sizeof(flags));
    const Ack ack = socket.request(request);
    CHECK(ack.error == EINVAL);
    CHECK_FALSE(ack.sentence.empty());
    CHECK(ack.str() == "Invalid argument (" + ack.sentence + ")");
  }

  TEST_CASE("a dump of many datagrams arrives whole") {
    const scratch::Host host;
    add_many_links();
    Socket socket = Socket::open(NETLINK_ROUTE);
    int messages = 0;
    const std::set<std::string> names = dump_names(socket, messages);
    CHECK(messages == 81);
    CHECK(names.size() == 81);
    CHECK(names.count("b39") == 1);
  }

  TEST_CASE("a dump that a change interrupts ends with EINTR") {
    const scratch::Host host;
    add_many_links();
    Socket socket = Socket::open(NETLINK_ROUTE);
    Bytes request = link_request(NLM_F_DUMP);
    bool changed = false;
    const Ack ack = socket.request(request, [&changed](std::span<const std::byte>) {
      if (!std::exchange(changed, true)) scratch::sh("ip link delete a39");
    });
    CHECK(ack.error == EINTR);
    CHECK(ack.sentence == "changed while it was listed");
  }

  TEST_CASE("what is left of a request given up on is not taken for the next one's answer") {
    const scratch::Host host;
    Socket socket = Socket::open(NETLINK_ROUTE);
    Bytes request = link_request(0, "lo");
    CHECK_THROWS_AS((void)socket.request(request, [](std::span<const std::byte>) { throw std::runtime_error("no"); }),
                    std::runtime_error);
    Bytes next = link_request(0, "absent");
    int answers = 0;
    CHECK(socket.request(next, [&answers](std::span<const std::byte>) { ++answers; }).error == ENODEV);
    CHECK(answers == 0);
  }

  TEST_CASE("a request that is no message is code 5 and is not sent") {
    const scratch::Host host;
    Socket socket = Socket::open(NETLINK_ROUTE);
    Bytes request = link_request(0, "lo");
    SUBCASE("cut within its header") {
      const auto cut = std::span(request).first(sizeof(nlmsghdr) - 1);
      const conf::CniError error = scratch::error_of([&] { (void)socket.request(cut); });
      CHECK(error.code() == 5);
      CHECK(error.what() == std::string("malformed netlink message: a request ends within its header"));
    }
    SUBCASE("longer by its own account than its bytes") {
      const auto cut = std::span(request).first(request.size() - 1);
      const conf::CniError error = scratch::error_of([&] { (void)socket.request(cut); });
      CHECK(error.code() == 5);
      CHECK(error.what() == std::string("malformed netlink message: a request has a wrong length"));
    }
  }

  TEST_CASE("a socket can be moved and goes on") {
    const scratch::Host host;
    Socket first = Socket::open(NETLINK_ROUTE);
    Bytes request = link_request(0, "lo");
    CHECK(first.request(request).ok());
    Socket second = std::move(first);
    CHECK(second.request(request).ok());
  }
}
