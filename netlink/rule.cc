// SPDX-License-Identifier: Apache-2.0
#include "netlink/rule.h"

#include <fmt/format.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "netlink/attribute.h"
#include "netlink/inet.h"
#include "netlink/message.h"

namespace netlink {
namespace {

constexpr std::uint32_t kNoSuppression = 0xFFFFFFFF;

std::uint8_t length_of(const std::optional<conf::IpPrefix>& prefix) {
  return prefix ? static_cast<std::uint8_t>(prefix->prefix_len) : std::uint8_t{0};
}

/// All of a rule that says which it is. A deletion that leaves something out takes the first that fits, whoever's.
std::vector<std::byte> encode(std::uint16_t type, int flags, const Rule& rule) {
  fib_rule_hdr header{};
  header.family = family_number(rule.family);
  header.dst_len = length_of(rule.to);
  header.src_len = length_of(rule.from);
  header.table = table_in_header(rule.table);
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
  const auto addr = found == nullptr ? std::nullopt : address_in(found->payload, family);
  if (!addr || length > addr->bits()) return std::nullopt;
  return conf::IpPrefix{.addr = *addr, .prefix_len = length};
}

std::optional<std::uint32_t> number_in(const std::vector<Attribute>& attributes, std::uint16_t type) {
  const Attribute* found = find_attribute(attributes, type);
  return found == nullptr ? std::nullopt : as_u32(*found);
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

std::vector<std::byte> encode_rule_dump() {
  const fib_rule_hdr both{};
  MessageWriter writer;
  writer.begin(RTM_GETRULE, NLM_F_REQUEST | NLM_F_DUMP, std::as_bytes(std::span(&both, 1)));
  return writer.take();
}

std::optional<Rule> decode_fib_rule(std::span<const std::byte> message) {
  const auto read = read_message<fib_rule_hdr>(message, RTM_NEWRULE);
  const std::optional<conf::Family> family = read ? family_of(read->header.family) : std::nullopt;
  if (!family) return std::nullopt;
  const fib_rule_hdr& rule = read->header;
  const std::vector<Attribute>& attributes = read->attributes;

  Rule out;
  out.family = *family;
  out.priority = number_in(attributes, FRA_PRIORITY).value_or(0);
  out.from = prefix_in(attributes, FRA_SRC, out.family, rule.src_len);
  out.to = prefix_in(attributes, FRA_DST, out.family, rule.dst_len);
  if (out.from.has_value() != (rule.src_len != 0) || out.to.has_value() != (rule.dst_len != 0)) return std::nullopt;
  out.iif = name_in(attributes, FRA_IIFNAME);
  out.oif = name_in(attributes, FRA_OIFNAME);
  out.mark = number_in(attributes, FRA_FWMARK).value_or(0);
  out.mark_mask = number_in(attributes, FRA_FWMASK).value_or(0);
  out.table = number_in(attributes, FRA_TABLE).value_or(rule.table);
  out.action = rule.action;
  const std::uint32_t suppressed = number_in(attributes, FRA_SUPPRESS_PREFIXLEN).value_or(kNoSuppression);
  if (suppressed != kNoSuppression) out.suppress_prefix_length = suppressed;
  out.inverted = (rule.flags & FIB_RULE_INVERT) != 0;
  const Attribute* protocol = find_attribute(attributes, FRA_PROTOCOL);
  out.protocol = protocol != nullptr && protocol->payload.size() == 1
                     ? std::to_integer<std::uint8_t>(protocol->payload.front())
                     : std::uint8_t{0};
  out.has_more = rule.tos != 0 || std::any_of(attributes.begin(), attributes.end(), [](const Attribute& attribute) {
                   const bool no_group = attribute.type == FRA_SUPPRESS_IFGROUP;  // -1 where there is none
                   return !is_known(attribute.type) && !no_group && says_anything(attribute);
                 });
  return out;
}

}  // namespace netlink
