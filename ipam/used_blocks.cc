// SPDX-License-Identifier: Apache-2.0
#include "ipam/used_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "conf/error.h"
#include "conf/json.h"
#include "conf/section.h"

namespace ipam {
namespace {

using conf::IpPrefix;
using conf::Object;
using conf::Value;

constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<IpPrefix> from_lines(std::string_view text, std::string_view source) {
  std::vector<IpPrefix> out;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view words = trimmed(text.substr(0, std::min(end, text.find('#'))));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty()) continue;
    const std::optional<IpPrefix> cidr = IpPrefix::parse(words);
    if (!cidr) conf::refuse({.path = fmt::format("{} line {}", source, line), .raw = conf::quote(words)}, "a CIDR");
    out.push_back(cidr->masked());
  }
  return out;
}

// Null is what Go writes for "not set".
std::optional<Value> member(const Value& of, std::string_view key) {
  const Object object = Object::parse(of.raw, of.path, kMaxUsedBytes);
  const std::string* raw = object.find(key);
  if (raw == nullptr || *raw == "null") return std::nullopt;
  return Value{.path = fmt::format("{}.{}", of.path, key), .raw = *raw};
}

std::optional<Value> cidrs_of(const Value& spec) {
  if (const std::optional<Value> ipam = member(spec, "ipam"))
    if (std::optional<Value> cidrs = member(*ipam, "podCIDRs")) return cidrs;
  return member(spec, "podCIDRs");
}

IpPrefix cidr_of(const Value& value) {
  const std::optional<IpPrefix> cidr = IpPrefix::parse(conf::string_value(value, "a CIDR"));
  if (!cidr) conf::refuse(value, "a CIDR");
  return cidr->masked();
}

void add_node(const Value& node, std::vector<IpPrefix>& out) {
  const std::optional<Value> spec = member(node, "spec");
  if (!spec) return;
  if (const std::optional<Value> cidrs = cidrs_of(*spec)) {
    for (const Value& cidr : conf::elements(*cidrs, "an array of CIDRs")) out.push_back(cidr_of(cidr));
  } else if (const std::optional<Value> cidr = member(*spec, "podCIDR")) {
    out.push_back(cidr_of(*cidr));
  }
}

}  // namespace

std::vector<IpPrefix> parse_used_blocks(std::string_view text, std::string_view source) {
  if (!trimmed(text).starts_with('{')) return from_lines(text, source);
  std::vector<IpPrefix> out;
  const Value document{.path = std::string(source), .raw = std::string(text)};
  const std::optional<Value> items = member(document, "items");
  if (!items) {
    add_node(document, out);
    return out;
  }
  const std::vector<std::string> nodes = conf::parse_array(items->raw, items->path, kMaxUsedBytes);
  for (std::size_t i = 0; i < nodes.size(); ++i)
    add_node({.path = fmt::format("{}[{}]", items->path, i), .raw = nodes[i]}, out);
  return out;
}

}  // namespace ipam
