// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/crossing.h"

#include <algorithm>
#include <vector>

#include "integration/labs/matrix.h"

namespace lab {
namespace {

Preserve mode(const Expected& how, const support::Node& node) { return node.number() == 1 ? how.node1 : how.node2; }

bool to_legacy(Preserve mode) { return mode == Preserve::kToLegacy || mode == Preserve::kBoth; }
bool to_cilium(Preserve mode) { return mode == Preserve::kToCiliumOnly || mode == Preserve::kBoth; }

bool arrives_large(const Expected& how) { return how.pod_routes || how.size == Size::kSmall; }

/// Legacy to Cilium: its reply never meets the connection on the way back, and is a new one to its node, which
/// translates it. But the reply to an echo cannot be a new one: conntrack calls it invalid, and it passes as it is.
Seen into_cilium(Stage& stage, const Party& from, const Party& to, const Expected& how) {
  const bool same_node = from.node == to.node;
  const bool kept = to_cilium(mode(how, *from.node));
  if (kept && !same_node && !to_legacy(mode(how, *to.node))) return {"", "", from.address, ""};
  const std::string seen = kept ? from.address : stage.lab().cilium().translated(*from.node, *to.node);
  return {seen, seen, seen, same_node || arrives_large(how) ? seen : ""};
}

/// Kept, the answer goes by Cilium's route, whose MTU is smaller than what the legacy pod knows.
Seen into_legacy(Stage& stage, const Party& from, const Party& to, const Expected& how) {
  const bool kept = to_legacy(mode(how, *from.node));
  const std::string seen = kept ? from.address : stage.lab().legacy().translated(*from.node, *to.node);
  return {seen, seen, seen, !kept || from.node == to.node || arrives_large(how) ? seen : ""};
}

Seen expectation(Stage& stage, const Party& from, const Party& to, const Expected& how) {
  const auto all = [](const std::string& seen) { return Seen{seen, seen, seen, seen}; };
  if (from.kind == to.kind) return all(from.address);
  if (to.kind == Kind::kHost) return all(from.node == to.node ? from.address : from.node->address());
  if (from.kind == Kind::kHost) {
    if (to.kind == Kind::kCilium) return all(stage.lab().cilium().translated(*from.node, *to.node));
    return all(stage.lab().legacy().translated(*from.node, *to.node));
  }
  return to.kind == Kind::kCilium ? into_cilium(stage, from, to, how) : into_legacy(stage, from, to, how);
}

/// l1 l2 c1 c2 n1 n2: what is of one network stands together.
std::vector<const Party*> by_network(Stage& stage) {
  std::vector<const Party*> out;
  for (const Party& party : stage.parties()) out.push_back(&party);
  std::stable_sort(out.begin(), out.end(), [](const Party* a, const Party* b) { return a->kind < b->kind; });
  return out;
}

template <class Answer>
std::string everybody(Stage& stage, const std::string& title, Answer&& answer) {
  const std::vector<const Party*> parties = by_network(stage);
  std::vector<std::string> names;
  for (const Party* party : parties) names.push_back(party->name);
  Matrix matrix(title, names);
  for (const Party* from : parties)
    for (const Party* to : parties) {
      if (from == to || (from->kind == Kind::kHost && to->kind == Kind::kHost)) continue;
      matrix.add(from->name, to->name, answer(*from, *to), from->address);
    }
  return matrix.text();
}

}  // namespace

std::string cross(Stage& stage, const std::string& title, Size size) {
  return everybody(stage, title,
                   [&](const Party& from, const Party& to) { return stage.ask(from.name, to.name, size); });
}

std::string expected(Stage& stage, const std::string& title, const Expected& how) {
  return everybody(stage, title, [&](const Party& from, const Party& to) { return expectation(stage, from, to, how); });
}

}  // namespace lab
