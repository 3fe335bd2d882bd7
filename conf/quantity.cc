// SPDX-License-Identifier: Apache-2.0
// The notations of conf/settings.h for durations and sizes.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <limits>
#include <system_error>
#include <utility>

#include "conf/settings.h"

namespace conf {
namespace {

using Unit = std::pair<std::string_view, std::uint64_t>;

// Longest first where one begins another. The two micro signs are U+00B5 and U+03BC, both taken by Go.
constexpr std::array<Unit, 8> kDurationUnits = {{{"ns", 1},
                                                 {"us", 1'000},
                                                 {"\u00b5s", 1'000},
                                                 {"\u03bcs", 1'000},
                                                 {"ms", 1'000'000},
                                                 {"s", 1'000'000'000},
                                                 {"m", 60'000'000'000},
                                                 {"h", 3'600'000'000'000}}};
constexpr std::array<Unit, 7> kSizeUnits = {{{"", 1},
                                             {"KiB", std::uint64_t{1} << 10U},
                                             {"MiB", std::uint64_t{1} << 20U},
                                             {"GiB", std::uint64_t{1} << 30U},
                                             {"KB", 1'000},
                                             {"MB", 1'000'000},
                                             {"GB", 1'000'000'000}}};
constexpr std::uint64_t kMaxNanoseconds = std::uint64_t{24} * 3'600'000'000'000;

std::string_view take_digits(std::string_view& text) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view digits = text.substr(0, end);
  text.remove_prefix(end);
  return digits;
}

std::optional<std::uint64_t> number(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> take_unit(std::string_view& text) {
  for (const auto& [name, factor] : kDurationUnits) {
    if (!text.starts_with(name)) continue;
    text.remove_prefix(name.size());
    return factor;
  }
  return std::nullopt;
}

// 0.digits of a unit, in nanoseconds, cut.
std::uint64_t fraction_of(std::uint64_t unit, std::string_view digits) {
  std::uint64_t nanoseconds = 0;
  for (const char digit : digits) {
    const std::uint64_t scaled = unit * static_cast<std::uint64_t>(digit - '0');
    nanoseconds += scaled / 10;
    unit /= 10;
    if (unit == 0) break;
  }
  return nanoseconds;
}

// One number and its unit, in nanoseconds.
std::optional<std::uint64_t> take_term(std::string_view& text) {
  const std::string_view whole = take_digits(text);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
  }
  const std::optional<std::uint64_t> unit = take_unit(text);
  const std::optional<std::uint64_t> count = whole.empty() ? std::uint64_t{0} : number(whole);
  if ((whole.empty() && fraction.empty()) || !unit || !count || *count > kMaxNanoseconds / *unit) return std::nullopt;
  return *count * *unit + fraction_of(*unit, fraction);
}

}  // namespace

std::optional<Millis> parse_duration(std::string_view text) {
  if (text == "0") return Millis{0};
  if (text.empty()) return std::nullopt;
  std::uint64_t nanoseconds = 0;
  while (!text.empty()) {
    const std::optional<std::uint64_t> term = take_term(text);
    if (!term) return std::nullopt;
    nanoseconds += *term;
    if (nanoseconds > kMaxNanoseconds) return std::nullopt;
  }
  // Up, not down: what is shorter than a millisecond must not become "do not wait at all".
  return Millis{static_cast<Millis::rep>((nanoseconds + 999'999) / 1'000'000)};
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const std::optional<std::uint64_t> count = number(take_digits(text));
  if (!count) return std::nullopt;
  for (const auto& [name, factor] : kSizeUnits) {
    if (text == name && *count <= std::numeric_limits<std::uint64_t>::max() / factor) return *count * factor;
  }
  return std::nullopt;
}

}  // namespace conf
