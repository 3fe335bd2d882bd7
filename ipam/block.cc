// SPDX-License-Identifier: Apache-2.0
#include "ipam/block.h"

#include <fmt/format.h>

#include <algorithm>

namespace ipam {
namespace {

constexpr std::size_t kLow = 4;  // offsets fit into the last four bytes

std::size_t bytes_of(conf::Family family) { return family == conf::Family::kIpv4 ? 4U : 16U; }

std::uint32_t low_bits(const conf::IpAddr& ip) {
  const std::size_t end = bytes_of(ip.family);
  std::uint32_t out = 0;
  for (std::size_t i = end - kLow; i < end; ++i) out = (out << 8U) | ip.bytes.at(i);
  return out;
}

void set_low_bits(conf::IpAddr& ip, std::uint32_t value) {
  const std::size_t end = bytes_of(ip.family);
  for (std::size_t i = 0; i < kLow; ++i) ip.bytes.at(end - 1 - i) = static_cast<std::uint8_t>(value >> (8U * i));
}

}  // namespace

conf::IpAddr Block::at(std::uint32_t offset) const {
  conf::IpAddr out = cidr.masked().addr;
  // No carry beyond 32 bits: a block that is larger has at least 16 zero bits below, and no offset has more.
  set_low_bits(out, low_bits(out) + offset);
  return out;
}

std::optional<std::uint32_t> Block::offset_of(const conf::IpAddr& ip) const {
  if (!cidr.contains(ip)) return std::nullopt;
  const std::uint32_t offset = low_bits(ip) - low_bits(cidr.masked().addr);
  if (offset >= offsets() || at(offset) != ip) return std::nullopt;  // beyond what is managed of a large block
  return offset;
}

std::uint32_t Block::offsets() const {
  const unsigned host_bits = cidr.addr.bits() - cidr.prefix_len;
  return host_bits >= 16 ? kMaxOffsets : 1U << host_bits;
}

bool Block::may_hand_out(std::uint32_t offset) const {
  if (offset < usable.first || offset > usable.last) return false;
  return std::none_of(excluded.begin(), excluded.end(),
                      [offset](const OffsetRange& range) { return offset >= range.first && offset <= range.last; });
}

std::uint32_t Block::capacity() const {
  std::uint32_t out = usable.last - usable.first + 1;
  for (const OffsetRange& range : excluded) {
    const std::uint32_t first = std::max(range.first, usable.first);
    const std::uint32_t last = std::min(range.last, usable.last);
    if (first <= last) out -= last - first + 1;
  }
  return out;
}

std::string broken_rule(const conf::IpPrefix& cidr) {
  if (cidr.addr.is_v4_mapped()) return "written as IPv4: it is an IPv4-mapped IPv6 CIDR";
  if (cidr.prefix_len == 0) return "a block of a cluster, which /0 is not";
  if (cidr.addr.bits() - cidr.prefix_len >= 2) return {};
  return fmt::format("of at least four addresses, /{} or larger", cidr.addr.bits() - 2);
}

Block make_block(const conf::IpPrefix& cidr) {
  Block out;
  out.cidr = cidr.masked();
  // IPv6 has no broadcast address; its first is the routers' anycast address.
  const std::uint32_t last = out.offsets() - 1;
  const bool whole = cidr.addr.bits() - cidr.prefix_len <= 16;
  out.usable = {.first = 1, .last = cidr.addr.family == conf::Family::kIpv4 && whole ? last - 1 : last};
  return out;
}

void exclude(Block& block, OffsetRange range) {
  if (range.first > range.last) return;
  std::vector<OffsetRange>& all = block.excluded;
  all.push_back(range);
  std::sort(all.begin(), all.end());
  std::vector<OffsetRange> merged;
  for (const OffsetRange& next : all) {
    if (!merged.empty() && next.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, next.last);
    } else {
      merged.push_back(next);
    }
  }
  all = std::move(merged);
}

void exclude(Block& block, const conf::IpAddr& ip) {
  if (const std::optional<std::uint32_t> offset = block.offset_of(ip)) exclude(block, {*offset, *offset});
}

void exclude(Block& block, const conf::IpAddr& first, const conf::IpAddr& last) {
  if (first.family != block.cidr.addr.family) return;
  const conf::IpAddr lowest = block.at(0);
  const conf::IpAddr highest = block.at(block.offsets() - 1);
  if (last < lowest || first > highest) return;
  const std::uint32_t from = first <= lowest ? 0 : *block.offset_of(first);
  const std::uint32_t to = last >= highest ? block.offsets() - 1 : *block.offset_of(last);
  exclude(block, {from, to});
}

}  // namespace ipam
