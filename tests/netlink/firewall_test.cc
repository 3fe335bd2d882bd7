// SPDX-License-Identifier: Apache-2.0
#include "netlink/firewall.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <functional>

#include "netlink/nft_client.h"
#include "tests/fakes/nft.h"
#include "tests/netlink/nft_samples.h"
#include "tests/support/scratch.h"

using namespace netlink;  // NOLINT(google-build-using-namespace)
using samples::in_set;
using samples::kTable;
using samples::mapping;
using samples::ports4;
using Kind = Committed::Kind;

namespace {

const NftTable kAbsent{.family = NftFamily::kInet, .name = "absent"};

NftBatch batch_of(std::vector<NftOperation> operations) { return {.operations = std::move(operations)}; }

AddElements add(std::vector<NftElement> elements, bool exclusive = false) {
  return {.table = kTable, .set = "ports4", .elements = std::move(elements), .exclusive = exclusive};
}

DeleteElements del(std::vector<NftElement> elements) {
  return {.table = kTable, .set = "ports4", .elements = std::move(elements)};
}

/// The same story against the kernel in a namespace of its own, and against the fake.
void both(const std::function<void(Firewall&)>& story) {
  SUBCASE("the kernel") {
    const scratch::Host host;
    KernelFirewall firewall;
    story(firewall);
  }
  SUBCASE("the fake") {
    fakes::FakeFirewall firewall;
    story(firewall);
  }
}

void check_refused(const Committed& answer, Kind kind, int error, std::optional<std::size_t> operation) {
  CHECK(answer.kind == kind);
  CHECK(answer.ack.error == error);
  CHECK(answer.operation == operation);
}

}  // namespace

TEST_SUITE("netlink.firewall") {
  TEST_CASE("a table, a set, a mapping, and no trace of them when the table is gone") {
    both([](Firewall& firewall) {
      CHECK(firewall.tables().empty());
      CHECK(firewall.commit(samples::small_batch()).done());
      CHECK(firewall.has_table(kTable));
      CHECK(firewall.tables() == std::vector<NftTable>{kTable});
      CHECK(firewall.sets(kTable) == std::vector<NftSet>{ports4()});
      CHECK(firewall.elements(kTable, "ports4") == std::vector<NftElement>{mapping(80, "10.0.0.1", "abc")});
      CHECK(firewall.commit(batch_of({DeleteTable{.table = kTable}})).done());
      CHECK_FALSE(firewall.has_table(kTable));
    });
  }

  TEST_CASE("looking at what is absent finds nothing") {
    both([](Firewall& firewall) {
      CHECK_FALSE(firewall.has_table(kAbsent));
      CHECK_FALSE(firewall.element(kAbsent, "ports4", mapping(80, "10.0.0.1", "").key).has_value());
      CHECK_FALSE(firewall.elements(kAbsent, "ports4").has_value());
      CHECK(firewall.rules(kAbsent).empty());
      CHECK(firewall.chains(kAbsent).empty());
      CHECK(firewall.sets(kAbsent).empty());
      REQUIRE(firewall.commit(samples::small_batch()).done());
      CHECK_FALSE(firewall.elements(kTable, "absent").has_value());
      CHECK_FALSE(firewall.element(kTable, "ports4", mapping(81, "10.0.0.1", "").key).has_value());
      CHECK(firewall.rules(kTable, "absent").empty());
    });
  }

  TEST_CASE("a batch of nothing is done, and changes no generation") {
    both([](Firewall& firewall) {
      const std::uint32_t before = firewall.generation();
      CHECK(firewall.commit({}).done());
      CHECK(firewall.commit(batch_of({add({}), del({})}), before + 7).done());
      CHECK(firewall.generation() == before);
    });
  }

  TEST_CASE("a batch for another generation is stale, and nothing of it takes effect") {
    both([](Firewall& firewall) {
      const std::uint32_t before = firewall.generation();
      CHECK(firewall.commit(samples::small_batch(), before).done());
      const std::uint32_t after = firewall.generation();
      CHECK(after != before);
      check_refused(firewall.commit(batch_of({del({mapping(80, "10.0.0.1", "")})}), before), Kind::kStale, ERESTART,
                    std::nullopt);
      CHECK(firewall.elements(kTable, "ports4")->size() == 1);
      CHECK(firewall.generation() == after);
      CHECK(firewall.commit(batch_of({del({mapping(80, "10.0.0.1", "")})}), after).done());
    });
  }

  TEST_CASE("the operation that fails is named, and the ones before it have no effect") {
    both([](Firewall& firewall) {
      REQUIRE(firewall.commit(samples::small_batch()).done());
      const std::uint32_t before = firewall.generation();
      const Committed answer =
          firewall.commit(batch_of({add({mapping(81, "10.0.0.2", "")}), add({mapping(80, "10.0.0.2", "")}),
                                    DeleteSet{.table = kTable, .set = "absent"}}));
      check_refused(answer, Kind::kExists, EEXIST, 1);
      CHECK(firewall.elements(kTable, "ports4")->size() == 1);
      CHECK(firewall.generation() == before);
    });
  }

  TEST_CASE("an element may be added again with the same data, and keeps its comment") {
    both([](Firewall& firewall) {
      REQUIRE(firewall.commit(samples::small_batch()).done());
      CHECK(firewall.commit(batch_of({add({mapping(80, "10.0.0.1", "other")})})).done());
      CHECK(firewall.element(kTable, "ports4", mapping(80, "10.0.0.1", "").key)->comment == "abc");
    });
  }

  TEST_CASE("an element with other data, or one that must be new, exists") {
    both([](Firewall& firewall) {
      REQUIRE(firewall.commit(samples::small_batch()).done());
      check_refused(firewall.commit(batch_of({add({mapping(80, "10.0.0.2", "abc")})})), Kind::kExists, EEXIST, 0);
      check_refused(firewall.commit(batch_of({add({mapping(80, "10.0.0.1", "abc", 1)})})), Kind::kExists, EEXIST, 0);
      check_refused(firewall.commit(batch_of({add({mapping(80, "10.0.0.1", "abc")}, true)})), Kind::kExists, EEXIST, 0);
    });
  }

  TEST_CASE("one batch takes a key from one owner and gives it to another") {
    both([](Firewall& firewall) {
      REQUIRE(firewall.commit(samples::small_batch()).done());
      const NftElement theirs = mapping(80, "10.0.0.1", "abc");
      const NftElement ours = mapping(80, "10.0.0.2", "def");
      CHECK(firewall.commit(batch_of({del({theirs}), add({ours}, true)})).done());
      CHECK(firewall.element(kTable, "ports4", ours.key) == ours);
    });
  }

  TEST_CASE("a deletion goes by the key alone, and one of nothing is absent") {
    both([](Firewall& firewall) {
      REQUIRE(firewall.commit(samples::small_batch()).done());
      CHECK(firewall.commit(batch_of({del({mapping(80, "10.9.9.9", "other")})})).done());
      check_refused(firewall.commit(batch_of({del({mapping(80, "10.0.0.1", "abc")})})), Kind::kAbsent, ENOENT, 0);
      check_refused(firewall.commit(batch_of({FlushSet{.table = kTable, .set = "absent"}})), Kind::kAbsent, ENOENT, 0);
    });
  }

  TEST_CASE("a set is emptied at once") {
    both([](Firewall& firewall) {
      REQUIRE(firewall.commit(samples::small_batch()).done());
      CHECK(firewall.commit(batch_of({FlushSet{.table = kTable, .set = "ports4"}})).done());
      CHECK(firewall.elements(kTable, "ports4")->empty());
      CHECK(firewall.commit(batch_of({FlushSet{.table = kTable, .set = "ports4"}})).done());
    });
  }

  TEST_CASE("an element of the wrong size is invalid") {
    both([](Firewall& firewall) {
      REQUIRE(firewall.commit(samples::small_batch()).done());
      NftElement element = mapping(81, "10.0.0.1", "");
      SUBCASE("its key") { element.key.resize(4); }
      SUBCASE("its data") { element.data.resize(4); }
      SUBCASE("no data") { element.data.clear(); }
      check_refused(firewall.commit(batch_of({add({element})})), Kind::kRefused, EINVAL, 0);
    });
  }

  TEST_CASE("tables, chains and sets may be added again as they are, unless they must be new") {
    both([](Firewall& firewall) {
      const AddChain base = samples::base_chain("pre", ChainType::kNat, Hook::kPrerouting, -101);
      const AddChain plain = samples::plain_chain("plain");
      const NftBatch batch = batch_of({AddTable{.table = kTable}, base, plain, AddSet{.set = ports4()}});
      REQUIRE(firewall.commit(batch).done());
      CHECK(firewall.commit(batch).done());
      CHECK(firewall.chains(kTable) == std::vector<NftChain>{base.chain, plain.chain});
      const auto exists = [&firewall](NftOperation operation) {
        check_refused(firewall.commit(batch_of({std::move(operation)})), Kind::kExists, EEXIST, 0);
      };
      exists(AddTable{.table = kTable, .exclusive = true});
      exists(AddChain{.chain = base.chain, .exclusive = true});
      exists(AddSet{.set = ports4(), .exclusive = true});
      NftSet changed = ports4();
      changed.data = {};
      exists(AddSet{.set = changed});
    });
  }

  TEST_CASE("a chain cannot become another") {
    both([](Firewall& firewall) {
      const AddChain base = samples::base_chain("pre", ChainType::kNat, Hook::kPrerouting, -101);
      const AddChain plain = samples::plain_chain("plain");
      REQUIRE(firewall.commit(batch_of({AddTable{.table = kTable}, base, plain})).done());
      AddChain other = base;
      SUBCASE("with another priority") { other.chain.base->priority = -102; }
      SUBCASE("at a hook instead of none") { other.chain.name = "plain"; }
      // Kernels say EEXIST or EOPNOTSUPP.
      CHECK_FALSE(firewall.commit(batch_of({other})).done());
      CHECK(firewall.chains(kTable) == std::vector<NftChain>{base.chain, plain.chain});
    });
  }

  TEST_CASE("adding a base chain again sets its policy") {
    both([](Firewall& firewall) {
      AddChain chain = samples::base_chain("pre", ChainType::kFilter, Hook::kPrerouting, 0);
      chain.chain.base->policy = VerdictCode::kDrop;
      REQUIRE(firewall.commit(batch_of({AddTable{.table = kTable}, chain})).done());
      CHECK(firewall.chains(kTable) == std::vector<NftChain>{chain.chain});
      chain.chain.base->policy = VerdictCode::kAccept;
      REQUIRE(firewall.commit(batch_of({chain})).done());
      CHECK(firewall.chains(kTable) == std::vector<NftChain>{chain.chain});
    });
  }

  TEST_CASE("nothing is put where there is nothing") {
    both([](Firewall& firewall) {
      const auto absent = [&firewall](NftOperation operation) {
        check_refused(firewall.commit(batch_of({std::move(operation)})), Kind::kAbsent, ENOENT, 0);
      };
      absent(samples::plain_chain("c"));
      absent(AddSet{.set = ports4()});
      absent(add({mapping(80, "10.0.0.1", "")}));
      absent(del({mapping(80, "10.0.0.1", "")}));
      absent(samples::rule("c", {{Masquerade{}}}));
      absent(DeleteTable{.table = kTable});
      REQUIRE(firewall.commit(batch_of({AddTable{.table = kTable}, samples::plain_chain("c")})).done());
      absent(samples::rule("d", {{Masquerade{}}}));
      absent(samples::rule("c", {samples::verdict(VerdictCode::kJump, "d")}));
      absent(samples::rule("c", {l4proto_is(6), {Lookup{.set = "s", .key = {}, .data = {}}}}));
      absent(DeleteChain{.table = kTable, .chain = "d"});
      absent(DeleteSet{.table = kTable, .set = "s"});
      absent(DeleteRule{.table = kTable, .chain = "c", .handle = 999});
      absent(FlushRules{.table = kTable, .chain = "d"});
      absent(FlushRules{.table = kAbsent, .chain = ""});
    });
  }

  TEST_CASE("rules stand in the order they came in, each as often as it was added") {
    both([](Firewall& firewall) {
      const AddRule accept = samples::rule("c", {l4proto_is(6), samples::verdict(VerdictCode::kAccept)}, "one");
      const AddRule drop = samples::rule("c", {samples::verdict(VerdictCode::kDrop)}, "two");
      REQUIRE(firewall.commit(batch_of({AddTable{.table = kTable}, samples::plain_chain("c"), accept, drop, accept}))
                  .done());
      const std::vector<ListedRule> rules = firewall.rules(kTable, "c");
      REQUIRE(rules.size() == 3);
      CHECK(rules[0].rule == accept.rule);
      CHECK(rules[1].rule == drop.rule);
      CHECK(rules[2].rule == accept.rule);
      CHECK(firewall.commit(batch_of({DeleteRule{.table = kTable, .chain = "c", .handle = rules[1].handle}})).done());
      CHECK(firewall.rules(kTable).size() == 2);
      CHECK(firewall.commit(batch_of({FlushRules{.table = kTable, .chain = "c"}})).done());
      CHECK(firewall.rules(kTable).empty());
    });
  }

  TEST_CASE("a chain or set in use is busy until its last user goes, in the same batch at the earliest") {
    both([](Firewall& firewall) {
      const NftBatch batch = batch_of(
          {AddTable{.table = kTable}, AddSet{.set = samples::set_of("protos", {Field::kInetProto})},
           samples::plain_chain("from"), samples::plain_chain("to"),
           samples::rule("from",
                         {{LoadMeta{.key = Meta::kL4proto, .to = {}}, Lookup{.set = "protos", .key = {}, .data = {}}},
                          samples::verdict(VerdictCode::kJump, "to")})});
      REQUIRE(firewall.commit(batch).done());
      const DeleteChain chain{.table = kTable, .chain = "to"};
      const DeleteSet set{.table = kTable, .set = "protos"};
      check_refused(firewall.commit(batch_of({chain})), Kind::kRefused, EBUSY, 0);
      check_refused(firewall.commit(batch_of({set})), Kind::kRefused, EBUSY, 0);
      CHECK(firewall.commit(batch_of({FlushRules{.table = kTable, .chain = "from"}, chain, set})).done());
    });
  }

  TEST_CASE("a table of another family is another table") {
    both([](Firewall& firewall) {
      const NftTable v4{.family = NftFamily::kIpv4, .name = kTable.name};
      REQUIRE(firewall.commit(batch_of({AddTable{.table = v4}})).done());
      CHECK_FALSE(firewall.has_table(kTable));
      CHECK(firewall.has_table(v4));
    });
  }

  TEST_CASE("an interval set holds what it was given") {
    both([](Firewall& firewall) {
      const NftSet nets = samples::set_of("nets", {Field::kIpv4Addr}, {}, true);
      const auto elements = interval_elements(
          {samples::prefix("10.0.0.0/9"), samples::prefix("10.128.0.0/9"), samples::prefix("240.0.0.0/4")});
      const AddElements fill{.table = kTable, .set = "nets", .elements = elements, .exclusive = false};
      REQUIRE(firewall.commit(batch_of({AddTable{.table = kTable}, AddSet{.set = nets}, fill})).done());
      CHECK(firewall.commit(batch_of({fill})).done());
      const auto listed = firewall.elements(kTable, "nets");
      REQUIRE(listed);
      CHECK(listed->size() == elements.size());
      for (const NftElement& element : elements) {
        CHECK(std::find(listed->begin(), listed->end(), element) != listed->end());
      }
      const DeleteElements first{.table = kTable, .set = "nets", .elements = {elements.begin(), elements.begin() + 2}};
      CHECK(firewall.commit(batch_of({first})).done());
      CHECK(firewall.elements(kTable, "nets")->size() == elements.size() - 2);
    });
  }
}
