// SPDX-License-Identifier: Apache-2.0
#include "plugin/kept_source.h"

#include <algorithm>
#include <cerrno>

#include "conf/error.h"
#include "plugin/plumbing.h"
#include "plugin/port_table.h"

namespace plugin {
namespace {

using netlink::NftBatch;
using netlink::NftChain;
using netlink::NftRule;
using netlink::Register;

constexpr std::int32_t kPriority = 90;  // srcnat is 100, and our own hostports_postrouting 99
constexpr int kTries = 20;

NftChain chain() {
  return {.table = crossover_table(),
          .name = std::string(kKeptSourceChain),
          .base = netlink::BaseHook{.type = netlink::ChainType::kNat,
                                    .hook = netlink::Hook::kPostrouting,
                                    .priority = kPriority,
                                    .policy = netlink::VerdictCode::kAccept}};
}

NftRule rule_for(const KeptSource& kept) {
  netlink::Expressions out = netlink::saddr_in(kept.from);
  netlink::append(out, netlink::daddr_in(kept.to));
  out.push_back(netlink::load_saddr(kept.from.addr.family, Register{}));
  out.push_back(
      netlink::Nat{.kind = netlink::Nat::Kind::kSnat, .family = kept.from.addr.family, .address = {}, .port = {}});
  return {.table = crossover_table(),
          .chain = std::string(kKeptSourceChain),
          .expressions = std::move(out),
          .comment = "crossover: between the networks a pod keeps its address"};
}

/// A chain that is there is made anew: one that is hooked in elsewhere cannot be changed.
NftBatch making(const std::vector<KeptSource>& wanted, bool there) {
  NftBatch batch;
  batch.add(netlink::AddTable{.table = crossover_table()});
  if (there) batch.add(netlink::DeleteChain{.table = crossover_table(), .chain = std::string(kKeptSourceChain)});
  batch.add(netlink::AddChain{.chain = chain()});
  for (const KeptSource& kept : wanted) batch.add(netlink::AddRule{.rule = rule_for(kept)});
  return batch;
}

[[noreturn]] void refused(const netlink::Committed& committed) {
  const bool none = committed.ack.error == EOPNOTSUPP || committed.ack.error == ENOENT;
  throw conf::CniError(kPlumbing, "addresses cannot be kept between the networks",
                       std::string("nft table inet crossover, chain preserve_source: ") + committed.ack.str() +
                           (none ? "; the kernel needs nf_tables with nat for inet (Linux 5.2), or set "
                                   "`coexistence.preserveSource` to off"
                                 : ""));
}

}  // namespace

std::vector<NftRule> kept_source_rules(const std::vector<KeptSource>& wanted) {
  std::vector<NftRule> out;
  out.reserve(wanted.size());
  for (const KeptSource& kept : wanted) out.push_back(rule_for(kept));
  return out;
}

KeptSources::Seen KeptSources::look(const std::vector<KeptSource>& wanted, bool closely) {
  const std::vector<netlink::ListedRule> rules = firewall_.rules(crossover_table(), std::string(kKeptSourceChain));
  Seen out{.kept = {}, .changed = rules.size() != wanted.size(), .there = !rules.empty()};
  const std::vector<NftRule> right = kept_source_rules(wanted);
  for (std::size_t i = 0; i < right.size(); ++i) {
    const auto same = [&](const netlink::ListedRule& one) { return one.rule.expressions == right[i].expressions; };
    if (std::any_of(rules.begin(), rules.end(), same)) out.kept.push_back(wanted[i]);
    out.changed = out.changed || i >= rules.size() || !same(rules[i]);
  }
  if (!closely) return out;
  const std::vector<NftChain> chains = firewall_.chains(crossover_table());
  const auto found =
      std::find_if(chains.begin(), chains.end(), [](const NftChain& one) { return one.name == kKeptSourceChain; });
  out.there = found != chains.end();
  out.changed = out.changed || out.there != !wanted.empty() || (out.there && found->base != chain().base);
  if (out.there && found->base != chain().base) out.kept.clear();
  return out;
}

// The generation says whether somebody has come in since it was looked at. After ENOBUFS nobody knows whether it was
// done: that is looked at, too.
void KeptSources::make(const std::vector<KeptSource>& wanted) {
  for (int i = 0; i < kTries; ++i) {
    const std::uint32_t generation = firewall_.generation();
    const Seen seen = look(wanted, true);
    if (!seen.changed) return;
    const NftBatch batch = wanted.empty() ? removal() : making(wanted, seen.there);
    const netlink::Committed committed = firewall_.commit(batch, generation);
    if (committed.done()) return;
    if (committed.kind != netlink::Committed::Kind::kStale && committed.ack.error != ENOBUFS) refused(committed);
  }
  throw conf::CniError(conf::Code::kTryAgainLater, "the ruleset keeps changing",
                       "nft table inet crossover, chain preserve_source could not be changed");
}

// The table goes too if it holds nothing else: hostPorts make it again when they need it.
NftBatch KeptSources::removal() {
  NftBatch batch;
  if (firewall_.chains(crossover_table()).size() == 1 && firewall_.sets(crossover_table()).empty()) {
    batch.add(netlink::DeleteTable{.table = crossover_table()});
  } else {
    batch.add(netlink::DeleteChain{.table = crossover_table(), .chain = std::string(kKeptSourceChain)});
  }
  return batch;
}

}  // namespace plugin
