// SPDX-License-Identifier: Apache-2.0
#include "conf/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "conf/error.h"
#include "conf/json.h"
#include "conf/letter_case.h"

namespace conf {
namespace {

constexpr std::array<std::pair<std::string_view, Verb>, 6> kVerbs = {{{"ADD", Verb::kAdd},
                                                                      {"DEL", Verb::kDel},
                                                                      {"CHECK", Verb::kCheck},
                                                                      {"STATUS", Verb::kStatus},
                                                                      {"GC", Verb::kGc},
                                                                      {"VERSION", Verb::kVersion}}};
constexpr std::size_t kMaxShown = 64;
constexpr std::size_t kMaxIfname = 15;  // IFNAMSIZ without its final NUL

// What Go's unicode.IsSpace takes for white space beyond ASCII, in UTF-8. A search for the bytes is exact: none of the
// first bytes can stand inside another character.
constexpr std::array<std::string_view, 19> kUnicodeSpaces = {
    "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

constexpr std::string_view kContainerIdRule =
    "must start with a letter or digit and hold only letters, digits, '_', '.' and '-'";
constexpr std::string_view kIfnameRule =
    "must have 1 to 15 bytes, no '/', ':' or white space, and not be \".\" or \"..\"";

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

std::string variable(const Environment& env, const char* name) {
  const char* value = env(name);
  return value == nullptr ? std::string() : std::string(value);
}

// A value is shown as a JSON string, cut when it is long; a DEL's error must not hold what containerd swallows.
std::string shown(std::string_view value) {
  std::string out = quote(value.substr(0, kMaxShown));
  if (value.size() > kMaxShown) out += fmt::format("... ({} bytes)", value.size());
  return without_swallowed_phrases(out);
}

[[noreturn]] void refuse_variable(std::string_view name, std::string_view value, std::string_view rule) {
  throw CniError(Code::kInvalidEnvironment, "invalid environment variable",
                 fmt::format("{} is {}: {}", name, shown(value), rule));
}

Verb parse_verb(const std::string& command) {
  if (command.empty()) {
    throw CniError(Code::kInvalidEnvironment, "missing environment variables", "CNI_COMMAND is not set");
  }
  for (const auto& [name, verb] : kVerbs) {
    if (command == name) return verb;
  }
  refuse_variable("CNI_COMMAND", command, "must be ADD, DEL, CHECK, STATUS, GC or VERSION, in upper case");
}

bool needs_attachment(Verb verb) { return verb == Verb::kAdd || verb == Verb::kDel || verb == Verb::kCheck; }

// Every missing name in one error: who sets them up by hand sees all at once.
void require_set(const Request& request) {
  std::vector<std::string_view> missing;
  if (request.id.container_id.empty()) missing.emplace_back("CNI_CONTAINERID");
  if (request.netns.empty() && request.verb != Verb::kDel) missing.emplace_back("CNI_NETNS");
  if (request.id.ifname.empty()) missing.emplace_back("CNI_IFNAME");
  if (missing.empty()) return;
  throw CniError(Code::kInvalidEnvironment, "missing environment variables",
                 fmt::format("{} needs {}", verb_name(request.verb), fmt::join(missing, ", ")));
}

void check_attachment(const Request& request) {
  require_set(request);
  if (!is_container_id(request.id.container_id)) {
    refuse_variable("CNI_CONTAINERID", request.id.container_id, kContainerIdRule);
  }
  if (!is_ifname(request.id.ifname)) refuse_variable("CNI_IFNAME", request.id.ifname, kIfnameRule);
}

}  // namespace

std::string_view verb_name(Verb verb) {
  const auto* found = std::find_if(kVerbs.begin(), kVerbs.end(), [verb](const auto& v) { return v.second == verb; });
  return found->first;
}

CniArgs CniArgs::parse(std::string_view text) {
  CniArgs args;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find(';'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      throw CniError(Code::kInvalidEnvironment, "invalid environment variable",
                     fmt::format("CNI_ARGS: pair {} must be KEY=VALUE; pairs are separated by ';'", number));
    }
    args.pairs_.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return args;
}

std::string CniArgs::get(std::string_view key) const {
  const auto found = std::find_if(pairs_.rbegin(), pairs_.rend(), [key](const auto& p) { return p.first == key; });
  return found == pairs_.rend() ? std::string() : found->second;
}

std::string CniArgs::pod() const {
  const std::string name = get("K8S_POD_NAME");
  return name.empty() ? name : fmt::format("{}/{}", get("K8S_POD_NAMESPACE"), name);
}

Request parse_request(const Environment& env) {
  Request request;
  request.verb = parse_verb(variable(env, "CNI_COMMAND"));
  request.netns = variable(env, "CNI_NETNS");
  request.args = variable(env, "CNI_ARGS");
  request.path = variable(env, "CNI_PATH");
  const std::string override_value = variable(env, "CNI_NETNS_OVERRIDE");
  request.netns_override = override_value == "1" || equal_but_for_case(override_value, "true");
  if (needs_attachment(request.verb)) {
    request.id = {.container_id = variable(env, "CNI_CONTAINERID"), .ifname = variable(env, "CNI_IFNAME")};
    check_attachment(request);
  }
  return request;
}

bool is_container_id(std::string_view text) {
  return !text.empty() && is_alnum(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_ifname(std::string_view text) {
  if (text.empty() || text.size() > kMaxIfname || text == "." || text == "..") return false;
  if (text.find_first_of("/: \t\n\v\f\r") != std::string_view::npos) return false;
  return std::none_of(kUnicodeSpaces.begin(), kUnicodeSpaces.end(),
                      [text](std::string_view space) { return text.find(space) != std::string_view::npos; });
}

std::vector<std::string> plugin_dirs(std::string_view path) {
  std::vector<std::string> dirs;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    if (end > 0) dirs.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return dirs;
}

}  // namespace conf
