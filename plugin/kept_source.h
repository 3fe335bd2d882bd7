// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/firewall.h"
#include "plugin/coexistence.h"

// Keeping pods' own addresses between the networks: chain `preserve_source` of table `inet crossover`, type nat, at
// priority 90. A packet that one chain has bound to an address is not translated by a later one: binding it to the one
// that it has keeps every masquerade away, which accepting it would not (all nat chains of a hook are asked until one
// binds).
namespace plugin {

inline constexpr std::string_view kKeptSourceChain = "preserve_source";

/// The rules in their order, without handles. Pure.
[[nodiscard]] std::vector<netlink::NftRule> kept_source_rules(const std::vector<KeptSource>& wanted);

class KeptSources {
 public:
  explicit KeptSources(netlink::Firewall& firewall) : firewall_(firewall) {}

  /// What the kernel keeps now, as far as a rule is one of ours; others' additions to the chain are `changed`.
  struct Seen {
    std::vector<KeptSource> kept;
    bool changed = false;  ///< the chain has other rules, another order, or is no nat chain at its priority
    bool there = false;    ///< there is such a chain
  };
  /// One dump; one more if `closely`: only then a chain without rules, or hooked in elsewhere, is noticed.
  [[nodiscard]] Seen look(const std::vector<KeptSource>& wanted, bool closely);

  /// Makes the chain exactly `wanted`, in one batch; without any, removes it, and the table if nothing else is in it.
  /// Nothing is changed if it is so already. Code kPlumbing with the kernel's reason and advice; 11 if the ruleset
  /// never stops changing.
  void make(const std::vector<KeptSource>& wanted);

 private:
  [[nodiscard]] netlink::NftBatch removal();
  netlink::Firewall& firewall_;
};

}  // namespace plugin
