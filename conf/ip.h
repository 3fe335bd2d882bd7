// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// IP addresses and prefixes as comparable values. A v4-mapped v6 address is kept as v6; callers that must treat it as
// v4, as Go does, ask `is_v4_mapped`.
namespace conf {

enum class Family : std::uint8_t { kIpv4 = 4, kIpv6 = 6 };

struct IpAddr {
  Family family = Family::kIpv4;
  std::array<std::uint8_t, 16> bytes{};  ///< network order; the first four for IPv4, the rest zero

  /// Nothing for what is not exactly one address (no brackets, zone, prefix, leading zeros in IPv4 or white space).
  [[nodiscard]] static std::optional<IpAddr> parse(std::string_view text);
  [[nodiscard]] std::string str() const;
  [[nodiscard]] unsigned bits() const { return family == Family::kIpv4 ? 32U : 128U; }
  [[nodiscard]] bool is_v4_mapped() const;
  auto operator<=>(const IpAddr&) const = default;
};

struct IpPrefix {
  IpAddr addr;              ///< host bits kept as written
  unsigned prefix_len = 0;  ///< 0..bits()

  /// "address/length"; nothing for anything else.
  [[nodiscard]] static std::optional<IpPrefix> parse(std::string_view text);
  [[nodiscard]] std::string str() const;
  [[nodiscard]] IpPrefix masked() const;  ///< host bits cleared
  [[nodiscard]] bool has_host_bits() const;
  [[nodiscard]] bool contains(const IpAddr& ip) const;  ///< false for the other family
  [[nodiscard]] bool overlaps(const IpPrefix& other) const;
  auto operator<=>(const IpPrefix&) const = default;
};

}  // namespace conf
