// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/mirror.h"

#include <fmt/format.h>

#include "plugin/node_state.h"

namespace plugin::sync {
namespace {

constexpr std::string_view kReasonMark = "label:";
constexpr std::string_view kFileMark = "# crossover-sync:";

bool is_ours(const NodeStateFile& file) {
  switch (file.word) {
    case FileWord::kNone:
      return true;
    case FileWord::kLegacy:
    case FileWord::kCilium:
      return file.reason.starts_with(kReasonMark);
    case FileWord::kHold:
      return false;  // with whatever reason: it may be a file that is torn
  }
  return false;
}

std::string_view label_says(const std::optional<std::string>& label) {
  if (!label) return "is absent";
  return *label == "true" ? "is true" : "is not \"true\"";
}

std::string head_of(Kind kind, std::string_view node) {
  return fmt::format("{} {} {}\n", kFileMark, kind_name(kind), node);
}

std::string file_of(Kind kind, std::string_view node, const ipam::Answer& blocks) {
  std::string out = head_of(kind, node);
  for (const conf::IpPrefix& cidr : blocks.cidrs) out += cidr.str() + '\n';
  return out;
}

}  // namespace

Mirrored mirror_label(const std::optional<std::string>& text, const std::optional<std::string>& label) {
  const std::string_view word = label == "true" ? "cilium" : "legacy";
  const NodeStateFile file = parse_node_state(text);
  if (!is_ours(file)) {
    const bool agrees = file.word == (label == "true" ? FileWord::kCilium : FileWord::kLegacy);
    if (agrees) return {};
    return {{},
            fmt::format("node-state was not written by crossover-sync and stays; the label says {}; "
                        "`crossover set auto` hands it over",
                        word)};
  }
  const std::string wanted = node_state_text(word, fmt::format("{} {} {}", kReasonMark, kLabel, label_says(label)));
  if (text == wanted) return {};
  return {wanted, {}};
}

Mirrored mirror_blocks(const std::optional<std::string>& text, std::string_view node,
                       const std::optional<Seen>& cilium_node, const std::optional<Seen>& kubernetes_node) {
  if (!cilium_node && !kubernetes_node) return {{}, "there is neither a CiliumNode nor a Node: the podCIDR file stays"};
  if (text && !text->starts_with(kFileMark))
    return {{}, "the podCIDR file was not written by crossover-sync and stays; remove it to hand it over"};
  const Kind kind = cilium_node ? Kind::kCiliumNode : Kind::kNode;
  const ipam::Reading& reading = cilium_node ? cilium_node->blocks : kubernetes_node->blocks;
  if (const std::string* problem = std::get_if<std::string>(&reading))
    return {{}, fmt::format("the podCIDR file stays: {}", *problem)};
  if (kind == Kind::kNode && text && text->starts_with(head_of(Kind::kCiliumNode, node)))
    return {{}, "there is no CiliumNode any more: its podCIDRs stay; remove the file to take the Node's"};
  const std::string wanted = file_of(kind, node, std::get<ipam::Answer>(reading));
  if (text == wanted) return {};
  return {wanted, {}};
}

}  // namespace plugin::sync
