// SPDX-License-Identifier: Apache-2.0
#include "netlink/route.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "netlink/attribute.h"
#include "netlink/inet.h"
#include "netlink/message.h"

namespace netlink {
namespace {

using Attributes = std::vector<Attribute>;

/// RTA_VIA: a family in front of the address.
std::vector<std::byte> via_bytes(const conf::IpAddr& via) {
  const std::uint16_t family = family_number(via.family);
  std::vector<std::byte> out(sizeof(family));
  std::memcpy(out.data(), &family, sizeof(family));
  const auto address = address_bytes(via);
  out.insert(out.end(), address.begin(), address.end());
  return out;
}

std::vector<std::byte> encode(std::uint16_t type, int flags, const Route& route) {
  rtmsg header{};
  header.rtm_family = family_number(route.dst.addr.family);
  header.rtm_dst_len = static_cast<std::uint8_t>(route.dst.prefix_len);
  header.rtm_table = table_in_header(route.table);
  header.rtm_protocol = route.protocol;
  header.rtm_scope = route.scope;
  header.rtm_type = static_cast<std::uint8_t>(route.type);
  header.rtm_flags = route.onlink ? RTNH_F_ONLINK : 0;
  const conf::IpPrefix dst = route.dst.masked();
  MessageWriter writer;
  writer.begin(type, flags, std::as_bytes(std::span(&header, 1)));
  if (dst.prefix_len != 0) writer.bytes(RTA_DST, address_bytes(dst.addr));
  if (route.via && route.via->family == dst.addr.family) writer.bytes(RTA_GATEWAY, address_bytes(*route.via));
  if (route.via && route.via->family != dst.addr.family) writer.bytes(RTA_VIA, via_bytes(*route.via));
  if (route.link != 0) writer.u32(RTA_OIF, route.link);
  writer.u32(RTA_TABLE, route.table);
  if (route.metric != 0) writer.u32(RTA_PRIORITY, route.metric);
  if (route.src) writer.bytes(RTA_PREFSRC, address_bytes(*route.src));
  if (route.mtu != 0) writer.nest(RTA_METRICS, [&] { writer.u32(RTAX_MTU, route.mtu); });
  return writer.take();
}

/// An attribute that may be left out: false if it is there and `take` finds it malformed.
template <typename Take>
bool read_if_there(const Attributes& attributes, std::uint16_t type, Take take) {
  const Attribute* found = find_attribute(attributes, type);
  return found == nullptr || take(*found);
}

bool read_number(const Attributes& attributes, std::uint16_t type, std::uint32_t& out) {
  return read_if_there(attributes, type, [&out](const Attribute& found) {
    const std::optional<std::uint32_t> number = as_u32(found);
    if (number) out = *number;
    return number.has_value();
  });
}

bool read_address(const Attributes& attributes, std::uint16_t type, conf::Family family,
                  std::optional<conf::IpAddr>& out) {
  return read_if_there(attributes, type, [&](const Attribute& found) {
    out = address_in(found.payload, family);
    return out.has_value();
  });
}

bool read_via(const Attributes& attributes, std::optional<conf::IpAddr>& out) {
  return read_if_there(attributes, RTA_VIA, [&out](const Attribute& found) {
    std::uint16_t number = 0;
    if (found.payload.size() < sizeof(number)) return false;
    std::memcpy(&number, found.payload.data(), sizeof(number));
    const std::optional<conf::Family> family =
        number <= 255 ? family_of(static_cast<std::uint8_t>(number)) : std::nullopt;
    if (family) out = address_in(found.payload.subspan(sizeof(number)), *family);
    return family && out;
  });
}

/// The MTU; any other metric (RTAX_LOCK makes even that one another) is more than we know.
bool read_metrics(const Attributes& attributes, Route& out) {
  return read_if_there(attributes, RTA_METRICS, [&out](const Attribute& found) {
    const std::optional<Attributes> metrics = read_attributes(found.payload);
    if (!metrics || !read_number(*metrics, RTAX_MTU, out.mtu)) return false;
    out.has_more = out.has_more || std::any_of(metrics->begin(), metrics->end(), [](const Attribute& metric) {
                     return metric.type != RTAX_MTU && says_anything(metric);
                   });
    return true;
  });
}

/// What may stand in a route without making it another than we think. RTA_PREF 0 says nothing; IPv6 always has it.
bool is_known(std::uint16_t type) {
  static constexpr std::array kKnown = {RTA_DST,     RTA_OIF,   RTA_GATEWAY, RTA_PRIORITY,  RTA_PREFSRC,
                                        RTA_METRICS, RTA_TABLE, RTA_VIA,     RTA_CACHEINFO, RTA_PAD};
  return std::find(kKnown.begin(), kKnown.end(), type) != kKnown.end();
}

bool has_more_than_we_know(const rtmsg& header, const Attributes& attributes) {
  return header.rtm_src_len != 0 || header.rtm_tos != 0 ||
         std::any_of(attributes.begin(), attributes.end(),
                     [](const Attribute& attribute) { return !is_known(attribute.type) && says_anything(attribute); });
}

bool read_destination(const rtmsg& header, const Attributes& attributes, conf::Family family, Route& out) {
  std::optional<conf::IpAddr> dst;
  if (!read_address(attributes, RTA_DST, family, dst)) return false;
  if (!dst && header.rtm_dst_len != 0) return false;
  out.dst = {.addr = dst.value_or(conf::IpAddr{.family = family, .bytes = {}}), .prefix_len = header.rtm_dst_len};
  if (out.dst.prefix_len > out.dst.addr.bits()) return false;
  out.dst = out.dst.masked();
  return true;
}

std::string type_text(RouteType type) {
  static constexpr std::array kNames = {"",          "",          "local",       "broadcast", "anycast",
                                        "multicast", "blackhole", "unreachable", "prohibit",  "throw"};
  const auto number = static_cast<std::size_t>(type);
  if (type == RouteType::kUnicast) return {};
  return number >= 2 && number < kNames.size() ? std::string(kNames[number]) + " " : fmt::format("type {} ", number);
}

std::string destination_text(const conf::IpPrefix& dst) {
  if (dst.prefix_len == 0) return "default";
  return dst.prefix_len == dst.addr.bits() ? dst.addr.str() : dst.str();
}

/// Empty for "boot", which `ip` does not print.
std::string protocol_text(std::uint8_t protocol) {
  switch (protocol) {
    case RTPROT_BOOT:
      return {};
    case RTPROT_KERNEL:
      return " proto kernel";
    case RTPROT_STATIC:
      return " proto static";
    case RTPROT_RA:
      return " proto ra";
    case RTPROT_DHCP:
      return " proto dhcp";
    case RTPROT_BIRD:
      return " proto bird";
    default:
      return fmt::format(" proto {}", protocol);
  }
}

std::string scope_text(std::uint8_t scope) {
  switch (scope) {
    case RT_SCOPE_UNIVERSE:
      return {};
    case RT_SCOPE_SITE:
      return " scope site";
    case RT_SCOPE_LINK:
      return " scope link";
    case RT_SCOPE_HOST:
      return " scope host";
    default:
      return fmt::format(" scope {}", scope);
  }
}

}  // namespace

std::string Route::str(const std::string& link_name) const {
  const conf::Family family = dst.addr.family;
  std::string out = type_text(type) + destination_text(dst);
  if (via && via->family == family) out += " via " + via->str();
  if (via && via->family != family)
    out += fmt::format(" via {} {}", via->family == conf::Family::kIpv4 ? "inet" : "inet6", via->str());
  if (!link_name.empty())
    out += " dev " + link_name;
  else if (link != 0)
    out += fmt::format(" dev if{}", link);
  if (table != kMainTable) out += " table " + table_name(table);
  out += protocol_text(protocol) + scope_text(scope);
  if (src) out += " src " + src->str();
  if (metric != 0) out += fmt::format(" metric {}", metric);
  if (onlink) out += " onlink";
  if (mtu != 0) out += fmt::format(" mtu {}", mtu);
  return has_more ? out + " ..." : out;
}

std::uint8_t scope_for(const Route& route) {
  if (route.dst.addr.family == conf::Family::kIpv6) return RT_SCOPE_UNIVERSE;
  switch (route.type) {
    case RouteType::kLocal:
      return RT_SCOPE_HOST;
    case RouteType::kBroadcast:
    case RouteType::kMulticast:
    case RouteType::kAnycast:
      return RT_SCOPE_LINK;
    case RouteType::kUnicast:
      return route.via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    case RouteType::kBlackhole:
    case RouteType::kUnreachable:
    case RouteType::kProhibit:
    case RouteType::kThrow:
      break;
  }
  return RT_SCOPE_UNIVERSE;
}

std::vector<std::byte> encode_route_add(const Route& route) {
  return encode(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, route);
}

std::vector<std::byte> encode_route_delete(const Route& route) { return encode(RTM_DELROUTE, NLM_F_REQUEST, route); }

std::vector<std::byte> encode_route_dump(const RouteFilter& filter) {
  rtmsg header{};
  if (filter.family) header.rtm_family = family_number(*filter.family);
  if (filter.table) header.rtm_table = table_in_header(*filter.table);
  if (filter.protocol) header.rtm_protocol = *filter.protocol;
  MessageWriter writer;
  writer.begin(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, std::as_bytes(std::span(&header, 1)));
  if (filter.table) writer.u32(RTA_TABLE, *filter.table);
  return writer.take();
}

std::optional<Route> decode_route(std::span<const std::byte> message) {
  const auto read = read_message<rtmsg>(message, RTM_NEWROUTE);
  const std::optional<conf::Family> family = read ? family_of(read->header.rtm_family) : std::nullopt;
  if (!family || (read->header.rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  const rtmsg& header = read->header;
  const Attributes& attributes = read->attributes;

  Route out;
  out.table = header.rtm_table;
  out.onlink = (header.rtm_flags & RTNH_F_ONLINK) != 0;
  out.type = static_cast<RouteType>(header.rtm_type);
  out.scope = header.rtm_scope;
  out.protocol = header.rtm_protocol;
  out.has_more = has_more_than_we_know(header, attributes);
  const bool is_whole = read_destination(header, attributes, *family, out) &&
                        read_address(attributes, RTA_GATEWAY, *family, out.via) && read_via(attributes, out.via) &&
                        read_address(attributes, RTA_PREFSRC, *family, out.src) &&
                        read_number(attributes, RTA_OIF, out.link) && read_number(attributes, RTA_TABLE, out.table) &&
                        read_number(attributes, RTA_PRIORITY, out.metric) && read_metrics(attributes, out);
  return is_whole ? std::optional(out) : std::nullopt;
}

}  // namespace netlink
