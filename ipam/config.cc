// SPDX-License-Identifier: Apache-2.0
#include "ipam/config.h"

#include <fmt/format.h>

#include "conf/error.h"
#include "conf/netconf.h"
#include "conf/section.h"
#include "conf/settings.h"
#include "conf/version.h"
#include "ipam/ranges.h"

namespace ipam {
namespace {

using conf::IpAddr;
using conf::IpPrefix;
using conf::Object;
using conf::Section;
using conf::Value;
using conf::Verb;

constexpr std::string_view kWhat = "the configuration on stdin";

Object object_in(const Object& object, std::string_view key, std::string_view path) {
  const std::optional<Value> value = conf::value_in(object, key, path);
  if (!value) return {};
  if (conf::kind_of(value->raw) != "object") conf::refuse(*value, "an object");
  return Object::parse(value->raw, value->path, conf::kMaxGcBytes);
}

// "10.1.2.3", or with a length as some write it.
IpAddr requested(const Value& value) {
  const std::string text = conf::string_value(value, "an IP address");
  const std::optional<IpPrefix> with_length = IpPrefix::parse(text);
  if (with_length) return with_length->addr;
  return conf::address(value);
}

void add_requests(const std::optional<Value>& list, std::vector<IpAddr>& out) {
  if (!list) return;
  for (const Value& element : conf::elements(*list, "an array of IP addresses")) out.push_back(requested(element));
}

// CONVENTIONS.md: CNI_ARGS counts only where neither the capability nor args.cni says anything.
std::vector<IpAddr> requests(const Object& object, const conf::Request& request) {
  std::vector<IpAddr> out;
  add_requests(conf::value_in(object_in(object, "runtimeConfig", ""), "ips", "runtimeConfig"), out);
  add_requests(conf::value_in(object_in(object_in(object, "args", ""), "cni", "args"), "ips", "args.cni"), out);
  if (!out.empty()) return out;
  std::string text = conf::CniArgs::parse(request.args).get("IP");
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    out.push_back(requested({.path = "CNI_ARGS.IP", .raw = conf::quote(text.substr(0, comma))}));
    text = comma == std::string::npos ? "" : text.substr(comma + 1);
  }
  return out;
}

bool covers(const Want& want, const IpAddr& ip) {
  for (const Block& block : want.blocks)
    if (block.cidr.contains(ip)) return true;
  return false;
}

void give(std::vector<Want>& wants, const IpAddr& ip) {
  for (Want& want : wants) {
    if (!covers(want, ip)) continue;
    if (want.address && *want.address != ip)
      throw conf::CniError(
          kAddressTaken, "requested address cannot be had",
          fmt::format("{} and {} are of one range set, which gives one address", want.address->str(), ip.str()));
    want.address = ip;
    return;
  }
  throw conf::CniError(kAddressTaken, "requested address cannot be had",
                       fmt::format("{} is in no block of this node", ip.str()));
}

void read_section(Section& section, const std::optional<Value>& ip_ranges, const AskFor& ask, Config& out) {
  section.ignore("type");
  section.ignore("dataDir");  // host-local's: leases of ours are below stateDir
  if (const std::optional<Value> routes = section.take("routes"); routes && routes->raw != "null") {
    for (const Value& route : conf::elements(*routes, "an array of routes")) {
      Section one(route);
      if (!one.take("dst")) conf::refuse_configuration(fmt::format("`{}` has no `dst`: it must be there", route.path));
      out.routes.push_back(route.raw);
    }
  }
  section.read("resolvConf", out.resolv_conf, [](const Value& value) { return conf::string_value(value, "a path"); });
  if (const std::optional<Value> imports = section.take("import"))
    for (const Value& dir : conf::elements(*imports, "an array of directories"))
      out.imports.push_back(conf::absolute_path(dir));
  section.read("cooldown", out.cooldown, [](const Value& value) {
    constexpr std::string_view kExpected = "a duration such as \"30s\"";
    const std::optional<conf::Millis> time = conf::parse_duration(conf::string_value(value, kExpected));
    if (!time) conf::refuse(value, kExpected);
    return std::chrono::ceil<std::chrono::seconds>(*time);
  });
  section.read("stateDir", out.state_dir, conf::absolute_path);
  AskSource ask_source;
  if (ask) ask_source = [&](const Source& source) { return ask(source, out.state_dir); };
  out.wants = read_wants(section, ip_ranges, ask_source);
  section.finish();
}

}  // namespace

Config parse_config(std::string_view text, const conf::Request& request, const AskFor& ask) {
  const bool is_gc = request.verb == Verb::kGc;
  const Object object = Object::parse(text, kWhat, is_gc ? conf::kMaxGcBytes : conf::kMaxConfigBytes);
  Config out;
  out.cni_version = conf::configured_version(object, request.verb);
  out.name = conf::string_member(object, "name", kWhat).value_or("");
  if (!conf::is_container_id(out.name)) conf::refuse_configuration("`name` must be a network name");
  const std::optional<Value> own = conf::value_in(object, "ipam", "");
  if (!own) conf::refuse_configuration("`ipam` is missing: must be an object");
  Section section(*own);
  read_section(section, conf::value_in(object_in(object, "runtimeConfig", ""), "ipRanges", "runtimeConfig"), ask, out);
  if (const std::optional<Value> prev = conf::value_in(object, "prevResult", "")) out.prev_result = prev->raw;
  if (is_gc && (object.has("cni.dev/valid-attachments") || object.has("cni.dev/attachments")))
    out.valid_attachments = conf::parse_attachment_ids(text, kWhat);
  if (request.verb == Verb::kAdd)
    for (const IpAddr& ip : requests(object, request)) give(out.wants, ip);
  return out;
}

std::string state_dir_of(std::string_view text) {
  const Object object = Object::parse(text, kWhat);
  const std::string* const own = object.find("ipam");
  if (own == nullptr || conf::kind_of(*own) != "object") return kDefaultStateDir;
  Section section(Value{.path = "ipam", .raw = *own});
  std::string out = kDefaultStateDir;
  section.read("stateDir", out, conf::absolute_path);
  return out;
}

}  // namespace ipam
