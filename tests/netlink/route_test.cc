// SPDX-License-Identifier: Apache-2.0
#include "netlink/route.h"

#include <doctest/doctest.h>
#include <linux/lwtunnel.h>
#include <linux/rtnetlink.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "netlink/message.h"
#include "tests/netlink/hex.h"

using conf::Family;
using conf::IpAddr;
using conf::IpPrefix;
using netlink::decode_route;
using netlink::encode_route_add;
using netlink::encode_route_delete;
using netlink::encode_route_dump;
using netlink::MessageWriter;
using netlink::Route;
using netlink::RouteFilter;
using netlink::RouteType;

namespace {

using Bytes = std::vector<std::byte>;

Route to(const std::string& dst) {
  Route route;
  route.dst = IpPrefix::parse(dst).value();
  return route;
}

/// All that a route can say.
Route everything() {
  Route route = to("10.245.0.0/16");
  route.via = IpAddr::parse("10.244.1.1");
  route.link = 7;
  route.table = 30000;
  route.mtu = 1400;
  route.onlink = true;
  route.metric = 50;
  route.src = IpAddr::parse("10.244.1.9");
  return route;
}

Route six() {
  Route route = to("fd00:245::/56");
  route.via = IpAddr::parse("fe80::1");
  route.link = 3;
  return route;
}

Route other_family() {
  Route route = to("0.0.0.0/0");
  route.via = IpAddr::parse("fe80::1");
  route.link = 3;
  return route;
}

Route blackhole() {
  Route route = to("10.244.7.64/26");
  route.type = RouteType::kBlackhole;
  route.protocol = 80;
  return route;
}

/// A RTM_NEWROUTE of 10.1.0.0/16 with what `fill` adds.
Bytes message(const std::function<void(MessageWriter&)>& fill, rtmsg header = {}) {
  if (header.rtm_family == 0) header.rtm_family = 2;
  if (header.rtm_dst_len == 0) header.rtm_dst_len = 16;
  if (header.rtm_type == 0) header.rtm_type = RTN_UNICAST;
  MessageWriter writer;
  writer.begin(RTM_NEWROUTE, 0, std::as_bytes(std::span(&header, 1)));
  writer.bytes(RTA_DST, hex::bytes("0a010000"));
  fill(writer);
  return writer.take();
}

template <typename Field, typename Value>
rtmsg with(Field rtmsg::*field, Value value) {
  rtmsg header{};
  header.*field = static_cast<Field>(value);
  return header;
}

void nothing(MessageWriter& /*writer*/) {}

bool has_more(const std::function<void(MessageWriter&)>& fill) {
  const auto route = decode_route(message(fill));
  REQUIRE(route);
  return route->has_more;
}

bool is_refused(const std::function<void(MessageWriter&)>& fill) { return !decode_route(message(fill)).has_value(); }

}  // namespace

TEST_SUITE("netlink.route") {
  TEST_CASE("a route is asked for in these bytes") {
    CHECK(hex::of(encode_route_add(everything())) ==
          "58000000"  // length 88
          "1800"      // RTM_NEWROUTE
          "0106"      // request, exclusive, create
          "0000000000000000"
          "02100000009d000104000000"    // AF_INET, /16, table in an attribute, protocol 157, universe, unicast, onlink
          "080001000af50000"            // 10.245.0.0
          "080005000af40101"            // via 10.244.1.1
          "0800040007000000"            // link 7
          "08000f0030750000"            // table 30000
          "0800060032000000"            // metric 50
          "080007000af40109"            // src 10.244.1.9
          "0c0008800800020078050000");  // metrics: mtu 1400
    CHECK(hex::of(encode_route_add(six())) ==
          "540000001800010600000000000000000a380000fe9d000100000000"
          "14000100fd000245000000000000000000000000"
          "14000500fe800000000000000000000000000001"
          "0800040003000000"
          "08000f00fe000000");
    CHECK(hex::of(encode_route_add(other_family())) ==
          "4400000018000106000000000000000002000000fe9d000100000000"
          "160012000a00fe8000000000000000000000000000010000"  // RTA_VIA
          "0800040003000000"
          "08000f00fe000000");
  }

  TEST_CASE("a deletion says all that the addition said, the protocol first of all") {
    for (const Route& route : {everything(), six(), other_family(), blackhole()}) {
      CAPTURE(route.str());
      const std::string removal = hex::of(encode_route_delete(route));
      CHECK(removal.substr(8, 8) == "19000100");  // RTM_DELROUTE
      CHECK(removal.substr(16) == hex::of(encode_route_add(route)).substr(16));
    }
  }

  TEST_CASE("a list is asked for in these bytes") {
    CHECK(hex::of(encode_route_dump({})) == "1c0000001a0001030000000000000000000000000000000000000000");
    const RouteFilter narrow{.family = Family::kIpv6, .table = 30000, .protocol = 157};
    CHECK(hex::of(encode_route_dump(narrow)) ==
          "240000001a00010300000000000000000a000000009d000000000000"
          "08000f0030750000");
    const RouteFilter main{.family = {}, .table = netlink::kMainTable, .protocol = {}};
    CHECK(hex::of(encode_route_dump(main)) ==
          "240000001a000103000000000000000000000000fe00000000000000"
          "08000f00fe000000");
  }

  TEST_CASE("what is asked for is what would be read back") {
    Route on_link = to("10.245.1.90/32");
    on_link.link = 4;
    on_link.scope = netlink::scope_for(on_link);
    for (const Route& route : {everything(), six(), other_family(), blackhole(), on_link, to("::/0")}) {
      CAPTURE(route.str());
      CHECK(decode_route(encode_route_add(route)) == route);
    }
  }

  TEST_CASE("a destination is asked for without host bits") {
    CHECK(decode_route(encode_route_add(to("10.1.2.3/8")))->dst == IpPrefix::parse("10.0.0.0/8"));
    CHECK(decode_route(encode_route_add(to("fd00::7/64")))->dst == IpPrefix::parse("fd00::/64"));
  }

  TEST_CASE("a route that is cut short anywhere is none") {
    for (Route route : {everything(), six(), other_family()}) {
      route.table = 30000;  // the header has the small ones, too
      const Bytes whole = encode_route_add(route);
      for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        CHECK_FALSE(decode_route(cut).has_value());
        if (length < sizeof(nlmsghdr)) continue;
        const auto own_length = static_cast<std::uint32_t>(length);
        std::memcpy(cut.data(), &own_length, sizeof(own_length));
        CHECK(decode_route(cut) != route);
      }
    }
  }

  TEST_CASE("what is no route of the two families is none") {
    Bytes other = message(nothing);
    REQUIRE(decode_route(other).has_value());
    other[4] = std::byte{RTM_DELROUTE};
    CHECK_FALSE(decode_route(other).has_value());
    CHECK_FALSE(decode_route(message(nothing, with(&rtmsg::rtm_family, 128))).has_value());  // RTNL_FAMILY_IPMR
    CHECK_FALSE(
        decode_route(message(nothing, with(&rtmsg::rtm_family, 10))).has_value());  // with four bytes of address
    CHECK_FALSE(decode_route(message(nothing, with(&rtmsg::rtm_dst_len, 33))).has_value());
    CHECK_FALSE(decode_route(message(nothing, with(&rtmsg::rtm_flags, RTM_F_CLONED))).has_value());
    Bytes nowhere = encode_route_add(to("0.0.0.0/0"));
    nowhere[17] = std::byte{8};  // to a /8 without an address
    CHECK_FALSE(decode_route(nowhere).has_value());
  }

  TEST_CASE("attributes of a wrong size are refused") {
    for (const std::uint16_t type : {RTA_OIF, RTA_TABLE, RTA_PRIORITY, RTA_GATEWAY, RTA_PREFSRC, RTA_DST}) {
      CAPTURE(type);
      CHECK(is_refused([type](MessageWriter& writer) { writer.bytes(type, hex::bytes("0a010203ff")); }));
      CHECK(is_refused([type](MessageWriter& writer) { writer.bytes(type, {}); }));
    }
    for (const char* via : {"", "02", "0200", "0200010203", "02000102030405", "0a0001020304", "030001020304"}) {
      CAPTURE(via);
      CHECK(is_refused([via](MessageWriter& writer) { writer.bytes(RTA_VIA, hex::bytes(via)); }));
    }
    for (const char* metrics : {"03", "03000200", "0900020078050000", "0600020078050000"}) {
      CAPTURE(metrics);
      CHECK(is_refused([metrics](MessageWriter& writer) { writer.bytes(RTA_METRICS, hex::bytes(metrics)); }));
    }
  }

  TEST_CASE("what we do not know of a route is at least noticed") {
    CHECK_FALSE(has_more(nothing));
    const auto with_u32 = [](std::uint16_t type, std::uint32_t value) {
      return [type, value](MessageWriter& writer) { writer.u32(type, value); };
    };
    CHECK(has_more(with_u32(RTA_NH_ID, 5)));
    CHECK(has_more(with_u32(RTA_FLOW, 5)));
    CHECK(has_more(with_u32(500, 5)));
    CHECK_FALSE(has_more(with_u32(500, 0)));
    CHECK(has_more([](MessageWriter& writer) { writer.bytes(RTA_MULTIPATH, hex::bytes("0800000003000000")); }));
    CHECK(has_more([](MessageWriter& writer) {
      writer.u16(RTA_ENCAP_TYPE, LWTUNNEL_ENCAP_IP);
      writer.nest(RTA_ENCAP, [&writer] { writer.u64(LWTUNNEL_IP_ID, 1); });
    }));
    const auto with_metric = [](std::uint16_t type, std::uint32_t value) {
      return [type, value](MessageWriter& writer) { writer.nest(RTA_METRICS, [&] { writer.u32(type, value); }); };
    };
    CHECK_FALSE(has_more(with_metric(RTAX_MTU, 1400)));
    CHECK(has_more(with_metric(RTAX_LOCK, 1U << RTAX_MTU)));
    CHECK(has_more(with_metric(RTAX_ADVMSS, 1200)));
    CHECK_FALSE(has_more([](MessageWriter& writer) { writer.u8(RTA_PREF, 0); }));  // medium: all of IPv6's
    CHECK(has_more([](MessageWriter& writer) { writer.u8(RTA_PREF, 1); }));
    CHECK(decode_route(message(nothing, with(&rtmsg::rtm_src_len, 8)))->has_more);
    CHECK(decode_route(message(nothing, with(&rtmsg::rtm_tos, 16)))->has_more);
  }

  TEST_CASE("a table above 255 is the attribute's, and a small one the header's where there is none") {
    CHECK(decode_route(message([](MessageWriter& writer) { writer.u32(RTA_TABLE, 4'000'000'001); }))->table ==
          4'000'000'001);
    CHECK(decode_route(message(nothing, with(&rtmsg::rtm_table, 200)))->table == 200);
  }

  TEST_CASE("routes read as ip prints them") {
    CHECK(everything().str() ==
          "10.245.0.0/16 via 10.244.1.1 dev if7 table 30000 proto 157 src 10.244.1.9 metric 50 onlink mtu 1400");
    CHECK(six().str("eth0") == "fd00:245::/56 via fe80::1 dev eth0 proto 157");
    CHECK(other_family().str("eth0") == "default via inet6 fe80::1 dev eth0 proto 157");
    CHECK(blackhole().str() == "blackhole 10.244.7.64/26 proto 80");
    Route odd = to("10.0.0.1/32");
    odd.type = static_cast<RouteType>(12);
    odd.table = netlink::kLocalTable;
    odd.protocol = 3;
    odd.scope = 77;
    odd.has_more = true;
    CHECK(odd.str() == "type 12 10.0.0.1 table local scope 77 ...");
  }

  TEST_CASE("the scope is the one that ip would choose") {
    Route route = to("10.1.0.0/16");
    CHECK(netlink::scope_for(route) == RT_SCOPE_LINK);
    route.via = IpAddr::parse("10.0.0.1");
    CHECK(netlink::scope_for(route) == RT_SCOPE_UNIVERSE);
    CHECK(netlink::scope_for(blackhole()) == RT_SCOPE_UNIVERSE);
    CHECK(netlink::scope_for(to("fd00::/64")) == RT_SCOPE_UNIVERSE);
    route.type = RouteType::kLocal;
    CHECK(netlink::scope_for(route) == RT_SCOPE_HOST);
    route.type = RouteType::kBroadcast;
    CHECK(netlink::scope_for(route) == RT_SCOPE_LINK);
  }
}
