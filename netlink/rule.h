// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conf/ip.h"

// Policy routing rules (`ip rule`): values and messages. Fib asks the kernel.
namespace netlink {

/// The mark by which we know what is ours: FRA_PROTOCOL and rtm_protocol. Nobody else's, in iproute2's rt_protos or
/// among the CNIs (unlike 2, 3, 4, 80, 186-192).
inline constexpr std::uint8_t kOurProtocol = 157;

inline constexpr std::uint32_t kMainTable = 254;

struct Rule {
  conf::Family family = conf::Family::kIpv4;
  std::uint32_t priority = 0;
  std::optional<conf::IpPrefix> from;  ///< nothing: all
  std::optional<conf::IpPrefix> to;    ///< nothing: all
  std::string iif;                     ///< empty: any
  std::string oif;                     ///< empty: any
  std::uint32_t mark = 0;              ///< with `mark_mask`; 0/0: any
  std::uint32_t mark_mask = 0;
  std::uint32_t table = kMainTable;
  std::uint8_t action = 1;  ///< FR_ACT_*: 1 looks the table up; others are only ever read
  /// Ignores routes of the table whose prefix is this long or shorter: 0 leaves the default route out.
  std::optional<std::uint32_t> suppress_prefix_length;
  bool inverted = false;  ///< `not`; only ever read
  std::uint8_t protocol = kOurProtocol;
  bool has_more = false;  ///< selectors that we do not know (uid, ports, l3mdev, tunnel); only ever read
  bool operator==(const Rule&) const = default;

  /// As `ip rule` prints it, with the priority in front and the protocol's number behind.
  [[nodiscard]] std::string str() const;
};

// The messages. Pure.
/// With NLM_F_CREATE and NLM_F_EXCL: EEXIST for a rule like it, protocol and (from 4.18 on) suppression included. But a
/// `from` or `to` that is left out, and `not`, are not compared: "to A" is EEXIST where the same protocol has "from B
/// to A" at that priority. So EEXIST says "look", not "it is there"; and such two need two priorities.
[[nodiscard]] std::vector<std::byte> encode_rule_add(const Rule& rule);
/// Of the rule with this priority, these selectors and this protocol; ENOENT if there is none. A selector that is left
/// out, and suppression, fit any to the kernel, which then takes the first: "to A" also takes "from B to A".
[[nodiscard]] std::vector<std::byte> encode_rule_delete(const Rule& rule);
/// The rules of all families: also of those that are no Rule.
[[nodiscard]] std::vector<std::byte> encode_rule_dump();
/// The rule in one RTM_NEWRULE message, header included; nothing if it is another message, malformed, or of neither
/// family.
[[nodiscard]] std::optional<Rule> decode_fib_rule(std::span<const std::byte> message);

}  // namespace netlink
