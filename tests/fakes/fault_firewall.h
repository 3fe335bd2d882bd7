// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netlink/firewall.h"
#include "tests/fakes/fault.h"

namespace fakes {

/// A firewall whose commits can be broken: each is a step "commit". kFail is EPERM, kFailAfter an answer that was lost
/// (ENOBUFS). Looks are looks: "look firewall", code 5 if one is to fail.
class FaultFirewall final : public netlink::Firewall {
 public:
  FaultFirewall(netlink::Firewall& real, Fate& fate) : real_(real), fate_(fate) {}

  [[nodiscard]] std::uint32_t generation() override { return looked().generation(); }
  netlink::Committed commit(const netlink::NftBatch& batch, std::optional<std::uint32_t> generation = {}) override;
  [[nodiscard]] bool has_table(const netlink::NftTable& table) override { return looked().has_table(table); }
  [[nodiscard]] std::vector<netlink::NftTable> tables() override { return looked().tables(); }
  [[nodiscard]] std::optional<netlink::NftElement> element(const netlink::NftTable& table, const std::string& set,
                                                           const netlink::Bytes& key) override {
    return looked().element(table, set, key);
  }
  [[nodiscard]] std::optional<std::vector<netlink::NftElement>> elements(const netlink::NftTable& table,
                                                                         const std::string& set) override {
    return looked().elements(table, set);
  }
  [[nodiscard]] std::vector<netlink::ListedRule> rules(const netlink::NftTable& table,
                                                       const std::string& chain = {}) override {
    return looked().rules(table, chain);
  }
  [[nodiscard]] std::vector<netlink::NftChain> chains(const netlink::NftTable& table) override {
    return looked().chains(table);
  }
  [[nodiscard]] std::vector<netlink::NftSet> sets(const netlink::NftTable& table) override {
    return looked().sets(table);
  }

 private:
  netlink::Firewall& looked();
  netlink::Firewall& real_;
  Fate& fate_;
};

}  // namespace fakes
