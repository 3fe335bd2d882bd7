// SPDX-License-Identifier: Apache-2.0
#include "netlink/attribute.h"

#include <linux/netlink.h>

#include <algorithm>
#include <cstring>

namespace netlink {
namespace {

constexpr std::size_t aligned(std::size_t length) { return (length + 3U) & ~std::size_t{3}; }

template <typename T>
std::optional<T> big_endian(std::span<const std::byte> payload) {
  if (payload.size() != sizeof(T)) return std::nullopt;
  std::uint64_t value = 0;
  for (const std::byte byte : payload) value = (value << 8U) | std::to_integer<std::uint64_t>(byte);
  return static_cast<T>(value);
}

}  // namespace

std::optional<std::span<const std::byte>> body_of(std::span<const std::byte> message, std::uint16_t type) {
  nlmsghdr header{};
  if (message.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, message.data(), sizeof(header));
  if (header.nlmsg_type != type || header.nlmsg_len < sizeof(header) || header.nlmsg_len > message.size())
    return std::nullopt;
  return message.first(header.nlmsg_len).subspan(sizeof(header));
}

std::optional<std::vector<Attribute>> read_attributes(std::span<const std::byte> bytes) {
  std::vector<Attribute> found;
  while (!bytes.empty()) {
    nlattr head{};
    if (bytes.size() < sizeof(head)) return std::nullopt;
    std::memcpy(&head, bytes.data(), sizeof(head));
    if (head.nla_len < sizeof(head) || head.nla_len > bytes.size()) return std::nullopt;
    found.push_back({.type = static_cast<std::uint16_t>(head.nla_type & NLA_TYPE_MASK),
                     .payload = bytes.subspan(sizeof(head), head.nla_len - sizeof(head))});
    // The padding behind the last attribute may be left out.
    bytes = bytes.subspan(std::min(aligned(head.nla_len), bytes.size()));
  }
  return found;
}

const Attribute* find_attribute(const std::vector<Attribute>& attributes, std::uint16_t type) {
  const auto last = std::find_if(attributes.rbegin(), attributes.rend(),
                                 [type](const Attribute& attribute) { return attribute.type == type; });
  return last == attributes.rend() ? nullptr : &*last;
}

std::string as_text(const Attribute& attribute) {
  const auto end = std::find(attribute.payload.begin(), attribute.payload.end(), std::byte{0});
  std::string text;
  std::transform(attribute.payload.begin(), end, std::back_inserter(text),
                 [](std::byte byte) { return static_cast<char>(byte); });
  return text;
}

std::optional<std::uint32_t> as_u32(const Attribute& attribute) {
  std::uint32_t value = 0;
  if (attribute.payload.size() != sizeof(value)) return std::nullopt;
  std::memcpy(&value, attribute.payload.data(), sizeof(value));
  return value;
}

std::optional<std::uint16_t> as_be16(const Attribute& attribute) {
  return big_endian<std::uint16_t>(attribute.payload);
}
std::optional<std::uint32_t> as_be32(const Attribute& attribute) {
  return big_endian<std::uint32_t>(attribute.payload);
}
std::optional<std::uint64_t> as_be64(const Attribute& attribute) {
  return big_endian<std::uint64_t>(attribute.payload);
}

}  // namespace netlink
