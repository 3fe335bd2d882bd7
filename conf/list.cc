// SPDX-License-Identifier: Apache-2.0
#include "conf/list.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "conf/error.h"
#include "conf/letter_case.h"
#include "conf/section.h"
#include "conf/version.h"

namespace conf {
namespace {

constexpr std::string_view kNameRule = "a network name: a letter or digit, then letters, digits, '_', '.' and '-'";
constexpr std::string_view kTypeRule = "the name of a program, without '/' or '\\'";
constexpr std::string_view kReservedPrefix = "cni.dev/";

// A file that is being read, for its errors.
struct Source {
  std::string_view name;

  [[noreturn]] void fail(std::string_view sentence) const {
    throw CniError(Code::kInvalidConfig, "invalid network configuration",
                   without_swallowed_phrases(fmt::format("{}: {}", name, sentence)));
  }
  [[noreturn]] void refuse(const Value& value, std::string_view expected) const { fail(complaint(value, expected)); }
  [[noreturn]] void missing(std::string_view key, std::string_view expected) const {
    fail(fmt::format("`{}` is missing: must be {}", key, expected));
  }
};

std::optional<Value> value_of(const Object& object, std::string_view key) {
  const std::string* raw = object.find(key);
  if (raw == nullptr) return std::nullopt;
  return Value{.path = std::string(key), .raw = *raw};
}

std::string network_name(const Object& object, const Source& source) {
  const std::optional<Value> value = value_of(object, "name");
  if (!value) source.missing("name", kNameRule);
  std::optional<std::string> name = as_string(value->raw);
  if (!name || !is_container_id(*name)) source.refuse(*value, kNameRule);
  return *std::move(name);
}

std::string stated_version(const Object& object, const Source& source) {
  const std::optional<Value> value = value_of(object, "cniVersion");
  if (!value) return {};
  std::optional<std::string> version = as_string(value->raw);
  if (!version) source.refuse(*value, "a string such as \"1.0.0\"");
  return *std::move(version);
}

// What a text says as a version. One that stands in a choice must be readable; alone, libcni takes it as it is.
Version comparable(const Value& value, const std::string& text, const Source& source) {
  try {
    return parse_version(text);
  } catch (const CniError&) {
    source.refuse(value, "a version such as \"1.0.0\"");
  }
}

// libcni 1.3: the highest of cniVersions not above the newest we know, cniVersion being one of them only here.
std::string selected_version(const Object& object, const Source& source) {
  std::string chosen = stated_version(object, source);
  const std::optional<Value> versions = value_of(object, "cniVersions");
  if (!versions) return chosen;
  constexpr std::string_view kExpected = "an array of strings";
  if (kind_of(versions->raw) != "array") source.refuse(*versions, kExpected);
  std::vector<Value> candidates = elements(*versions, kExpected);
  if (!chosen.empty()) candidates.push_back({.path = "cniVersion", .raw = quote(chosen)});
  std::optional<Version> highest;
  for (const Value& candidate : candidates) {
    const std::optional<std::string> text = as_string(candidate.raw);
    if (!text) source.refuse(candidate, "a string such as \"1.0.0\"");
    const Version version = comparable(candidate, *text, source);
    if (version > parse_version(kNewestVersion) || (highest && version <= *highest)) continue;
    highest = version;
    chosen = *text;
  }
  return chosen;
}

bool flag(const Object& object, std::string_view key, const Source& source) {
  const std::optional<Value> value = value_of(object, key);
  if (!value) return false;
  const std::optional<bool> set = as_bool(value->raw);
  if (!set) source.refuse(*value, "true or false");
  return *set;
}

// A key as a part of a path; a long one would fill the error.
std::string_view shown_key(std::string_view key) { return key.size() <= 64 ? key : "(a long key)"; }

std::vector<std::string> capabilities(const Object& entry, const std::string& path, const Source& source) {
  const std::string* raw = entry.find("capabilities");
  if (raw == nullptr || *raw == "null") return {};
  if (kind_of(*raw) != "object") source.refuse({.path = path + "capabilities", .raw = *raw}, "an object of booleans");
  const Object declared = Object::parse(*raw, source.name);
  std::vector<std::string> out;
  for (const Member& member : declared.members()) {
    if (member.value != "null" && kind_of(member.value) != "boolean") {
      source.refuse({.path = fmt::format("{}capabilities.{}", path, shown_key(member.key)), .raw = member.value},
                    "true or false");
    }
    if (member.value == "true") out.push_back(member.key);
  }
  return out;
}

std::string plugin_type(const Object& entry, const std::string& path, const Source& source) {
  const std::string* raw = entry.find("type");
  if (raw == nullptr || *raw == "null") source.missing(path + "type", kTypeRule);
  std::optional<std::string> type = as_string(*raw);
  const bool usable = type && !type->empty() && type->find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!usable) source.refuse({.path = path + "type", .raw = *raw}, kTypeRule);
  return *std::move(type);
}

PluginConf plugin_of(Object entry, const std::string& path, const Source& source) {
  PluginConf plugin;
  plugin.type = plugin_type(entry, path, source);
  plugin.capabilities = capabilities(entry, path, source);
  plugin.conf = std::move(entry);
  return plugin;
}

std::vector<PluginConf> inlined_plugins(const Object& list, bool must_have, const Source& source) {
  constexpr std::string_view kExpected = "an array of plugins";
  const std::optional<Value> value = value_of(list, "plugins");
  if (!value && must_have) source.missing("plugins", kExpected);
  if (!value) return {};
  if (kind_of(value->raw) != "array") source.refuse(*value, kExpected);
  std::vector<PluginConf> out;
  for (const Value& element : elements(*value, kExpected)) {
    if (kind_of(element.raw) != "object") source.refuse(element, "an object");
    out.push_back(plugin_of(Object::parse(element.raw, source.name), element.path + ".", source));
  }
  if (out.empty() && must_have) source.fail("`plugins` is empty, and loadOnlyInlinedPlugins keeps others out");
  return out;
}

std::string inlined_text(const std::vector<PluginConf>& plugins) {
  std::string out = "[";
  for (const PluginConf& plugin : plugins) {
    if (out.size() > 1) out += ',';
    out += plugin.conf.text();
  }
  return out + "]";
}

// Takes out what only we may put in, whatever the file said; Go's decoders would take any spelling of it.
Object without_injected_keys(const Object& entry) {
  Object out = entry;
  for (const std::string_view key : {"capabilities", "prevResult", "runtimeConfig"}) out.erase(key);
  for (const Member& member : entry.members()) {
    if (starts_with_but_for_case(member.key, kReservedPrefix)) out.erase(member.key);
  }
  return out;
}

// To the letter, as libcni's map does: a capability "mac" is not served by an offered "MAC".
Object filtered_runtime_config(const PluginConf& plugin, const Object& offered) {
  Object out;
  for (const Member& member : offered.members()) {
    const auto& declared = plugin.capabilities;
    if (std::find(declared.begin(), declared.end(), member.key) != declared.end()) out.set(member.key, member.value);
  }
  return out;
}

void inject_attachment(Object& conf, const PluginConf& plugin, const Injection& injection) {
  const Object runtime_config = filtered_runtime_config(plugin, injection.runtime_config);
  if (!runtime_config.empty()) conf.set("runtimeConfig", runtime_config.text());
  if (injection.prev_result) conf.set("prevResult", *injection.prev_result);
}

// 1.1.0 renamed the key after libcni and plugins had taken up the first one.
void inject_valid_attachments(Object& conf, const Injection& injection) {
  if (!injection.valid_attachments) return;
  conf.set("cni.dev/valid-attachments", *injection.valid_attachments);
  conf.set("cni.dev/attachments", *injection.valid_attachments);
}

}  // namespace

bool NetworkList::runs(std::string_view type) const {
  return std::any_of(plugins.begin(), plugins.end(), [type](const PluginConf& p) { return p.type == type; });
}

bool NetworkList::declares(std::string_view capability) const {
  return std::any_of(plugins.begin(), plugins.end(), [capability](const PluginConf& p) {
    return std::find(p.capabilities.begin(), p.capabilities.end(), capability) != p.capabilities.end();
  });
}

std::string NetworkList::version() const { return cni_version.empty() ? std::string(kUnstatedVersion) : cni_version; }

std::string NetworkList::text() const {
  Object out;
  if (!cni_version.empty()) out.set("cniVersion", quote(cni_version));
  out.set("name", quote(name));
  if (disable_check) out.set("disableCheck", "true");
  if (disable_gc) out.set("disableGC", "true");
  out.set("loadOnlyInlinedPlugins", "true");
  out.set("plugins", inlined_text(plugins));
  return out.text();
}

NetworkList parse_list(std::string_view text, std::string_view source_name) {
  const Source source{source_name};
  const Object object = Object::parse(text, source_name);
  NetworkList list;
  list.name = network_name(object, source);
  list.cni_version = selected_version(object, source);
  list.disable_check = flag(object, "disableCheck", source);
  list.disable_gc = flag(object, "disableGC", source);
  list.load_only_inlined = flag(object, "loadOnlyInlinedPlugins", source);
  list.plugins = inlined_plugins(object, list.load_only_inlined, source);
  return list;
}

NetworkList parse_single(std::string_view text, std::string_view source_name) {
  const Source source{source_name};
  const Object object = Object::parse(text, source_name);
  if (!object.has("type") && object.has("plugins")) {
    source.fail("`type` is missing and `plugins` is there: a plugin list belongs in a file named *.conflist");
  }
  NetworkList list;
  list.name = network_name(object, source);
  list.cni_version = stated_version(object, source);
  list.plugins.push_back(parse_plugin(text, source_name));
  list.load_only_inlined = true;
  return list;
}

PluginConf parse_plugin(std::string_view text, std::string_view source_name) {
  PluginConf plugin = plugin_of(Object::parse(text, source_name), "", Source{source_name});
  // It is kept inside a list (NetworkList::text), two levels deeper; what would not be read back there is refused now.
  (void)Object::parse(fmt::format("{{\"plugins\":[{}]}}", plugin.conf.text()), source_name);
  return plugin;
}

std::string plugin_stdin(const NetworkList& list, const PluginConf& plugin, const Injection& injection) {
  Object conf = without_injected_keys(plugin.conf);
  conf.set("name", quote(list.name));
  // libcni would put in an empty text, which means the same as no key; the entry's own version must not count.
  if (list.cni_version.empty()) {
    conf.erase("cniVersion");
  } else {
    conf.set("cniVersion", quote(list.cni_version));
  }
  switch (injection.verb) {
    case Verb::kAdd:
    case Verb::kDel:
    case Verb::kCheck:
      inject_attachment(conf, plugin, injection);
      break;
    case Verb::kGc:
      inject_valid_attachments(conf, injection);
      break;
    case Verb::kStatus:
    case Verb::kVersion:
      break;
  }
  return conf.text();
}

}  // namespace conf
