// SPDX-License-Identifier: Apache-2.0
#include "netlink/message.h"

#include <doctest/doctest.h>

#include <initializer_list>

#include "tests/support/refusal.h"

using netlink::MessageWriter;

namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> made;
  for (const int value : values) made.push_back(static_cast<std::byte>(value));
  return made;
}

}  // namespace

TEST_SUITE("netlink.message") {
  TEST_CASE("a message has a header with its length, the family's header padded, and its attributes padded") {
    MessageWriter writer;
    writer.begin(0x0102, 0x0305, bytes({7}));
    writer.text(1, "abcd");
    writer.u8(2, 9);
    CHECK(writer.take() == bytes({40, 0, 0, 0, 2,   1,   5,   3,   0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0,
                                  9,  0, 1, 0, 'a', 'b', 'c', 'd', 0, 0, 0, 0, 5, 0, 2, 0, 9, 0, 0, 0}));
    CHECK(writer.take().empty());
  }

  TEST_CASE("numbers are in the host's or in network order") {
    MessageWriter writer;
    writer.u16(1, 0x0102);
    writer.u32(2, 0x01020304);
    writer.u64(3, 0x0102030405060708);
    writer.be16(4, 0x0102);
    writer.be32(5, 0x01020304);
    writer.be64(6, 0x0102030405060708);
    CHECK(writer.take() ==
          bytes({6, 0, 1, 0, 2, 1, 0, 0, 8, 0, 2, 0, 4, 3, 2, 1, 12, 0, 3, 0, 8, 7, 6, 5, 4, 3, 2, 1,
                 6, 0, 4, 0, 1, 2, 0, 0, 8, 0, 5, 0, 1, 2, 3, 4, 12, 0, 6, 0, 1, 2, 3, 4, 5, 6, 7, 8}));
  }

  TEST_CASE("a nest has the flag, and the length of all that is in it") {
    MessageWriter writer;
    writer.nest(1, [&] {
      writer.u8(2, 3);
      writer.nest(4, [] {});
    });
    writer.u8(5, 6);
    CHECK(writer.take() == bytes({16, 0, 1, 0x80, 5, 0, 2, 0, 3, 0, 0, 0, 4, 0, 4, 0x80, 5, 0, 5, 0, 6, 0, 0, 0}));
  }

  TEST_CASE("several messages stand behind each other, and flags are added to the last") {
    MessageWriter writer;
    writer.begin(1, 1);
    writer.begin(2, 1);
    writer.add_flags(4);
    CHECK(writer.take() ==
          bytes({16, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 2, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  }

  TEST_CASE("an attribute longer than its length can say is refused, alone or as a nest") {
    MessageWriter writer;
    const std::vector<std::byte> most(65531);
    writer.bytes(1, most);
    CHECK(writer.size() == 65536);
    support::check_refusal(support::refusal_of([&] {
                             writer.bytes(1, std::vector<std::byte>(65532));
                             return 0;
                           }),
                           conf::Code::kInternal, "netlink attribute too long", "65532 bytes");
    support::check_refusal(support::refusal_of([&] {
                             writer.nest(1, [&] { writer.bytes(1, most); });
                             return 0;
                           }),
                           conf::Code::kInternal, "netlink attribute too long", "65536 bytes");
  }
}
