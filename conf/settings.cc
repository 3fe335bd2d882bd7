// SPDX-License-Identifier: Apache-2.0
#include "conf/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "conf/section.h"

namespace conf {
namespace {

constexpr std::array<std::string_view, 9> kProtocolKeys = {
    "cniVersion", "name", "type", "capabilities", "runtimeConfig", "prevResult", "args", "dns", "ipam"};

constexpr std::uint64_t kMinLogBytes = std::uint64_t{1} << 10U;
constexpr std::uint64_t kMaxLogBytes = std::uint64_t{1} << 40U;
constexpr std::uint64_t kMinPriority = 101;  // below it, rules of Cilium, kube-proxy and the kernel's own
constexpr std::uint64_t kMaxPriority = 32765;
constexpr std::uint64_t kMinMtu = 68;
constexpr std::uint64_t kMaxMtu = 65535;
constexpr std::uint64_t kMaxU32 = 0xffffffff;
constexpr std::size_t kMaxSocketPath = 107;  // sockaddr_un.sun_path without its final NUL
constexpr std::size_t kMaxNamespace = 63;

template <typename E>
using Word = std::pair<std::string_view, E>;

constexpr std::array<Word<WhenNotReady>, 3> kWhenNotReady = {
    {{"fail", WhenNotReady::kFail}, {"legacy", WhenNotReady::kLegacy}, {"delegate", WhenNotReady::kDelegate}}};
constexpr std::array<Word<HostPorts>, 4> kHostPorts = {{{"auto", HostPorts::kAuto},
                                                        {"crossover", HostPorts::kCrossover},
                                                        {"delegate", HostPorts::kDelegate},
                                                        {"off", HostPorts::kOff}}};
constexpr std::array<Word<LogLevel>, 4> kLogLevels = {
    {{"error", LogLevel::kError}, {"warn", LogLevel::kWarn}, {"info", LogLevel::kInfo}, {"debug", LogLevel::kDebug}}};
constexpr std::array<Word<Profile>, 5> kProfiles = {{{"auto", Profile::kAuto},
                                                     {"overlay", Profile::kOverlay},
                                                     {"aws-vpc-cni", Profile::kAwsVpcCni},
                                                     {"cilium-eni", Profile::kCiliumEni},
                                                     {"none", Profile::kNone}}};
constexpr std::array<Word<PreserveSource>, 3> kPreserveSource = {
    {{"off", PreserveSource::kOff}, {"to-legacy", PreserveSource::kToLegacy}, {"both", PreserveSource::kBoth}}};
constexpr std::array<Word<StaleRules>, 3> kStaleRules = {
    {{"warn", StaleRules::kWarn}, {"remove", StaleRules::kRemove}, {"off", StaleRules::kOff}}};

// A parser of one of the words of a table.
template <typename E, std::size_t N>
auto one_of(const std::array<Word<E>, N>& words) {
  return [&words](const Value& value) {
    const std::optional<std::string> text = as_string(value.raw);
    std::string expected;
    for (const auto& [word, meaning] : words) {
      if (text && *text == word) return meaning;
      expected += fmt::format("{}\"{}\"", expected.empty() ? "one of " : ", ", word);
    }
    refuse(value, expected);
  };
}

auto number(std::uint64_t min, std::uint64_t max) {
  return [min, max](const Value& value) { return static_cast<std::uint32_t>(whole_number(value, min, max)); };
}

std::string socket_path(const Value& value) {
  constexpr std::string_view kExpected = "an absolute path of at most 107 bytes without `..`, or \"\"";
  if (string_value(value, kExpected).empty()) return {};
  std::string path = absolute_path(value);
  if (path.size() > kMaxSocketPath) refuse(value, kExpected);
  return path;
}

bool is_namespace(std::string_view text) {
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= kMaxNamespace && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return is_alnum(c) || c == '-'; });
}

std::vector<std::string> namespaces(const Value& value) {
  constexpr std::string_view kExpected = "the name of a namespace";
  std::vector<std::string> out;
  for (const Value& element : elements(value, "an array of namespaces")) {
    std::string name = string_value(element, kExpected);
    if (!is_namespace(name)) refuse(element, kExpected);
    out.push_back(std::move(name));
  }
  return out;
}

Millis timeout(const Value& value) {
  constexpr std::string_view kExpected = "a duration such as \"90s\", above 0 and at most 24h";
  const std::optional<Millis> duration = parse_duration(string_value(value, kExpected));
  if (!duration || duration->count() == 0) refuse(value, kExpected);
  return *duration;
}

std::uint64_t log_bytes(const Value& value) {
  constexpr std::string_view kExpected = "a size such as \"10MiB\", from 1KiB to 1024GiB";
  const std::optional<std::uint64_t> bytes =
      parse_size(kind_of(value.raw) == "number" ? value.raw : string_value(value, kExpected));
  if (!bytes || *bytes < kMinLogBytes || *bytes > kMaxLogBytes) refuse(value, kExpected);
  return *bytes;
}

std::uint32_t table(const Value& value) {
  const std::optional<std::string> name = as_string(value.raw);
  if (name == "main") return 254;
  if (name == "local") return 255;
  const std::optional<long long> id = as_integer(value.raw);
  if (!id || *id < 1 || *id > static_cast<long long>(kMaxU32)) {
    refuse(value, "a whole number from 1 to 4294967295, \"main\" or \"local\"");
  }
  return static_cast<std::uint32_t>(*id);
}

std::uint32_t route_mtu(const Value& value) {
  if (value.raw == "0") return 0;
  return number(kMinMtu, kMaxMtu)(value);
}

void check_rule(const RuleSetting& rule, const std::string& path) {
  if (rule.from && !rule.to && rule.iif.empty()) {
    refuse_configuration(fmt::format(
        "`{}.from` stands without `to` or `iif`: from selectors without need are refused, they catch what a pod sends "
        "anywhere; say where to or which interface",
        path));
  }
  if (rule.from && rule.to && rule.from->addr.family != rule.to->addr.family) {
    refuse_configuration(fmt::format("`{}.from` and `{}.to` are of different families: no packet is both", path, path));
  }
  const std::optional<IpPrefix>& selector = rule.to ? rule.to : rule.from;
  if (selector && rule.suppress_prefix_length > static_cast<int>(selector->addr.bits())) {
    refuse_configuration(fmt::format("`{}.suppressPrefixLength` is {}: must be a whole number from 0 to {}", path,
                                     *rule.suppress_prefix_length, selector->addr.bits()));
  }
}

RuleSetting rule(const Value& value) {
  RuleSetting out;
  Section section(value);
  section.require("priority", out.priority, number(kMinPriority, kMaxPriority));
  section.read("from", out.from, network_prefix);
  section.read("to", out.to, network_prefix);
  section.read("iif", out.iif, interface_name);
  section.require("table", out.table, table);
  section.read("suppressPrefixLength", out.suppress_prefix_length,
               [](const Value& v) { return static_cast<int>(whole_number(v, 0, 128)); });
  section.finish();
  check_rule(out, value.path);
  return out;
}

void check_route(const RouteSetting& route, const std::string& path) {
  if (!route.via && route.dev.empty()) refuse_configuration(fmt::format("`{}` has neither `via` nor `dev`", path));
  if (route.onlink && (!route.via || route.dev.empty())) {
    refuse_configuration(fmt::format("`{}.onlink` is true: needs `via` and `dev`", path));
  }
  const auto check_family = [&](const std::optional<IpAddr>& ip, std::string_view key) {
    if (!ip || ip->family == route.dst.addr.family) return;
    refuse_configuration(fmt::format("`{}.{}` and `{}.dst` are of different families", path, key, path));
  };
  check_family(route.via, "via");
  check_family(route.src, "src");
}

RouteSetting route(const Value& value) {
  RouteSetting out;
  Section section(value);
  section.require("dst", out.dst, network_prefix);
  section.read("via", out.via, address);
  section.read("dev", out.dev, interface_name);
  section.read("table", out.table, table);
  section.read("mtu", out.mtu, route_mtu);
  section.read("onlink", out.onlink, boolean);
  section.read("metric", out.metric, number(0, kMaxU32));
  section.read("src", out.src, address);
  section.finish();
  check_route(out, value.path);
  return out;
}

PodRouteSetting pod_route(const Value& value) {
  PodRouteSetting out;
  Section section(value);
  section.require("dst", out.dst, network_prefix);
  section.require("mtu", out.mtu, number(kMinMtu, kMaxMtu));
  section.finish();
  return out;
}

template <typename Parse>
auto array_of(Parse parse) {
  return [parse](const Value& value) {
    std::vector<decltype(parse(value))> out;
    for (const Value& element : elements(value, "an array of objects")) out.push_back(parse(element));
    return out;
  };
}

Coexistence coexistence(const Value& value) {
  Coexistence out;
  Section section(value);
  section.read("profile", out.profile, one_of(kProfiles));
  section.read("rules", out.rules, array_of(rule));
  section.read("routes", out.routes, array_of(route));
  section.read("preserveSource", out.preserve_source, one_of(kPreserveSource));
  section.read("podRoutes", out.pod_routes, array_of(pod_route));
  section.read("staleRules", out.stale_rules, one_of(kStaleRules));
  section.finish();
  return out;
}

void read_legacy(Section section, Settings& out) {
  section.read("conflist", out.legacy_conflist, absolute_path);
  section.read("cidrs", out.legacy_cidrs, network_prefixes);
  section.finish();
}

void read_cilium(Section section, Settings& out) {
  section.read("conflist", out.cilium_conflist, absolute_path);
  section.read("cidrs", out.cilium_cidrs, network_prefixes);
  section.read("socket", out.cilium_socket, socket_path);
  section.read("whenNotReady", out.when_not_ready, one_of(kWhenNotReady));
  section.finish();
}

void read_canary(Section section, Settings& out) {
  section.read("namespaces", out.canary_namespaces, namespaces);
  section.read("percent", out.canary_percent, number(0, 100));
  section.finish();
}

void read_timeouts(Section section, Settings& out) {
  section.read("delegate", out.delegate_timeout, timeout);
  section.read("agent", out.agent_timeout, timeout);
  section.read("lock", out.lock_timeout, timeout);
  section.finish();
}

void read_log(Section section, Settings& out) {
  section.read("file", out.log_file, absolute_path);
  section.read("level", out.log_level, one_of(kLogLevels));
  section.read("maxSize", out.log_max_bytes, log_bytes);
  section.finish();
}

// An address of both networks would leave the routing and every decision by address undefined.
void refuse_overlap(const Settings& settings) {
  for (std::size_t i = 0; i < settings.legacy_cidrs.size(); ++i) {
    for (std::size_t j = 0; j < settings.cilium_cidrs.size(); ++j) {
      if (!settings.legacy_cidrs[i].overlaps(settings.cilium_cidrs[j])) continue;
      refuse_configuration(
          fmt::format("`legacy.cidrs[{}]` {} and `cilium.cidrs[{}]` {} overlap: no address may be of "
                      "both networks",
                      i, settings.legacy_cidrs[i].str(), j, settings.cilium_cidrs[j].str()));
    }
  }
}

using Reader = void (*)(Section, Settings&);

void read_part(Section& top, std::string_view key, Reader reader, Settings& out) {
  if (const std::optional<Value> value = top.take(key)) reader(Section(*value), out);
}

}  // namespace

Settings parse_settings(const Object& entry) {
  Settings out;
  Section top(entry, "");
  for (const std::string_view key : kProtocolKeys) top.ignore(key);
  top.ignore_prefix("cni.dev/");
  top.read("netDir", out.net_dir, absolute_path);
  top.read("stateDir", out.state_dir, absolute_path);
  read_part(top, "legacy", read_legacy, out);
  read_part(top, "cilium", read_cilium, out);
  top.read("allowPodOverride", out.allow_pod_override, boolean);
  read_part(top, "canary", read_canary, out);
  top.read("hostPorts", out.host_ports, one_of(kHostPorts));
  top.read("coexistence", out.coexistence, coexistence);
  read_part(top, "timeouts", read_timeouts, out);
  read_part(top, "log", read_log, out);
  top.finish();
  refuse_overlap(out);
  return out;
}

}  // namespace conf
