// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

// The file `node-state` below stateDir: one word (legacy, cilium, hold, auto), then optionally a space and a reason.
//   cilium moved by the rollout of 3 March
namespace plugin {

enum class FileWord { kNone, kLegacy, kCilium, kHold };

struct NodeStateFile {
  FileWord word = FileWord::kNone;  ///< kNone: no opinion (missing, or auto)
  std::string reason;               ///< what the file says after the word; for hold also why it is hold
};

/// `text` is nothing if there is no file. Anything but the four words means hold, with the reason why.
[[nodiscard]] NodeStateFile parse_node_state(const std::optional<std::string>& text);

/// The file's content for `word` (one of the four) and `reason`; code 7 for another word, or a reason that is not one
/// line of at most 512 bytes.
[[nodiscard]] std::string node_state_text(std::string_view word, std::string_view reason);

}  // namespace plugin
