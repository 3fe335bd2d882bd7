// SPDX-License-Identifier: Apache-2.0
#include "plugin/port_switch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "conf/error.h"
#include "conf/stable_hash.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::Code;
using netlink::Committed;
using netlink::NftBatch;
using netlink::NftElement;

constexpr std::size_t kMaxAttempts = 100;
constexpr std::size_t kLongestPause = 40;  // milliseconds
constexpr std::size_t kDumpFrom = 64;      // elements of one set, from where one dump is cheaper than as many questions

std::string_view advice_for(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return "; CAP_NET_ADMIN is needed in the network namespace of the node";
    case EOPNOTSUPP:
    case ENOSYS:
    case EPROTONOSUPPORT:
    case ENOENT:
      return "; the kernel needs nf_tables with nat, fib and masquerade for inet (nft_chain_nat, nft_fib_inet, "
             "nft_masq)";
    case ENOMEM:
    case ENOBUFS:
      return "; the kernel is short of memory";
    default:
      return "";
  }
}

CniError refused(const Committed& committed) {
  return {Code::kIo, "ruleset change refused by the kernel",
          fmt::format("table inet crossover: {}{}", committed.ack.str(), advice_for(committed.ack.error))};
}

std::string named(const PortRecord& record) {
  std::string out = fmt::format("container {} {}", record.owner.container_id, record.owner.ifname);
  if (!record.pod.empty()) out += fmt::format(" (pod {})", record.pod);
  return out;
}

std::string key_text(const PortRecord& record, const PortElement& wanted) {
  for (const Redirection& one : record.redirections) {
    const PortPlace place = place_of(one.key);
    if (place.set == wanted.set && place.key == wanted.element.key) return one.key.str();
  }
  return "a key";
}

// Whether all rules are there that the mappings of `record` pass.
bool has_rules_for(const PortRecord& record, const std::vector<netlink::ListedRule>& rules) {
  const auto has = [&rules](const Conditions& conditions) {
    return conditions.empty() || has_condition_rules(rules, conditions);
  };
  return has_fixed_rules(rules) && has(record.conditions_v4) && has(record.conditions_v6);
}

}  // namespace

void ElementGroups::into_adds(NftBatch& batch) const {
  for (const auto& [set, elements] : groups_)
    batch.add(netlink::AddElements{.table = crossover_table(), .set = set, .elements = elements, .exclusive = true});
}

void ElementGroups::into_deletions(NftBatch& batch) const {
  for (const auto& [set, elements] : groups_)
    batch.add(netlink::DeleteElements{.table = crossover_table(), .set = set, .elements = elements});
}

ElementFinder::ElementFinder(netlink::Firewall& firewall, const std::vector<PortElement>& wanted)
    : firewall_(firewall) {
  for (const PortElement& one : wanted) ++wanted_[one.set];
}

std::optional<NftElement> ElementFinder::find(const std::string& set, const netlink::Bytes& key) {
  if (wanted_[set] < kDumpFrom) return firewall_.element(crossover_table(), set, key);
  const auto [place, is_new] = dumps_.try_emplace(set);
  if (is_new) {
    for (NftElement& element : firewall_.elements(crossover_table(), set).value_or(std::vector<NftElement>{})) {
      netlink::Bytes its_key = element.key;
      place->second.emplace(std::move(its_key), std::move(element));
    }
  }
  const auto found = place->second.find(key);
  return found == place->second.end() ? std::nullopt : std::optional<NftElement>(found->second);
}

// Who was overtaken tries again after a pause that is another for each, so that they do not meet again.
void PortSwitch::until_done(const std::string& owner, const std::function<Outcome(Attempt)>& attempt) {
  for (Attempt i = 0; i < kMaxAttempts; ++i) {
    if (i > 1) {
      const std::size_t longest = std::min(i * 2, kLongestPause);
      system_.clock.sleep(std::chrono::milliseconds(conf::stable_hash(owner, i) % longest));
    }
    if (attempt(i) == Outcome::kDone) return;
  }
  throw CniError(Code::kTryAgainLater, "ruleset does not come to rest",
                 fmt::format("others changed it under each of {} attempts", kMaxAttempts));
}

PortSwitch::Outcome PortSwitch::commit(const NftBatch& batch, std::optional<std::uint32_t> generation,
                                       bool needs_nothing) {
  if (batch.empty()) return Outcome::kDone;
  const Committed committed = system_.firewall.commit(batch, generation);
  switch (committed.kind) {
    case Committed::Kind::kDone:
      return Outcome::kDone;
    case Committed::Kind::kStale:
    case Committed::Kind::kExists:
      return Outcome::kAgain;
    case Committed::Kind::kAbsent:
      if (!needs_nothing) return Outcome::kAgain;
      break;
    case Committed::Kind::kRefused:
      // The answer was lost: the next look tells what became of it.
      if (committed.ack.error == ENOBUFS) return Outcome::kAgain;
      break;
  }
  throw refused(committed);
}

bool PortSwitch::is_alive(const PortRecord& record) {
  if (record.boot_id != system_.boot_id) return false;  // no network namespace outlives the boot it was made in
  try {
    const std::optional<PodNetns> pod = system_.pods.look(record.netns, record.owner.ifname);
    return pod && pod->id.same_as(record.netns_id);
  } catch (const CniError& error) {
    if (error.code() != static_cast<unsigned>(Code::kInvalidNetns)) throw;
    return false;  // the file it was bound to, and no namespace
  }
}

void PortSwitch::map(const PortRecord& record) {
  const std::string owner = owner_name(record.owner);
  if (const std::optional<PortRecord> before = records_.find(owner)) withdraw(*before);
  const std::vector<PortElement> wanted = port_elements(record);
  try {
    records_.write(record);
    until_done(owner, [&](Attempt attempt) { return try_install(record, wanted, attempt > 0); });
    if (!record.localnet.empty() && is_open(record.localnet) == false) set_open(record.localnet, true);
  } catch (const CniError&) {
    try {
      unmap(record);
    } catch (const CniError&) {
      // the record stays, and with it the next DEL or GC finishes this
    }
    throw;
  }
}

// At first it is only said what must be new. If something was there already, it is looked whose it is.
PortSwitch::Outcome PortSwitch::try_install(const PortRecord& record, const std::vector<PortElement>& wanted,
                                            bool looking) {
  std::optional<std::uint32_t> generation;
  if (looking) generation = system_.firewall.generation();
  if (!has_rules_for(record, system_.firewall.rules(crossover_table()))) {
    (void)restore();  // its record is among those that are restored
    return Outcome::kAgain;
  }
  NftBatch batch;
  if (looking) {
    replace_or_add(record, wanted, batch);
  } else {
    ElementGroups adds;
    for (const PortElement& one : wanted) adds.add(one.set, one.element);
    adds.into_adds(batch);
  }
  if (!record.localnet.empty()) hold_open(record, looking, batch);
  return commit(batch, generation);
}

// The same again is no error: the link may have another holder, and who is right before us may be letting go of it.
void PortSwitch::hold_open(const PortRecord& record, bool looking, NftBatch& batch) {
  const std::string set(kLocalnetSet);
  const NftElement element = localnet_element(record.localnet, owner_name(record.owner));
  if (looking && system_.firewall.element(crossover_table(), set, element.key)) return;
  batch.add(netlink::AddElements{.table = crossover_table(), .set = set, .elements = {element}});
}

void PortSwitch::replace_or_add(const PortRecord& record, const std::vector<PortElement>& wanted, NftBatch& batch) {
  const std::string owner = owner_name(record.owner);
  ElementFinder finder(system_.firewall, wanted);
  ElementGroups deletions;
  ElementGroups adds;
  for (const PortElement& one : wanted) {
    const std::optional<NftElement> there = finder.find(one.set, one.element.key);
    if (there && there->comment == owner && there->data == one.element.data) continue;
    if (there && there->comment != owner && one.is_key) refuse_if_alive(record, one, there->comment);
    if (there) deletions.add(one.set, *there);
    adds.add(one.set, one.element);
  }
  deletions.into_deletions(batch);
  adds.into_adds(batch);
}

void PortSwitch::refuse_if_alive(const PortRecord& record, const PortElement& wanted, const std::string& holder) {
  const std::optional<PortRecord> other = records_.find(holder);
  if (!other || !is_alive(*other)) return;
  throw CniError(kPortTaken, "hostPort is taken",
                 fmt::format("{} is held by {}, wanted by {}", key_text(record, wanted), named(*other), named(record)));
}

void PortSwitch::unmap(const PortRecord& record) {
  withdraw(record);
  (void)records_.remove(owner_name(record.owner));  // another call may have been first
}

void PortSwitch::withdraw(const PortRecord& record) {
  if (record.boot_id != system_.boot_id) return;  // what it was about went with that boot
  const std::string owner = owner_name(record.owner);
  const std::vector<PortElement> elements = port_elements(record);
  until_done(owner, [&](Attempt) { return try_remove(owner, elements, &record); });
}

PortSwitch::Outcome PortSwitch::try_remove(const std::string& owner, const std::vector<PortElement>& elements,
                                           const PortRecord* record) {
  const std::uint32_t generation = system_.firewall.generation();
  ElementFinder finder(system_.firewall, elements);
  ElementGroups deletions;
  for (const PortElement& one : elements) {
    const std::optional<NftElement> there = finder.find(one.set, one.element.key);
    if (there && there->comment == owner) deletions.add(one.set, *there);
  }
  NftBatch batch;
  deletions.into_deletions(batch);
  if (record != nullptr && !record->localnet.empty()) close_link(*record, batch);
  return commit(batch, generation);
}

void PortSwitch::unmap_keys(const std::string& owner, const std::vector<PortKey>& keys) {
  until_done(owner, [&](Attempt) {
    const std::uint32_t generation = system_.firewall.generation();
    PortRecord found;
    for (const PortKey& key : keys) {
      const PortPlace place = place_of(key);
      const std::optional<NftElement> there = system_.firewall.element(crossover_table(), place.set, place.key);
      const std::optional<PortTarget> target = there ? target_in(*there) : std::nullopt;
      if (target && there->comment == owner) found.redirections.push_back({.key = key, .target = *target});
    }
    if (found.redirections.empty()) return Outcome::kDone;
    std::vector<PortElement> elements = port_elements(found);
    NftBatch batch;
    ElementGroups deletions;
    for (const PortElement& one : elements) {
      const std::optional<NftElement> there = system_.firewall.element(crossover_table(), one.set, one.element.key);
      if (there && there->comment == owner) deletions.add(one.set, *there);
    }
    deletions.into_deletions(batch);
    return commit(batch, generation);
  });
}

}  // namespace plugin
