// SPDX-License-Identifier: Apache-2.0
#include "netlink/nft.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace netlink {
namespace {

constexpr std::size_t kIfnameSize = 16;  // IFNAMSIZ, with its zero byte

std::size_t padded(std::size_t size) { return (size + 3U) & ~std::size_t{3}; }

/// The address behind the prefix's last; nothing if that is the last of all.
std::optional<conf::IpAddr> behind(const conf::IpPrefix& prefix) {
  if (prefix.prefix_len == 0) return std::nullopt;
  conf::IpAddr next = prefix.masked().addr;
  unsigned carry = 1U << (7U - (prefix.prefix_len - 1) % 8);
  for (std::size_t i = (prefix.prefix_len - 1) / 8 + 1; i > 0 && carry != 0; --i) {
    const unsigned sum = next.bytes.at(i - 1) + carry;
    next.bytes.at(i - 1) = static_cast<std::uint8_t>(sum & 0xFFU);
    carry = sum >> 8U;
  }
  return carry != 0 ? std::nullopt : std::optional(next);
}

}  // namespace

std::size_t field_size(Field field) {
  switch (field) {
    case Field::kIpv4Addr:
    case Field::kMark:
      return 4;
    case Field::kIpv6Addr:
    case Field::kIfname:
      return 16;
    case Field::kInetProto:
      return 1;
    case Field::kInetService:
      return 2;
  }
  return 0;
}

Bytes field_of(const conf::IpAddr& addr) {
  const auto all = std::as_bytes(std::span(addr.bytes)).first(addr.bits() / 8);
  return {all.begin(), all.end()};
}

Bytes proto_field(std::uint8_t protocol) { return {std::byte{protocol}}; }

Bytes service_field(std::uint16_t port) {
  return {static_cast<std::byte>(port >> 8U), static_cast<std::byte>(port & 0xFFU)};
}

Bytes ifname_field(std::string_view name) {
  Bytes field(kIfnameSize);
  if (!name.empty()) std::memcpy(field.data(), name.data(), std::min(name.size(), kIfnameSize - 1));
  return field;
}

Bytes concat(const std::vector<Bytes>& fields) {
  if (fields.size() == 1) return fields.front();
  Bytes all;
  for (const Bytes& field : fields) {
    all.insert(all.end(), field.begin(), field.end());
    all.resize(padded(all.size()));
  }
  return all;
}

Bytes concat(std::initializer_list<Bytes> fields) { return concat(std::vector<Bytes>(fields)); }

std::optional<std::vector<Bytes>> split(std::span<const std::byte> bytes, const std::vector<Field>& fields) {
  std::vector<Bytes> parts;
  for (const Field field : fields) {
    const std::size_t size = field_size(field);
    const std::size_t whole = fields.size() == 1 ? size : padded(size);
    if (bytes.size() < whole) return std::nullopt;
    const auto part = bytes.first(size);
    parts.emplace_back(part.begin(), part.end());
    bytes = bytes.subspan(whole);
  }
  if (!bytes.empty()) return std::nullopt;
  return parts;
}

std::optional<conf::IpAddr> addr_in(std::span<const std::byte> field) {
  if (field.size() != 4 && field.size() != 16) return std::nullopt;
  conf::IpAddr addr{.family = field.size() == 4 ? conf::Family::kIpv4 : conf::Family::kIpv6, .bytes = {}};
  std::memcpy(addr.bytes.data(), field.data(), field.size());
  return addr;
}

std::optional<std::uint16_t> service_in(std::span<const std::byte> field) {
  if (field.size() != 2) return std::nullopt;
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(field[0]) << 8U | std::to_integer<unsigned>(field[1]));
}

std::optional<std::uint8_t> proto_in(std::span<const std::byte> field) {
  if (field.size() != 1) return std::nullopt;
  return std::to_integer<std::uint8_t>(field[0]);
}

std::string ifname_in(std::span<const std::byte> field) {
  const auto end = std::find(field.begin(), field.end(), std::byte{0});
  std::string name;
  std::transform(field.begin(), end, std::back_inserter(name), [](std::byte byte) { return static_cast<char>(byte); });
  return name;
}

std::vector<NftElement> interval_elements(const std::vector<conf::IpPrefix>& prefixes) {
  std::vector<conf::IpPrefix> sorted;
  for (const conf::IpPrefix& prefix : prefixes) sorted.push_back(prefix.masked());
  // By address, the wider first: then what a prefix contains follows it.
  std::sort(sorted.begin(), sorted.end());
  std::vector<NftElement> elements;
  std::optional<conf::IpPrefix> last;
  for (const conf::IpPrefix& prefix : sorted) {
    if (last && last->contains(prefix.addr)) continue;
    last = prefix;
    elements.push_back({.key = field_of(prefix.addr), .data = {}, .comment = {}, .interval_end = false});
    if (const auto end = behind(prefix)) {
      elements.push_back({.key = field_of(*end), .data = {}, .comment = {}, .interval_end = true});
    }
  }
  return elements;
}

}  // namespace netlink
