// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "ipam/index.h"
#include "tests/ipam/store_world.h"

namespace ipam {
namespace {

constexpr std::uint64_t kBoot = 0x1122334455667788;

TEST_SUITE_BEGIN("ipam.table");
TEST_CASE("a block hands out neither its first address nor, in IPv4, its last") {
  const Block v4 = make_block(prefix("10.1.0.0/28"));
  CHECK(v4.capacity() == 14);
  CHECK_FALSE(v4.may_hand_out(0));
  CHECK(v4.may_hand_out(1));
  CHECK(v4.may_hand_out(14));
  CHECK_FALSE(v4.may_hand_out(15));
  const Block v6 = make_block(prefix("fd00::/124"));
  CHECK(v6.capacity() == 15);
  CHECK(v6.may_hand_out(15));
}

TEST_CASE("an address is its offset from the first of the block, and back") {
  const Block v4 = make_block(prefix("10.1.255.0/22"));
  CHECK(v4.at(300).str() == "10.1.253.44");
  CHECK(v4.offset_of(ip("10.1.253.44")) == 300);
  CHECK_FALSE(v4.offset_of(ip("10.2.0.0")));
  CHECK_FALSE(v4.offset_of(ip("fd00::1")));
  const Block v6 = make_block(prefix("fd00:1:2:3::/64"));
  CHECK(v6.offsets() == 65'536);
  CHECK(v6.at(65'535).str() == "fd00:1:2:3::ffff");
  CHECK(v6.offset_of(ip("fd00:1:2:3::ffff")) == 65'535);
  CHECK_FALSE(v6.offset_of(ip("fd00:1:2:3::1:0")));
  CHECK_FALSE(v6.offset_of(ip("fd00:1:2:3:4::5")));
}

TEST_CASE("excluded addresses are merged, and what is outside of the block is ignored") {
  Block block = make_block(prefix("10.1.0.0/24"));
  exclude(block, ip("10.1.0.5"));
  exclude(block, ip("10.1.0.6"), ip("10.1.0.9"));
  exclude(block, ip("10.0.0.0"), ip("10.1.0.2"));
  exclude(block, ip("10.9.0.1"));
  exclude(block, ip("fd00::1"));
  CHECK(block.excluded == std::vector<OffsetRange>{{0, 2}, {5, 9}});
  CHECK(block.capacity() == 254 - 2 - 5);
  CHECK_FALSE(block.may_hand_out(7));
  CHECK(block.may_hand_out(10));
}

TEST_CASE("the next address is the first free one after the cursor, round about") {
  const Block block = make_block(prefix("10.1.0.0/29"));
  Index table(kBoot, block.offsets());
  CHECK(table.next(block, 1000, 30) == 1);
  table.set_cursor(5);
  CHECK(table.next(block, 1000, 30) == 5);
  table.take(5, 1);
  table.take(6, 2);
  CHECK(table.next(block, 1000, 30) == 1);
  table.set_cursor(4'000'000'000);
  CHECK(table.next(block, 1000, 30) == 1);
}

TEST_CASE("an address that has not rested is handed out only when nothing else is left, the longest rested first") {
  const Block block = make_block(prefix("10.1.0.0/29"));
  Index table(kBoot, block.offsets());
  for (std::uint32_t i = 1; i <= 6; ++i) table.take(i, i);
  table.free(2, 995);
  table.free(3, 990);
  CHECK(table.next(block, 1000, 30) == 3);
  CHECK(table.use(block, 1000, 30).used == 4);
  CHECK(table.use(block, 1000, 30).cooling == 2);
  table.set_cursor(2);
  CHECK(table.next(block, 1025, 30) == 2);
  CHECK(table.next(block, 900, 30) == 2);
  table.take(2, 2);
  table.take(3, 3);
  CHECK(table.next(block, 1000, 30) == std::nullopt);
}

TEST_CASE("a table of another boot, another size or no table at all is not read") {
  const Index table(kBoot, 16);
  const std::string bytes = table.bytes();
  CHECK(bytes.size() == kIndexHeader + 16 * kIndexEntry);
  CHECK(Index::parse(bytes, kBoot, 16).has_value());
  CHECK_FALSE(Index::parse(bytes, kBoot + 1, 16));
  CHECK_FALSE(Index::parse(bytes, kBoot, 32));
  CHECK_FALSE(Index::parse(bytes + "x", kBoot, 16));
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(Index::parse(bytes.substr(0, size), kBoot, 16));
}

/// A table's file, and how much of it was read.
struct File {
  std::string bytes;
  std::size_t read = 0;

  std::optional<Index> open(std::uint64_t boot, std::uint32_t offsets) {
    const auto fetch = [this](std::uint64_t at, std::size_t size) {
      read += size;
      return bytes.substr(at, size);
    };
    return Index::open(bytes.size(), fetch, boot, offsets);
  }
};

TEST_CASE("a search reads a large table from where the last one ended, and no more than it needs") {
  const Block block = make_block(prefix("10.1.0.0/16"));
  Index table(kBoot, block.offsets());
  for (std::uint32_t i = 1; i <= 60'000; ++i) table.take(i, i);
  table.set_cursor(60'001);
  File file{.bytes = table.bytes()};
  CHECK(file.bytes.size() == kMaxIndexBytes);
  Index opened = file.open(kBoot, block.offsets()).value();
  CHECK(file.read == kIndexHeader);
  CHECK(opened.next(block, 1000, 30) == 60'001);
  CHECK(file.read < 8'192);
  opened.take(60'001, 7);
  CHECK(opened.entry(60'001).owner == 7);
  CHECK(file.read < 8'192);
  opened.set_cursor(65'535);
  for (std::uint32_t i = 60'002; i <= 65'534; ++i) opened.take(i, i);
  CHECK(opened.next(block, 1000, 30) == std::nullopt);
  CHECK(file.read == kMaxIndexBytes);
}

TEST_CASE("a table that is read in pieces is the one that was written, and writes its pieces where they were") {
  for (const char* cidr : {"10.1.0.0/30", "10.1.0.0/23", "10.1.0.0/22", "fd00::/64"}) {
    CAPTURE(cidr);
    const std::uint32_t offsets = make_block(prefix(cidr)).offsets();
    Index table(kBoot, offsets);
    for (std::uint32_t i = 0; i < offsets; i += 3) table.take(i, 1'000'000'007ULL * (i + 1));
    for (std::uint32_t i = 1; i < offsets; i += 3) table.free(i, i);
    File file{.bytes = table.bytes()};
    const Index opened = file.open(kBoot, offsets).value();
    std::string written(file.bytes.size(), '\0');
    written.replace(0, kIndexHeader, opened.header());
    for (std::uint32_t i = 0; i < offsets; ++i) written.replace(Index::entry_at(i), kIndexEntry, opened.entry_bytes(i));
    CHECK(written == file.bytes);
    CHECK(opened.bytes() == file.bytes);
    CHECK(opened.taken() == table.taken());
  }
}

TEST_CASE("a table of another boot, another size or no table at all is not opened") {
  File file{.bytes = Index(kBoot, 16).bytes()};
  CHECK(file.open(kBoot, 16).has_value());
  CHECK_FALSE(file.open(kBoot + 1, 16));
  CHECK_FALSE(file.open(kBoot, 32));
  for (std::size_t at : {0U, 7U, 16U}) {
    File damaged = file;
    damaged.bytes[at] = 'x';
    CHECK_FALSE(damaged.open(kBoot, 16));
  }
  file.bytes += 'x';
  CHECK_FALSE(file.open(kBoot, 16));
}

TEST_CASE("a table's file is named after its block, and tells it") {
  CHECK(block_file(prefix("10.245.1.0/24")) == "10.245.1.0_24");
  CHECK(block_file(prefix("fd00:10::/120")) == "fd00-10--_120");
  CHECK(block_of_file("10.245.1.0_24") == prefix("10.245.1.0/24"));
  CHECK(block_of_file("fd00-10--_120") == prefix("fd00:10::/120"));
  CHECK_FALSE(block_of_file(".10.245.1.0_24.77.tmp"));
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
