// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace plugin {

/// The three plugins in one executable. A runtime runs <CNI_PATH>/<type>, so the name we are called by is the type.
enum class Role : std::uint8_t { kMeta, kIpam, kPortmap };

/// By the suffix of the file name: "-ipam", "-portmap", else the meta plugin; sites rename files. Not by the `type` on
/// stdin: to a delegated IPAM plugin that is the calling plugin's.
[[nodiscard]] constexpr Role role_for(std::string_view argv0) {
  if (argv0.ends_with("-ipam")) return Role::kIpam;
  if (argv0.ends_with("-portmap")) return Role::kPortmap;
  return Role::kMeta;
}

/// The file name of a path.
[[nodiscard]] constexpr std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

}  // namespace plugin
