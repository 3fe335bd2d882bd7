// SPDX-License-Identifier: Apache-2.0
#include "netlink/dump.h"

#include <doctest/doctest.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <string>

#include "netlink/address.h"
#include "netlink/message.h"
#include "netlink/rule.h"
#include "tests/netlink/hex.h"
#include "tests/support/scratch.h"

using netlink::Ack;
using netlink::encode_address_dump;
using netlink::LinkAddress;
using netlink::Rule;
using netlink::Socket;

namespace {

constexpr unsigned kMany = 3000;  // more pieces than the kernel makes ahead of who reads them

void add_many_addresses(const scratch::Host& host) {
  std::string script;
  for (unsigned i = 0; i < kMany; ++i)
    script += "addr add 10.7." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250) + "/32 dev lo\n";
  scratch::sh("ip -batch " + host.folder().write("batch", script));
}

void add_many_rules(const scratch::Host& host) {
  std::string script;
  for (unsigned i = 0; i < kMany; ++i)
    script += "rule add to 10.245.0.0/16 lookup main pref " + std::to_string(1000 + i) + " protocol 157\n";
  scratch::sh("ip -batch " + host.folder().write("batch", script));
}

/// Adds and deletes an address, through a socket of its own.
class Competitor {
 public:
  void change() {
    ask(RTM_NEWADDR, NLM_F_CREATE);
    ask(RTM_DELADDR, 0);
  }

 private:
  void ask(std::uint16_t type, int flags) {
    ifaddrmsg header{};
    header.ifa_family = 2;
    header.ifa_prefixlen = 32;
    header.ifa_index = 1;
    netlink::MessageWriter writer;
    writer.begin(type, flags, std::as_bytes(std::span(&header, 1)));
    writer.bytes(IFA_LOCAL, hex::bytes("0a060001"));
    std::vector<std::byte> message = writer.take();
    CHECK(socket_.request(message).ok());
  }
  Socket socket_ = Socket::open(NETLINK_ROUTE);
};

Rule rule(std::uint32_t priority) {
  Rule made;
  made.priority = priority;
  return made;
}

void ask(Socket& socket, std::vector<std::byte> message) { CHECK(socket.request(message).ok()); }

/// RTM_GETROUTE that strict checking refuses.
std::vector<std::byte> wrong_request() {
  rtmsg header{};
  header.rtm_dst_len = 8;
  netlink::MessageWriter writer;
  writer.begin(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, std::as_bytes(std::span(&header, 1)));
  return writer.take();
}

}  // namespace

TEST_SUITE("netlink.dump") {
  TEST_CASE("a list that was interrupted is begun again, and what came of it forgotten") {
    const scratch::Host host;
    add_many_addresses(host);
    Socket socket = Socket::open(NETLINK_ROUTE);
    Competitor competitor;
    unsigned starts = 0;
    unsigned found = 0;
    const Ack ack = netlink::dump(
        socket, encode_address_dump(), "addresses",
        [&] {
          ++starts;
          found = 0;
        },
        [&](std::span<const std::byte> message) {
          if (found == 0 && starts <= 3) competitor.change();
          found += netlink::decode_address(message).has_value() ? 1U : 0U;
        });
    CHECK(ack.ok());
    CHECK(starts == 4);
    CHECK(found == kMany);
    CHECK(socket.pieces() > 1);
  }

  TEST_CASE("a list that never comes whole is code 11") {
    const scratch::Host host;
    add_many_addresses(host);
    Socket socket = Socket::open(NETLINK_ROUTE);
    Competitor competitor;
    unsigned tries = 0;
    const auto decode = [&](std::span<const std::byte> message) {
      const std::optional<LinkAddress> one = netlink::decode_address(message);
      if (one && one->address.str() == "10.7.0.1/32") {
        ++tries;
        competitor.change();
      }
      return one;
    };
    const conf::CniError error =
        scratch::error_of([&] { (void)netlink::list(socket, encode_address_dump(), "addresses", decode); });
    CHECK(error.code() == 11);
    CHECK(error.msg() == "addresses keep changing");
    CHECK(error.details() == "they changed 20 times in a row while they were listed");
    CHECK(tries == 20);
  }

  TEST_CASE("what the kernel refuses is code 5 with its sentence, unless it means that there is nothing") {
    const scratch::Host host;
    Socket socket = Socket::open(NETLINK_ROUTE);
    const conf::CniError error =
        scratch::error_of([&] { (void)netlink::list(socket, wrong_request(), "routes", netlink::decode_address); });
    CHECK(error.code() == 5);
    CHECK(error.msg() == "routes cannot be listed");
    CHECK(error.details() == "the kernel says: Invalid argument (Invalid values in header for FIB dump request)");
    CHECK(netlink::list(socket, wrong_request(), "routes", netlink::decode_address, EINVAL).empty());
  }

  TEST_CASE("a list in one piece is asked for once, one in several until it comes the same twice") {
    const scratch::Host host;
    Socket socket = Socket::open(NETLINK_ROUTE);
    unsigned lists = 0;
    const auto decode = [&lists](std::span<const std::byte> message) {
      std::optional<Rule> one = netlink::decode_fib_rule(message);
      if (one && one->family == conf::Family::kIpv4 && one->priority == 0) ++lists;
      return one;
    };
    CHECK(netlink::settled_list(socket, netlink::encode_rule_dump(), "rules", decode).size() == 5);
    CHECK(lists == 1);
    CHECK(socket.pieces() == 1);
    add_many_rules(host);
    lists = 0;
    CHECK(netlink::settled_list(socket, netlink::encode_rule_dump(), "rules", decode).size() == 5 + kMany);
    CHECK(lists == 2);
  }

  TEST_CASE("rules that change during each list are noticed, though the kernel does not say it") {
    const scratch::Host host;
    add_many_rules(host);
    Socket socket = Socket::open(NETLINK_ROUTE);
    Socket other = Socket::open(NETLINK_ROUTE);
    unsigned lists = 0;
    unsigned changes = 0;
    // The first rule of each list changes the rules before those that are still to come.
    const auto decode = [&](std::span<const std::byte> message) {
      std::optional<Rule> one = netlink::decode_fib_rule(message);
      if (one && one->family == conf::Family::kIpv4 && one->priority == 0 && lists++ < changes)
        ask(other, netlink::encode_rule_add(rule(lists)));
      return one;
    };
    const auto look = [&] { return netlink::settled_list(socket, netlink::encode_rule_dump(), "rules", decode); };
    changes = 3;
    CHECK(look().size() == 5 + kMany + changes);
    CHECK(lists == 5);
    changes = 100;
    const conf::CniError error = scratch::error_of([&] { (void)look(); });
    CHECK(error.code() == 11);
    CHECK(error.msg() == "rules keep changing");
  }
}
