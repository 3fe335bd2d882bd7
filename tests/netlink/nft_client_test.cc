// SPDX-License-Identifier: Apache-2.0
#include "netlink/nft_client.h"

#include <doctest/doctest.h>
#include <sys/syscall.h>

#include <cerrno>

#include "tests/netlink/nft_samples.h"
#include "tests/support/data.h"
#include "tests/support/scratch.h"
#include "tests/support/seccomp.h"

using namespace netlink;  // NOLINT(google-build-using-namespace)
using samples::kTable;

// Here our encoding is judged by nft and our decoding by the kernel; what both say of each operation is in
// firewall_test.cc.
TEST_SUITE("netlink.nft_client") {
  TEST_CASE("nft lists what was written as what was meant") {
    const scratch::Host host;
    KernelFirewall firewall;
    const Committed done = firewall.commit(samples::whole_batch());
    CHECK(done.ack.str() == "ok");
    CHECK_FALSE(done.operation.has_value());
    CHECK(scratch::sh("nft list ruleset") + "\n" == support::data("nft/whole.nft"));
  }

  TEST_CASE("what was written is read back as the same values") {
    const scratch::Host host;
    KernelFirewall firewall;
    const NftBatch batch = samples::whole_batch();
    REQUIRE(firewall.commit(batch).done());
    std::vector<NftRule> rules;
    std::vector<NftChain> chains;
    std::vector<NftSet> sets;
    for (const NftOperation& operation : batch.operations) {
      if (const auto* rule = std::get_if<AddRule>(&operation)) rules.push_back(rule->rule);
      if (const auto* chain = std::get_if<AddChain>(&operation)) chains.push_back(chain->chain);
      if (const auto* set = std::get_if<AddSet>(&operation)) sets.push_back(set->set);
    }
    CHECK(firewall.chains(kTable) == chains);
    CHECK(firewall.sets(kTable) == sets);
    std::size_t found = 0;
    for (const NftRule& rule : rules) {
      CAPTURE(rule.chain);
      for (const ListedRule& listed : firewall.rules(kTable, rule.chain)) {
        if (listed.rule == rule) ++found;
      }
    }
    CHECK(found == rules.size());
    CHECK(firewall.rules(kTable).size() == rules.size());
  }

  TEST_CASE("rules of others are read, and what we do not know in them is kept apart") {
    const scratch::Host host;
    scratch::sh(
        "nft 'table ip nat { chain c { counter comment \"theirs\"; ip saddr 10.0.0.1 tcp dport { 1, 2 } masquerade "
        "random\n }\n }'");
    KernelFirewall firewall;
    const NftTable nat{.family = NftFamily::kIpv4, .name = "nat"};
    CHECK(firewall.tables() == std::vector<NftTable>{nat});
    const std::vector<ListedRule> rules = firewall.rules(nat);
    REQUIRE(rules.size() == 2);
    CHECK(rules[0].rule.comment == "theirs");
    REQUIRE(rules[0].rule.expressions.size() == 1);
    CHECK(std::get<OtherExpression>(rules[0].rule.expressions[0]).name == "counter");
    CHECK(std::get<OtherExpression>(rules[1].rule.expressions.back()).name == "masq");
    CHECK(firewall.sets(nat).empty());  // only an anonymous one
  }

  TEST_CASE("4096 mappings are one batch and all there") {
    const scratch::Host host;
    KernelFirewall firewall;
    NftBatch batch;
    batch.add(AddTable{.table = kTable});
    batch.add(AddSet{.set = samples::ports4()});
    AddElements all{.table = kTable, .set = "ports4", .elements = {}, .exclusive = true};
    for (std::uint16_t port = 1; port <= 4096; ++port) {
      all.elements.push_back(samples::mapping(port, "10.0.0.1", std::string(kMaxComment, 'c')));
    }
    batch.add(all);
    const std::uint32_t before = firewall.generation();
    const Committed done = firewall.commit(batch, before);
    CHECK(done.ack.str() == "ok");
    CHECK(firewall.generation() == before + 1);
    CHECK(firewall.elements(kTable, "ports4")->size() == 4096);
    CHECK(firewall.element(kTable, "ports4", all.elements.back().key) == all.elements.back());
  }

  TEST_CASE("many failures at once are the first of them") {
    const scratch::Host host;
    KernelFirewall firewall;
    REQUIRE(firewall.commit(samples::small_batch()).done());
    NftBatch batch;
    batch.add(AddTable{.table = kTable});
    for (int i = 0; i < 3000; ++i) batch.add(DeleteSet{.table = kTable, .set = "absent"});
    const Committed answer = firewall.commit(batch);
    CHECK(answer.kind == Committed::Kind::kAbsent);
    CHECK(answer.operation == 1);
    CHECK(firewall.commit(samples::small_batch()).kind ==
          Committed::Kind::kExists);  // the rest of it is not in the way
  }

  TEST_CASE("without the capability the whole batch is refused") {
    const scratch::Host host;
    const int status = scratch::in_child([] {
      if (::setresuid(65534, 65534, 65534) != 0) return 1;
      KernelFirewall firewall;
      const Committed answer = firewall.commit(samples::small_batch());
      const bool refused = answer.kind == Committed::Kind::kRefused && answer.ack.error == EPERM;
      return refused && !answer.operation ? 0 : 2;
    });
    CHECK(status == 0);
  }

  TEST_CASE("a send that cannot be made is code 5") {
    const scratch::Host host;
    const int status = scratch::in_child([] {
      if (!scratch::deny(SYS_sendto, ENOBUFS)) return 1;
      KernelFirewall firewall;
      const conf::CniError error = scratch::error_of([&] { (void)firewall.commit(samples::small_batch()); });
      return error.code() == 5 && error.details() == "send to netlink socket: No buffer space available" ? 0 : 2;
    });
    CHECK(status == 0);
  }

  TEST_CASE("a look that is refused is code 5 and says at what") {
    const scratch::Host host;
    const int status = scratch::in_child([] {
      if (::setresuid(65534, 65534, 65534) != 0) return 1;
      KernelFirewall firewall;
      const conf::CniError error = scratch::error_of([&] { (void)firewall.rules(kTable); });
      return error.code() == 5 && error.msg() == "nf_tables request refused by the kernel" &&
                     error.details() == "list rules of table crossover: Operation not permitted"
                 ? 0
                 : 2;
    });
    CHECK(status == 0);
  }
}
