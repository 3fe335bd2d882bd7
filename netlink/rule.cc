// SPDX-License-Identifier: Apache-2.0
#include "netlink/rule.h"

#include <fmt/format.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "conf/error.h"
#include "netlink/attribute.h"
#include "netlink/message.h"

namespace netlink {
namespace {

constexpr int kDumps = 5;
constexpr std::uint32_t kNoSuppression = 0xFFFFFFFF;
constexpr std::uint32_t kLargestTableInHeader = 255;
constexpr std::uint8_t kTableUnspecified = RT_TABLE_UNSPEC;

std::uint8_t family_number(conf::Family family) { return family == conf::Family::kIpv4 ? AF_INET : AF_INET6; }

std::span<const std::byte> address_bytes(const conf::IpAddr& addr) {
  return std::as_bytes(std::span(addr.bytes)).first(addr.bits() / 8);
}

std::uint8_t length_of(const std::optional<conf::IpPrefix>& prefix) {
  return prefix ? static_cast<std::uint8_t>(prefix->prefix_len) : std::uint8_t{0};
}

/// All of a rule that says which it is. A deletion that leaves something out takes the first that fits, whoever's.
std::vector<std::byte> encode(std::uint16_t type, int flags, const Rule& rule) {
  fib_rule_hdr header{};
  header.family = family_number(rule.family);
  header.dst_len = length_of(rule.to);
  header.src_len = length_of(rule.from);
  header.table = rule.table <= kLargestTableInHeader ? static_cast<std::uint8_t>(rule.table) : kTableUnspecified;
  header.action = rule.action;
  MessageWriter writer;
  writer.begin(type, flags, std::as_bytes(std::span(&header, 1)));
  writer.u32(FRA_PRIORITY, rule.priority);
  if (rule.to) writer.bytes(FRA_DST, address_bytes(rule.to->masked().addr));
  if (rule.from) writer.bytes(FRA_SRC, address_bytes(rule.from->masked().addr));
  if (!rule.iif.empty()) writer.text(FRA_IIFNAME, rule.iif);
  if (!rule.oif.empty()) writer.text(FRA_OIFNAME, rule.oif);
  if (rule.mark_mask != 0) {
    writer.u32(FRA_FWMARK, rule.mark);
    writer.u32(FRA_FWMASK, rule.mark_mask);
  }
  writer.u32(FRA_TABLE, rule.table);
  if (rule.suppress_prefix_length) writer.u32(FRA_SUPPRESS_PREFIXLEN, *rule.suppress_prefix_length);
  writer.u8(FRA_PROTOCOL, rule.protocol);
  return writer.take();
}

std::optional<conf::IpPrefix> prefix_in(const std::vector<Attribute>& attributes, std::uint16_t type,
                                        conf::Family family, unsigned length) {
  const Attribute* found = find_attribute(attributes, type);
  conf::IpPrefix out{.addr = {.family = family, .bytes = {}}, .prefix_len = length};
  if (found == nullptr || found->payload.size() != out.addr.bits() / 8 || length > out.addr.bits()) return std::nullopt;
  std::memcpy(out.addr.bytes.data(), found->payload.data(), found->payload.size());
  return out;
}

std::optional<std::uint32_t> number_in(const std::vector<Attribute>& attributes, std::uint16_t type) {
  const Attribute* found = find_attribute(attributes, type);
  std::uint32_t out = 0;
  if (found == nullptr || found->payload.size() != sizeof(out)) return std::nullopt;
  std::memcpy(&out, found->payload.data(), sizeof(out));
  return out;
}

std::string name_in(const std::vector<Attribute>& attributes, std::uint16_t type) {
  const Attribute* found = find_attribute(attributes, type);
  return found == nullptr ? std::string() : as_text(*found);
}

/// What may stand in a rule without making it match less than we think.
bool is_known(std::uint16_t type) {
  switch (type) {
    case FRA_DST:
    case FRA_SRC:
    case FRA_IIFNAME:
    case FRA_OIFNAME:
    case FRA_PRIORITY:
    case FRA_FWMARK:
    case FRA_FWMASK:
    case FRA_TABLE:
    case FRA_SUPPRESS_PREFIXLEN:
    case FRA_PROTOCOL:
    case FRA_PAD:
      return true;
    default:
      return false;
  }
}

bool says_anything(const Attribute& attribute) {
  return std::any_of(attribute.payload.begin(), attribute.payload.end(), [](std::byte b) { return b != std::byte{0}; });
}

std::string table_name(std::uint32_t table) {
  switch (table) {
    case RT_TABLE_LOCAL:
      return "local";
    case RT_TABLE_MAIN:
      return "main";
    case RT_TABLE_DEFAULT:
      return "default";
    default:
      return std::to_string(table);
  }
}

std::string prefix_text(const std::optional<conf::IpPrefix>& prefix) {
  if (!prefix) return "all";
  return prefix->prefix_len == prefix->addr.bits() ? prefix->addr.str() : prefix->str();
}

}  // namespace

std::string Rule::str() const {
  std::string out = fmt::format("{}:{} from {}", priority, inverted ? " not" : "", prefix_text(from));
  if (to) out += " to " + prefix_text(to);
  if (mark_mask == 0xFFFFFFFF)
    out += fmt::format(" fwmark {:#x}", mark);
  else if (mark_mask != 0)
    out += fmt::format(" fwmark {:#x}/{:#x}", mark, mark_mask);
  if (!iif.empty()) out += " iif " + iif;
  if (!oif.empty()) out += " oif " + oif;
  if (has_more) out += " ...";
  out += action == FR_ACT_TO_TBL ? " lookup " + table_name(table) : fmt::format(" action {}", action);
  if (suppress_prefix_length) out += fmt::format(" suppress_prefixlength {}", *suppress_prefix_length);
  return out + fmt::format(" proto {}", protocol);
}

std::vector<std::byte> encode_rule_add(const Rule& rule) {
  return encode(RTM_NEWRULE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, rule);
}

std::vector<std::byte> encode_rule_delete(const Rule& rule) { return encode(RTM_DELRULE, NLM_F_REQUEST, rule); }

std::vector<std::byte> encode_rule_dump(conf::Family family) {
  fib_rule_hdr header{};
  header.family = family_number(family);
  MessageWriter writer;
  writer.begin(RTM_GETRULE, NLM_F_REQUEST | NLM_F_DUMP, std::as_bytes(std::span(&header, 1)));
  return writer.take();
}

std::optional<Rule> decode_fib_rule(std::span<const std::byte> message) {
  nlmsghdr header{};
  fib_rule_hdr rule{};
  constexpr std::size_t kHead = NLMSG_SPACE(sizeof(rule));
  if (message.size() < kHead) return std::nullopt;
  std::memcpy(&header, message.data(), sizeof(header));
  std::memcpy(&rule, message.data() + NLMSG_HDRLEN, sizeof(rule));
  if (header.nlmsg_type != RTM_NEWRULE || header.nlmsg_len < kHead || header.nlmsg_len > message.size())
    return std::nullopt;
  if (rule.family != AF_INET && rule.family != AF_INET6) return std::nullopt;
  const auto attributes = read_attributes(message.first(header.nlmsg_len).subspan(kHead));
  if (!attributes) return std::nullopt;

  Rule out;
  out.family = rule.family == AF_INET ? conf::Family::kIpv4 : conf::Family::kIpv6;
  out.priority = number_in(*attributes, FRA_PRIORITY).value_or(0);
  out.from = prefix_in(*attributes, FRA_SRC, out.family, rule.src_len);
  out.to = prefix_in(*attributes, FRA_DST, out.family, rule.dst_len);
  if (out.from.has_value() != (rule.src_len != 0) || out.to.has_value() != (rule.dst_len != 0)) return std::nullopt;
  out.iif = name_in(*attributes, FRA_IIFNAME);
  out.oif = name_in(*attributes, FRA_OIFNAME);
  out.mark = number_in(*attributes, FRA_FWMARK).value_or(0);
  out.mark_mask = number_in(*attributes, FRA_FWMASK).value_or(0);
  out.table = number_in(*attributes, FRA_TABLE).value_or(rule.table);
  out.action = rule.action;
  const std::uint32_t suppressed = number_in(*attributes, FRA_SUPPRESS_PREFIXLEN).value_or(kNoSuppression);
  if (suppressed != kNoSuppression) out.suppress_prefix_length = suppressed;
  out.inverted = (rule.flags & FIB_RULE_INVERT) != 0;
  const Attribute* protocol = find_attribute(*attributes, FRA_PROTOCOL);
  out.protocol = protocol != nullptr && protocol->payload.size() == 1
                     ? std::to_integer<std::uint8_t>(protocol->payload.front())
                     : std::uint8_t{0};
  out.has_more = rule.tos != 0 || std::any_of(attributes->begin(), attributes->end(), [](const Attribute& attribute) {
                   const bool no_group = attribute.type == FRA_SUPPRESS_IFGROUP;  // -1 where there is none
                   return !is_known(attribute.type) && !no_group && says_anything(attribute);
                 });
  return out;
}

Ack add_rule(Socket& socket, const Rule& rule) {
  std::vector<std::byte> message = encode_rule_add(rule);
  return socket.request(message);
}

Ack delete_rule(Socket& socket, const Rule& rule) {
  std::vector<std::byte> message = encode_rule_delete(rule);
  return socket.request(message);
}

std::vector<Rule> list_rules(Socket& socket, conf::Family family) {
  for (int i = 0; i < kDumps; ++i) {
    std::vector<Rule> out;
    std::vector<std::byte> message = encode_rule_dump(family);
    const Ack ack = socket.request(message, [&out](std::span<const std::byte> answer) {
      if (std::optional<Rule> rule = decode_fib_rule(answer)) out.push_back(std::move(*rule));
    });
    if (ack.ok()) return out;
    if (ack.error != EINTR)
      throw conf::CniError(conf::Code::kIo, "rules cannot be listed",
                           fmt::format("ip -{} rule: {}", family == conf::Family::kIpv4 ? 4 : 6, ack.str()));
  }
  throw conf::CniError(conf::Code::kTryAgainLater, "rules keep changing",
                       fmt::format("no {} dumps of them in a row were whole", kDumps));
}

}  // namespace netlink
