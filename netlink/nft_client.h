// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "netlink/firewall.h"

namespace netlink {

/// nf_tables of the namespace the process is in when it first asks; the socket is opened then.
class KernelFirewall final : public Firewall {
 public:
  [[nodiscard]] std::uint32_t generation() override;
  Committed commit(const NftBatch& batch, std::optional<std::uint32_t> generation = {}) override;
  [[nodiscard]] bool has_table(const NftTable& table) override;
  [[nodiscard]] std::vector<NftTable> tables() override;
  [[nodiscard]] std::optional<NftElement> element(const NftTable& table, const std::string& set,
                                                  const Bytes& key) override;
  [[nodiscard]] std::optional<std::vector<NftElement>> elements(const NftTable& table, const std::string& set) override;
  [[nodiscard]] std::vector<ListedRule> rules(const NftTable& table, const std::string& chain = {}) override;
  [[nodiscard]] std::vector<NftChain> chains(const NftTable& table) override;
  [[nodiscard]] std::vector<NftSet> sets(const NftTable& table) override;

 private:
  Socket& socket();
  std::optional<Socket> socket_;
};

}  // namespace netlink
