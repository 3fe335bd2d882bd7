// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "conf/list.h"
#include "conf/settings.h"
#include "plugin/decide.h"
#include "plugin/system.h"

// Finds the two plugin lists of this node. A net.d is written by many hands, some of them not
// atomically: a file that was changed a moment ago and does not parse is read again for a short while, and if it stays
// torn the last good copy below networks/ serves. The legacy list, if it is gone, is waited for as long before another
// file takes its place.
namespace plugin {

struct FoundList {
  conf::NetworkList list;
  std::string file;        ///< where it was read; for a copy, where the copy came from
  bool in_place = false;   ///< that file is there now, be it torn
  bool from_copy = false;  ///< the last good copy serves
};

struct Discovery {
  std::optional<FoundList> legacy;
  std::optional<FoundList> cilium;
  std::string legacy_problem;  ///< why there is none
  std::string cilium_problem;
  std::vector<std::string> warnings;  ///< torn and invalid files, one line each
};

enum class Copies { kRead, kReadAndWrite };  ///< whether good lists may be copied to networks/ when they changed

[[nodiscard]] Discovery discover(System& system, const conf::Settings& settings, Copies copies);

[[nodiscard]] ListFacts facts_of(const std::optional<FoundList>& found, const std::string& problem);

/// Whether a list runs the meta plugin itself: it is our own conflist, or would call us for ever.
[[nodiscard]] bool is_ours(const conf::NetworkList& list, const Self& self);

/// What Cilium's cni-exclusive appends to the names of other files beside its own.
inline constexpr std::string_view kRenamedByCilium = ".cilium_bak";
/// The name, or path, that it had before.
[[nodiscard]] std::string_view without_renaming(std::string_view name);

inline constexpr std::string_view kCiliumCni = "cilium-cni";

}  // namespace plugin
