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

constexpr std::uint32_t kPiece = 512;  // entries that are read at once: 6 KiB

std::size_t in_piece(std::uint32_t offset) { return std::size_t{offset % kPiece} * kIndexEntry; }

std::uint32_t piece_length(std::size_t piece, std::uint32_t offsets) {
  return std::min(kPiece, offsets - static_cast<std::uint32_t>(piece) * kPiece);
}

}  // namespace

Index::Index(std::string header, Fetch fetch) : header_(std::move(header)), fetch_(std::move(fetch)) {
  pieces_.resize((offsets() + kPiece - 1) / kPiece);
}

Index::Index(std::uint64_t boot_hash, std::uint32_t offsets) : header_(kMagic) {
  header_.resize(kIndexHeader);
  put(header_, kBootAt, boot_hash);
  put(header_, kOffsetsAt, offsets);
  pieces_.resize((offsets + kPiece - 1) / kPiece);
}

std::optional<Index> Index::parse(const std::string& bytes, std::uint64_t boot_hash, std::uint32_t offsets) {
  std::optional<Index> out = parse_of_any_boot(bytes, offsets);
  return out && out->boot_hash() == boot_hash ? std::move(out) : std::nullopt;
}

std::optional<Index> Index::parse_of_any_boot(const std::string& bytes, std::uint32_t offsets) {
  if (bytes.size() != entry_at(offsets) || !bytes.starts_with(kMagic)) return std::nullopt;
  if (get<std::uint32_t>(bytes, kOffsetsAt) != offsets) return std::nullopt;
  Index out(bytes.substr(0, kIndexHeader), nullptr);
  for (std::size_t i = 0; i < out.pieces_.size(); ++i)
    out.pieces_[i] = bytes.substr(entry_at(static_cast<std::uint32_t>(i) * kPiece),
                                  std::size_t{piece_length(i, offsets)} * kIndexEntry);
  return out;
}

std::optional<Index> Index::open(std::uint64_t file_bytes, const Fetch& fetch, std::uint64_t boot_hash,
                                 std::uint32_t offsets) {
  if (file_bytes != entry_at(offsets)) return std::nullopt;
  std::string header = fetch(0, kIndexHeader);
  if (!header.starts_with(kMagic) || get<std::uint32_t>(header, kOffsetsAt) != offsets) return std::nullopt;
  if (get<std::uint64_t>(header, kBootAt) != boot_hash) return std::nullopt;
  return Index(std::move(header), fetch);
}

std::uint32_t Index::offsets() const { return get<std::uint32_t>(header_, kOffsetsAt); }

std::string& Index::piece_of(std::uint32_t offset) const {
  const std::size_t number = offset / kPiece;
  std::string& piece = pieces_.at(number);
  if (!piece.empty()) return piece;
  const std::size_t size = std::size_t{piece_length(number, offsets())} * kIndexEntry;
  if (fetch_) {
    piece = fetch_(entry_at(static_cast<std::uint32_t>(number) * kPiece), size);
  } else {
    piece.resize(size);
  }
  return piece;
}

std::string Index::bytes() const {
  std::string out = header_;
  for (std::uint32_t offset = 0; offset < offsets(); offset += kPiece) out += piece_of(offset);
  return out;
}

std::string_view Index::entry_bytes(std::uint32_t offset) const {
  const std::string_view piece = piece_of(offset);
  return piece.substr(in_piece(offset), kIndexEntry);
}

IndexEntry Index::entry(std::uint32_t offset) const {
  const std::string& piece = piece_of(offset);
  return {get<std::uint64_t>(piece, in_piece(offset)), get<std::uint32_t>(piece, in_piece(offset) + 8)};
}

void Index::take(std::uint32_t offset, std::uint64_t owner) {
  std::string& piece = piece_of(offset);
  put(piece, in_piece(offset), owner);
  put(piece, in_piece(offset) + 8, std::uint32_t{0});
}

void Index::free(std::uint32_t offset, std::uint32_t now_s) {
  std::string& piece = piece_of(offset);
  put(piece, in_piece(offset), std::uint64_t{0});
  put(piece, in_piece(offset) + 8, now_s);
}

std::uint32_t Index::cursor() const { return get<std::uint32_t>(header_, kCursorAt); }
void Index::set_cursor(std::uint32_t offset) { put(header_, kCursorAt, offset); }

std::uint64_t Index::boot_hash() const { return get<std::uint64_t>(header_, kBootAt); }
std::uint32_t Index::capacity() const { return get<std::uint32_t>(header_, kCapacityAt); }
std::uint32_t Index::cooldown_s() const { return get<std::uint32_t>(header_, kCooldownAt); }

void Index::set_limits(std::uint32_t capacity, std::uint32_t cooldown_s) {
  put(header_, kCapacityAt, capacity);
  put(header_, kCooldownAt, cooldown_s);
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
    if (entry(offset).owner == owner) out.push_back(offset);
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
