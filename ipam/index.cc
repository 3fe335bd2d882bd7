// SPDX-License-Identifier: Apache-2.0
#include "ipam/index.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace ipam {
namespace {

constexpr std::string_view kMagic = "XOVRIPM2";
constexpr std::size_t kBootAt = 8;
constexpr std::size_t kOffsetsAt = 16;
constexpr std::size_t kCursorAt = 20;
constexpr std::size_t kCapacityAt = 24;
constexpr std::size_t kCooldownAt = 28;

// The machines this runs on are little-endian; were one not, its tables would still be its own.
template <typename T>
T get(const std::string& bytes, std::size_t at) {
  T out;
  std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

template <typename T>
void put(std::string& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

std::size_t entry_at(std::uint32_t offset) { return kIndexHeader + std::size_t{offset} * kIndexEntry; }

}  // namespace

Index::Index(std::uint64_t boot_hash, std::uint32_t offsets) : bytes_(entry_at(offsets), '\0') {
  bytes_.replace(0, kMagic.size(), kMagic);
  put(bytes_, kBootAt, boot_hash);
  put(bytes_, kOffsetsAt, offsets);
}

std::optional<Index> Index::parse(std::string bytes, std::uint64_t boot_hash, std::uint32_t offsets) {
  std::optional<Index> out = parse_of_any_boot(std::move(bytes), offsets);
  return out && out->boot_hash() == boot_hash ? std::move(out) : std::nullopt;
}

std::optional<Index> Index::parse_of_any_boot(std::string bytes, std::uint32_t offsets) {
  if (bytes.size() != entry_at(offsets) || !bytes.starts_with(kMagic)) return std::nullopt;
  if (get<std::uint32_t>(bytes, kOffsetsAt) != offsets) return std::nullopt;
  return Index(std::move(bytes));
}

std::uint32_t Index::offsets() const { return get<std::uint32_t>(bytes_, kOffsetsAt); }

IndexEntry Index::entry(std::uint32_t offset) const {
  return {get<std::uint64_t>(bytes_, entry_at(offset)), get<std::uint32_t>(bytes_, entry_at(offset) + 8)};
}

void Index::take(std::uint32_t offset, std::uint64_t owner) {
  put(bytes_, entry_at(offset), owner);
  put(bytes_, entry_at(offset) + 8, std::uint32_t{0});
}

void Index::free(std::uint32_t offset, std::uint32_t now_s) {
  put(bytes_, entry_at(offset), std::uint64_t{0});
  put(bytes_, entry_at(offset) + 8, now_s);
}

std::uint32_t Index::cursor() const { return get<std::uint32_t>(bytes_, kCursorAt); }
void Index::set_cursor(std::uint32_t offset) { put(bytes_, kCursorAt, offset); }

std::uint64_t Index::boot_hash() const { return get<std::uint64_t>(bytes_, kBootAt); }
std::uint32_t Index::capacity() const { return get<std::uint32_t>(bytes_, kCapacityAt); }
std::uint32_t Index::cooldown_s() const { return get<std::uint32_t>(bytes_, kCooldownAt); }

void Index::set_limits(std::uint32_t capacity, std::uint32_t cooldown_s) {
  put(bytes_, kCapacityAt, capacity);
  put(bytes_, kCooldownAt, cooldown_s);
}

std::optional<std::uint32_t> Index::next(const Block& block, std::uint32_t now_s, std::uint32_t cooldown_s) const {
  const std::uint32_t first = block.usable.first;
  const std::uint32_t count = block.usable.last - first + 1;
  const std::uint32_t start = cursor() >= first && cursor() <= block.usable.last ? cursor() - first : 0;
  std::optional<std::uint32_t> longest_rested;
  std::uint32_t freed_first = std::numeric_limits<std::uint32_t>::max();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t offset = first + (start + i) % count;
    const IndexEntry now = entry(offset);
    if (now.owner != 0 || !block.may_hand_out(offset)) continue;
    if (now.has_rested(now_s, cooldown_s)) return offset;
    if (now.freed_s < freed_first) {
      freed_first = now.freed_s;
      longest_rested = offset;
    }
  }
  return longest_rested;
}

std::vector<std::uint32_t> Index::of(std::uint64_t owner) const {
  std::vector<std::uint32_t> out;
  for (std::uint32_t offset = 0; offset < offsets(); ++offset)
    if (get<std::uint64_t>(bytes_, entry_at(offset)) == owner) out.push_back(offset);
  return out;
}

Index::Use Index::use(const Block& block, std::uint32_t now_s, std::uint32_t cooldown_s) const {
  Use out;
  for (std::uint32_t offset = block.usable.first; offset <= block.usable.last; ++offset) {
    const IndexEntry now = entry(offset);
    if (!block.may_hand_out(offset)) continue;
    if (now.owner != 0) {
      ++out.used;
    } else if (!now.has_rested(now_s, cooldown_s)) {
      ++out.cooling;
    }
  }
  return out;
}

std::uint32_t Index::taken() const {
  std::uint32_t out = 0;
  for (std::uint32_t offset = 0; offset < offsets(); ++offset)
    if (entry(offset).owner != 0) ++out;
  return out;
}

std::uint32_t Index::cooling(std::uint32_t now_s) const {
  std::uint32_t out = 0;
  for (std::uint32_t offset = 0; offset < offsets(); ++offset) {
    const IndexEntry now = entry(offset);
    if (now.owner == 0 && !now.has_rested(now_s, cooldown_s())) ++out;
  }
  return out;
}

std::string block_file(const conf::IpPrefix& cidr) {
  std::string name = cidr.masked().str();
  std::replace(name.begin(), name.end(), '/', '_');
  std::replace(name.begin(), name.end(), ':', '-');
  return name;
}

std::optional<conf::IpPrefix> block_of_file(std::string name) {
  std::replace(name.begin(), name.end(), '_', '/');
  std::replace(name.begin(), name.end(), '-', ':');
  const std::optional<conf::IpPrefix> cidr = conf::IpPrefix::parse(name);
  return cidr && !cidr->has_host_bits() && cidr->str() == name ? cidr : std::nullopt;
}

}  // namespace ipam
