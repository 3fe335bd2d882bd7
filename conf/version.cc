// SPDX-License-Identifier: Apache-2.0
#include "conf/version.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "conf/error.h"
#include "conf/json.h"

namespace conf {
namespace {

constexpr unsigned kPartLimit = 1U << 16U;
constexpr std::size_t kMaxShown = 32;  ///< a version is short: of a longer text only the beginning is shown

/// The text in quotes as an error shows it.
std::string shown(std::string_view text) {
  return text.size() <= kMaxShown ? quote(text) : quote(text.substr(0, kMaxShown)) + "...";
}

std::string supported_versions() {
  std::string list = "[";
  for (const std::string_view version : kSpecVersions) {
    if (list.size() > 1) list += ',';
    list += quote(version);
  }
  return list + "]";
}

/// The number that `text` starts with, taken off it.
std::optional<unsigned> take_number(std::string_view& text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number >= kPartLimit) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<Version> try_parse(std::string_view text) {
  if (text.empty()) text = kUnstatedVersion;
  std::array<unsigned, 3> parts{};
  for (unsigned& part : parts) {
    const std::optional<unsigned> number = take_number(text);
    if (!number) return std::nullopt;
    part = *number;
    if (text.empty()) return Version{.major = parts[0], .minor = parts[1], .patch = parts[2]};
    if (text.front() != '.') return std::nullopt;
    text.remove_prefix(1);
  }
  return std::nullopt;  // a fourth part
}

}  // namespace

Version parse_version(std::string_view text) {
  if (const std::optional<Version> version = try_parse(text)) return *version;
  throw CniError(Code::kDecode, "invalid CNI version",
                 fmt::format("{} is not one to three numbers with dots between, like 1.0.0", shown(text)));
}

bool is_supported(std::string_view text) {
  return std::find(kSpecVersions.begin(), kSpecVersions.end(), text) != kSpecVersions.end();
}

void require_supported(std::string_view text) {
  if (is_supported(text)) return;
  (void)parse_version(text);  // what is no version at all is another error
  throw CniError(Code::kIncompatibleVersion, "incompatible CNI versions",
                 fmt::format("config is {}, plugin supports {}", shown(text), supported_versions()));
}

void require_at_least(std::string_view text, std::string_view minimum, std::string_view verb) {
  if (parse_version(text) >= parse_version(minimum)) return;
  throw CniError(Code::kIncompatibleVersion, "incompatible CNI versions",
                 fmt::format("config is {}, {} needs {} or newer", shown(text), verb, shown(minimum)));
}

bool at_least(std::string_view text, std::string_view minimum) {
  const std::optional<Version> version = try_parse(text);
  return version && *version >= parse_version(minimum);
}

std::string version_json(std::string_view asked) {
  return fmt::format(R"({{"cniVersion":{},"supportedVersions":{}}})",
                     quote(is_supported(asked) ? asked : kNewestVersion), supported_versions());
}

}  // namespace conf
