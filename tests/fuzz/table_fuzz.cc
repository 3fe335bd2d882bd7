// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "conf/ip.h"
#include "ipam/index.h"

// A block's table: the bytes as they are, and as what follows a good header's first 20 bytes (cursor, limits, entries).
// The first byte picks the block. Breaks if a table of another size is taken, or if what is chosen is taken already,
// excluded, or nothing although there is something.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::uint64_t kBoot = 0x1234'5678'9abc'def0U;
constexpr std::uint64_t kOwner = 42;
constexpr std::size_t kBehindOffsets = 20;

void demand(bool holds) {
  if (!holds) std::abort();
}

ipam::Block block_for(std::uint8_t choice) {
  conf::IpPrefix cidr = *conf::IpPrefix::parse((choice & 1U) != 0 ? "fd00::/120" : "10.1.0.0/24");
  cidr.prefix_len = cidr.addr.bits() - 2 - (choice >> 1U) % 6;  // 4 to 128 addresses
  ipam::Block out = ipam::make_block(cidr);
  if ((choice & 0x80U) != 0) ipam::exclude(out, {1, 2});
  return out;
}

void check(ipam::Index table, const ipam::Block& block) {
  demand(table.offsets() == block.offsets());
  demand(table.bytes().size() == ipam::kIndexHeader + std::size_t{block.offsets()} * ipam::kIndexEntry);
  std::uint32_t free = 0;
  for (std::uint32_t i = 0; i < block.offsets(); ++i)
    free += block.may_hand_out(i) && table.entry(i).owner == 0 ? 1U : 0U;
  const ipam::Index::Use use = table.use(block, 1000, 30);
  demand(use.used == block.capacity() - free && use.cooling <= free);
  for (std::uint32_t taken = 0; taken < free; ++taken) {
    const std::optional<std::uint32_t> offset = table.next(block, 1000, 30);
    demand(offset && block.may_hand_out(*offset) && table.entry(*offset).owner == 0);
    table.take(*offset, kOwner);
    table.set_cursor(*offset + 1);
  }
  demand(!table.next(block, 1000, 30));
  demand(table.use(block, 1000, 30).used == block.capacity());
  for (const std::uint32_t offset : table.of(kOwner)) table.free(offset, 1000);
  demand(table.of(kOwner).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ipam::Block block = block_for(data[0]);
  const std::string bytes(data + 1, data + size);
  if (const std::optional<ipam::Index> table = ipam::Index::parse(bytes, kBoot, block.offsets())) check(*table, block);
  std::string whole = ipam::Index(kBoot, block.offsets()).bytes();
  const std::size_t room = whole.size() - kBehindOffsets;
  whole.replace(kBehindOffsets, std::min(room, bytes.size()), bytes, 0, std::min(room, bytes.size()));
  const std::optional<ipam::Index> table = ipam::Index::parse(whole, kBoot, block.offsets());
  demand(table.has_value());
  check(*table, block);
  demand(!ipam::Index::parse(whole, kBoot + 1, block.offsets()));
  demand(!ipam::Index::parse(whole.substr(0, whole.size() - 1), kBoot, block.offsets()));
  const std::optional<conf::IpPrefix> named = ipam::block_of_file(bytes);
  if (named) demand(ipam::block_of_file(ipam::block_file(*named)) == named);
  return 0;
}
