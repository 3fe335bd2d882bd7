// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "plugin/sync/objects.h"

// What crossover-sync writes, as a function of what it saw and of what is there. Pure.
//
// Whose a file is, is written in it. Ours is a `node-state` whose word is legacy or cilium and whose reason begins with
// "label:", and a pod-cidrs file whose first line begins with "# crossover-sync:":
//
//   cilium label: io.cilium.migration/cilium-default is true
//
//   # crossover-sync: CiliumNode node1
//   10.245.1.0/24
//
// A `node-state` that is missing or says auto is nobody's, so it is ours to write; so is a missing pod-cidrs file.
// Everything else - an operator's word, any hold, what cannot be understood - is left alone until its owner says
// `crossover set auto` or removes the file.
namespace plugin::sync {

struct Mirrored {
  std::optional<std::string> bytes;  ///< the new content; nothing: the file stays as it is
  std::string kept;  ///< why it stays although another content would be right; empty if it says the same
};

/// `text` is nothing if there is no file.
[[nodiscard]] Mirrored mirror_label(const std::optional<std::string>& text, const std::optional<std::string>& label);

/// `cilium_node` is nothing if there is none; then the Node's blocks count. They never take the place of a
/// CiliumNode's: an agent that is installed anew deletes and makes its CiliumNode, and pods would get the legacy
/// network's addresses meanwhile.
[[nodiscard]] Mirrored mirror_blocks(const std::optional<std::string>& text, std::string_view node,
                                     const std::optional<Seen>& cilium_node,
                                     const std::optional<Seen>& kubernetes_node);

}  // namespace plugin::sync
