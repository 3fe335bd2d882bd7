// SPDX-License-Identifier: Apache-2.0
#include "conf/ip.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace conf {
namespace {

/// The address or prefix that a test is sure of.
IpAddr ip(std::string_view text) { return IpAddr::parse(text).value(); }
IpPrefix net(std::string_view text) { return IpPrefix::parse(text).value(); }

TEST_SUITE_BEGIN("conf.ip");

TEST_CASE("an address is its bytes in network order") {
  CHECK(ip("10.1.2.3") == IpAddr{.family = Family::kIpv4, .bytes = {10, 1, 2, 3}});
  CHECK(ip("::1") == IpAddr{.family = Family::kIpv6, .bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}});
  CHECK(ip("::") == IpAddr{.family = Family::kIpv6, .bytes = {}});
  CHECK(ip("::") != ip("0.0.0.0"));
}

TEST_CASE("what is not exactly one address is nothing") {
  const std::vector<std::string> cases = {"",
                                          "x",
                                          "1",
                                          "1.2.3",
                                          "1.2.3.4.5",
                                          "1.2.3.256",
                                          "1.2.3.",
                                          ".1.2.3",
                                          "1..2.3",
                                          "01.2.3.4",
                                          "1.2.3.04",
                                          "0x1.2.3.4",
                                          " 1.2.3.4",
                                          "1.2.3.4 ",
                                          "1.2.3.4\n",
                                          "1.2.3.4/24",
                                          "[::1]",
                                          "::1%eth0",
                                          "fe80::1%1",
                                          ":",
                                          ":::",
                                          "1::2::3",
                                          "12345::",
                                          "g::",
                                          "1:2:3:4:5:6:7",
                                          "1:2:3:4:5:6:7:8:9",
                                          "1:2:3:4:5:6:7:8::",
                                          "::1/64",
                                          "::1.2.3",
                                          "::01.2.3.4",
                                          "::1 ",
                                          "1:2:3:4:5:6:7:",
                                          "-1.2.3.4",
                                          "+1.2.3.4",
                                          std::string("1.2.3.4\0", 8),
                                          std::string("1.2.3.4\0x", 9),
                                          std::string("\0", 1),
                                          std::string(1000, '1'),
                                          std::string(1000, ':')};
  for (const std::string& text : cases) {
    CAPTURE(text);
    CHECK_FALSE(IpAddr::parse(text).has_value());
  }
}

TEST_CASE("an address is written as Go writes it") {
  struct Case {
    const char* text;
    const char* written;
  };
  const std::vector<Case> cases = {
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"FD00:0000:0000:0000:0000:0000:0000:00AB", "fd00::ab"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // one zero group is not shortened
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // the longest run is
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // and the first of equals
      {"0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"},
      {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
      {"0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"},
      {"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
      {"::ffff:0:0", "::ffff:0.0.0.0"},
      {"::1.2.3.4", "::102:304"},  // libc would write the last part in dots
      {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    CHECK(ip(c.text).str() == c.written);
    CHECK(ip(c.written) == ip(c.text));
  }
}

TEST_CASE("every pattern of zero groups is read back as it was written") {
  for (unsigned pattern = 0; pattern < 256; ++pattern) {
    IpAddr addr{.family = Family::kIpv6, .bytes = {}};
    for (unsigned group = 0; group < 8; ++group) {
      addr.bytes[2 * group + 1] = static_cast<std::uint8_t>((pattern >> group) & 1U);
    }
    CAPTURE(addr.str());
    CHECK(ip(addr.str()) == addr);
  }
}

TEST_CASE("a mapped address stays IPv6 and says that it is mapped") {
  CHECK(ip("::ffff:1.2.3.4").is_v4_mapped());
  CHECK(ip("::ffff:1.2.3.4").family == Family::kIpv6);
  CHECK_FALSE(ip("::1.2.3.4").is_v4_mapped());
  CHECK_FALSE(ip("::fffe:1.2.3.4").is_v4_mapped());
  CHECK_FALSE(ip("1::ffff:1.2.3.4").is_v4_mapped());
  CHECK_FALSE(ip("1.2.3.4").is_v4_mapped());
}

TEST_CASE("IPv4 comes before IPv6, and addresses in the order of their bytes") {
  CHECK(ip("255.255.255.255") < ip("::"));
  CHECK(ip("10.0.0.9") < ip("10.0.0.10"));
  CHECK(ip("fd00::9") < ip("fd00::a"));
}

TEST_CASE("A11.3 a prefix keeps its host bits as written") {
  const IpPrefix prefix = net("10.1.0.5/16");
  CHECK(prefix.addr == ip("10.1.0.5"));
  CHECK(prefix.prefix_len == 16);
  CHECK(prefix.str() == "10.1.0.5/16");
  CHECK(net("FD00::5/64").str() == "fd00::5/64");
}

TEST_CASE("what is not an address and a length is nothing") {
  for (const char* text : {"",
                           "/",
                           "10.0.0.0",
                           "10.0.0.0/",
                           "/8",
                           "10.0.0.0/33",
                           "::/129",
                           "10.0.0.0/-1",
                           "10.0.0.0/+8",
                           "10.0.0.0/ 8",
                           "10.0.0.0/8 ",
                           "10.0.0.0/08",
                           "10.0.0.0/00",
                           "10.0.0.0/8/8",
                           "10.0.0.0/a",
                           "10.0.0.0/0x8",
                           "10.0.0/8",
                           "10.0.0.0/255.0.0.0",
                           "10.0.0.0/4294967304",
                           "::1%eth0/64"}) {
    CAPTURE(text);
    CHECK_FALSE(IpPrefix::parse(text).has_value());
  }
}

TEST_CASE("the extreme lengths are prefixes") {
  CHECK(net("0.0.0.0/0").prefix_len == 0);
  CHECK(net("1.2.3.4/32").prefix_len == 32);
  CHECK(net("::/0").prefix_len == 0);
  CHECK(net("::1/128").prefix_len == 128);
}

TEST_CASE("masking clears the host bits and nothing else") {
  CHECK(net("255.255.255.255/0").masked().str() == "0.0.0.0/0");
  CHECK(net("255.255.255.255/1").masked().str() == "128.0.0.0/1");
  CHECK(net("255.255.255.255/12").masked().str() == "255.240.0.0/12");
  CHECK(net("255.255.255.255/24").masked().str() == "255.255.255.0/24");
  CHECK(net("255.255.255.255/31").masked().str() == "255.255.255.254/31");
  CHECK(net("255.255.255.255/32").masked().str() == "255.255.255.255/32");
  CHECK(net("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/67").masked().str() == "ffff:ffff:ffff:ffff:e000::/67");
  CHECK(net("::1/128").masked().str() == "::1/128");
  CHECK(net("10.1.0.5/16").has_host_bits());
  CHECK_FALSE(net("10.1.0.0/16").has_host_bits());
  CHECK_FALSE(net("10.1.0.5/32").has_host_bits());
}

TEST_CASE("a prefix contains what shares its first bits") {
  CHECK(net("10.1.0.5/16").contains(ip("10.1.255.255")));
  CHECK_FALSE(net("10.1.0.5/16").contains(ip("10.2.0.5")));
  CHECK(net("10.128.0.0/9").contains(ip("10.200.0.0")));
  CHECK_FALSE(net("10.128.0.0/9").contains(ip("10.127.255.255")));
  CHECK(net("1.2.3.4/32").contains(ip("1.2.3.4")));
  CHECK_FALSE(net("1.2.3.4/32").contains(ip("1.2.3.5")));
  CHECK(net("0.0.0.0/0").contains(ip("255.255.255.255")));
  CHECK(net("fd00::/8").contains(ip("fdff::1")));
}

TEST_CASE("a prefix contains nothing of the other family, mapped addresses included") {
  CHECK_FALSE(net("0.0.0.0/0").contains(ip("::")));
  CHECK_FALSE(net("::/0").contains(ip("0.0.0.0")));
  CHECK_FALSE(net("1.2.3.0/24").contains(ip("::ffff:1.2.3.4")));
  CHECK_FALSE(net("0.0.0.0/0").overlaps(net("::/0")));
}

TEST_CASE("prefixes overlap when one holds the other, whichever is asked") {
  struct Case {
    const char* a;
    const char* b;
    bool overlap;
  };
  const std::vector<Case> cases = {
      {"10.0.0.0/8", "10.1.0.0/16", true}, {"10.1.0.0/16", "10.1.0.0/16", true}, {"10.0.0.0/9", "10.128.0.0/9", false},
      {"10.1.2.3/8", "10.9.9.9/16", true}, {"0.0.0.0/0", "1.2.3.4/32", true},    {"fd00::/16", "fd00:1::/32", true},
      {"fd00::/16", "fd01::/16", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.a);
    CAPTURE(c.b);
    CHECK(net(c.a).overlaps(net(c.b)) == c.overlap);
    CHECK(net(c.b).overlaps(net(c.a)) == c.overlap);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace conf
