// SPDX-License-Identifier: Apache-2.0
#include "ipam/config.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "tests/ipam/store_world.h"
#include "tests/support/refusal.h"

namespace ipam {
namespace {

Config parsed(const std::string& section, const std::string& rest = "", const std::string& args = "") {
  conf::Request request;
  request.verb = conf::Verb::kAdd;
  request.args = args;
  return parse_config(
      fmt::format(R"({{"cniVersion":"1.0.0","name":"net","type":"bridge","ipam":{{"type":"x-ipam",{}}}{}}})", section,
                  rest),
      request);
}

std::string refused(const std::string& section, const std::string& rest = "") {
  const conf::CniError error = support::refusal_of([&] { return parsed(section, rest); });
  CHECK(error.code() == 7);
  CHECK(error.msg() == "invalid configuration");
  return error.details();
}

std::vector<std::string> addresses(const Config& config) {
  std::vector<std::string> out;
  for (const Want& want : config.wants) out.push_back(want.address ? want.address->str() : "any");
  return out;
}

TEST_SUITE_BEGIN("ipam.config");
TEST_CASE("podCIDRs are one address of each family, from its blocks in order, the first address being the gateway") {
  const Config config = parsed(R"("podCIDRs":["10.1.0.0/24","fd00::/120","10.2.0.0/24"])");
  REQUIRE(config.wants.size() == 2);
  REQUIRE(config.wants[0].blocks.size() == 2);
  CHECK(config.wants[0].blocks[1].cidr == prefix("10.2.0.0/24"));
  CHECK(config.wants[0].blocks[0].gateway == ip("10.1.0.1"));
  CHECK(config.wants[0].blocks[0].capacity() == 253);
  CHECK(config.wants[1].blocks[0].cidr == prefix("fd00::/120"));
  CHECK(config.cooldown == std::chrono::seconds(30));
  CHECK(config.state_dir == "/var/lib/cni/crossover");
}

TEST_CASE("a host-local section works unchanged") {
  const Config old = parsed(R"("subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.20",)"
                            R"("gateway":"10.1.0.254","dataDir":"/x","routes":[{"dst":"0.0.0.0/0"}],)"
                            R"("resolvConf":"/etc/resolv.conf")");
  REQUIRE(old.wants.size() == 1);
  CHECK(old.wants[0].blocks[0].capacity() == 11);
  CHECK(old.wants[0].blocks[0].gateway == ip("10.1.0.254"));
  CHECK(old.routes == std::vector<std::string>{R"({"dst":"0.0.0.0/0"})"});
  CHECK(old.resolv_conf == "/etc/resolv.conf");
  const Config sets = parsed(R"("ranges":[[{"subnet":"10.1.0.0/24","rangeEnd":"10.1.0.9"},)"
                             R"({"subnet":"10.1.0.0/24","rangeStart":"10.1.0.20"}],[{"subnet":"fd00::/64"}]])");
  REQUIRE(sets.wants.size() == 2);
  CHECK(sets.wants[0].blocks.size() == 2);
  CHECK(sets.wants[1].blocks[0].capacity() == 65'534);
}

TEST_CASE("excluded addresses, ranges and CIDRs are not handed out") {
  const Config config =
      parsed(R"("podCIDRs":["10.1.0.0/24"],"exclude":["10.1.0.5","10.1.0.8-10.1.0.10","10.1.0.128/25","10.9.0.0/16"])");
  const Block& block = config.wants[0].blocks[0];
  CHECK(block.capacity() == 127 - 1 - 1 - 3);
  CHECK_FALSE(block.may_hand_out(5));
  CHECK_FALSE(block.may_hand_out(9));
  CHECK(block.may_hand_out(127));
  CHECK_FALSE(block.may_hand_out(128));
  CHECK(parsed(R"("podCIDRs":["10.1.0.0/24"],"exclude":["10.0.0.0/8"])").wants[0].blocks[0].capacity() == 0);
}

struct Bad {
  const char* what;
  std::string section;
  std::string details;
};

void check_refused(const std::vector<Bad>& table) {
  for (const Bad& bad : table) {
    CAPTURE(bad.what);
    CHECK(refused(bad.section) == bad.details);
  }
}

TEST_CASE("bad podCIDRs are refused with the key, its value and the rule it broke") {
  check_refused({
      {"host bits", R"("podCIDRs":["10.1.0.1/24"])",
       R"(`ipam.podCIDRs[0]` is "10.1.0.1/24": must be a CIDR without host bits: 10.1.0.0/24)"},
      {"host bits, IPv6", R"("podCIDRs":["10.1.0.0/24","fd00::1/120"])",
       R"(`ipam.podCIDRs[1]` is "fd00::1/120": must be a CIDR without host bits: fd00::/120)"},
      {"a mask that is too long", R"("podCIDRs":["10.1.0.0/33"])",
       R"(`ipam.podCIDRs[0]` is "10.1.0.0/33": must be a CIDR such as 10.0.0.0/16)"},
      {"a mask that is too long, IPv6", R"("podCIDRs":["fd00::/129"])",
       R"(`ipam.podCIDRs[0]` is "fd00::/129": must be a CIDR such as 10.0.0.0/16)"},
      {"a mask that is no number", R"("podCIDRs":["10.1.0.0/255.255.255.0"])",
       R"(`ipam.podCIDRs[0]` is "10.1.0.0/255.255.255.0": must be a CIDR such as 10.0.0.0/16)"},
      {"no mask", R"("podCIDRs":["10.1.0.0"])",
       R"(`ipam.podCIDRs[0]` is "10.1.0.0": must be a CIDR such as 10.0.0.0/16)"},
      {"a negative mask", R"("podCIDRs":["10.1.0.0/-1"])",
       R"(`ipam.podCIDRs[0]` is "10.1.0.0/-1": must be a CIDR such as 10.0.0.0/16)"},
      {"a /31", R"("podCIDRs":["10.1.0.0/31"])",
       R"(`ipam.podCIDRs[0]` is "10.1.0.0/31": must be of at least four addresses, /30 or larger)"},
      {"a /32", R"("podCIDRs":["10.1.0.0/32"])",
       R"(`ipam.podCIDRs[0]` is "10.1.0.0/32": must be of at least four addresses, /30 or larger)"},
      {"a /127", R"("podCIDRs":["fd00::/127"])",
       R"(`ipam.podCIDRs[0]` is "fd00::/127": must be of at least four addresses, /126 or larger)"},
      {"a /128", R"("podCIDRs":["fd00::/128"])",
       R"(`ipam.podCIDRs[0]` is "fd00::/128": must be of at least four addresses, /126 or larger)"},
      {"a /0", R"("podCIDRs":["0.0.0.0/0"])",
       R"(`ipam.podCIDRs[0]` is "0.0.0.0/0": must be a block of a cluster, which /0 is not)"},
      {"a /0, IPv6", R"("podCIDRs":["::/0"])",
       R"(`ipam.podCIDRs[0]` is "::/0": must be a block of a cluster, which /0 is not)"},
      {"IPv4-mapped IPv6", R"("podCIDRs":["::ffff:10.1.0.0/120"])",
       R"(`ipam.podCIDRs[0]` is "::ffff:10.1.0.0/120": must be written as IPv4: it is an IPv4-mapped IPv6 CIDR)"},
      {"overlap", R"("podCIDRs":["10.1.0.0/24","10.1.0.128/25"])",
       R"(`ipam.podCIDRs[1]` is "10.1.0.128/25": must be apart from 10.1.0.0/24 of `ipam.podCIDRs[0]`: )"
       "an address must be in one of them"},
      {"the same twice", R"("podCIDRs":["10.1.0.0/24","fd00::/120","10.1.0.0/24"])",
       R"(`ipam.podCIDRs[2]` is "10.1.0.0/24": must be apart from 10.1.0.0/24 of `ipam.podCIDRs[0]`: )"
       "an address must be in one of them"},
      {"overlap, IPv6", R"("podCIDRs":["10.1.0.0/24","fd00::/120","fd00::/112"])",
       R"(`ipam.podCIDRs[2]` is "fd00::/112": must be apart from fd00::/120 of `ipam.podCIDRs[1]`: )"
       "an address must be in one of them"},
      {"none", R"("podCIDRs":[])", "`ipam.podCIDRs` is an array: must be an array with at least one CIDR"},
      {"another type", R"("podCIDRs":[7])", R"(`ipam.podCIDRs[0]` is 7: must be a CIDR such as 10.0.0.0/16)"},
      {"a gateway elsewhere", R"("podCIDRs":["10.1.0.0/24"],"gateway":"10.2.0.1")",
       R"(`ipam.gateway` is "10.2.0.1": must be an address of one of the node's blocks)"},
  });
}

TEST_CASE("a section without blocks, with two origins of them or with a key that is no key is refused") {
  check_refused({
      {"a slip", R"("podCIDR":["10.1.0.0/24"])",
       "`ipam` has no `podCIDRs`, `podCIDRsFrom`, `ranges` or `subnet`: one of them must be there"},
      {"two origins", R"("podCIDRs":["10.1.0.0/24"],"subnet":"10.2.0.0/24")",
       R"(`ipam.subnet` is "10.2.0.0/24": must be absent where `ipam.podCIDRs` is given)"},
      {"unknown", R"("podCIDRs":["10.1.0.0/24"],"cooldwn":"1s")",
       "`ipam.cooldwn` is unknown: did you mean `cooldown`?"},
  });
}

TEST_CASE("bad exclusions are refused with the key, its value and the rule it broke") {
  const std::string rule = R"(: must be an address, a CIDR or a range such as 10.0.0.1-10.0.0.9)";
  const std::string blocks = R"("podCIDRs":["10.1.0.0/24"],)";
  check_refused({
      {"mixed families", blocks + R"("exclude":["10.1.0.5-fd00::5"])",
       R"(`ipam.exclude[0]` is "10.1.0.5-fd00::5")" + rule},
      {"the wrong way round", blocks + R"("exclude":["10.1.0.9-10.1.0.5"])",
       R"(`ipam.exclude[0]` is "10.1.0.9-10.1.0.5")" + rule},
      {"no address", blocks + R"("exclude":["10.1.0.5","10.1.0.256"])", R"(`ipam.exclude[1]` is "10.1.0.256")" + rule},
  });
}

TEST_CASE("bad ranges are refused with the key, its value and the rule it broke") {
  check_refused({
      {"mixed families", R"("ranges":[[{"subnet":"10.1.0.0/24"},{"subnet":"fd00::/64"}]])",
       R"(`ipam.ranges[0][1].subnet` is "fd00::/64": must be of the family of the other ranges of its set)"},
      {"a start outside", R"("subnet":"10.1.0.0/24","rangeStart":"10.2.0.5")",
       R"(`ipam.rangeStart` is "10.2.0.5": must be one of the first 65536 addresses of 10.1.0.0/24)"},
      {"a start of the other family", R"("subnet":"10.1.0.0/24","rangeStart":"fd00::5")",
       R"(`ipam.rangeStart` is "fd00::5": must be one of the first 65536 addresses of 10.1.0.0/24)"},
      {"an end before the start", R"("subnet":"10.1.0.0/24","rangeStart":"10.1.0.9","rangeEnd":"10.1.0.5")",
       R"(`ipam.rangeEnd` is "10.1.0.5": must be a `rangeEnd` not before `rangeStart`)"},
      {"a gateway of the other family", R"("subnet":"10.1.0.0/24","gateway":"fd00::1")",
       R"(`ipam.gateway` is "fd00::1": must be of the family of 10.1.0.0/24)"},
      {"an empty set", R"("ranges":[[]])", "`ipam.ranges[0]` is an array: must be a range set with at least one range"},
      {"ranges that overlap",
       R"("ranges":[[{"subnet":"10.1.0.0/24","rangeEnd":"10.1.0.9"}],)"
       R"([{"subnet":"10.1.0.0/24","rangeStart":"10.1.0.9"}]])",
       R"(`ipam.ranges[1][0].subnet` is "10.1.0.0/24": must be apart from 10.1.0.0/24 of `ipam.ranges[0][0].subnet`: )"
       "an address must be in one of them"},
      {"subnets that overlap", R"("ranges":[[{"subnet":"10.1.0.0/24"}],[{"subnet":"10.1.0.0/16"}]])",
       R"(`ipam.ranges[1][0].subnet` is "10.1.0.0/16": must be apart from 10.1.0.0/24 of `ipam.ranges[0][0].subnet`: )"
       "an address must be in one of them"},
      {"host bits", R"("subnet":"10.1.0.5/24")",
       R"(`ipam.subnet` is "10.1.0.5/24": must be a CIDR without host bits: 10.1.0.0/24)"},
      {"a /31", R"("subnet":"10.1.0.4/31")",
       R"(`ipam.subnet` is "10.1.0.4/31": must be of at least four addresses, /30 or larger)"},
  });
}

TEST_CASE("a block that overlaps a reserved network is refused") {
  CHECK(refused(R"("podCIDRs":["10.1.0.0/24"],"reservedCIDRs":["10.0.0.0/8"])") ==
        R"(`ipam.reservedCIDRs[0]` is "10.0.0.0/8": must be apart from the blocks of pods: it overlaps 10.1.0.0/24)");
}

TEST_CASE("a block outside of the cluster's pool or of another size is refused") {
  const std::string blocks = R"("podCIDRs":["10.1.0.0/24","fd00::100/120"],)";
  CHECK(parsed(blocks + R"("clusterPool":{"ipv4":{"cidrs":["10.0.0.0/12"],"maskSize":24},)"
                        R"("ipv6":{"cidrs":["fd00::/104"],"maskSize":120}})")
            .wants.size() == 2);
  CHECK(refused(blocks + R"("clusterPool":{"ipv4":{"cidrs":["10.16.0.0/12"],"maskSize":24}})") ==
        "`ipam.clusterPool.ipv4.cidrs` holds nothing that has the node's 10.1.0.0/24");
  CHECK(refused(blocks + R"("clusterPool":{"ipv4":{"cidrs":["10.0.0.0/12"],"maskSize":25}})") ==
        "`ipam.clusterPool.ipv4.maskSize` is 25: must be 24, the length of the node's 10.1.0.0/24");
  CHECK(refused(blocks + R"("clusterPool":{"ipv4":{"cidrs":["fd00::/104"],"maskSize":24}})") ==
        R"(`ipam.clusterPool.ipv4.cidrs[0]` is "fd00::/104": must be of the family whose pool it is)");
  CHECK(refused(blocks + R"("clusterPool":{"ipv4":{"cidrs":["10.0.0.0/12"],"maskSize":8}})") ==
        "`ipam.clusterPool.ipv4.maskSize` is 8: must be at least 12, the length of 10.0.0.0/12");
  CHECK(refused(blocks + R"("clusterPool":{"ipv6":{"cidrs":["fd00::/96"],"maskSize":120}})") ==
        "`ipam.clusterPool.ipv6.maskSize` is 120: must be at most 112: 16 bits below fd00::/96");
  CHECK(
      refused(blocks + R"("clusterPool":{"ipv4":{"cidrs":["10.0.0.0/12","10.1.0.0/16"],"maskSize":24}})") ==
      R"(`ipam.clusterPool.ipv4.cidrs[1]` is "10.1.0.0/16": must be apart from 10.0.0.0/12, which is in the pool too)");
}

TEST_CASE("requested addresses: the capability and args.cni come before CNI_ARGS") {
  const std::string blocks = R"("podCIDRs":["10.1.0.0/24","fd00::/120"])";
  CHECK(addresses(parsed(blocks)) == std::vector<std::string>{"any", "any"});
  CHECK(addresses(parsed(blocks, "", "IP=10.1.0.7")) == std::vector<std::string>{"10.1.0.7", "any"});
  CHECK(addresses(parsed(blocks, R"(,"runtimeConfig":{"ips":["10.1.0.8/24"]},"args":{"cni":{"ips":["fd00::8"]}})",
                         "IP=10.1.0.7")) == std::vector<std::string>{"10.1.0.8", "fd00::8"});
}

TEST_CASE("a requested address that no block has, or two of one range set, are refused") {
  const std::string blocks = R"("podCIDRs":["10.1.0.0/24"])";
  const conf::CniError outside = support::refusal_of([&] { return parsed(blocks, "", "IP=10.9.0.1"); });
  CHECK(outside.code() == kAddressTaken);
  CHECK(outside.details() == "10.9.0.1 is in no block of this node");
  const conf::CniError two = support::refusal_of([&] { return parsed(blocks, "", "IP=10.1.0.2,10.1.0.3"); });
  CHECK(two.code() == kAddressTaken);
  CHECK(two.details() == "10.1.0.2 and 10.1.0.3 are of one range set, which gives one address");
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
