// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/ip.h"

// Which addresses a node may hand out, as values. An address of a block is named by its offset from the block's first.
namespace ipam {

/// What of one block is managed at the most: Cilium's agent caps an IPv6 block at as many
/// (pkg/ipam/service/ipallocator).
inline constexpr std::uint32_t kMaxOffsets = 65'536;

struct OffsetRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;  ///< inclusive
  auto operator<=>(const OffsetRange&) const = default;
};

/// One block of addresses and what of it may be handed out.
struct Block {
  conf::IpPrefix cidr;  ///< no host bits; at least four addresses (never /31, /32, /127, /128)
  OffsetRange usable;
  std::vector<OffsetRange> excluded;    ///< ordered, disjoint: gateway, router and health address, `exclude`, imports
  std::optional<conf::IpAddr> gateway;  ///< what results name as the gateway of an address of this block

  [[nodiscard]] conf::IpAddr at(std::uint32_t offset) const;
  /// The offset of `ip`; nothing outside of the block or beyond kMaxOffsets.
  [[nodiscard]] std::optional<std::uint32_t> offset_of(const conf::IpAddr& ip) const;
  [[nodiscard]] std::uint32_t offsets() const;                  ///< min(size of the block, kMaxOffsets)
  [[nodiscard]] bool may_hand_out(std::uint32_t offset) const;  ///< usable and not excluded
  [[nodiscard]] std::uint32_t capacity() const;                 ///< how many may be handed out
  bool operator==(const Block&) const = default;
};

/// What a CIDR must be to be a node's block and is not ("of at least four addresses, /30 or larger"); empty if it is.
[[nodiscard]] std::string broken_rule(const conf::IpPrefix& cidr);

/// A block with the usual addresses usable: all but the first and, in IPv4, the last.
[[nodiscard]] Block make_block(const conf::IpPrefix& cidr);

/// Keeps these addresses from being handed out; what lies outside of the block is ignored.
void exclude(Block& block, OffsetRange range);
void exclude(Block& block, const conf::IpAddr& ip);
void exclude(Block& block, const conf::IpAddr& first, const conf::IpAddr& last);

}  // namespace ipam
