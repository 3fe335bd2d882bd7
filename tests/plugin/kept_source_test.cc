// SPDX-License-Identifier: Apache-2.0
#include "plugin/kept_source.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "plugin/plumbing.h"
#include "plugin/port_table.h"
#include "tests/fakes/nft.h"
#include "tests/plugin/plans.h"
#include "tests/support/refusal.h"

namespace {

using fakes::FakeFirewall;
using netlink::NftBatch;
using netlink::NftChain;
using netlink::NftRule;
using plans::cidr;
using plugin::crossover_table;
using plugin::KeptSource;
using plugin::KeptSources;
using support::check_refusal;
using support::refusal_of;

constexpr conf::Code kRefused{plugin::kPlumbing};
const std::string kChain(plugin::kKeptSourceChain);

const KeptSource kToLegacy{.from = cidr("10.245.0.0/16"), .to = cidr("10.244.0.0/16")};
const KeptSource kToCilium{.from = cidr("10.244.0.0/16"), .to = cidr("10.245.0.0/16")};
const KeptSource kSix{.from = cidr("fd00:245::/56"), .to = cidr("fd00:244::/56")};
const std::vector<KeptSource> kAll = {kToLegacy, kToCilium, kSix};

struct Nat {
  FakeFirewall firewall;
  KeptSources sources{firewall};

  void commit(const netlink::NftBatch& batch) { REQUIRE(firewall.commit(batch).done()); }
  [[nodiscard]] std::vector<NftRule> rules() {
    std::vector<NftRule> out;
    for (netlink::ListedRule& listed : firewall.rules(crossover_table(), kChain)) out.push_back(std::move(listed.rule));
    return out;
  }
  [[nodiscard]] std::size_t commits() const { return firewall.commits().size(); }
  /// The chain, hooked in at `priority`.
  static NftChain chain_at(std::int32_t priority) {
    return {.table = crossover_table(),
            .name = kChain,
            .base = netlink::BaseHook{.type = netlink::ChainType::kNat,
                                      .hook = netlink::Hook::kPostrouting,
                                      .priority = priority,
                                      .policy = netlink::VerdictCode::kAccept}};
  }
};

TEST_SUITE_BEGIN("plugin.kept_source");

TEST_CASE("the chain is a nat chain at priority 90, with a rule for each direction in its order") {
  Nat nat;
  nat.sources.make(kAll);
  const std::vector<NftChain> chains = nat.firewall.chains(crossover_table());
  REQUIRE(chains.size() == 1);
  CHECK(chains[0] == Nat::chain_at(90));
  const std::vector<NftRule> rules = nat.rules();
  const std::vector<NftRule> wanted = plugin::kept_source_rules(kAll);
  REQUIRE(rules.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(rules[i].expressions == wanted[i].expressions);
    CHECK(rules[i].comment == "crossover: between the networks a pod keeps its address");
  }
  CHECK(wanted[0].expressions != wanted[1].expressions);
  const KeptSources::Seen seen = nat.sources.look(kAll, true);
  CHECK(seen.kept == kAll);
  CHECK(seen.there);
  CHECK_FALSE(seen.changed);
}

TEST_CASE("one look sees that all is in place, and nothing is changed then") {
  Nat nat;
  nat.sources.make(kAll);
  nat.firewall.forget_calls();
  CHECK_FALSE(nat.sources.look(kAll, false).changed);
  CHECK(nat.firewall.looks() == 1);
  nat.sources.make(kAll);
  CHECK(nat.commits() == 0);
}

TEST_CASE("another order, less, more, and what others added to the chain are changes, and made right in one batch") {
  const std::vector<std::vector<KeptSource>> befores = {
      {kToCilium, kToLegacy, kSix}, {kToLegacy}, {kToLegacy, kToCilium, kSix, kSix}};
  for (const std::vector<KeptSource>& before : befores) {
    Nat nat;
    nat.sources.make(before);
    nat.firewall.forget_calls();
    CHECK(nat.sources.look(kAll, false).changed);
    nat.sources.make(kAll);
    CHECK(nat.commits() == 1);
    CHECK_FALSE(nat.sources.look(kAll, true).changed);
    CHECK(nat.rules().size() == 3);
  }
}

TEST_CASE("what is there of the wanted is known, rule by rule") {
  Nat nat;
  nat.sources.make({kSix, kToLegacy});
  CHECK(nat.sources.look(kAll, false).kept == std::vector<KeptSource>{kToLegacy, kSix});
  CHECK(nat.sources.look({kToCilium}, false).kept.empty());
}

TEST_CASE("a chain without rules, or hooked in elsewhere, is noticed by who looks closely, and made anew") {
  for (const std::int32_t priority : {90, 110}) {
    Nat nat;
    NftBatch batch;
    batch.add(netlink::AddTable{.table = crossover_table()});
    batch.add(netlink::AddChain{.chain = Nat::chain_at(priority)});
    if (priority != 90)
      for (NftRule& rule : plugin::kept_source_rules(kAll)) batch.add(netlink::AddRule{.rule = std::move(rule)});
    nat.commit(batch);
    const KeptSources::Seen seen = nat.sources.look(kAll, true);
    CHECK(seen.there);
    CHECK(seen.changed);
    CHECK(seen.kept.empty());
    nat.sources.make(kAll);
    CHECK(nat.firewall.chains(crossover_table()).at(0) == Nat::chain_at(90));
    CHECK_FALSE(nat.sources.look(kAll, true).changed);
  }
  Nat empty;
  NftBatch batch;
  batch.add(netlink::AddTable{.table = crossover_table()});
  batch.add(netlink::AddChain{.chain = Nat::chain_at(90)});
  empty.commit(batch);
  CHECK_FALSE(empty.sources.look({}, false).changed);
  CHECK(empty.sources.look({}, true).changed);
}

TEST_CASE("without anything wanted the chain goes, and the table only if it holds nothing else") {
  Nat alone;
  const std::set<std::string> before = alone.firewall.snapshot();
  alone.sources.make(kAll);
  alone.sources.make({});
  CHECK(alone.firewall.snapshot() == before);

  for (const bool chain : {true, false}) {
    Nat shared;
    NftBatch batch;
    batch.add(netlink::AddTable{.table = crossover_table()});
    if (chain)
      batch.add(netlink::AddChain{.chain = {.table = crossover_table(), .name = "hostports", .base = {}}});
    else
      batch.add(netlink::AddSet{
          .set = {.table = crossover_table(), .name = "ports", .key = {netlink::Field::kInetService}, .data = {}}});
    shared.commit(batch);
    const std::set<std::string> with_others = shared.firewall.snapshot();
    shared.sources.make(kAll);
    shared.sources.make({});
    CHECK(shared.firewall.snapshot() == with_others);
  }
}

TEST_CASE("nothing to remove is nothing to do") {
  Nat nat;
  nat.sources.make({});
  CHECK(nat.commits() == 0);
}

TEST_CASE("a ruleset that changes meanwhile is looked at again, and one that never settles is to be tried again") {
  for (const bool removal : {false, true}) {
    Nat nat;
    if (removal) nat.sources.make(kAll);
    const std::vector<KeptSource> wanted = removal ? std::vector<KeptSource>{} : kAll;
    nat.firewall.disturb(1000);
    check_refusal(refusal_of([&] { return nat.sources.make(wanted), 0; }), conf::Code::kTryAgainLater,
                  "the ruleset keeps changing", "nft table inet crossover, chain preserve_source could not be changed");
    nat.firewall.disturb(3);
    nat.sources.make(wanted);
    CHECK_FALSE(nat.sources.look(wanted, true).changed);
  }
}

TEST_CASE("a batch whose answer was lost is looked for, done or not done") {
  for (const bool after_effect : {true, false})
    for (const bool removal : {false, true}) {
      Nat nat;
      if (removal) nat.sources.make(kAll);
      const std::vector<KeptSource> wanted = removal ? std::vector<KeptSource>{} : kAll;
      nat.firewall.forget_calls();
      nat.firewall.refuse_next(ENOBUFS, after_effect);
      nat.sources.make(wanted);
      CHECK(nat.commits() == (after_effect ? 1 : 2));
      CHECK_FALSE(nat.sources.look(wanted, true).changed);
    }
}

TEST_CASE("a kernel that cannot keep addresses is told from one that may not") {
  const std::string msg = "addresses cannot be kept between the networks";
  const std::string place = "nft table inet crossover, chain preserve_source: ";
  const std::string cure =
      "; the kernel needs nf_tables with nat for inet (Linux 5.2), or set `coexistence.preserveSource` to off";
  Nat nat;
  nat.firewall.refuse_next(EOPNOTSUPP);
  check_refusal(refusal_of([&] { return nat.sources.make(kAll), 0; }), kRefused, msg,
                place + "Operation not supported" + cure);
  nat.firewall.refuse_next(ENOENT);
  check_refusal(refusal_of([&] { return nat.sources.make(kAll), 0; }), kRefused, msg, place + "no such path" + cure);
  nat.firewall.refuse_next(EPERM);
  check_refusal(refusal_of([&] { return nat.sources.make(kAll), 0; }), kRefused, msg,
                place + "Operation not permitted");
  nat.sources.make(kAll);
  nat.firewall.refuse_next(EPERM);
  check_refusal(refusal_of([&] { return nat.sources.make({}), 0; }), kRefused, msg, place + "Operation not permitted");
}

TEST_SUITE_END();

}  // namespace
