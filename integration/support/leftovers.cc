// SPDX-License-Identifier: Apache-2.0
#include "integration/support/leftovers.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <sstream>
#include <string_view>

namespace support {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && line.back() == ' ') line.pop_back();
    if (!line.empty()) result.push_back(line);
  }
  return result;
}

/// "3: veth1@if2: <UP> ..." is veth1.
std::string link_name(const std::string& line) {
  const std::size_t start = line.find(' ') + 1;
  return line.substr(start, line.find_first_of(":@", start) - start);
}

/// Packet counters and the comments with date and time are different each time.
std::string without_counters(const std::string& line) {
  if (line.front() == '#') return {};
  return line.front() == ':' ? line.substr(0, line.find(' ')) : line;
}

/// The kernel makes these with a link, some of them a while later, and takes them with it.
bool of_link_itself(const std::string& route) {
  return route.find("fe80::") != std::string::npos || route.find("ff00::/8") != std::string::npos;
}

/// A bridge that lost its last port says so a moment later.
std::string without_carrier(const std::string& route) {
  static constexpr std::string_view kFlag = " linkdown";
  return route.ends_with(kFlag) ? route.substr(0, route.size() - kFlag.size()) : route;
}

bool stays(const std::string& path) {
  static constexpr std::array<std::string_view, 5> kOfCrossover = {
      "/var/lib/cni/crossover/node-state", "/var/lib/cni/crossover/events.jsonl", "/var/lib/cni/crossover/networks/",
      "/var/lib/cni/crossover/ipam/blocks/", "/var/lib/cni/crossover/ipam/intent"};
  const std::string name = fs::path(path).filename();
  if (name == "lock" || name.ends_with(".lock") || name.starts_with("last_reserved_ip.")) return true;
  return std::any_of(kOfCrossover.begin(), kOfCrossover.end(),
                     [&](std::string_view known) { return std::string_view(path).starts_with(known); });
}

void add_files(const Node& node, std::set<std::string>& state) {
  const std::string root = node.file("");
  for (const auto& entry : fs::recursive_directory_iterator(node.file(kCniStateDir))) {
    if (entry.is_directory()) continue;
    const std::string path = entry.path().string().substr(root.size());
    if (!stays(path)) state.insert("file " + path);
  }
}

}  // namespace

std::set<std::string> node_state(const Node& node) {
  std::set<std::string> state;
  for (const auto& line : lines(node.net().ip("-o link show"))) state.insert("link " + link_name(line));
  for (const auto& line : lines(node.net().ip("route show table all")))
    if (!of_link_itself(line)) state.insert("route " + without_carrier(line));
  for (const auto& line : lines(node.net().ip("rule show"))) state.insert("rule " + line);
  for (const auto& line : lines(node.must_run({"iptables-save"})))
    if (const std::string kept = without_counters(line); !kept.empty()) state.insert("iptables " + kept);
  add_files(node, state);
  return state;
}

std::vector<std::string> leftovers(const Node& node, const std::set<std::string>& before,
                                   const std::set<std::string>& after) {
  std::vector<std::string> result;
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(), std::back_inserter(result));
  for (auto& line : result) line = node.name() + ": " + line;
  return result;
}

}  // namespace support
