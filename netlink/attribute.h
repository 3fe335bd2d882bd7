// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

// Reading netlink attributes without trusting their lengths. libmnl's own iterators are macros over C casts; these
// are a vector of views into the message, and a list that does not add up is refused as a whole.
namespace netlink {

struct Attribute {
  std::uint16_t type = 0;  ///< without the nested and byte order flags
  std::span<const std::byte> payload;
};

/// The attributes in `bytes`; nothing if one claims more bytes than there are, or less than its own header.
[[nodiscard]] std::optional<std::vector<Attribute>> read_attributes(std::span<const std::byte> bytes);

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
