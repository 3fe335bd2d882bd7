// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <string>
#include <string_view>

// The versions of the CNI specification. A configuration's version must be one of the seven to the letter; the
// comparison also takes the partial forms that the reference's comparator takes (pkg/version/plugin.go:87-118).
namespace conf {

inline constexpr std::array<std::string_view, 7> kSpecVersions = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                                                  "0.4.0", "1.0.0", "1.1.0"};
inline constexpr std::string_view kNewestVersion = kSpecVersions.back();
/// What a configuration without cniVersion means (pkg/types/create/create.go:38-40).
inline constexpr std::string_view kUnstatedVersion = "0.1.0";

struct Version {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;
  auto operator<=>(const Version&) const = default;
};

/// One to three dotted numbers, each below 2^16; the empty text is kUnstatedVersion. Anything else is code 6.
[[nodiscard]] Version parse_version(std::string_view text);

/// Whether `text` is one of the seven, to the letter.
[[nodiscard]] bool is_supported(std::string_view text);

/// Throws code 1 "incompatible CNI versions" with both sides in the details unless `text` is supported; code 6 if it is
/// no version at all.
void require_supported(std::string_view text);

/// Throws code 1 unless `text` is at least `minimum`; `verb` is named in the details. Code 6 if it is no version.
void require_at_least(std::string_view text, std::string_view minimum, std::string_view verb);

/// Whether version `text` is at least `minimum`; false for what is no version.
[[nodiscard]] bool at_least(std::string_view text, std::string_view minimum);

/// The answer to VERSION: `asked` echoed if we know it, else our newest.
[[nodiscard]] std::string version_json(std::string_view asked);

}  // namespace conf
