// SPDX-License-Identifier: Apache-2.0
#include "conf/section.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "conf/error.h"
#include "conf/letter_case.h"
#include "conf/request.h"

namespace conf {
namespace {

constexpr std::size_t kMaxShown = 64;
constexpr std::size_t kMaxSlip = 2;  // edits that still make a slip of the pen

// Levenshtein's, one row at a time; case does not count.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (ascii_lower(a[i - 1]) == ascii_lower(b[j - 1]) ? 0U : 1U);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// Nothing if no known key is within kMaxSlip edits; a key of three letters is not two slips away from another.
std::string closest(std::string_view key, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance = std::min(kMaxSlip, key.size() / 2) + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(key, candidate);
    if (distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

bool has_parent_step(std::string_view path) {
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (path.substr(0, end) == "..") return true;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

}  // namespace

std::optional<Value> value_in(const Object& object, std::string_view key, std::string_view path) {
  const std::string* raw = object.find(key);
  if (raw == nullptr || *raw == "null") return std::nullopt;
  return Value{.path = path.empty() ? std::string(key) : fmt::format("{}.{}", path, key), .raw = *raw};
}

std::string describe(std::string_view raw) {
  const std::string_view kind = kind_of(raw);
  if (kind == "object") return "an object";
  if (kind == "array") return "an array";
  const std::size_t bytes = kind == "string" ? raw.size() - 2 : raw.size();
  if (bytes <= kMaxShown) return std::string(raw);
  return fmt::format("a {} of {} bytes", kind, bytes);
}

std::string complaint(const Value& value, std::string_view expected) {
  return fmt::format("`{}` is {}: must be {}", value.path, describe(value.raw), expected);
}

void refuse_configuration(const std::string& details) {
  throw CniError(Code::kInvalidConfig, "invalid configuration", without_swallowed_phrases(details));
}

void refuse(const Value& value, std::string_view expected) { refuse_configuration(complaint(value, expected)); }

Section::Section(Object object, std::string path) : object_(std::move(object)), path_(std::move(path)) {}

Section::Section(const Value& value) : path_(value.path) {
  if (kind_of(value.raw) != "object") refuse(value, "an object");
  object_ = Object::parse(value.raw, value.path);
}

std::optional<Value> Section::take(std::string_view key) {
  known_.emplace_back(key);
  const auto& members = object_.members();
  const auto found = std::find_if(members.begin(), members.end(), [key](const Member& m) { return m.key == key; });
  if (found == members.end()) return std::nullopt;
  return Value{.path = path_of(key), .raw = found->value};
}

void Section::ignore(std::string_view key) {
  known_.emplace_back(key);
  object_.erase(key);
}

void Section::ignore_prefix(std::string_view prefix) {
  const std::vector<Member> members = object_.members();  // a copy: erase changes the original
  for (const Member& member : members) {
    if (starts_with_but_for_case(member.key, prefix)) object_.erase(member.key);
  }
}

void Section::finish() const {
  for (const Member& member : object_.members()) {
    if (std::find(known_.begin(), known_.end(), member.key) == known_.end()) refuse_unknown(member.key);
  }
}

std::string Section::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void Section::refuse_missing(std::string_view key) const {
  refuse_configuration(fmt::format("`{}` has no `{}`: it must be there", path_, key));
}

void Section::refuse_unknown(const std::string& key) const {
  const std::string where = path_.empty() ? "the plugin entry" : fmt::format("`{}`", path_);
  if (key.size() > kMaxShown) {
    refuse_configuration(fmt::format("a key of {} bytes in {} is unknown", key.size(), where));
  }
  const std::size_t dot = key.find('.');
  const std::string head = key.substr(0, dot);
  if (dot != std::string::npos && std::find(known_.begin(), known_.end(), head) != known_.end()) {
    refuse_configuration(fmt::format("`{}` is unknown: write it nested, {}: {{{}: ...}}", path_of(key), quote(head),
                                     quote(key.substr(dot + 1))));
  }
  const std::string near = closest(key, known_);
  if (!near.empty()) refuse_configuration(fmt::format("`{}` is unknown: did you mean `{}`?", path_of(key), near));
  refuse_configuration(fmt::format("`{}` is unknown: {} has no such key", path_of(key), where));
}

std::vector<Value> elements(const Value& value, std::string_view expected) {
  if (kind_of(value.raw) != "array") refuse(value, expected);
  std::vector<Value> out;
  for (std::string& raw : parse_array(value.raw, value.path)) {
    out.push_back({.path = fmt::format("{}[{}]", value.path, out.size()), .raw = std::move(raw)});
  }
  return out;
}

std::string string_value(const Value& value, std::string_view expected) {
  std::optional<std::string> text = as_string(value.raw);
  if (!text) refuse(value, expected);
  return *std::move(text);
}

bool boolean(const Value& value) {
  if (kind_of(value.raw) != "boolean") refuse(value, "true or false");
  return value.raw == "true";
}

std::uint64_t whole_number(const Value& value, std::uint64_t min, std::uint64_t max) {
  const std::optional<long long> number = as_integer(value.raw);
  if (!number || *number < 0 || static_cast<std::uint64_t>(*number) < min ||
      static_cast<std::uint64_t>(*number) > max) {
    refuse(value, fmt::format("a whole number from {} to {}", min, max));
  }
  return static_cast<std::uint64_t>(*number);
}

std::string absolute_path(const Value& value) {
  constexpr std::string_view kExpected = "an absolute path without `..`";
  std::string path = string_value(value, kExpected);
  const bool holds_nul = path.find('\0') != std::string::npos;
  if (path.empty() || path.front() != '/' || holds_nul || has_parent_step(path)) refuse(value, kExpected);
  return path;
}

IpPrefix network_prefix(const Value& value) {
  constexpr std::string_view kExpected = "a CIDR such as 10.0.0.0/16";
  const std::optional<IpPrefix> prefix = IpPrefix::parse(string_value(value, kExpected));
  if (!prefix) refuse(value, kExpected);
  if (prefix->has_host_bits()) refuse(value, fmt::format("a CIDR without host bits: {}", prefix->masked().str()));
  return *prefix;
}

std::vector<IpPrefix> network_prefixes(const Value& value) {
  std::vector<IpPrefix> out;
  for (const Value& element : elements(value, "an array of CIDRs")) out.push_back(network_prefix(element));
  return out;
}

IpAddr address(const Value& value) {
  constexpr std::string_view kExpected = "an IP address";
  const std::optional<IpAddr> ip = IpAddr::parse(string_value(value, kExpected));
  if (!ip) refuse(value, kExpected);
  return *ip;
}

std::string interface_name(const Value& value) {
  constexpr std::string_view kExpected = "the name of an interface";
  std::string name = string_value(value, kExpected);
  if (!is_ifname(name)) refuse(value, kExpected);
  return name;
}

}  // namespace conf
