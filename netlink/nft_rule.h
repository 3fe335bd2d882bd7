// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "conf/ip.h"

// nf_tables rules as comparable values: a rule is a list of expressions that load registers, compare them and act.
// What the kernel lists is decoded into the same values, so that a rule is as it should be if it equals what we would
// write. All data is in the byte order of the packet (network order), marks and lengths are in the host's.
namespace netlink {

using Bytes = std::vector<std::byte>;

/// A 32-bit register, 0..15. A value takes as many in a row as it has words: an IPv6 address four, a port one, a name
/// of an interface four. What is looked up in a set with a concatenated key lies in a row, one field after the other.
struct Register {
  std::uint8_t word = 0;
  bool operator==(const Register&) const = default;
};

enum class Meta : std::uint32_t { kMark = 3, kIifname = 6, kOifname = 7, kNfproto = 15, kL4proto = 16 };
enum class CtKey : std::uint32_t { kState = 0, kStatus = 2, kMark = 3 };
enum class Header : std::uint32_t { kNetwork = 1, kTransport = 2 };
enum class Comparison : std::uint32_t { kEqual = 0, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };
enum class VerdictCode : std::int32_t { kDrop = 0, kAccept = 1, kJump = -3, kGoto = -4, kReturn = -5 };

inline constexpr std::uint32_t kCtStatusSnat = 1U << 4U;  ///< bits of CtKey::kStatus
inline constexpr std::uint32_t kCtStatusDnat = 1U << 5U;
inline constexpr std::uint32_t kCtStateEstablished = 1U << 1U;  ///< bits of CtKey::kState
inline constexpr std::uint32_t kCtStateRelated = 1U << 2U;
inline constexpr std::uint32_t kCtStateNew = 1U << 3U;

struct LoadMeta {
  Meta key = Meta::kL4proto;
  Register to;
  bool operator==(const LoadMeta&) const = default;
};

/// `meta mark set <register>`.
struct SetMark {
  Register from;
  bool operator==(const SetMark&) const = default;
};

struct LoadPayload {
  Header base = Header::kNetwork;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  Register to;
  bool operator==(const LoadPayload&) const = default;
};

struct LoadCt {
  CtKey key = CtKey::kStatus;
  Register to;
  bool operator==(const LoadCt&) const = default;
};

/// `fib daddr type`: compare with fib_local().
struct LoadFibDaddrType {
  Register to;
  bool operator==(const LoadFibDaddrType&) const = default;
};

struct Compare {
  Register from;
  Comparison how = Comparison::kEqual;
  Bytes data;
  bool operator==(const Compare&) const = default;
};

/// to = (from & mask) ^ flip; both as long as the value.
struct Bitwise {
  Register from;
  Register to;
  Bytes mask;
  Bytes flip;
  bool operator==(const Bitwise&) const = default;
};

/// Goes on with the rule if the set has the key that begins in `key` (or, `inverted`, has not). With `data` the set is
/// a map and the element's data is loaded there.
struct Lookup {
  std::string set;
  Register key;
  std::optional<Register> data;
  bool inverted = false;
  bool operator==(const Lookup&) const = default;
};

/// Loads fixed data.
struct LoadData {
  Register to;
  Bytes data;
  bool operator==(const LoadData&) const = default;
};

/// `dnat ip to <address> : <port>`. For `snat to ip saddr` the address is the source, loaded before.
struct Nat {
  enum class Kind : std::uint32_t { kSnat = 0, kDnat = 1 };
  Kind kind = Kind::kDnat;
  conf::Family family = conf::Family::kIpv4;
  Register address;
  std::optional<Register> port;
  bool operator==(const Nat&) const = default;
};

struct Masquerade {
  bool operator==(const Masquerade&) const = default;
};

struct Verdict {
  VerdictCode code = VerdictCode::kAccept;
  std::string chain;  ///< for kJump and kGoto
  bool operator==(const Verdict&) const = default;
};

/// One that is none of these, or has an option that we never set: only ever read.
struct OtherExpression {
  std::string name;  ///< "xt", "counter"
  Bytes data;        ///< NFTA_EXPR_DATA's payload
  bool operator==(const OtherExpression&) const = default;
};

using Expression = std::variant<LoadMeta, SetMark, LoadPayload, LoadCt, LoadFibDaddrType, Compare, Bitwise, Lookup,
                                LoadData, Nat, Masquerade, Verdict, OtherExpression>;
using Expressions = std::vector<Expression>;

// What rules are made of again and again. Each uses register 0 (and what follows) for itself.
[[nodiscard]] Expressions nfproto_is(conf::Family family);
[[nodiscard]] Expressions l4proto_is(std::uint8_t protocol);
[[nodiscard]] Expressions iifname_is(std::string_view name, Comparison how = Comparison::kEqual);
[[nodiscard]] Expressions oifname_is(std::string_view name, Comparison how = Comparison::kEqual);
/// `fib daddr type local`: the packet is addressed to this host.
[[nodiscard]] Expressions daddr_is_local();
/// `ip saddr 10.0.0.0/8` in an inet chain: nfproto is compared as well.
[[nodiscard]] Expressions saddr_in(const conf::IpPrefix& prefix, Comparison how = Comparison::kEqual);
[[nodiscard]] Expressions daddr_in(const conf::IpPrefix& prefix, Comparison how = Comparison::kEqual);
/// `ct status & bits != 0`.
[[nodiscard]] Expressions ct_status_has(std::uint32_t bits);
/// `meta mark & bits != 0`.
[[nodiscard]] Expressions mark_has(std::uint32_t bits);
/// `meta mark set meta mark | bits`.
[[nodiscard]] Expressions add_mark(std::uint32_t bits);
/// Loads of one field; the address is that of `family`'s header.
[[nodiscard]] Expression load_saddr(conf::Family family, Register to);
[[nodiscard]] Expression load_daddr(conf::Family family, Register to);
[[nodiscard]] Expression load_sport(Register to);
[[nodiscard]] Expression load_dport(Register to);
/// `to` and what follows it, in one list.
void append(Expressions& to, Expressions more);

/// The payload of NFTA_RULE_EXPRESSIONS.
[[nodiscard]] Bytes encode_expressions(const Expressions& expressions);
/// Nothing if the bytes are malformed; what is well formed but not ours becomes an OtherExpression.
[[nodiscard]] std::optional<Expressions> decode_expressions(std::span<const std::byte> bytes);

}  // namespace netlink
