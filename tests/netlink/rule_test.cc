// SPDX-License-Identifier: Apache-2.0
#include "netlink/rule.h"

#include <doctest/doctest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "netlink/fib.h"
#include "tests/netlink/hex.h"
#include "tests/support/scratch.h"

using conf::Family;
using conf::IpPrefix;
using netlink::KernelFib;
using netlink::Rule;

namespace {

using Bytes = std::vector<std::byte>;

Rule to_cilium() {
  Rule rule;
  rule.priority = 900;
  rule.to = IpPrefix::parse("10.245.0.0/16");
  rule.suppress_prefix_length = 0;
  return rule;
}

Rule everything() {
  Rule rule;
  rule.family = Family::kIpv6;
  rule.priority = 4'000'000'000;
  rule.from = IpPrefix::parse("fd00:10::/56");
  rule.to = IpPrefix::parse("fd00:20::7/128");
  rule.iif = "fifteen-letters";
  rule.oif = "lo";
  rule.mark = 0x200;
  rule.mark_mask = 0xf00;
  rule.table = 4'000'000'001;
  rule.suppress_prefix_length = 31;
  return rule;
}

std::vector<Rule> of_family(KernelFib& fib, Family family) {
  std::vector<Rule> rules = fib.rules();
  std::erase_if(rules, [family](const Rule& rule) { return rule.family != family; });
  return rules;
}

std::vector<Rule> ours(KernelFib& fib, Family family) {
  std::vector<Rule> rules = of_family(fib, family);
  std::erase_if(rules, [](const Rule& rule) { return rule.protocol != netlink::kOurProtocol; });
  return rules;
}

}  // namespace

TEST_SUITE("netlink.rule") {
  TEST_CASE("a rule is asked for in these bytes") {
    CHECK(hex::of(netlink::encode_rule_add(to_cilium())) ==
          "44000000"  // length 68
          "2000"      // RTM_NEWRULE
          "0106"      // request, exclusive, create
          "0000000000000000"
          "02100000fe00000100000000"  // AF_INET, /16 to, all from, table main, to table
          "0800060084030000"          // priority 900
          "080001000af50000"          // to 10.245.0.0
          "08000f00fe000000"          // table 254
          "08000e0000000000"          // suppress_prefixlength 0
          "050015009d000000");        // protocol 157
    const Bytes removal = netlink::encode_rule_delete(to_cilium());
    CHECK(hex::of(removal).substr(8, 8) == "21000100");  // RTM_DELRULE, and the rest as it was added
    CHECK(hex::of(removal).substr(32) == hex::of(netlink::encode_rule_add(to_cilium())).substr(32));
  }

  TEST_CASE("what is asked for is what would be read back") {
    for (const Rule& rule : {to_cilium(), everything(), Rule{}}) {
      CAPTURE(rule.str());
      CHECK(netlink::decode_fib_rule(netlink::encode_rule_add(rule)) == rule);
    }
  }

  TEST_CASE("a rule that is cut short anywhere is none") {
    const Bytes whole = netlink::encode_rule_add(everything());
    for (std::size_t length = 0; length < whole.size(); ++length) {
      CAPTURE(length);
      Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      CHECK_FALSE(netlink::decode_fib_rule(cut).has_value());
      if (length < sizeof(nlmsghdr)) continue;
      const auto own_length = static_cast<std::uint32_t>(length);
      std::memcpy(cut.data(), &own_length, sizeof(own_length));
      const bool only_padding_lost = length + 3 >= whole.size();
      CHECK((netlink::decode_fib_rule(cut) == everything()) == only_padding_lost);
    }
  }

  TEST_CASE("another message, another family and lengths beyond an address are no rule") {
    Bytes message = netlink::encode_rule_add(to_cilium());
    message[4] = std::byte{RTM_NEWROUTE};
    CHECK_FALSE(netlink::decode_fib_rule(message).has_value());
    message[4] = std::byte{RTM_NEWRULE};
    message[16] = std::byte{128};  // RTNL_FAMILY_IPMR
    CHECK_FALSE(netlink::decode_fib_rule(message).has_value());
    message[16] = std::byte{2};
    message[17] = std::byte{33};  // to a /33
    CHECK_FALSE(netlink::decode_fib_rule(message).has_value());
    message[17] = std::byte{16};
    message[18] = std::byte{8};  // from a /8 without an address
    CHECK_FALSE(netlink::decode_fib_rule(message).has_value());
  }

  TEST_CASE("rules read as ip prints them") {
    CHECK(to_cilium().str() == "900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157");
    CHECK(everything().str() ==
          "4000000000: from fd00:10::/56 to fd00:20::7 fwmark 0x200/0xf00 iif fifteen-letters oif lo lookup 4000000001 "
          "suppress_prefixlength 31 proto 157");
    Rule odd = to_cilium();
    odd.inverted = true;
    odd.has_more = true;
    odd.action = 7;
    CHECK(odd.str() == "900: not from all to 10.245.0.0/16 ... action 7 suppress_prefixlength 0 proto 157");
  }

  TEST_CASE("rules that ip made are read with all that they say") {
    const scratch::Host host;
    scratch::sh(
        "ip rule add from 10.1.2.3 to 10.0.0.0/8 fwmark 0x80/0xff iif lo lookup 2004 pref 512 protocol 4;"
        "ip rule add not from 10.9.0.0/16 lookup main suppress_prefixlength 0 pref 600;"
        "ip rule add uidrange 5-6 lookup 77 pref 601; ip rule add from 10.1.2.9 unreachable pref 602;"
        "ip rule add to 10.2.0.0/16 tos 0x10 lookup 70 pref 603;"
        "ip -6 rule add from fd00::/64 lookup 1000000 pref 700 protocol 157");
    KernelFib fib;
    std::vector<std::string> texts;
    for (const Rule& rule : of_family(fib, Family::kIpv4)) texts.push_back(rule.str());
    CHECK(texts ==
          std::vector<std::string>{"0: from all lookup local proto 2",
                                   "512: from 10.1.2.3 to 10.0.0.0/8 fwmark 0x80/0xff iif lo lookup 2004 proto 4",
                                   "600: not from 10.9.0.0/16 lookup main suppress_prefixlength 0 proto 0",
                                   "601: from all ... lookup 77 proto 0", "602: from 10.1.2.9 action 7 proto 0",
                                   "603: from all to 10.2.0.0/16 ... lookup 70 proto 0",
                                   "32766: from all lookup main proto 2", "32767: from all lookup default proto 2"});
    const std::vector<Rule> six = ours(fib, Family::kIpv6);
    REQUIRE(six.size() == 1);
    CHECK(six[0].str() == "700: from fd00::/64 lookup 1000000 proto 157");
  }

  TEST_CASE("a rule of ours is there once, as ip sees it, and goes alone") {
    const scratch::Host host;
    scratch::sh("ip rule add to 10.245.0.0/16 lookup main suppress_prefixlength 0 pref 900 protocol 3");
    KernelFib fib;
    CHECK(fib.add(to_cilium()).ok());  // a stranger's rule that reads the same is another rule
    CHECK(fib.add(to_cilium()).error == EEXIST);
    CHECK(ours(fib, Family::kIpv4) == std::vector<Rule>{to_cilium()});
    CHECK(scratch::sh("ip -d rule show pref 900 | grep -c 'proto 157'") == "1");
    CHECK(fib.remove(to_cilium()).ok());
    CHECK(fib.remove(to_cilium()).error == ENOENT);
    CHECK(scratch::sh("ip -d rule show pref 900 | grep -vc 'proto 157'") == "1");
  }

  TEST_CASE("tables above 255 and both families come back as they were added") {
    const scratch::Host host;
    KernelFib fib;
    Rule six = everything();
    six.iif = "lo";
    six.oif.clear();
    Rule four = to_cilium();
    four.table = 2004;
    REQUIRE(fib.add(six).ok());
    REQUIRE(fib.add(four).ok());
    CHECK(ours(fib, Family::kIpv6) == std::vector<Rule>{six});
    CHECK(ours(fib, Family::kIpv4) == std::vector<Rule>{four});
  }

  TEST_CASE("a refusal comes with the kernel's errno") {
    const scratch::Host host;
    KernelFib fib;
    Rule unheard_of = to_cilium();
    unheard_of.iif = "sixteen-letters.";
    CHECK(fib.add(unheard_of).error == ERANGE);
  }
}
