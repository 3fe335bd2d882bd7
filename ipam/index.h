// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipam/block.h"

// Which addresses of one block are taken: a table that is read and written in small pieces as they are needed, from
// where the last search ended, so that an ADD costs the same with ten leases and with sixty thousand, in a small block
// and in a large one. It holds nothing that is not in the
// lease files, except for how long a freed address has rested; store.h says when it is built anew from them.
//
// On disk, little-endian:
//   0   "XOVRIPM2"                          8 bytes
//   8   hash of the boot id it was built in 8
//   16  number of offsets                   4
//   20  cursor: where the next search begins 4
//   24  capacity: how many the configuration of the last call that used the block lets be handed out, 0 if not known 4
//   28  that configuration's cooldown, seconds 4
//   32  for each offset: owner's hash (8), 0 when free; when it was freed, seconds since 1970 (4), 0 if never
// Capacity and cooldown are for `crossover status`, which has no configuration; no choice is made by them. Tables of
// the first format ("XOVRIPAM", entries at 24) count as damaged.
// The file is named after the block, "10.245.1.0_24" or "fd00-10--_120".
namespace ipam {

inline constexpr std::size_t kIndexHeader = 32;
inline constexpr std::size_t kIndexEntry = 12;
inline constexpr std::size_t kMaxIndexBytes = kIndexHeader + std::size_t{kMaxOffsets} * kIndexEntry;

struct IndexEntry {
  std::uint64_t owner = 0;
  std::uint32_t freed_s = 0;
  /// Whether a free one has rested. A clock that was set back lets no address rest for ever.
  [[nodiscard]] bool has_rested(std::uint32_t now_s, std::uint32_t cooldown_s) const {
    return freed_s == 0 || freed_s > now_s || now_s - freed_s >= cooldown_s;
  }
};

class Index {
 public:
  /// An empty table for a block of `offsets` addresses.
  Index(std::uint64_t boot_hash, std::uint32_t offsets);
  /// The table that `bytes` hold; nothing if they are of another boot, another size, or no table at all.
  [[nodiscard]] static std::optional<Index> parse(const std::string& bytes, std::uint64_t boot_hash,
                                                  std::uint32_t offsets);

  /// The same of whatever boot.
  [[nodiscard]] static std::optional<Index> parse_of_any_boot(const std::string& bytes, std::uint32_t offsets);
  /// `bytes` of the table's file from `offset` on, all of them; throws if they cannot be read.
  using Fetch = std::function<std::string(std::uint64_t offset, std::size_t bytes)>;
  /// As parse, of a file of `file_bytes`, whose entries are read when they are first asked for.
  [[nodiscard]] static std::optional<Index> open(std::uint64_t file_bytes, const Fetch& fetch, std::uint64_t boot_hash,
                                                 std::uint32_t offsets);

  [[nodiscard]] std::string bytes() const;  ///< of the whole file
  [[nodiscard]] std::string_view header() const { return header_; }
  [[nodiscard]] std::string_view entry_bytes(std::uint32_t offset) const;
  [[nodiscard]] static std::uint64_t entry_at(std::uint32_t offset) {
    return kIndexHeader + std::uint64_t{offset} * kIndexEntry;
  }
  [[nodiscard]] std::uint32_t offsets() const;
  [[nodiscard]] IndexEntry entry(std::uint32_t offset) const;
  void take(std::uint32_t offset, std::uint64_t owner);
  void free(std::uint32_t offset, std::uint32_t now_s);
  [[nodiscard]] std::uint32_t cursor() const;
  void set_cursor(std::uint32_t offset);
  [[nodiscard]] std::uint64_t boot_hash() const;
  [[nodiscard]] std::uint32_t capacity() const;
  [[nodiscard]] std::uint32_t cooldown_s() const;
  void set_limits(std::uint32_t capacity, std::uint32_t cooldown_s);

  /// The next address to hand out of `block`: the first after the cursor, round about, that may be handed out and is
  /// free and has rested for `cooldown_s`; if there is none, the one that has rested longest. Nothing if all are taken.
  [[nodiscard]] std::optional<std::uint32_t> next(const Block& block, std::uint32_t now_s,
                                                  std::uint32_t cooldown_s) const;

  /// Every offset that `owner` has.
  [[nodiscard]] std::vector<std::uint32_t> of(std::uint64_t owner) const;

  struct Use {
    std::uint32_t used = 0;  ///< of those the block may hand out
    std::uint32_t cooling = 0;
  };
  [[nodiscard]] Use use(const Block& block, std::uint32_t now_s, std::uint32_t cooldown_s) const;
  /// How many of the whole block are taken, and how many free ones have not rested by the cooldown on record.
  [[nodiscard]] std::uint32_t taken() const;
  [[nodiscard]] std::uint32_t cooling(std::uint32_t now_s) const;

 private:
  Index(std::string header, Fetch fetch);
  [[nodiscard]] std::string& piece_of(std::uint32_t offset) const;

  std::string header_;
  Fetch fetch_;                              ///< of what is not in pieces_ yet; none for a table that is all here
  mutable std::vector<std::string> pieces_;  ///< of kPiece entries each; empty until it is asked for
};

/// The file name of a block's table; and the block of a file name, nothing for what is none.
[[nodiscard]] std::string block_file(const conf::IpPrefix& cidr);
[[nodiscard]] std::optional<conf::IpPrefix> block_of_file(std::string name);

}  // namespace ipam
