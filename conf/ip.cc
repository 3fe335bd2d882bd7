// SPDX-License-Identifier: Apache-2.0
#include "conf/ip.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace conf {
namespace {

using Groups = std::array<unsigned, 8>;

struct Run {
  std::size_t first = 0;
  std::size_t length = 0;
};

Groups groups_of(const IpAddr& addr) {
  Groups groups{};
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = addr.bytes[2 * i] * 256U + addr.bytes[2 * i + 1];
  return groups;
}

/// The longest run of zero groups, the first of equals; shorter than two it is not shortened (RFC 5952, 4.2).
Run longest_zero_run(const Groups& groups) {
  Run best;
  for (std::size_t i = 0; i < groups.size();) {
    std::size_t end = i;
    while (end < groups.size() && groups[end] == 0) ++end;
    if (end - i > best.length) best = {.first = i, .length = end - i};
    i = end + 1;
  }
  return best.length < 2 ? Run{.first = groups.size(), .length = 0} : best;
}

std::string ipv6_text(const IpAddr& addr) {
  const Groups groups = groups_of(addr);
  const Run zeros = longest_zero_run(groups);
  std::string text;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i == zeros.first) {
      text += "::";
      i += zeros.length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    text += fmt::format("{:x}", groups[i]);
  }
  return text;
}

std::string ipv4_text(const std::uint8_t* bytes) {
  return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
}

std::optional<unsigned> parse_length(std::string_view text, unsigned most) {
  unsigned length = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, length);
  if (error != std::errc{} || stop != end || length > most) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return length;
}

}  // namespace

std::optional<IpAddr> IpAddr::parse(std::string_view text) {
  if (text.empty() || text.size() >= INET6_ADDRSTRLEN || text.find('\0') != text.npos) return std::nullopt;
  IpAddr addr;
  addr.family = text.find(':') == text.npos ? Family::kIpv4 : Family::kIpv6;
  const int family = addr.family == Family::kIpv4 ? AF_INET : AF_INET6;
  if (::inet_pton(family, std::string(text).c_str(), addr.bytes.data()) != 1) return std::nullopt;
  return addr;
}

std::string IpAddr::str() const {
  if (family == Family::kIpv4) return ipv4_text(bytes.data());
  return is_v4_mapped() ? "::ffff:" + ipv4_text(bytes.data() + 12) : ipv6_text(*this);
}

bool IpAddr::is_v4_mapped() const {
  static constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return family == Family::kIpv6 && std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const std::optional<IpAddr> addr = IpAddr::parse(text.substr(0, slash));
  if (!addr) return std::nullopt;
  const std::optional<unsigned> length = parse_length(text.substr(slash + 1), addr->bits());
  if (!length) return std::nullopt;
  return IpPrefix{.addr = *addr, .prefix_len = *length};
}

std::string IpPrefix::str() const { return fmt::format("{}/{}", addr.str(), prefix_len); }

IpPrefix IpPrefix::masked() const {
  IpPrefix result = *this;
  for (unsigned i = 0; i < addr.bytes.size(); ++i) {
    const unsigned kept = std::min(8U, prefix_len - std::min(prefix_len, 8 * i));
    result.addr.bytes[i] &= static_cast<std::uint8_t>(0xff00U >> kept);
  }
  return result;
}

bool IpPrefix::has_host_bits() const { return masked() != *this; }

bool IpPrefix::contains(const IpAddr& ip) const {
  return IpPrefix{.addr = ip, .prefix_len = prefix_len}.masked() == masked();  // equal only within one family
}

bool IpPrefix::overlaps(const IpPrefix& other) const { return contains(other.addr) || other.contains(addr); }

}  // namespace conf
