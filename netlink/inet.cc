// SPDX-License-Identifier: Apache-2.0
#include "netlink/inet.h"

#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace netlink {

std::uint8_t family_number(conf::Family family) { return family == conf::Family::kIpv4 ? AF_INET : AF_INET6; }

std::optional<conf::Family> family_of(std::uint8_t number) {
  if (number == AF_INET) return conf::Family::kIpv4;
  if (number == AF_INET6) return conf::Family::kIpv6;
  return std::nullopt;
}

std::span<const std::byte> address_bytes(const conf::IpAddr& addr) {
  return std::as_bytes(std::span(addr.bytes)).first(addr.bits() / 8);
}

std::optional<conf::IpAddr> address_in(std::span<const std::byte> bytes, conf::Family family) {
  conf::IpAddr out{.family = family, .bytes = {}};
  if (bytes.size() != out.bits() / 8) return std::nullopt;
  std::memcpy(out.bytes.data(), bytes.data(), bytes.size());
  return out;
}

std::uint8_t table_in_header(std::uint32_t table) {
  constexpr std::uint32_t kLargest = 255;
  return table <= kLargest ? static_cast<std::uint8_t>(table) : std::uint8_t{RT_TABLE_UNSPEC};
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

bool says_anything(const Attribute& attribute) {
  return std::any_of(attribute.payload.begin(), attribute.payload.end(), [](std::byte b) { return b != std::byte{0}; });
}

}  // namespace netlink
