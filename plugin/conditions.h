// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/ip.h"
#include "conf/section.h"
#include "netlink/nft_rule.h"

// conditionsV4 and conditionsV6: which packets a mapping is for, in the words of nft. As the reference does, the
// strings of the array are put together with spaces, so that ["ip", "saddr", "!=", "10.0.0.0/8"] and
// ["ip saddr != 10.0.0.0/8"] are the same. What is understood, all of it at once if several are given:
//
//   ip saddr|daddr [!=] ADDRESS | PREFIX | { ADDRESS|PREFIX, ... }       (conditionsV4; ip6 in conditionsV6)
//   tcp|udp|sctp sport|dport [!=] PORT | FIRST-LAST
//   meta l4proto [!=] tcp|udp|sctp
//   [meta] iifname|oifname [!=] NAME | NAME*
//   [meta] mark [!=] VALUE          meta mark and MASK ==|!= VALUE
//
// Numbers are decimal or 0x hexadecimal; names may be quoted. oifname is known where a packet of the node itself is
// looked at, and is empty for one that comes in.
namespace plugin {

/// Which packets; empty for all.
struct Conditions {
  conf::Family family = conf::Family::kIpv4;
  std::string text;  ///< as asked for, one space between words
  [[nodiscard]] bool empty() const { return text.empty(); }
  bool operator==(const Conditions&) const = default;
};

/// The array under a key. Code 7 naming the key, the word and all that is understood, for anything else; for iptables'
/// syntax also how the same is said in nft's.
[[nodiscard]] Conditions read_conditions(const conf::Value& value, conf::Family family);

/// The conditions as rules' expressions: a packet is meant if it fulfils those of one of them. Code 7 as above; `path`
/// is named in it.
[[nodiscard]] std::vector<netlink::Expressions> condition_rules(const Conditions& conditions, std::string_view path);

/// A name for the conditions that no others have: 16 hexadecimal digits.
[[nodiscard]] std::string condition_hash(const Conditions& conditions);

}  // namespace plugin
