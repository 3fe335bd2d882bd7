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

std::string translated(const Network& network, const Party& from, const Party& to, Family family) {
  return family == Family::kIpv4 ? network.translated(*from.node, *to.node) : network.translated6(*from.node, *to.node);
}

/// Legacy to Cilium: its reply never meets the connection on the way back, and is a new one to its node, which
/// translates it. But the reply to an echo cannot be a new one: conntrack calls it invalid, and it passes as it is.
Seen into_cilium(Stage& stage, const Party& from, const Party& to, const Expected& how) {
  const bool same_node = from.node == to.node;
  const bool kept = to_cilium(mode(how, *from.node));
  if (kept && !same_node && !to_legacy(mode(how, *to.node))) return {"", "", from.at(how.family), ""};
  const std::string seen = kept ? from.at(how.family) : translated(stage.lab().cilium(), from, to, how.family);
  return {seen, seen, seen, same_node || arrives_large(how) ? seen : ""};
}

/// Kept, the answer goes by Cilium's route, whose MTU is smaller than what the legacy pod knows.
Seen into_legacy(Stage& stage, const Party& from, const Party& to, const Expected& how) {
  const bool kept = to_legacy(mode(how, *from.node));
  const std::string seen = kept ? from.at(how.family) : translated(stage.lab().legacy(), from, to, how.family);
  return {seen, seen, seen, !kept || from.node == to.node || arrives_large(how) ? seen : ""};
}

/// Flannel's tunnel over IPv6 takes less than its pods' devices. To its own network a pod has no route of ours.
Seen inside_legacy(const std::string& seen, const Party& from, const Party& to, const Expected& how) {
  const bool lost = how.size == Size::kAll && how.family == Family::kIpv6 && from.node != to.node;
  return {seen, seen, seen, lost ? "" : seen};
}

/// Hosts are translated like strangers; to them, both networks' pods are their node.
Seen expectation(Stage& stage, const Party& from, const Party& to, const Expected& how) {
  const auto all = [](const std::string& seen) { return Seen{seen, seen, seen, seen}; };
  const std::string& own = from.at(how.family);
  if (from.kind == Kind::kLegacy && to.kind == Kind::kLegacy) return inside_legacy(own, from, to, how);
  if (from.kind == to.kind) return all(own);
  if (to.kind == Kind::kHost) {
    const Party& node = stage.party("n" + std::to_string(from.node->number()));
    return all(from.node == to.node ? own : node.at(how.family));
  }
  if (from.kind == Kind::kHost && to.kind == Kind::kCilium)
    return all(translated(stage.lab().cilium(), from, to, how.family));
  if (from.kind == Kind::kHost)
    return inside_legacy(translated(stage.lab().legacy(), from, to, how.family), from, to, how);
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
std::string everybody(Stage& stage, const std::string& title, Family family, Answer&& answer) {
  const std::vector<const Party*> parties = by_network(stage);
  std::vector<std::string> names;
  for (const Party* party : parties) names.push_back(party->name);
  Matrix matrix(title, names);
  for (const Party* from : parties)
    for (const Party* to : parties) {
      if (from == to || (from->kind == Kind::kHost && to->kind == Kind::kHost)) continue;
      matrix.add(from->name, to->name, answer(*from, *to), from->at(family));
    }
  return matrix.text();
}

}  // namespace

std::string cross(Stage& stage, const std::string& title, Size size, Family family) {
  return everybody(stage, title, family,
                   [&](const Party& from, const Party& to) { return stage.ask(from.name, to.name, size, family); });
}

std::string expected(Stage& stage, const std::string& title, const Expected& how) {
  return everybody(stage, title, how.family,
                   [&](const Party& from, const Party& to) { return expectation(stage, from, to, how); });
}

}  // namespace lab
