// SPDX-License-Identifier: Apache-2.0
#include "plugin/port_record.h"

#include <doctest/doctest.h>

#include <set>

#include "plugin/port_table.h"

namespace plugin {
namespace {

PortRecord sample() {
  PortRecord out;
  out.owner = {.container_id = "5fc10b", .ifname = "eth0"};
  out.network = "cbr0";
  out.pod = "default/web-0";
  out.netns = "/var/run/netns/cni-1f8c";
  out.netns_id = {.inode = 4026532281, .cookie = 17};
  out.boot_id = "0a1b";
  out.made_ms = 1763711133241;
  out.masq_all = true;
  out.conditions_v4.text = "ip saddr 10.0.0.0/8";
  out.localnet = "cni0";
  out.localnet_shared = true;
  out.bridge_v4 = "cni0";
  out.redirections = {*Redirection::parse("tcp 0.0.0.0:8080 10.244.1.5:80"),
                      *Redirection::parse("sctp [::]:8080 [fd00::5]:80"),
                      *Redirection::parse("udp 192.0.2.1:53 10.244.1.5:5353")};
  return out;
}

std::multiset<std::string> sets_of(const PortRecord& record) {
  std::multiset<std::string> out;
  for (const PortElement& one : port_elements(record)) out.insert(one.set);
  return out;
}

TEST_SUITE_BEGIN("plugin.port_record");
TEST_CASE("a record comes back as it was written, and a damaged one does not") {
  const std::string text = port_record_text(sample());
  CHECK(parse_port_record(text) == sample());
  for (std::size_t cut = 0; cut < text.size(); ++cut) CHECK_FALSE(parse_port_record(text.substr(0, cut)).has_value());
  std::string changed = text;
  changed[changed.find("8080")] = '9';
  CHECK_FALSE(parse_port_record(changed).has_value());
}

TEST_CASE("owners that are too long for a comment are told apart by a hash") {
  const conf::AttachmentId usual{.container_id = std::string(64, 'a'), .ifname = "eth0"};
  CHECK(owner_name(usual) == std::string(64, 'a') + ":eth0");
  const conf::AttachmentId one{.container_id = std::string(180, 'a') + "1", .ifname = "eth0"};
  const conf::AttachmentId two{.container_id = std::string(180, 'a') + "2", .ifname = "eth0"};
  CHECK(owner_name(one).size() == netlink::kMaxComment);
  CHECK(owner_name(one) != owner_name(two));
}
TEST_SUITE_END();

TEST_SUITE_BEGIN("plugin.port_table");
TEST_CASE("what a record puts into the table") {
  PortRecord record = sample();
  record.masq_all = false;
  const std::string hash = condition_hash(record.conditions_v4);
  CHECK(sets_of(record) == std::multiset<std::string>{"ports_v4", "ports_v6", "ports_addr_v4", "ports_if_" + hash,
                                                      "ports_addr_if_" + hash, "ports_loopback", "ports_loopback",
                                                      "ports_hairpin_v4", "ports_hairpin_v4", "ports_hairpin_v6",
                                                      "ports_same_link_v4", "ports_same_link_v4"});
  record.snat = false;
  CHECK(sets_of(record) == std::multiset<std::string>{"ports_v4", "ports_v6", "ports_addr_v4", "ports_if_" + hash,
                                                      "ports_addr_if_" + hash, "ports_unmasked"});
  record.snat = true;
  record.masq_all = true;
  record.conditions_v4.text = "";
  CHECK(sets_of(record) == std::multiset<std::string>{"ports_v4", "ports_v6", "ports_addr_v4", "ports_masq_all_v4",
                                                      "ports_masq_all_v4", "ports_masq_all_v6"});
}

TEST_CASE("two hostPorts that lead to one port of the pod share what is about the pod") {
  PortRecord record = sample();
  record.conditions_v4.text = "";
  record.redirections = {*Redirection::parse("tcp 0.0.0.0:8080 10.244.1.5:80"),
                         *Redirection::parse("tcp 0.0.0.0:8081 10.244.1.5:80")};
  CHECK(sets_of(record) == std::multiset<std::string>{"ports_v4", "ports_v4", "ports_masq_all_v4"});
}

TEST_CASE("an element of a map says where it leads") {
  for (const PortElement& one : port_elements(sample())) {
    if (!one.is_key) continue;
    const std::optional<PortTarget> target = target_in(one.element);
    REQUIRE(target.has_value());
    CHECK((target->str() == "10.244.1.5:80" || target->str() == "[fd00::5]:80" || target->str() == "10.244.1.5:5353"));
  }
  CHECK_FALSE(target_in({.key = {}, .data = {}, .comment = {}}).has_value());
}

TEST_CASE("the rules of the layout are known by their comments, in order and complete") {
  std::vector<netlink::ListedRule> listed;
  for (const netlink::NftRule& rule : fixed_layout().rules)
    listed.push_back({.rule = rule, .handle = 1, .userdata = {}});
  CHECK(has_fixed_rules(listed));
  const Conditions conditions{.family = conf::Family::kIpv4, .text = "ip saddr 10.0.0.0/8"};
  CHECK_FALSE(has_condition_rules(listed, conditions));
  for (const netlink::NftRule& rule : condition_layout(conditions).rules)
    listed.push_back({.rule = rule, .handle = 1, .userdata = {}});
  CHECK(has_fixed_rules(listed));
  CHECK(has_condition_rules(listed, conditions));
  std::swap(listed[3], listed[4]);
  CHECK_FALSE(has_fixed_rules(listed));
  std::swap(listed[3], listed[4]);
  listed.erase(listed.begin());
  CHECK_FALSE(has_fixed_rules(listed));
  for (const netlink::NftRule& rule : fixed_layout().rules) CHECK(rule.comment.size() <= netlink::kMaxComment);
}
TEST_SUITE_END();

}  // namespace
}  // namespace plugin
