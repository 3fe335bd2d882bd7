// SPDX-License-Identifier: Apache-2.0
#include "netlink/nft.h"

#include <doctest/doctest.h>

#include "tests/netlink/nft_samples.h"

using namespace netlink;  // NOLINT(google-build-using-namespace)
using samples::ip;
using samples::prefix;

namespace {

std::vector<std::string> shown(const std::vector<NftElement>& elements) {
  std::vector<std::string> texts;
  for (const NftElement& element : elements) {
    texts.push_back(addr_in(element.key)->str() + (element.interval_end ? " end" : ""));
  }
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_SUITE("netlink.nft") {
  TEST_CASE("fields in a row are padded, a single one is not") {
    CHECK(concat({proto_field(6)}).size() == 1);
    CHECK(concat({service_field(80)}).size() == 2);
    CHECK(concat({proto_field(6), service_field(80)}).size() == 8);
    CHECK(concat({field_of(ip("fd00::1")), service_field(80)}).size() == 20);
  }

  TEST_CASE("fields come back from a key as they were put in") {
    const std::vector<Field> fields = {Field::kIpv4Addr, Field::kInetProto, Field::kInetService, Field::kIfname};
    const Bytes key = concat({field_of(ip("10.0.0.1")), proto_field(132), service_field(8080), ifname_field("eth0")});
    const auto parts = split(key, fields);
    REQUIRE(parts);
    CHECK(addr_in(parts->at(0)) == ip("10.0.0.1"));
    CHECK(proto_in(parts->at(1)) == 132);
    CHECK(service_in(parts->at(2)) == 8080);
    CHECK(ifname_in(parts->at(3)) == "eth0");
    CHECK(split(service_field(80), {Field::kInetService}).has_value());
  }

  TEST_CASE("a key of another size has no fields") {
    const std::vector<Field> fields = {Field::kInetProto, Field::kInetService};
    for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{9}}) {
      CHECK_FALSE(split(Bytes(size), fields).has_value());
    }
    CHECK_FALSE(addr_in(Bytes(5)).has_value());
    CHECK_FALSE(service_in(Bytes(4)).has_value());
    CHECK_FALSE(proto_in(Bytes(0)).has_value());
  }

  TEST_CASE("an interface's name is cut where the kernel's ends") {
    CHECK(ifname_in(ifname_field("sixteen-letters.")) == "sixteen-letters");
    CHECK(ifname_in(ifname_field("")).empty());
  }

  TEST_CASE("a prefix is its first address and the one behind its last") {
    CHECK(shown(interval_elements({prefix("10.0.0.0/8")})) == Texts{"10.0.0.0", "11.0.0.0 end"});
    CHECK(shown(interval_elements({prefix("10.1.2.3/32")})) == Texts{"10.1.2.3", "10.1.2.4 end"});
    CHECK(shown(interval_elements({prefix("10.255.255.255/32")})) == Texts{"10.255.255.255", "11.0.0.0 end"});
    CHECK(shown(interval_elements({prefix("10.9.9.9/12")})) == Texts{"10.0.0.0", "10.16.0.0 end"});
    CHECK(shown(interval_elements({prefix("fd00::/8")})) == Texts{"fd00::", "fe00:: end"});
  }

  TEST_CASE("a prefix up to the last address has no end") {
    CHECK(shown(interval_elements({prefix("240.0.0.0/4")})) == Texts{"240.0.0.0"});
    CHECK(shown(interval_elements({prefix("255.255.255.255/32")})) == Texts{"255.255.255.255"});
    CHECK(shown(interval_elements({prefix("0.0.0.0/0")})) == Texts{"0.0.0.0"});
    CHECK(shown(interval_elements({prefix("::/0")})) == Texts{"::"});
  }

  TEST_CASE("a prefix inside another is left out, also if it is the same") {
    CHECK(shown(interval_elements({prefix("10.1.0.0/16"), prefix("10.0.0.0/8"), prefix("10.0.0.0/8"),
                                   prefix("10.0.0.0/24"), prefix("9.0.0.0/8")})) ==
          Texts{"9.0.0.0", "10.0.0.0 end", "10.0.0.0", "11.0.0.0 end"});
    CHECK(interval_elements({}).empty());
  }
}
