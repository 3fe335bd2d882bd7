// SPDX-License-Identifier: Apache-2.0
#include "plugin/reference_ports.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "conf/request.h"

namespace plugin {
namespace {

constexpr std::string_view kJumps = "-A CNI-HOSTPORT-DNAT ";
constexpr std::string_view kOwnChain = "CNI-DN-";
constexpr std::string_view kNamePrefix = "dnat name: \"";
constexpr std::string_view kIdPrefix = "\" id: \"";

// As iptables-save writes words: one with anything unusual in it is quoted, and a quote in it has a backslash before.
std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  bool quoted = false;
  bool open = false;  // a word has begun
  for (std::size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (c == ' ' && !quoted) {
      open = false;
      continue;
    }
    if (!open) out.emplace_back();
    open = true;
    if (c == '"') {
      quoted = !quoted;
      continue;
    }
    if (c == '\\' && i + 1 < line.size()) c = line[++i];
    out.back().push_back(c);
  }
  return out;
}

std::string after(const std::vector<std::string>& words, std::string_view option) {
  const auto found = std::find(words.begin(), words.end(), option);
  return found == words.end() || found + 1 == words.end() ? std::string() : *(found + 1);
}

std::optional<PortmapOwner> owner_in(std::string_view comment) {
  if (!comment.starts_with(kNamePrefix) || !comment.ends_with('"')) return std::nullopt;
  const std::size_t id = comment.find(kIdPrefix, kNamePrefix.size());
  if (id == std::string_view::npos || id + kIdPrefix.size() >= comment.size()) return std::nullopt;
  PortmapOwner out;
  out.network = comment.substr(kNamePrefix.size(), id - kNamePrefix.size());
  out.container_id = comment.substr(id + kIdPrefix.size(), comment.size() - 1 - id - kIdPrefix.size());
  // Both become part of an environment and of a configuration.
  if (!conf::is_container_id(out.network) || !conf::is_container_id(out.container_id)) return std::nullopt;
  return out;
}

std::optional<PortmapOwner> owner_of(std::string_view line) {
  const std::vector<std::string> rule = words(line);
  if (!after(rule, "-j").starts_with(kOwnChain)) return std::nullopt;
  return owner_in(after(rule, "--comment"));
}

}  // namespace

std::set<PortmapOwner> portmap_jumps(std::string_view saved) {
  std::set<PortmapOwner> out;
  bool in_nat = false;
  while (!saved.empty()) {
    const std::size_t end = std::min(saved.find('\n'), saved.size());
    const std::string_view line = saved.substr(0, end);
    saved.remove_prefix(std::min(end + 1, saved.size()));
    if (line.starts_with('*')) in_nat = line == "*nat";
    if (!in_nat || !line.starts_with(kJumps)) continue;
    if (const std::optional<PortmapOwner> owner = owner_of(line)) out.insert(*owner);
  }
  return out;
}

bool portmap_nft_chain(std::string_view chain) {
  return chain == "hostports" || chain == "hostip_hostports" || chain == "masquerading";
}

}  // namespace plugin
