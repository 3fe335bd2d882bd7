// SPDX-License-Identifier: Apache-2.0
#include "plugin/port_config.h"

#include <fmt/format.h>

#include <array>

#include "conf/error.h"
#include "conf/json.h"
#include "conf/netconf.h"
#include "conf/result.h"
#include "conf/section.h"
#include "conf/version.h"

namespace plugin {
namespace {

using conf::Object;
using conf::Section;
using conf::Value;
using conf::Verb;

constexpr std::string_view kWhat = "the configuration on stdin";
constexpr std::uint64_t kMaxMarkBit = 31;

// What libcni and runtimes put into any plugin's configuration, and what lists carry for all plugins.
constexpr std::array<std::string_view, 11> kProtocolKeys = {"cniVersion",   "cniVersions",   "name",        "type",
                                                            "capabilities", "runtimeConfig", "prevResult",  "args",
                                                            "dns",          "ipam",          "disableCheck"};

std::optional<Value> mappings_in(const Object& object) {
  const std::optional<Value> runtime = conf::value_in(object, "runtimeConfig", "");
  if (!runtime) return std::nullopt;
  if (conf::kind_of(runtime->raw) != "object") conf::refuse(*runtime, "an object");
  return conf::value_in(Object::parse(runtime->raw, runtime->path), "portMappings", "runtimeConfig");
}

std::uint16_t port(const std::optional<Value>& value, const std::string& path) {
  if (!value) conf::refuse_configuration(fmt::format("`{}` is missing: must be a whole number from 1 to 65535", path));
  return static_cast<std::uint16_t>(conf::whole_number(*value, 1, 65535));
}

PortProtocol protocol(const std::optional<Value>& value, const std::string& path) {
  constexpr std::string_view kExpected = "tcp, udp or sctp";
  if (!value) conf::refuse_configuration(fmt::format("`{}` is missing: must be {}", path, kExpected));
  const std::optional<PortProtocol> out = parse_protocol(conf::string_value(*value, kExpected));
  if (!out) conf::refuse(*value, kExpected);
  return *out;
}

std::optional<conf::IpAddr> host_ip(const std::optional<Value>& value) {
  if (!value || conf::string_value(*value, "an IP address").empty()) return std::nullopt;
  const conf::IpAddr out = conf::address(*value);
  if (out.is_v4_mapped()) conf::refuse(*value, "written as IPv4: no packet carries an IPv4-mapped address");
  if (out.family == conf::Family::kIpv6 && is_loopback(out))
    conf::refuse(*value, "another address: the kernel routes nothing from ::1 to a pod; 127.0.0.1 works");
  return out;
}

PortMapping mapping(const Value& value) {
  if (conf::kind_of(value.raw) != "object") conf::refuse(value, "an object");
  const Object object = Object::parse(value.raw, value.path);
  return {.host_port = port(conf::value_in(object, "hostPort", value.path), value.path + ".hostPort"),
          .container_port = port(conf::value_in(object, "containerPort", value.path), value.path + ".containerPort"),
          .protocol = protocol(conf::value_in(object, "protocol", value.path), value.path + ".protocol"),
          .host_ip = host_ip(conf::value_in(object, "hostIP", value.path))};
}

std::vector<PortMapping> mappings_of(const std::optional<Value>& value) {
  std::vector<PortMapping> out;
  if (!value) return out;
  const std::vector<Value> all = conf::elements(*value, "an array of port mappings");
  if (all.size() > kMaxMappings)
    conf::refuse_configuration(
        fmt::format("`{}` has {} entries: at most {} of one pod are mapped", value->path, all.size(), kMaxMappings));
  out.reserve(all.size());
  for (const Value& one : all) out.push_back(mapping(one));
  return out;
}

void read_backend(const Value& value) {
  const std::string name = conf::string_value(value, "\"nftables\"");
  if (name.empty() || name == "nftables") return;
  if (name == "iptables")
    conf::refuse(value, "left out, or \"nftables\": this plugin does not use iptables, and works beside it");
  conf::refuse(value, "\"nftables\"");
}

void read_chain(const Value& value) {
  if (conf::string_value(value, "left out").empty()) return;
  conf::refuse(value,
               "left out: it names a chain of iptables that marks what is to be masqueraded; here nothing is marked, "
               "use masqAll or snat");
}

void read_options(Section& section, PortConfig& out) {
  section.read("snat", out.snat, conf::boolean);
  section.read("masqAll", out.masq_all, conf::boolean);
  if (const std::optional<Value> bit = section.take("markMasqBit")) (void)conf::whole_number(*bit, 0, kMaxMarkBit);
  if (const std::optional<Value> backend = section.take("backend")) read_backend(*backend);
  if (const std::optional<Value> chain = section.take("externalSetMarkChain")) read_chain(*chain);
  section.read("conditionsV4", out.conditions_v4,
               [](const Value& value) { return read_conditions(value, conf::Family::kIpv4); });
  section.read("conditionsV6", out.conditions_v6,
               [](const Value& value) { return read_conditions(value, conf::Family::kIpv6); });
  section.read("stateDir", out.state_dir, conf::absolute_path);
}

// Null means "not set" for keys of ours, too.
Object without_nulls(const Object& object) {
  Object out = object;
  for (const conf::Member& member : object.members())
    if (member.value == "null") out.erase(member.key);
  return out;
}

void refuse_lost_loopback(const PortConfig& config) {
  if (config.snat) return;
  for (std::size_t i = 0; i < config.mappings.size(); ++i) {
    const std::optional<conf::IpAddr>& ip = config.mappings[i].host_ip;
    if (ip && is_loopback(*ip))
      conf::refuse_configuration(fmt::format(
          "`runtimeConfig.portMappings[{}].hostIP` is {}: needs `snat`, which is false; no pod could answer", i,
          ip->str()));
  }
}

// Whether an entry of `ips` may be the pod's: not known to be another interface's.
bool is_of(const Object& ip, const std::vector<std::string>& interfaces, std::string_view ifname) {
  const std::string* raw = ip.find("interface");
  const std::optional<long long> index = raw == nullptr ? std::nullopt : conf::as_integer(*raw);
  if (!index || *index < 0 || static_cast<std::size_t>(*index) >= interfaces.size()) return true;
  const Object interface = Object::parse(interfaces[static_cast<std::size_t>(*index)], "prevResult.interfaces");
  return conf::string_member(interface, "name", "prevResult.interfaces").value_or("") == ifname &&
         !conf::string_member(interface, "sandbox", "prevResult.interfaces").value_or("").empty();
}

std::vector<std::string> array_in(const Object& object, std::string_view key) {
  const std::string* raw = object.find(key);
  if (raw == nullptr || *raw == "null") return {};
  return conf::parse_array(*raw, fmt::format("prevResult.{}", key));
}

}  // namespace

PortConfig parse_port_config(std::string_view text, Verb verb) {
  const Object object = Object::parse(text, kWhat, verb == Verb::kGc ? conf::kMaxGcBytes : conf::kMaxConfigBytes);
  PortConfig out;
  out.cni_version = conf::configured_version(object, verb);
  out.name = conf::string_member(object, "name", kWhat).value_or("");
  if (!conf::is_container_id(out.name)) conf::refuse_configuration("`name` must be a network name");
  Section section(without_nulls(object), "");
  for (const std::string_view key : kProtocolKeys) section.ignore(key);
  section.ignore_prefix("cni.dev/");
  read_options(section, out);
  section.finish();
  out.mappings = mappings_of(mappings_in(object));
  refuse_lost_loopback(out);
  if (const std::optional<Value> prev = conf::value_in(object, "prevResult", "")) out.prev_result = prev->raw;
  if (verb == Verb::kGc && (object.has("cni.dev/valid-attachments") || object.has("cni.dev/attachments")))
    out.valid_attachments = conf::parse_attachment_ids(text, kWhat);
  return out;
}

PortHints read_port_hints(std::string_view text) {
  PortHints out{.state_dir = PortConfig{}.state_dir, .mappings = {}};
  try {
    const Object object = Object::parse(text, kWhat);
    if (const std::optional<Value> dir = conf::value_in(object, "stateDir", ""))
      out.state_dir = conf::absolute_path(*dir);
    out.mappings = mappings_of(mappings_in(object));
  } catch (const conf::CniError&) {
    // a DEL must work with what it has
  }
  return out;
}

PodAddresses pod_addresses(std::string_view result, std::string_view assumed_version, std::string_view ifname) {
  const std::string version = conf::result_version(result, assumed_version);
  const Object object = Object::parse(conf::convert_result(result, version, conf::kNewestVersion), "prevResult");
  const std::vector<std::string> interfaces = array_in(object, "interfaces");
  PodAddresses out;
  for (const std::string& raw : array_in(object, "ips")) {
    const Object ip = Object::parse(raw, "prevResult.ips");
    const std::string address = conf::string_member(ip, "address", "prevResult.ips").value_or("");
    const std::optional<conf::IpPrefix> prefix = conf::IpPrefix::parse(address);
    if (!prefix || !is_of(ip, interfaces, ifname)) continue;
    std::optional<conf::IpAddr>& place = prefix->addr.family == conf::Family::kIpv4 ? out.ipv4 : out.ipv6;
    if (!place) place = prefix->addr;
  }
  return out;
}

}  // namespace plugin
