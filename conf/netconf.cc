// SPDX-License-Identifier: Apache-2.0
#include "conf/netconf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "conf/error.h"
#include "conf/section.h"
#include "conf/version.h"

namespace conf {
namespace {

constexpr std::string_view kWhat = "the configuration on stdin";
constexpr std::string_view kAnnotations = "io.kubernetes.cri.pod-annotations";
constexpr std::string_view kValidAttachments = "cni.dev/valid-attachments";
constexpr std::string_view kAttachments = "cni.dev/attachments";  // the specification's first name for it

void require_version_for(Verb verb, const std::string& version) {
  require_supported(version);
  switch (verb) {
    case Verb::kCheck:
      require_at_least(version, "0.4.0", verb_name(verb));
      break;
    case Verb::kGc:
    case Verb::kStatus:
      require_at_least(version, "1.1.0", verb_name(verb));
      break;
    case Verb::kAdd:
    case Verb::kDel:
    case Verb::kVersion:
      break;
  }
}

std::string name_of(const Object& object) {
  constexpr std::string_view kExpected = "a network name: a letter or digit, then letters, digits, '_', '.' and '-'";
  const std::optional<Value> value = value_in(object, "name");
  if (!value) refuse_configuration(fmt::format("`name` is missing: must be {}", kExpected));
  std::string name = string_value(*value, kExpected);
  if (!is_container_id(name)) refuse(*value, kExpected);
  return name;
}

std::optional<std::string> prev_result_of(const Object& object) {
  const std::optional<Value> value = value_in(object, "prevResult");
  if (!value) return std::nullopt;
  if (kind_of(value->raw) != "object") refuse(*value, "an object");
  return value->raw;
}

Object runtime_config_of(const Object& object) {
  const std::optional<Value> value = value_in(object, "runtimeConfig");
  if (!value) return {};
  if (kind_of(value->raw) != "object") refuse(*value, "an object");
  return Object::parse(value->raw, value->path, kMaxGcBytes);
}

// Either spelling, the current one first. Null counts as absent: it does not say that nothing is valid.
std::optional<Value> attachment_list(const Object& object) {
  const std::optional<Value> current = value_in(object, kValidAttachments);
  return current ? current : value_in(object, kAttachments);
}

std::string id_part(const Object& object, std::string_view path, std::string_view key) {
  const std::string* raw = object.find(key);
  const std::string where = fmt::format("{}.{}", path, key);
  if (raw == nullptr) refuse_configuration(fmt::format("`{}` is missing: must be a string", where));
  const std::optional<std::string> text = as_string(*raw);
  if (!text || text->empty()) refuse({.path = where, .raw = *raw}, "a string that is not empty");
  return *text;
}

std::vector<AttachmentId> attachment_ids(const Value& list) {
  if (kind_of(list.raw) != "array") refuse(list, "an array of objects with containerID and ifname");
  std::vector<AttachmentId> out;
  for (const std::string& raw : parse_array(list.raw, list.path, kMaxGcBytes)) {
    const Value element{.path = fmt::format("{}[{}]", list.path, out.size()), .raw = raw};
    if (kind_of(raw) != "object") refuse(element, "an object with containerID and ifname");
    const Object object = Object::parse(raw, element.path);
    out.push_back({.container_id = id_part(object, element.path, "containerID"),
                   .ifname = id_part(object, element.path, "ifname")});
  }
  return out;
}

}  // namespace

std::string configured_version(const Object& object, Verb verb) {
  const std::optional<Value> value = value_in(object, "cniVersion");
  std::string version = value ? string_value(*value, "a string such as \"1.0.0\"") : std::string();
  if (version.empty()) version = kUnstatedVersion;
  require_version_for(verb, version);
  return version;
}

NetConf parse_netconf(std::string_view text, Verb verb) {
  const Object object = Object::parse(text, kWhat, verb == Verb::kGc ? kMaxGcBytes : kMaxConfigBytes);
  NetConf out;
  out.cni_version = configured_version(object, verb);
  out.name = name_of(object);
  out.settings = parse_settings(object);
  out.prev_result = prev_result_of(object);
  out.runtime_config = runtime_config_of(object);
  if (verb != Verb::kGc) return out;
  if (const std::optional<Value> list = attachment_list(object)) out.valid_attachments = attachment_ids(*list);
  return out;
}

std::optional<std::string> pod_annotation(const Object& runtime_config, std::string_view key) {
  const std::string* raw = runtime_config.find(kAnnotations);
  if (raw == nullptr || kind_of(*raw) != "object") return std::nullopt;
  const Object annotations = Object::parse(*raw, kAnnotations, kMaxGcBytes);
  // To the letter: Kubernetes tells annotations apart by case.
  const auto& members = annotations.members();
  const auto found = std::find_if(members.begin(), members.end(), [key](const Member& m) { return m.key == key; });
  return found == members.end() ? std::nullopt : as_string(found->value);
}

std::vector<AttachmentId> parse_attachment_ids(std::string_view text, std::string_view what) {
  // An array is told by its first byte; everything else goes through Object::parse and its errors.
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '[') {
    return attachment_ids({.path = std::string(what), .raw = std::string(text.substr(first))});
  }
  const std::optional<Value> list = attachment_list(Object::parse(text, what, kMaxGcBytes));
  if (!list) refuse_configuration(fmt::format("{}: `{}` is missing: must be an array", what, kValidAttachments));
  return attachment_ids(*list);
}

std::string attachment_ids_json(const std::vector<AttachmentId>& ids) {
  std::string out = "[";
  for (const AttachmentId& id : ids) {
    if (out.size() > 1) out += ',';
    out += fmt::format("{{\"containerID\":{},\"ifname\":{}}}", quote(id.container_id), quote(id.ifname));
  }
  return out + "]";
}

}  // namespace conf
