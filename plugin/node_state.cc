// SPDX-License-Identifier: Apache-2.0
#include "plugin/node_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"

namespace plugin {
namespace {

constexpr std::size_t kMaxReason = 512;

NodeStateFile hold_because(std::string why) { return {FileWord::kHold, std::move(why)}; }

std::string_view first_line(std::string_view text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

}  // namespace

NodeStateFile parse_node_state(const std::optional<std::string>& text) {
  if (!text) return {};
  const std::string_view line = first_line(*text);
  const std::size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  const std::string_view reason = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
  if (!is_printable(line) || line.size() > kMaxReason + 16) return hold_because("node-state is not one line of text");
  if (text->size() > line.size() + 2) return hold_because("node-state has more than one line");
  if (word == "auto") return {FileWord::kNone, std::string(reason)};
  if (word == "legacy") return {FileWord::kLegacy, std::string(reason)};
  if (word == "cilium") return {FileWord::kCilium, std::string(reason)};
  if (word == "hold") return hold_because(reason.empty() ? "node-state says hold" : std::string(reason));
  if (word.empty()) return hold_because("node-state is empty; write legacy, cilium, hold or auto");
  return hold_because(
      fmt::format("node-state says `{}`, which is none of legacy, cilium, hold, auto", word.substr(0, 32)));
}

std::string node_state_text(std::string_view word, std::string_view reason) {
  if (word != "legacy" && word != "cilium" && word != "hold" && word != "auto")
    throw conf::CniError(conf::Code::kInvalidConfig, "no such node state",
                         fmt::format("`{}` is none of legacy, cilium, hold, auto", word.substr(0, 32)));
  if (reason.size() > kMaxReason || !is_printable(reason))
    throw conf::CniError(conf::Code::kInvalidConfig, "unusable reason",
                         fmt::format("a reason is one line of at most {} bytes", kMaxReason));
  return reason.empty() ? fmt::format("{}\n", word) : fmt::format("{} {}\n", word, reason);
}

}  // namespace plugin
