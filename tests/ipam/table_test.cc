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
  const std::string& bytes = table.bytes();
  CHECK(bytes.size() == kIndexHeader + 16 * kIndexEntry);
  CHECK(Index::parse(bytes, kBoot, 16).has_value());
  CHECK_FALSE(Index::parse(bytes, kBoot + 1, 16));
  CHECK_FALSE(Index::parse(bytes, kBoot, 32));
  CHECK_FALSE(Index::parse(bytes + "x", kBoot, 16));
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(Index::parse(bytes.substr(0, size), kBoot, 16));
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
