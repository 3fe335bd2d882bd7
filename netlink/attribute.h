// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

// Reading netlink attributes without trusting their lengths. libmnl's own iterators are macros over C casts; these
// are a vector of views into the message, and a list that does not add up is refused as a whole.
namespace netlink {

struct Attribute {
  std::uint16_t type = 0;  ///< without the nested and byte order flags
  std::span<const std::byte> payload;
};

/// What follows the header of a message of `type`; nothing if it is another message or is cut short.
[[nodiscard]] std::optional<std::span<const std::byte>> body_of(std::span<const std::byte> message, std::uint16_t type);

/// The attributes in `bytes`; nothing if one claims more bytes than there are, or less than its own header.
[[nodiscard]] std::optional<std::vector<Attribute>> read_attributes(std::span<const std::byte> bytes);

/// A message of a family that has a header of its own, such as rtmsg.
template <typename Header>
struct FamilyMessage {
  Header header{};
  std::vector<Attribute> attributes;
};

/// Nothing if it is no whole message of `type`.
template <typename Header>
[[nodiscard]] std::optional<FamilyMessage<Header>> read_message(std::span<const std::byte> message,
                                                                std::uint16_t type) {
  static_assert(sizeof(Header) % 4 == 0, "padding would follow");
  const auto body = body_of(message, type);
  if (!body || body->size() < sizeof(Header)) return std::nullopt;
  FamilyMessage<Header> out;
  std::memcpy(&out.header, body->data(), sizeof(Header));
  auto attributes = read_attributes(body->subspan(sizeof(Header)));
  if (!attributes) return std::nullopt;
  out.attributes = std::move(*attributes);
  return out;
}

/// The last attribute of `type`, as the kernel would take it; null if there is none.
[[nodiscard]] const Attribute* find_attribute(const std::vector<Attribute>& attributes, std::uint16_t type);

/// The payload up to its first zero byte.
[[nodiscard]] std::string as_text(const Attribute& attribute);

/// A number in the machine's order; nothing if the payload is of another size.
[[nodiscard]] std::optional<std::uint32_t> as_u32(const Attribute& attribute);

/// A number in network order; nothing if the payload is of another size.
[[nodiscard]] std::optional<std::uint16_t> as_be16(const Attribute& attribute);
[[nodiscard]] std::optional<std::uint32_t> as_be32(const Attribute& attribute);
[[nodiscard]] std::optional<std::uint64_t> as_be64(const Attribute& attribute);

}  // namespace netlink
