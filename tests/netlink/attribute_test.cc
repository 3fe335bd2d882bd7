// SPDX-License-Identifier: Apache-2.0
#include "netlink/attribute.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <vector>

using netlink::as_text;
using netlink::Attribute;
using netlink::find_attribute;
using netlink::read_attributes;

namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> made;
  for (const int value : values) made.push_back(static_cast<std::byte>(value));
  return made;
}

}  // namespace

TEST_SUITE("netlink.attribute") {
  TEST_CASE("attributes are read in order, with padding between them") {
    const auto input = bytes({5, 0, 1, 0, 'x', 0, 0, 0, 8, 0, 2, 0, 1, 2, 3, 4});
    const auto read = read_attributes(input);
    REQUIRE(read);
    REQUIRE(read->size() == 2);
    CHECK(read->at(0).type == 1);
    CHECK(as_text(read->at(0)) == "x");
    CHECK(read->at(1).type == 2);
    CHECK(read->at(1).payload.size() == 4);
  }

  TEST_CASE("no bytes are no attributes") {
    const auto read = read_attributes({});
    REQUIRE(read);
    CHECK(read->empty());
  }

  TEST_CASE("the last attribute needs no padding") {
    const auto input = bytes({5, 0, 1, 0, 'x'});
    CHECK(read_attributes(input).has_value());
  }

  TEST_CASE("the nested and byte order flags are no part of the type") {
    const auto input = bytes({4, 0, 7, 0xC0});
    CHECK(read_attributes(input)->front().type == 7);
  }

  TEST_CASE("a list that does not add up is refused as a whole") {
    CHECK_FALSE(read_attributes(bytes({4, 0, 1})).has_value());                       // half a header
    CHECK_FALSE(read_attributes(bytes({0, 0, 1, 0})).has_value());                    // no length: would never end
    CHECK_FALSE(read_attributes(bytes({3, 0, 1, 0})).has_value());                    // shorter than its header
    CHECK_FALSE(read_attributes(bytes({9, 0, 1, 0, 'x', 0, 0, 0})).has_value());      // longer than the message
    CHECK_FALSE(read_attributes(bytes({4, 0, 1, 0, 0xFF, 0xFF, 2, 0})).has_value());  // the second lies
  }

  TEST_CASE("of two attributes of a type the last one counts") {
    const auto input = bytes({5, 0, 1, 0, 'a', 0, 0, 0, 5, 0, 1, 0, 'b', 0, 0, 0});
    const auto read = read_attributes(input);
    REQUIRE(find_attribute(*read, 1) != nullptr);
    CHECK(as_text(*find_attribute(*read, 1)) == "b");
    CHECK(find_attribute(*read, 2) == nullptr);
  }

  TEST_CASE("a text ends at its zero byte, or with its payload") {
    const auto ended = bytes({'e', 't', 'h', '0', 0, 'x'});
    const auto open = bytes({'e', 't', 'h', '0'});
    CHECK(as_text(Attribute{.type = 1, .payload = ended}) == "eth0");
    CHECK(as_text(Attribute{.type = 1, .payload = open}) == "eth0");
  }
}
