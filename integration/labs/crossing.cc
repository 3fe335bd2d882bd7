// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/crossing.h"

namespace lab {
namespace {

Preserve mode(const Expected& how, const support::Node& node) { return node.number() == 1 ? how.node1 : how.node2; }

bool to_legacy(Preserve mode) { return mode == Preserve::kToLegacy || mode == Preserve::kBoth; }
bool to_cilium(Preserve mode) { return mode == Preserve::kToCiliumOnly || mode == Preserve::kBoth; }

bool arrives_large(const Expected& how) { return how.pod_routes || how.size == Size::kSmall; }

/// Legacy to Cilium: its reply never meets the connection on the way back, and is a new one to its node.
Seen into_cilium(Stage& stage, const Party& from, const Party& to, const Expected& how) {
  const bool same_node = from.node == to.node;
  const bool kept = to_cilium(mode(how, *from.node));
  if (kept && !same_node && !to_legacy(mode(how, *to.node))) return {};
  const std::string seen = kept ? from.address : stage.lab().cilium().translated(*from.node, *to.node);
  return {seen, seen, same_node || arrives_large(how) ? seen : ""};
}

/// Kept, the answer goes by Cilium's route, whose MTU is smaller than what the legacy pod knows.
Seen into_legacy(Stage& stage, const Party& from, const Party& to, const Expected& how) {
  const bool kept = to_legacy(mode(how, *from.node));
  const std::string seen = kept ? from.address : stage.lab().legacy().translated(*from.node, *to.node);
  return {seen, seen, !kept || from.node == to.node || arrives_large(how) ? seen : ""};
}

Seen expectation(Stage& stage, const Party& from, const Party& to, const Expected& how) {
  const auto all = [](const std::string& seen) { return Seen{seen, seen, seen}; };
  if (from.kind == to.kind) return all(from.address);
  if (to.kind == Kind::kHost) return all(from.node == to.node ? from.address : from.node->address());
  if (from.kind == Kind::kHost) {
    if (to.kind == Kind::kCilium) return all(stage.lab().cilium().translated(*from.node, *to.node));
    return all(stage.lab().legacy().translated(*from.node, *to.node));
  }
  return to.kind == Kind::kCilium ? into_cilium(stage, from, to, how) : into_legacy(stage, from, to, how);
}

template <class Answer>
Table everybody(Stage& stage, const std::string& title, Answer&& answer) {
  Table table{title, {}};
  for (const Party& from : stage.parties())
    for (const Party& to : stage.parties()) {
      if (&from == &to || (from.kind == Kind::kHost && to.kind == Kind::kHost)) continue;
      table.lines.push_back(from.name + " -> " + to.name + "  " + lab::text(answer(from, to), from.address));
    }
  return table;
}

}  // namespace

std::string Table::text() const {
  std::string out = title + "\n";
  for (const std::string& line : lines) out += "  " + line + "\n";
  return out;
}

Table cross(Stage& stage, const std::string& title, Size size) {
  return everybody(stage, title,
                   [&](const Party& from, const Party& to) { return stage.ask(from.name, to.name, size); });
}

Table expected(Stage& stage, const std::string& title, const Expected& how) {
  return everybody(stage, title, [&](const Party& from, const Party& to) { return expectation(stage, from, to, how); });
}

}  // namespace lab
