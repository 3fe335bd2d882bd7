// SPDX-License-Identifier: Apache-2.0
#include "netlink/address.h"

#include <doctest/doctest.h>
#include <linux/netlink.h>

#include <algorithm>
#include <string>
#include <vector>

#include "netlink/link.h"
#include "tests/netlink/hex.h"
#include "tests/support/scratch.h"

using netlink::addresses_of;
using netlink::decode_address;
using netlink::LinkAddress;
using netlink::Socket;

namespace {

// What the kernel (6.18, x86-64) sent for 10.9.0.2 peer 10.9.0.1/24 and fd09::2/120 on eth0, link 7.
const std::string kV4 =
    "5000000014000200010000002b2600000218800007000000"
    "080001000a090001080002000a09000209000300657468300000000008000800800000001400"
    "0600ffffffffffffffff5691170056911700";
const std::string kV6 =
    "4800000014000200010000002b2600000a78820007000000"
    "14000100fd090000000000000000000000000002"
    "14000600ffffffffffffffff56911700569117000800080082000000";

std::string text_of(const std::vector<conf::IpPrefix>& addresses) {
  std::vector<std::string> texts;
  for (const conf::IpPrefix& address : addresses) texts.push_back(address.str());
  std::sort(texts.begin(), texts.end());
  std::string out;
  for (const std::string& one : texts) out += (out.empty() ? "" : " ") + one;
  return out;
}

}  // namespace

TEST_SUITE("netlink.address") {
  TEST_CASE("the link's own address is read, not its peer's") {
    const auto v4 = decode_address(hex::bytes(kV4));
    REQUIRE(v4);
    CHECK(*v4 == LinkAddress{.link = 7, .address = conf::IpPrefix::parse("10.9.0.2/24").value()});
    const auto v6 = decode_address(hex::bytes(kV6));
    REQUIRE(v6);
    CHECK(*v6 == LinkAddress{.link = 7, .address = conf::IpPrefix::parse("fd09::2/120").value()});
  }

  TEST_CASE("an address message cut short anywhere is refused") {
    for (const std::string& digits : {kV4, kV6}) {
      const std::vector<std::byte> whole = hex::bytes(digits);
      for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        CHECK_FALSE(decode_address(std::span(whole).first(length)).has_value());
      }
    }
  }

  TEST_CASE("what is no address is refused") {
    std::vector<std::byte> other = hex::bytes(kV4);
    other[4] = std::byte{21};  // RTM_DELADDR
    CHECK_FALSE(decode_address(other).has_value());
    std::vector<std::byte> nobody = hex::bytes(kV4);
    nobody[20] = std::byte{0};  // link 0
    CHECK_FALSE(decode_address(nobody).has_value());
    std::vector<std::byte> family = hex::bytes(kV4);
    family[16] = std::byte{10};  // IPv6, with four bytes
    CHECK_FALSE(decode_address(family).has_value());
    std::vector<std::byte> length = hex::bytes(kV4);
    length[17] = std::byte{33};
    CHECK_FALSE(decode_address(length).has_value());
  }

  TEST_CASE("addresses of one link are found, and none of the others") {
    const scratch::Host host;
    scratch::sh("ip link add vethA type veth peer name vethB && ip link set vethA up && ip link set vethB up");
    scratch::sh("ip addr add 10.9.0.2/24 dev vethA && ip addr add 10.9.1.2 peer 10.9.1.1/32 dev vethA");
    scratch::sh("ip addr add fd09::2/120 dev vethA nodad && ip addr add 10.8.0.2/24 dev vethB");
    Socket socket = Socket::open(NETLINK_ROUTE);
    const auto link = netlink::find_link(socket, "vethA");
    REQUIRE(link);
    const std::string all = text_of(addresses_of(socket, link->index));
    CHECK(all.starts_with("10.9.0.2/24 10.9.1.2/32 fd09::2/120"));
    CHECK(all.find("10.8.0.2") == std::string::npos);
    CHECK(addresses_of(socket, 4711).empty());
  }
}
