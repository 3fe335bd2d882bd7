// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "conf/ip.h"
#include "netlink/nft_rule.h"

// nf_tables as values, and a batch of changes to it. Nothing here talks to the kernel (firewall.h) or knows how it is
// talked to (nft_codec.h).
namespace netlink {

/// The numbers are the kernel's NFPROTO_*.
enum class NftFamily : std::uint8_t { kInet = 1, kIpv4 = 2, kIpv6 = 10 };

struct NftTable {
  NftFamily family = NftFamily::kInet;
  std::string name;
  bool operator==(const NftTable&) const = default;
};

enum class Hook : std::uint32_t { kPrerouting = 0, kInput = 1, kForward = 2, kOutput = 3, kPostrouting = 4 };
enum class ChainType : std::uint8_t { kFilter, kNat, kOther };  ///< kOther ("route") is only ever read

struct BaseHook {
  ChainType type = ChainType::kFilter;
  Hook hook = Hook::kPrerouting;
  std::int32_t priority = 0;
  VerdictCode policy = VerdictCode::kAccept;  ///< or kDrop
  bool operator==(const BaseHook&) const = default;
};

struct NftChain {
  NftTable table;
  std::string name;
  std::optional<BaseHook> base;  ///< nothing for a plain chain
  bool operator==(const NftChain&) const = default;
};

/// The type of one field of a key or of data; the numbers are those by which nft knows how to print it.
enum class Field : std::uint8_t {
  kIpv4Addr = 7,
  kIpv6Addr = 8,
  kInetProto = 12,
  kInetService = 13,
  kMark = 19,
  kIfname = 41,
};
[[nodiscard]] std::size_t field_size(Field field);  ///< in bytes, without padding: 4, 16, 1, 2, 4, 16

/// A set, or, with `data`, a map. Several fields are a concatenation.
struct NftSet {
  NftTable table;
  std::string name;
  std::vector<Field> key;
  std::vector<Field> data;
  bool interval = false;  ///< keys are ranges (one field only); fill with interval_elements()
  bool operator==(const NftSet&) const = default;
};

struct NftElement {
  Bytes key;
  Bytes data;           ///< empty in a set
  std::string comment;  ///< 128 bytes at most; nft prints it as `comment "..."`
  bool interval_end = false;
  bool operator==(const NftElement&) const = default;
};

inline constexpr std::size_t kMaxComment = 128;

// The bytes of one field...
[[nodiscard]] Bytes field_of(const conf::IpAddr& addr);
[[nodiscard]] Bytes proto_field(std::uint8_t protocol);
[[nodiscard]] Bytes service_field(std::uint16_t port);
[[nodiscard]] Bytes ifname_field(std::string_view name);  ///< 15 bytes of name at most
// ...of several in a row, as a key or data holds them (each padded to 4 bytes, but a single one as it is)...
[[nodiscard]] Bytes concat(std::initializer_list<Bytes> fields);
[[nodiscard]] Bytes concat(const std::vector<Bytes>& fields);
// ...and back: nothing if `bytes` do not have the size of these fields.
[[nodiscard]] std::optional<std::vector<Bytes>> split(std::span<const std::byte> bytes,
                                                      const std::vector<Field>& fields);
[[nodiscard]] std::optional<conf::IpAddr> addr_in(std::span<const std::byte> field);  ///< by its 4 or 16 bytes
[[nodiscard]] std::optional<std::uint16_t> service_in(std::span<const std::byte> field);
[[nodiscard]] std::optional<std::uint8_t> proto_in(std::span<const std::byte> field);
[[nodiscard]] std::string ifname_in(std::span<const std::byte> field);

/// What an interval set holds so that exactly these prefixes are in it: a first address and an end for each; a prefix
/// inside another is left out. All of one family.
[[nodiscard]] std::vector<NftElement> interval_elements(const std::vector<conf::IpPrefix>& prefixes);

struct NftRule {
  NftTable table;
  std::string chain;
  Expressions expressions;
  std::string comment;  ///< 128 bytes at most
  bool operator==(const NftRule&) const = default;
};

/// A rule as the kernel lists it.
struct ListedRule {
  NftRule rule;
  std::uint64_t handle = 0;
  Bytes userdata;  ///< as it is; the comment in it is rule.comment
  bool operator==(const ListedRule&) const = default;
};

// The operations. Every one that adds may say that it must be new (`exclusive`): then what is there already makes the
// batch fail with EEXIST. Without, the kernel lets the same be added again: a table, chain or set of the same kind, an
// element of the same data. What differs is EEXIST (an element's data, a set's types) or EOPNOTSUPP (a chain's hook or
// priority; EEXIST for some kernels). A base chain that is added again gets the policy it is added with. A deletion of
// what is not there is ENOENT.
struct AddTable {
  NftTable table;
  bool exclusive = false;
};
struct DeleteTable {  ///< with all that is in it
  NftTable table;
};
struct AddChain {
  NftChain chain;
  bool exclusive = false;
};
struct DeleteChain {  ///< EBUSY if a rule or a map still points to it; its own rules go with it
  NftTable table;
  std::string chain;
};
/// Deletes the rules of `chain`, or of the whole table if that is empty.
struct FlushRules {
  NftTable table;
  std::string chain;
};
struct AddSet {
  NftSet set;
  bool exclusive = false;
};
struct DeleteSet {  ///< EBUSY if a rule uses it
  NftTable table;
  std::string set;
};
struct AddElements {
  NftTable table;
  std::string set;
  std::vector<NftElement> elements;
  bool exclusive = false;
};
/// The key decides: data and comment are not looked at, by the kernel neither. None at all: an operation of no effect;
/// use FlushSet for "all of them".
struct DeleteElements {
  NftTable table;
  std::string set;
  std::vector<NftElement> elements;
};
struct FlushSet {
  NftTable table;
  std::string set;
};
struct AddRule {  ///< behind the last rule of its chain; rules are never "the same": each one added is one more
  NftRule rule;
};
struct DeleteRule {
  NftTable table;
  std::string chain;
  std::uint64_t handle = 0;
};
using NftOperation = std::variant<AddTable, DeleteTable, AddChain, DeleteChain, FlushRules, AddSet, DeleteSet,
                                  AddElements, DeleteElements, FlushSet, AddRule, DeleteRule>;

/// Operations that take effect together or not at all, in this order. A later one sees what the earlier ones did.
struct NftBatch {
  std::vector<NftOperation> operations;

  void add(NftOperation operation) { operations.push_back(std::move(operation)); }
  [[nodiscard]] bool empty() const { return operations.empty(); }
};

}  // namespace netlink
