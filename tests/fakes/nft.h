// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "conf/error.h"
#include "netlink/conntrack.h"
#include "netlink/firewall.h"

// nf_tables and conntrack in memory. tests/netlink/firewall_test.cc runs the same story against this firewall and the
// kernel's, so that the two answer alike.
namespace fakes {

class FakeFirewall final : public netlink::Firewall {
 public:
  // Faults.
  /// The next commit is answered with this errno and does nothing; `after_effect`: having done its work.
  void refuse_next(int error_number, bool after_effect = false);
  /// Somebody else changes the ruleset right before each of the next `times` commits.
  void disturb(unsigned times) { disturbances_ = times; }
  /// Every look throws this from now on; nothing: no more.
  void fail_looks(std::optional<conf::CniError> error) { look_error_ = std::move(error); }

  // What others do.
  void flush_ruleset();  ///< `nft flush ruleset`

  // What was asked.
  [[nodiscard]] const std::vector<netlink::NftBatch>& commits() const { return commits_; }  ///< also failed ones
  [[nodiscard]] std::size_t looks() const { return looks_; }                                ///< all calls but commit()
  void forget_calls();
  /// A line for every table, chain, set, element and rule: "element inet crossover ports4 06000000 00500000 ...", for
  /// comparing one state with another.
  [[nodiscard]] std::set<std::string> snapshot() const;

  [[nodiscard]] std::uint32_t generation() override;
  netlink::Committed commit(const netlink::NftBatch& batch, std::optional<std::uint32_t> generation = {}) override;
  [[nodiscard]] bool has_table(const netlink::NftTable& table) override;
  [[nodiscard]] std::vector<netlink::NftTable> tables() override;
  [[nodiscard]] std::optional<netlink::NftElement> element(const netlink::NftTable& table, const std::string& set,
                                                           const netlink::Bytes& key) override;
  [[nodiscard]] std::optional<std::vector<netlink::NftElement>> elements(const netlink::NftTable& table,
                                                                         const std::string& set) override;
  [[nodiscard]] std::vector<netlink::ListedRule> rules(const netlink::NftTable& table,
                                                       const std::string& chain = {}) override;
  [[nodiscard]] std::vector<netlink::NftChain> chains(const netlink::NftTable& table) override;
  [[nodiscard]] std::vector<netlink::NftSet> sets(const netlink::NftTable& table) override;

  struct Set {
    netlink::NftSet set;
    std::vector<netlink::NftElement> elements;
  };
  struct Table {
    netlink::NftTable table;
    std::vector<netlink::NftChain> chains;
    std::vector<Set> sets;
    std::vector<netlink::ListedRule> rules;
    std::uint64_t last_handle = 0;
  };
  using Tables = std::vector<Table>;

 private:
  void look();
  [[nodiscard]] const Table* find(const netlink::NftTable& table) const;
  [[nodiscard]] const Set* find(const netlink::NftTable& table, const std::string& set) const;

  Tables tables_;
  std::uint32_t generation_ = 1;
  unsigned disturbances_ = 0;
  int refusal_ = 0;
  bool refusal_after_effect_ = false;
  std::optional<conf::CniError> look_error_;
  std::vector<netlink::NftBatch> commits_;
  std::size_t looks_ = 0;
};

class FakeFlows final : public netlink::Flows {
 public:
  std::vector<netlink::Flow> flows;
  std::set<conf::IpAddr> addresses;
  bool available = true;                ///< false: a kernel without nf_conntrack_netlink
  std::optional<conf::CniError> error;  ///< what flush throws, if anything
  unsigned dumps = 0;                   ///< how many flushes came

  netlink::Flushed flush(conf::Family family, const Matches& matches) override;
  [[nodiscard]] std::set<conf::IpAddr> local_addresses() override { return addresses; }
};

}  // namespace fakes
