// SPDX-License-Identifier: Apache-2.0
#include "plugin/stale_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "plugin/discovery.h"

namespace plugin {
namespace {

using netlink::Rule;

/// A selector of ours is in the configuration, and "not from A" is for everybody else.
bool is_for_pods(const Rule& rule) { return rule.protocol != netlink::kOurProtocol && !rule.inverted; }

bool is_only(const std::optional<conf::IpPrefix>& prefix, const conf::IpAddr& address) {
  return prefix && prefix->addr == address && prefix->prefix_len == address.bits();
}

bool has(const std::vector<Rule>& rules, const Rule& rule) {
  return std::find(rules.begin(), rules.end(), rule) != rules.end();
}

/// Whether a deletion that says all that we know of `rule` takes `other`: what it does not say fits any.
bool deletion_takes(const Rule& rule, const Rule& other) {
  return rule.family == other.family && rule.priority == other.priority && rule.table == other.table &&
         rule.action == other.action && (rule.protocol == 0 || rule.protocol == other.protocol) &&
         (!rule.from || rule.from == other.from) && (!rule.to || rule.to == other.to) &&
         (rule.iif.empty() || rule.iif == other.iif) && (rule.oif.empty() || rule.oif == other.oif) &&
         (rule.mark_mask == 0 || (rule.mark == other.mark && rule.mark_mask == other.mark_mask)) &&
         (!rule.suppress_prefix_length || rule.suppress_prefix_length == other.suppress_prefix_length);
}

/// The network has made its own rule for this address and direction meanwhile.
bool was_replaced(const Rule& old, const std::vector<Rule>& before, const std::vector<Rule>& after,
                  const conf::IpAddr& address) {
  return std::any_of(after.begin(), after.end(), [&](const Rule& rule) {
    return rule.priority == old.priority && is_only(rule.from, address) == is_only(old.from, address) &&
           !has(before, rule);
  });
}

}  // namespace

bool can_be_deleted(const Rule& rule, const std::vector<Rule>& all) {
  if (rule.has_more) return false;
  const auto first = std::find_if(all.begin(), all.end(), [&](const Rule& one) { return deletion_takes(rule, one); });
  return first != all.end() && *first == rule;
}

std::string StaleRule::str() const {
  std::string selector;
  if (rule.from) selector += " from " + rule.from->str();
  if (rule.to) selector += " to " + rule.to->str();
  return fmt::format(
      "rule {} was there before {} was given to this pod: its packets go by table {} because of priority {}; `ip -{} "
      "rule del priority {}{} table {}` removes it",
      rule.str(), address.str(), rule.table, rule.priority, address.family == conf::Family::kIpv4 ? 4 : 6,
      rule.priority, selector, rule.table);
}

std::vector<Rule> rules_of(const std::vector<Rule>& rules, const conf::IpAddr& address) {
  std::vector<Rule> out;
  std::copy_if(rules.begin(), rules.end(), std::back_inserter(out), [&](const Rule& rule) {
    return is_for_pods(rule) && (is_only(rule.from, address) || is_only(rule.to, address));
  });
  return out;
}

std::vector<std::uint32_t> own_priorities(const conf::NetworkList& list) {
  if (list.runs("aws-cni")) return {10, 20, 512, 1536};
  if (list.runs(kCiliumCni)) return {20, 110, 111};
  return {};
}

std::vector<StaleRule> stale_rules(const std::vector<Rule>& before, const std::vector<Rule>& after,
                                   const std::vector<conf::IpAddr>& addresses, const std::vector<std::uint32_t>& own) {
  std::vector<StaleRule> out;
  for (const conf::IpAddr& address : addresses) {
    const std::vector<Rule> now = rules_of(after, address);
    for (const Rule& rule : rules_of(before, address)) {
      if (!has(now, rule)) continue;
      const bool foreign = std::find(own.begin(), own.end(), rule.priority) == own.end();
      out.push_back({.rule = rule, .address = address, .certain = foreign || was_replaced(rule, before, now, address)});
    }
  }
  return out;
}

}  // namespace plugin
