// SPDX-License-Identifier: Apache-2.0
#include "netlink/host_link.h"

#include <doctest/doctest.h>

#include <vector>

#include "tests/support/scratch.h"

namespace netlink {
namespace {

conf::IpAddr ip(std::string_view text) { return conf::IpAddr::parse(text).value(); }

// RTM_NEWROUTE of 10.1.0.5 with RTA_OIF 7, as the kernel answers.
std::vector<std::byte> answer(std::uint8_t type, std::uint8_t link) {
  std::vector<std::byte> out(36);
  out[0] = std::byte{36};
  out[4] = std::byte{type};
  out[16] = std::byte{2};
  out[17] = std::byte{32};
  out[28] = std::byte{8};
  out[30] = std::byte{4};
  out[32] = std::byte{link};
  return out;
}

TEST_SUITE_BEGIN("netlink.host_link");
TEST_CASE("the request for a route carries the whole address and nothing else") {
  const std::vector<std::byte> v4 = encode_route_request(ip("10.1.0.5"));
  REQUIRE(v4.size() == 36);
  CHECK(v4[4] == std::byte{26});  // RTM_GETROUTE
  CHECK(v4[17] == std::byte{32});
  CHECK(v4[35] == std::byte{5});
  const std::vector<std::byte> v6 = encode_route_request(ip("fd00::5"));
  REQUIRE(v6.size() == 48);
  CHECK(v6[16] == std::byte{10});
  CHECK(v6[17] == std::byte{128});
}

TEST_CASE("the link of a route is read, and nothing else is taken for one") {
  CHECK(decode_route_link(answer(24, 7)) == 7U);
  CHECK_FALSE(decode_route_link(answer(24, 0)).has_value());
  CHECK_FALSE(decode_route_link(answer(16, 7)).has_value());
  const std::vector<std::byte> whole = answer(24, 7);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(decode_route_link(std::span(whole).first(size)).has_value());
}

TEST_CASE("the kernel says by which link an address is reached, if there is a route") {
  const scratch::Host host;
  scratch::sh("ip link add br0 type bridge && ip addr add 10.1.0.1/24 dev br0 && ip link set br0 up");
  scratch::sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
  scratch::sh("ip route add 10.2.0.5/32 dev v0 && ip -6 route add fd02::5/128 dev v0");
  KernelHostLinks links;
  CHECK(links.towards(ip("10.1.0.5")) == HostLink{.name = "br0", .kind = "bridge"});
  CHECK(links.towards(ip("10.2.0.5")) == HostLink{.name = "v0", .kind = "veth"});
  CHECK(links.towards(ip("fd02::5")) == HostLink{.name = "v0", .kind = "veth"});
  CHECK_FALSE(links.towards(ip("192.0.2.1")).has_value());
  CHECK_FALSE(links.towards(ip("2001:db8::1")).has_value());
}
TEST_SUITE_END();

}  // namespace
}  // namespace netlink
