// SPDX-License-Identifier: Apache-2.0
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "netlink/attribute.h"
#include "netlink/nft_codec.h"

namespace netlink {
namespace {

constexpr unsigned kTypeBits = 6;
constexpr std::uint32_t kTypeMask = (1U << kTypeBits) - 1;
constexpr std::uint8_t kCommentTlv = 0;

struct Message {
  std::uint8_t family = 0;
  std::vector<Attribute> attributes;

  [[nodiscard]] const Attribute* find(std::uint16_t type) const { return find_attribute(attributes, type); }
  [[nodiscard]] std::optional<std::uint32_t> number(std::uint16_t type) const {
    const Attribute* found = find(type);
    return found == nullptr ? std::nullopt : as_be32(*found);
  }
  /// Nothing if there is none or it is empty.
  [[nodiscard]] std::optional<std::string> text(std::uint16_t type) const {
    const Attribute* found = find(type);
    if (found == nullptr) return std::nullopt;
    std::string text = as_text(*found);
    return text.empty() ? std::nullopt : std::optional(std::move(text));
  }
  [[nodiscard]] std::optional<NftTable> table(std::uint16_t type) const {
    const auto name = text(type);
    const auto wanted = static_cast<NftFamily>(family);
    const bool known = wanted == NftFamily::kInet || wanted == NftFamily::kIpv4 || wanted == NftFamily::kIpv6;
    if (!name || !known) return std::nullopt;
    return NftTable{.family = wanted, .name = *name};
  }
};

/// The message of that kind in `bytes`, if it is one.
std::optional<Message> open(std::span<const std::byte> bytes, int kind) {
  constexpr std::size_t kFrame = NLMSG_HDRLEN + sizeof(nfgenmsg);
  nlmsghdr header{};
  if (bytes.size() < kFrame) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const auto type = static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8U) | static_cast<unsigned>(kind));
  if (header.nlmsg_type != type || header.nlmsg_len < kFrame || header.nlmsg_len > bytes.size()) return std::nullopt;
  auto attributes = read_attributes(bytes.first(header.nlmsg_len).subspan(kFrame));
  if (!attributes) return std::nullopt;
  return Message{.family = std::to_integer<std::uint8_t>(bytes[NLMSG_HDRLEN]), .attributes = std::move(*attributes)};
}

std::optional<Message> nested(const Attribute* attribute) {
  auto attributes = attribute == nullptr ? std::nullopt : read_attributes(attribute->payload);
  if (!attributes) return std::nullopt;
  return Message{.family = 0, .attributes = std::move(*attributes)};
}

std::optional<BaseHook> read_hook(const Message& chain) {
  const auto hook = nested(chain.find(NFTA_CHAIN_HOOK));
  if (!hook) return std::nullopt;
  const auto number = hook->number(NFTA_HOOK_HOOKNUM);
  const auto priority = hook->number(NFTA_HOOK_PRIORITY);
  const auto type = chain.text(NFTA_CHAIN_TYPE);
  if (!number || !priority || !type || *number > static_cast<std::uint32_t>(Hook::kPostrouting)) return std::nullopt;
  const bool drops = chain.number(NFTA_CHAIN_POLICY) == static_cast<std::uint32_t>(VerdictCode::kDrop);
  return BaseHook{
      .type = *type == "filter" ? ChainType::kFilter : (*type == "nat" ? ChainType::kNat : ChainType::kOther),
      .hook = static_cast<Hook>(*number),
      .priority = static_cast<std::int32_t>(*priority),
      .policy = drops ? VerdictCode::kDrop : VerdictCode::kAccept};
}

std::optional<Field> field_numbered(std::uint32_t number) {
  constexpr std::array kKnown = {Field::kIpv4Addr,    Field::kIpv6Addr, Field::kInetProto,
                                 Field::kInetService, Field::kMark,     Field::kIfname};
  const auto* found = std::find(kKnown.begin(), kKnown.end(), static_cast<Field>(number));
  return found == kKnown.end() ? std::nullopt : std::optional(*found);
}

/// Empty if one is none of Field's.
std::vector<Field> unpacked_types(std::uint32_t packed) {
  std::vector<Field> fields;
  for (; packed != 0; packed >>= kTypeBits) {
    const auto field = field_numbered(packed & kTypeMask);
    if (!field) return {};
    fields.insert(fields.begin(), *field);
  }
  return fields;
}

/// The bytes in `type`; empty without one, nothing if they are malformed.
std::optional<Bytes> data_in(const Message& element, std::uint16_t type) {
  const Attribute* attribute = element.find(type);
  if (attribute == nullptr) return Bytes{};
  const auto data = nested(attribute);
  if (!data) return std::nullopt;
  const Attribute* value = data->find(NFTA_DATA_VALUE);
  if (value == nullptr) return Bytes{};  // a verdict
  return Bytes(value->payload.begin(), value->payload.end());
}

std::optional<NftElement> read_element(const Attribute& attribute) {
  const auto element = nested(&attribute);
  if (!element || attribute.type != NFTA_LIST_ELEM) return std::nullopt;
  auto key = data_in(*element, NFTA_SET_ELEM_KEY);
  auto data = data_in(*element, NFTA_SET_ELEM_DATA);
  if (!key || !data) return std::nullopt;
  const Attribute* userdata = element->find(NFTA_SET_ELEM_USERDATA);
  return NftElement{
      .key = std::move(*key),
      .data = std::move(*data),
      .comment = userdata == nullptr ? std::string() : decode_comment(userdata->payload),
      .interval_end = (element->number(NFTA_SET_ELEM_FLAGS).value_or(0) & NFT_SET_ELEM_INTERVAL_END) != 0};
}

}  // namespace

std::string decode_comment(std::span<const std::byte> userdata) {
  while (userdata.size() >= 2) {
    const auto length = std::to_integer<std::size_t>(userdata[1]);
    if (length > userdata.size() - 2) return {};
    if (std::to_integer<std::uint8_t>(userdata[0]) == kCommentTlv) {
      return as_text(Attribute{.type = 0, .payload = userdata.subspan(2, length)});
    }
    userdata = userdata.subspan(2 + length);
  }
  return {};
}

std::optional<std::uint32_t> decode_generation(std::span<const std::byte> message) {
  const auto read = open(message, NFT_MSG_NEWGEN);
  return read ? read->number(NFTA_GEN_ID) : std::nullopt;
}

std::optional<NftTable> decode_table(std::span<const std::byte> message) {
  const auto read = open(message, NFT_MSG_NEWTABLE);
  return read ? read->table(NFTA_TABLE_NAME) : std::nullopt;
}

std::optional<NftChain> decode_chain(std::span<const std::byte> message) {
  const auto read = open(message, NFT_MSG_NEWCHAIN);
  if (!read) return std::nullopt;
  const auto table = read->table(NFTA_CHAIN_TABLE);
  const auto name = read->text(NFTA_CHAIN_NAME);
  if (!table || !name) return std::nullopt;
  NftChain chain{.table = *table, .name = *name, .base = {}};
  if (read->find(NFTA_CHAIN_HOOK) == nullptr) return chain;
  chain.base = read_hook(*read);
  return chain.base ? std::optional(chain) : std::nullopt;
}

std::optional<NftSet> decode_set(std::span<const std::byte> message) {
  const auto read = open(message, NFT_MSG_NEWSET);
  if (!read) return std::nullopt;
  const auto table = read->table(NFTA_SET_TABLE);
  const auto name = read->text(NFTA_SET_NAME);
  const auto key = read->number(NFTA_SET_KEY_TYPE);
  const std::uint32_t flags = read->number(NFTA_SET_FLAGS).value_or(0);
  if (!table || !name || !key || (flags & NFT_SET_ANONYMOUS) != 0) return std::nullopt;
  return NftSet{.table = *table,
                .name = *name,
                .key = unpacked_types(*key),
                .data = unpacked_types(read->number(NFTA_SET_DATA_TYPE).value_or(0)),
                .interval = (flags & NFT_SET_INTERVAL) != 0};
}

std::optional<std::vector<NftElement>> decode_elements(std::span<const std::byte> message) {
  const auto read = open(message, NFT_MSG_NEWSETELEM);
  if (!read) return std::nullopt;
  std::vector<NftElement> elements;
  const Attribute* list = read->find(NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list == nullptr) return elements;
  const auto entries = nested(list);
  if (!entries) return std::nullopt;
  for (const Attribute& attribute : entries->attributes) {
    auto element = read_element(attribute);
    if (!element) return std::nullopt;
    elements.push_back(std::move(*element));
  }
  return elements;
}

std::optional<ListedRule> decode_rule(std::span<const std::byte> message) {
  const auto read = open(message, NFT_MSG_NEWRULE);
  if (!read) return std::nullopt;
  const auto table = read->table(NFTA_RULE_TABLE);
  const auto chain = read->text(NFTA_RULE_CHAIN);
  const Attribute* handle = read->find(NFTA_RULE_HANDLE);
  const auto number = handle == nullptr ? std::nullopt : as_be64(*handle);
  if (!table || !chain || !number) return std::nullopt;
  ListedRule listed{
      .rule = {.table = *table, .chain = *chain, .expressions = {}, .comment = {}}, .handle = *number, .userdata = {}};
  if (const Attribute* list = read->find(NFTA_RULE_EXPRESSIONS)) {
    auto expressions = decode_expressions(list->payload);
    if (!expressions) return std::nullopt;
    listed.rule.expressions = std::move(*expressions);
  }
  if (const Attribute* userdata = read->find(NFTA_RULE_USERDATA)) {
    listed.userdata.assign(userdata->payload.begin(), userdata->payload.end());
    listed.rule.comment = decode_comment(listed.userdata);
  }
  return listed;
}

}  // namespace netlink
