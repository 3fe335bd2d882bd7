// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/objects.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "conf/json.h"

namespace plugin::sync {
namespace {

using conf::Object;

constexpr std::size_t kMaxVersion = 128;
constexpr int kGone = 410;

// Thrown within this file only: a reading ends at the first thing that is wrong.
struct Wrong {
  std::string sentence;
};

// Labels that differ in case are two labels.
const std::string* exactly(const Object& object, std::string_view key) {
  for (const conf::Member& member : object.members())
    if (member.key == key) return &member.value;
  return nullptr;
}

Object part_of(const Object& whole, std::string_view key, std::string_view what) {
  const std::string* raw = exactly(whole, key);
  if (raw == nullptr || *raw == "null") return {};
  if (conf::kind_of(*raw) != "object") throw Wrong{fmt::format("{}: `{}` is no object", what, key)};
  return Object::parse(*raw, what, kMaxObjectBytes);
}

std::string text_of(const Object& part, std::string_view key) {
  const std::string* raw = exactly(part, key);
  return raw == nullptr ? std::string() : conf::as_string(*raw).value_or("");
}

// Opaque to us, but it becomes part of the next target.
std::string version_of(const Object& metadata, std::string_view what) {
  std::string version = text_of(metadata, "resourceVersion");
  const bool good =
      !version.empty() && version.size() <= kMaxVersion && std::all_of(version.begin(), version.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
      });
  if (!good) throw Wrong{fmt::format("{} has no usable metadata.resourceVersion", what)};
  return version;
}

// Elements of a list do not say their kind, and crossover-ipam's reader wants to know it.
Seen seen_in(Kind kind, Object object, std::string_view what) {
  const Object labels = part_of(part_of(object, "metadata", what), "labels", what);
  Seen out;
  if (const std::string* raw = exactly(labels, kLabel); raw != nullptr) {
    out.label = conf::as_string(*raw);
    if (!out.label) throw Wrong{fmt::format("{}: the label {} is no string", what, kLabel)};
  }
  object.set("kind", conf::quote(kind_name(kind)));
  out.blocks = ipam::read_blocks_file(object.text());
  return out;
}

bool is_of(std::string_view node, const Object& object, std::string_view what) {
  return text_of(part_of(object, "metadata", what), "name") == node;
}

Listed listed_in(Kind kind, std::string_view node, std::string_view body) {
  const std::string what = fmt::format("the list of {}s", kind_name(kind));
  const Object list = Object::parse(body, what, kMaxObjectBytes);
  if (text_of(list, "kind") != fmt::format("{}List", kind_name(kind)))
    throw Wrong{fmt::format("{} is of another kind", what)};
  Listed out;
  out.resource_version = version_of(part_of(list, "metadata", what), what);
  const std::string* items = exactly(list, "items");
  if (items == nullptr) throw Wrong{fmt::format("{} has no items", what)};
  if (*items == "null") return out;  // what Go writes for none
  for (const std::string& item : conf::parse_array(*items, what, kMaxObjectBytes)) {
    const Object object = Object::parse(item, what, kMaxObjectBytes);
    if (is_of(node, object, what)) out.object = seen_in(kind, object, what);
  }
  return out;
}

WatchEvent error_in(const Object& status) {
  const std::string* raw = exactly(status, "code");
  const long long code = raw == nullptr ? 0 : conf::as_integer(*raw).value_or(0);
  WatchEvent out;
  out.type = code == kGone ? WatchEvent::Type::kExpired : WatchEvent::Type::kUseless;
  const bool is_status = code >= 100 && code <= 999;
  out.problem = is_status ? status_sentence(static_cast<int>(code)) : "the API server ended the watch with an error";
  return out;
}

WatchEvent event_in(Kind kind, std::string_view node, std::string_view line) {
  const std::string what = fmt::format("an event of the {}", kind_name(kind));
  const Object event = Object::parse(line, what, kMaxObjectBytes);
  const std::string type = text_of(event, "type");
  if (exactly(event, "object") == nullptr) throw Wrong{fmt::format("{} has no object", what)};
  const Object object = part_of(event, "object", what);
  if (type == "ERROR") return error_in(object);
  if (text_of(object, "kind") != kind_name(kind)) throw Wrong{fmt::format("{} is of another kind", what)};
  WatchEvent out;
  out.resource_version = version_of(part_of(object, "metadata", what), what);
  if (type == "BOOKMARK") {
    out.type = WatchEvent::Type::kBookmark;
  } else if (!is_of(node, object, what)) {
    out.type = WatchEvent::Type::kOther;
  } else if (type == "DELETED") {
    out.type = WatchEvent::Type::kGone;
  } else if (type == "ADDED" || type == "MODIFIED") {
    out.type = WatchEvent::Type::kSeen;
    out.object = seen_in(kind, object, what);
  } else {
    throw Wrong{fmt::format("{} is of a type that is none of ADDED, MODIFIED, DELETED, BOOKMARK, ERROR", what)};
  }
  return out;
}

std::string_view folder_of(Kind kind) {
  return kind == Kind::kNode ? "/api/v1/nodes" : "/apis/cilium.io/v2/ciliumnodes";
}

std::string_view meaning_of(int status) {
  switch (status) {
    case 401:
      return "the API server does not accept the credentials";
    case 403:
      return "the account may not list and watch this; see deploy/ for the rights it needs";
    case 404:
      return "the API server does not know this kind of object";
    case kGone:
      return "the API server has forgotten where we were";
    case 429:
      return "the API server has too much to do";
    default:
      return status >= 500 ? "the API server has trouble" : "the API server does not answer as it should";
  }
}

}  // namespace

std::string_view kind_name(Kind kind) { return kind == Kind::kNode ? "Node" : "CiliumNode"; }

bool is_node_name(std::string_view text) {
  const auto is_inner = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  const auto is_end = [](char c) { return c != '-' && c != '.'; };
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), is_inner) &&
         is_end(text.front()) && is_end(text.back());
}

std::string list_target(Kind kind, std::string_view node) {
  return fmt::format("{}?fieldSelector=metadata.name%3D{}", folder_of(kind), node);
}

std::string watch_target(Kind kind, std::string_view node, std::string_view resource_version) {
  return fmt::format("{}&watch=true&allowWatchBookmarks=true&timeoutSeconds=240&resourceVersion={}",
                     list_target(kind, node), resource_version);
}

std::variant<Listed, std::string> read_list(Kind kind, std::string_view node, std::string_view body) {
  try {
    return listed_in(kind, node, body);
  } catch (const Wrong& wrong) {
    return wrong.sentence;
  } catch (const conf::CniError& error) {
    return std::string(error.what());
  }
}

WatchEvent read_event(Kind kind, std::string_view node, std::string_view line) {
  WatchEvent out;
  try {
    return event_in(kind, node, line);
  } catch (const Wrong& wrong) {
    out.problem = wrong.sentence;
  } catch (const conf::CniError& error) {
    out.problem = error.what();
  }
  return out;
}

std::string status_sentence(int status) { return fmt::format("{}: {}", status, meaning_of(status)); }

bool Lines::add(std::string_view bytes, std::vector<std::string>& lines) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (rest_.size() + part.size() > kMaxObjectBytes) return false;
    rest_ += part;
    if (end == std::string_view::npos) return true;
    bytes.remove_prefix(end + 1);
    if (!rest_.empty() && rest_ != "\r") lines.push_back(rest_);
    rest_.clear();
  }
  return true;
}

}  // namespace plugin::sync
