// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "conf/error.h"
#include "plugin/port_switch.h"

namespace plugin {
namespace {

using netlink::NftBatch;
using netlink::NftElement;
using netlink::NftRule;

/// What the table's chains, sets and rules should be, and what of ours they are.
struct Layouts {
  std::map<std::string, netlink::NftSet> sets;
  std::map<std::string, netlink::NftChain> chains;
  std::map<std::string, std::vector<NftRule>> rules;  ///< by chain; those of conditions in any order

  void add(const PortLayout& layout) {
    for (const netlink::NftSet& set : layout.sets) sets.emplace(set.name, set);
    for (const netlink::NftChain& chain : layout.chains) chains.emplace(chain.name, chain);
    for (const NftRule& rule : layout.rules) rules[rule.chain].push_back(rule);
  }
};

Layouts wanted_layouts(const std::vector<PortRecord>& records) {
  Layouts out;
  out.add(fixed_layout());
  std::set<std::string> seen;
  for (const PortRecord& record : records)
    for (const Conditions* conditions : {&record.conditions_v4, &record.conditions_v6})
      if (!conditions->empty() && seen.insert(condition_hash(*conditions)).second)
        out.add(condition_layout(*conditions));
  return out;
}

Layouts listed_layouts(netlink::Firewall& firewall) {
  Layouts out;
  for (const netlink::NftSet& set : firewall.sets(crossover_table()))
    if (is_port_set(set.name)) out.sets.emplace(set.name, set);
  for (const netlink::NftChain& chain : firewall.chains(crossover_table()))
    if (is_port_chain(chain.name)) out.chains.emplace(chain.name, chain);
  for (const netlink::ListedRule& one : firewall.rules(crossover_table()))
    if (is_port_chain(one.rule.chain)) out.rules[one.rule.chain].push_back(one.rule);
  return out;
}

bool same_rules(std::vector<NftRule> wanted, std::vector<NftRule> listed) {
  const auto by_comment = [](const NftRule& a, const NftRule& b) { return a.comment < b.comment; };
  if (wanted.size() != listed.size()) return false;
  const std::string& chain = wanted.empty() ? std::string() : wanted.front().chain;
  if (chain == "hostports_addr_if" || chain == "hostports_port_if") {
    std::sort(wanted.begin(), wanted.end(), by_comment);
    std::sort(listed.begin(), listed.end(), by_comment);
  }
  return wanted == listed;
}

template <typename T>
bool same_under(const std::map<std::string, T>& listed, const std::string& name, const T& wanted) {
  const auto found = listed.find(name);
  return found != listed.end() && found->second == wanted;
}

std::vector<NftRule> rules_in(const Layouts& layouts, const std::string& chain) {
  const auto found = layouts.rules.find(chain);
  return found == layouts.rules.end() ? std::vector<NftRule>{} : found->second;
}

// What is missing or different, one line each.
std::vector<std::string> differences(const Layouts& wanted, const Layouts& listed) {
  std::vector<std::string> out;
  for (const auto& [name, set] : wanted.sets)
    if (!same_under(listed.sets, name, set)) out.push_back(fmt::format("set {} is not as it must be", name));
  for (const auto& [name, chain] : wanted.chains) {
    if (!same_under(listed.chains, name, chain)) {
      out.push_back(fmt::format("chain {} is not as it must be", name));
    } else if (!same_rules(rules_in(wanted, name), rules_in(listed, name))) {
      out.push_back(fmt::format("the rules of chain {} are not as they must be", name));
    }
  }
  return out;
}

// Of the two chains that name all conditions, only what is of these.
void forget_other_conditions(const Layouts& wanted, Layouts& listed) {
  for (const std::string chain : {"hostports_addr_if", "hostports_port_if"}) {
    const std::vector<NftRule> ours = rules_in(wanted, chain);
    std::erase_if(listed.rules[chain], [&ours](const NftRule& rule) {
      return std::none_of(ours.begin(), ours.end(),
                          [&rule](const NftRule& one) { return one.comment == rule.comment; });
    });
  }
}

// Our chains are emptied first, so that none of them points to what is to go.
void rebuild_layout(const Layouts& wanted, const Layouts& listed, NftBatch& batch) {
  const netlink::NftTable& table = crossover_table();
  batch.add(netlink::AddTable{.table = table});
  for (const auto& [name, chain] : listed.chains) batch.add(netlink::FlushRules{.table = table, .chain = name});
  for (const auto& [name, chain] : listed.chains)
    if (!same_under(wanted.chains, name, chain)) batch.add(netlink::DeleteChain{.table = table, .chain = name});
  for (const auto& [name, set] : listed.sets)
    if (!same_under(wanted.sets, name, set)) batch.add(netlink::DeleteSet{.table = table, .set = name});
  for (const auto& [name, set] : wanted.sets)
    if (!same_under(listed.sets, name, set)) batch.add(netlink::AddSet{.set = set});
  for (const auto& [name, chain] : wanted.chains)
    if (!same_under(listed.chains, name, chain)) batch.add(netlink::AddChain{.chain = chain});
  for (const auto& [name, rules] : wanted.rules)
    for (const NftRule& rule : rules) batch.add(netlink::AddRule{.rule = rule});
}

/// What is in the sets that stay, and what is to be done to them.
class Contents {
 public:
  Contents(netlink::Firewall& firewall, const Layouts& wanted, const Layouts& listed) {
    for (const auto& [name, set] : wanted.sets) {
      std::map<netlink::Bytes, NftElement>& place = sets_[name];
      if (!same_under(listed.sets, name, set)) continue;
      for (NftElement& element : firewall.elements(crossover_table(), name).value_or(std::vector<NftElement>{})) {
        netlink::Bytes key = element.key;
        place.emplace(std::move(key), std::move(element));
      }
    }
  }

  /// Who is alive keeps what they have.
  void want(const PortElement& one, const std::set<std::string>& living) {
    std::map<netlink::Bytes, NftElement>& set = sets_[one.set];
    const auto there = set.find(one.element.key);
    if (there != set.end()) {
      const NftElement& now = there->second;
      const bool is_others = now.comment != one.element.comment && living.count(now.comment) != 0;
      if (is_others || now == one.element) return;
      deletions_.add(one.set, now);
      set.erase(there);
    }
    set.emplace(one.element.key, one.element);
    adds_.add(one.set, one.element);
  }

  void into(NftBatch& batch) const {
    deletions_.into_deletions(batch);
    adds_.into_adds(batch);
  }

 private:
  std::map<std::string, std::map<netlink::Bytes, NftElement>> sets_;
  ElementGroups deletions_;
  ElementGroups adds_;
};

}  // namespace

bool PortSwitch::restore() {
  bool changed = false;
  until_done("restore", [&](Attempt) { return try_restore(changed); });
  return changed;
}

PortSwitch::Outcome PortSwitch::try_restore(bool& changed) {
  const std::uint32_t generation = system_.firewall.generation();
  std::vector<PortRecord> living = records_.all();
  std::erase_if(living, [&](const PortRecord& record) { return !is_alive(record); });
  std::sort(living.begin(), living.end(),
            [](const PortRecord& a, const PortRecord& b) { return a.made_ms < b.made_ms; });
  std::set<std::string> names;
  for (const PortRecord& record : living) names.insert(owner_name(record.owner));

  const Layouts wanted = wanted_layouts(living);
  const Layouts listed = listed_layouts(system_.firewall);
  NftBatch batch;
  if (!differences(wanted, listed).empty()) rebuild_layout(wanted, listed, batch);
  Contents contents(system_.firewall, wanted, listed);
  for (const PortRecord& record : living) {
    for (const PortElement& one : port_elements(record)) contents.want(one, names);
    if (!record.localnet.empty())
      contents.want(
          {.set = std::string(kLocalnetSet), .element = localnet_element(record.localnet, owner_name(record.owner))},
          names);
  }
  contents.into(batch);
  changed = changed || !batch.empty();
  if (commit(batch, generation, true) == Outcome::kAgain) return Outcome::kAgain;
  for (const PortRecord& record : living)
    if (!record.localnet.empty() && is_open(record.localnet) == false) set_open(record.localnet, true);
  return Outcome::kDone;
}

std::vector<std::string> PortSwitch::problems(const PortRecord& record) {
  const Layouts wanted = wanted_layouts({record});
  Layouts listed = listed_layouts(system_.firewall);
  forget_other_conditions(wanted, listed);
  std::vector<std::string> out = differences(wanted, listed);
  const std::string owner = owner_name(record.owner);
  const std::vector<PortElement> elements = port_elements(record);
  ElementFinder finder(system_.firewall, elements);
  for (const PortElement& one : elements) {
    const std::optional<NftElement> there = finder.find(one.set, one.element.key);
    if (there && *there == one.element) continue;
    const std::string_view what = !there                    ? "is missing"
                                  : there->comment != owner ? "is another attachment's"
                                                            : "leads elsewhere";
    out.push_back(fmt::format("an element of {} {}", one.set, what));
  }
  if (record.localnet.empty()) return out;
  const netlink::Bytes link = localnet_element(record.localnet, {}).key;
  if (!system_.firewall.element(crossover_table(), std::string(kLocalnetSet), link))
    out.push_back(fmt::format("{} is not guarded against 127.0.0.0/8 from outside", record.localnet));
  if (is_open(record.localnet) != true) out.push_back(fmt::format("route_localnet of {} is not set", record.localnet));
  return out;
}

}  // namespace plugin
