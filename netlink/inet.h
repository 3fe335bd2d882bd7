// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "conf/ip.h"
#include "netlink/attribute.h"

// What rules, routes and addresses have in common: families, addresses and tables as rtnetlink writes them. Pure.
namespace netlink {

/// AF_INET or AF_INET6.
[[nodiscard]] std::uint8_t family_number(conf::Family family);
/// Nothing for other families.
[[nodiscard]] std::optional<conf::Family> family_of(std::uint8_t number);

/// The four or sixteen bytes of `addr`, as long as it lives.
[[nodiscard]] std::span<const std::byte> address_bytes(const conf::IpAddr& addr);
/// Nothing unless there are as many bytes as an address of `family` has.
[[nodiscard]] std::optional<conf::IpAddr> address_in(std::span<const std::byte> bytes, conf::Family family);

/// A table's number in a header of one byte: those above 255 stand in an attribute alone.
[[nodiscard]] std::uint8_t table_in_header(std::uint32_t table);
/// "main", "local", "default", else the number.
[[nodiscard]] std::string table_name(std::uint32_t table);

/// Whether any bit of the attribute is set: the kernel writes many out that say nothing.
[[nodiscard]] bool says_anything(const Attribute& attribute);

}  // namespace netlink
