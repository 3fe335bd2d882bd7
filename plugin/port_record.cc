// SPDX-License-Identifier: Apache-2.0
#include "plugin/port_record.h"

#include <fmt/format.h>

#include <chrono>

#include "conf/attachment_name.h"
#include "conf/error.h"
#include "conf/json.h"
#include "conf/stable_hash.h"
#include "conf/unfinished.h"
#include "netlink/nft.h"

namespace plugin {
namespace {

using conf::Object;

constexpr std::size_t kMaxBytes = std::size_t{2} << 20U;
constexpr std::string_view kSumKey = ",\"sum\":\"";
constexpr std::string_view kWhat = "record";
constexpr std::size_t kHashDigits = 16;

std::string ending(std::string_view text) { return fmt::format("{}{:016x}\"}}\n", kSumKey, conf::stable_hash(text)); }

std::string text_in(const Object& object, std::string_view key) {
  return conf::string_member(object, key, kWhat).value_or("");
}

std::int64_t number_in(const Object& object, std::string_view key) {
  const std::string* raw = object.find(key);
  return raw == nullptr ? 0 : conf::as_integer(*raw).value_or(0);
}

bool is_true(const Object& object, std::string_view key) {
  const std::string* raw = object.find(key);
  return raw != nullptr && *raw == "true";
}

std::optional<std::vector<Redirection>> redirections_in(const Object& object) {
  const std::string* raw = object.find("redirect");
  if (raw == nullptr) return std::nullopt;
  std::vector<Redirection> out;
  for (const std::string& element : conf::parse_array(*raw, kWhat, kMaxBytes)) {
    const std::optional<std::string> text = conf::as_string(element);
    const std::optional<Redirection> one = text ? Redirection::parse(*text) : std::nullopt;
    if (!one) return std::nullopt;
    out.push_back(*one);
  }
  return out;
}

void read_places(const Object& object, PortRecord& out) {
  out.network = text_in(object, "network");
  out.pod = text_in(object, "pod");
  out.netns = text_in(object, "netns");
  out.netns_id = {.inode = static_cast<std::uint64_t>(number_in(object, "inode")),
                  .cookie = static_cast<std::uint64_t>(number_in(object, "cookie"))};
  out.boot_id = text_in(object, "bootID");
  out.made_ms = number_in(object, "made");
}

void read_options(const Object& object, PortRecord& out) {
  out.snat = is_true(object, "snat");
  out.masq_all = is_true(object, "masqAll");
  out.conditions_v4.text = text_in(object, "conditionsV4");
  out.conditions_v6.text = text_in(object, "conditionsV6");
  out.localnet = text_in(object, "localnet");
  out.localnet_shared = is_true(object, "localnetShared");
  out.bridge_v4 = text_in(object, "bridgeV4");
  out.bridge_v6 = text_in(object, "bridgeV6");
}

}  // namespace

std::string owner_name(const conf::AttachmentId& owner) {
  std::string name = conf::attachment_name(owner);
  if (name.size() <= netlink::kMaxComment) return name;
  const std::size_t room = netlink::kMaxComment - kHashDigits - 2 - owner.ifname.size();
  return fmt::format("{}~{:016x}:{}", name.substr(0, room), conf::stable_hash(name), owner.ifname);
}

std::string port_record_text(const PortRecord& record) {
  std::string redirect;
  for (const Redirection& one : record.redirections) redirect += (redirect.empty() ? "" : ",") + conf::quote(one.str());
  const std::string text = fmt::format(
      R"({{"crossoverPorts":1,"containerID":{},"ifname":{},"network":{},"pod":{},"netns":{},"inode":{},"cookie":{},)"
      R"("bootID":{},"made":{},"snat":{},"masqAll":{},"conditionsV4":{},"conditionsV6":{},"localnet":{},)"
      R"("localnetShared":{},"bridgeV4":{},"bridgeV6":{},"redirect":[{}])",
      conf::quote(record.owner.container_id), conf::quote(record.owner.ifname), conf::quote(record.network),
      conf::quote(record.pod), conf::quote(record.netns), record.netns_id.inode, record.netns_id.cookie,
      conf::quote(record.boot_id), record.made_ms, record.snat, record.masq_all, conf::quote(record.conditions_v4.text),
      conf::quote(record.conditions_v6.text), conf::quote(record.localnet), record.localnet_shared,
      conf::quote(record.bridge_v4), conf::quote(record.bridge_v6), redirect);
  return text + ending(text);
}

std::optional<PortRecord> parse_port_record(std::string_view text) {
  const std::size_t sum = text.rfind(kSumKey);
  if (sum == std::string_view::npos || text.substr(sum) != ending(text.substr(0, sum))) return std::nullopt;
  try {
    const Object object = Object::parse(text, kWhat, kMaxBytes);
    PortRecord out;
    out.owner = {.container_id = text_in(object, "containerID"), .ifname = text_in(object, "ifname")};
    std::optional<std::vector<Redirection>> redirections = redirections_in(object);
    const bool whole = number_in(object, "crossoverPorts") == 1 && conf::is_container_id(out.owner.container_id) &&
                       conf::is_ifname(out.owner.ifname) && redirections;
    if (!whole) return std::nullopt;
    out.redirections = std::move(*redirections);
    read_places(object, out);
    read_options(object, out);
    return out;
  } catch (const conf::CniError&) {
    return std::nullopt;
  }
}

void PortRecords::write(const PortRecord& record) {
  disk_.make_dirs(dir_);
  // Not synced: a power cut takes the kernel's side along, and then the record is about nothing.
  disk_.replace(path(owner_name(record.owner)), port_record_text(record), conf::Sync::kNo);
}

std::optional<PortRecord> PortRecords::find(const std::string& name) {
  const std::optional<std::string> text = disk_.read(path(name), kMaxBytes);
  return text ? parse_port_record(*text) : std::nullopt;
}

bool PortRecords::remove(const std::string& name) { return disk_.remove(path(name)); }

std::vector<std::string> PortRecords::names() {
  std::vector<std::string> out;
  for (conf::DirEntry& entry : disk_.list(dir_))
    if (entry.is_regular && !entry.name.starts_with('.')) out.push_back(std::move(entry.name));
  return out;
}

std::vector<PortRecord> PortRecords::all() {
  std::vector<PortRecord> out;
  for (const std::string& name : names())
    if (std::optional<PortRecord> record = find(name)) out.push_back(std::move(*record));
  return out;
}

void PortRecords::clear_unfinished(std::int64_t now_ms) {
  const std::chrono::system_clock::time_point now{std::chrono::milliseconds(now_ms)};
  for (const std::string& file : conf::unfinished_files(disk_, dir_, now - conf::kCertainlyUnfinished))
    (void)disk_.remove(file);
}

}  // namespace plugin
