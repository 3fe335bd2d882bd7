// SPDX-License-Identifier: Apache-2.0
#include "plugin/stale_rules.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/plugin/plans.h"

namespace {

using netlink::Rule;
using plans::addr;
using plans::cidr;
using plans::rule_from;
using plans::rule_to;
using plugin::own_priorities;
using plugin::stale_rules;
using plugin::StaleRule;
using Rules = std::vector<Rule>;
using Priorities = std::vector<std::uint32_t>;

constexpr std::uint8_t kCilium = 2;  // since 1.14
constexpr std::uint8_t kAws = 3;

/// "111: from 10.0.9.9 to 10.0.0.0/16 lookup <table>", as Cilium makes it in ENI mode.
Rule egress(const std::string& pod, std::uint32_t table, const std::string& vpc = "10.0.0.0/16") {
  Rule out = rule_from(111, pod + "/32", table, kCilium);
  out.to = cidr(vpc);
  return out;
}

conf::NetworkList list_of(const std::string& type) {
  return conf::parse_list(R"({"name":"a","plugins":[{"type":")" + type + R"("}]})", "x");
}
const Priorities kCiliums = own_priorities(list_of("cilium-cni"));
const Priorities kAwss = own_priorities(list_of("aws-cni"));

TEST_SUITE_BEGIN("plugin.stale_rules");

TEST_CASE("the outage of 2022: the rule of a former pod is named by address, table and priority, with its cure") {
  const Rule stale = egress("10.0.9.9", 11);
  const Rule needed = egress("10.0.9.9", 12);
  const std::vector<StaleRule> found = stale_rules({stale}, {stale, needed}, {addr("10.0.9.9")}, kCiliums);
  REQUIRE(found.size() == 1);
  CHECK(found[0].rule == stale);
  CHECK(found[0].address == addr("10.0.9.9"));
  CHECK(found[0].certain);  // the network made its own beside it
  CHECK(found[0].str() ==
        "rule 111: from 10.0.9.9 to 10.0.0.0/16 lookup 11 proto 2 was there before 10.0.9.9 was given to this pod: "
        "its packets go by table 11 because of priority 111; `ip -4 rule del priority 111 from 10.0.9.9/32 to "
        "10.0.0.0/16 table 11` removes it");
}

TEST_CASE("a rule that the network may have found in place is not certainly stale") {
  const Rule kept = egress("10.0.9.9", 11);
  const std::vector<StaleRule> found = stale_rules({kept}, {kept}, {addr("10.0.9.9")}, kCiliums);
  REQUIRE(found.size() == 1);
  CHECK_FALSE(found[0].certain);
}

TEST_CASE("a rule of the other network for this pod's address is certainly stale") {
  const Rule aws_to = rule_to(512, "10.0.9.9/32", 254, kAws);
  const Rule aws_from = rule_from(1536, "10.0.9.9/32", 2, kAws);
  const std::vector<StaleRule> on_cilium =
      stale_rules({aws_to, aws_from}, {aws_to, aws_from}, {addr("10.0.9.9")}, kCiliums);
  REQUIRE(on_cilium.size() == 2);
  CHECK(on_cilium[0].certain);
  CHECK(on_cilium[1].certain);
  const Rule cilium = egress("10.0.9.9", 11);
  REQUIRE(stale_rules({cilium}, {cilium}, {addr("10.0.9.9")}, kAwss).size() == 1);
  CHECK(stale_rules({cilium}, {cilium}, {addr("10.0.9.9")}, kAwss)[0].certain);
}

TEST_CASE("a rule of the other direction does not replace one") {
  const Rule from = rule_from(20, "10.0.9.9/32", 11, kCilium);
  const Rule to = rule_to(20, "10.0.9.9/32", 254, kCilium);
  const std::vector<StaleRule> found = stale_rules({from}, {from, to}, {addr("10.0.9.9")}, kCiliums);
  REQUIRE(found.size() == 1);
  CHECK_FALSE(found[0].certain);
}

TEST_CASE("what went, what is new, and what is of other addresses or of many is not stale") {
  const Rule gone = egress("10.0.9.9", 11);
  const Rule fresh = egress("10.0.9.9", 12);
  const Rule others = egress("10.0.9.8", 11);
  const Rule wide = rule_from(1536, "10.0.9.0/24", 2, kAws);
  const Rules before = {gone, others, wide};
  CHECK(stale_rules(before, {fresh, others, wide}, {addr("10.0.9.9")}, kCiliums).empty());
  CHECK(stale_rules({}, {fresh}, {addr("10.0.9.9")}, kCiliums).empty());
}

TEST_CASE("rules that say `not`, and our own from the configuration, are for others than the pod") {
  Rule inverted = rule_from(200, "10.0.9.9/32", 2, kAws);
  inverted.inverted = true;
  const Rule ours = rule_to(901, "10.0.9.9/32", 7);
  CHECK(plugin::rules_of({inverted, ours}, addr("10.0.9.9")).empty());
  CHECK(stale_rules({inverted, ours}, {inverted, ours}, {addr("10.0.9.9")}, kCiliums).empty());
}

TEST_CASE("each address has its own, IPv6 too") {
  const Rule four = egress("10.0.9.9", 11);
  const Rule six = rule_from(1536, "fd00::9/128", 3, kAws);
  const std::vector<StaleRule> found =
      stale_rules({four, six}, {four, six}, {addr("10.0.9.9"), addr("fd00::9")}, kCiliums);
  REQUIRE(found.size() == 2);
  CHECK(found[0].rule == four);
  CHECK(found[1].rule == six);
  CHECK(found[1].str() ==
        "rule 1536: from fd00::9 lookup 3 proto 3 was there before fd00::9 was given to this pod: its packets go by "
        "table 3 because of priority 1536; `ip -6 rule del priority 1536 from fd00::9/128 table 3` removes it");
}

TEST_CASE("networks that make no rules for pods have no priorities of their own") {
  CHECK(kAwss == Priorities{10, 20, 512, 1536});
  CHECK(kCiliums == Priorities{20, 110, 111});
  CHECK(own_priorities(list_of("bridge")).empty());
}

TEST_CASE("only what the kernel would take for exactly that rule can be deleted") {
  const Rule narrow = egress("10.0.9.9", 11);
  const Rule wide = rule_from(111, "10.0.9.9/32", 11, kCilium);
  CHECK(plugin::can_be_deleted(narrow, {wide, narrow}));
  CHECK(plugin::can_be_deleted(wide, {wide, narrow}));
  CHECK_FALSE(plugin::can_be_deleted(wide, {narrow, wide}));  // a `to` that is not said fits any
  CHECK_FALSE(plugin::can_be_deleted(wide, {narrow}));
  Rule nobodys = wide;
  nobodys.protocol = 0;  // fits every owner
  CHECK_FALSE(plugin::can_be_deleted(nobodys, {wide, nobodys}));
  CHECK(plugin::can_be_deleted(nobodys, {nobodys, wide}));
  Rule unknown = wide;
  unknown.has_more = true;
  CHECK_FALSE(plugin::can_be_deleted(unknown, {unknown}));
}

TEST_SUITE_END();

}  // namespace
