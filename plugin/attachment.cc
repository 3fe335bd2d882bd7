// SPDX-License-Identifier: Apache-2.0
#include "plugin/attachment.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "conf/error.h"
#include "plugin/pod_routes.h"

namespace plugin {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Bytes that are no UTF-8 (CNI_ARGS may hold any) must not make a record impossible: they become U+FFFD.
std::string line_of(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + '\n';
}

[[noreturn]] void broken(std::string_view source, std::string_view what) {
  throw conf::CniError(conf::Code::kState, "record cannot be read", fmt::format("{}: {}", source, what));
}

Json parse_line(std::string_view line, std::string_view source) {
  Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) broken(source, "a line is no JSON object");
  return json;
}

std::string text_of(const Json& json, const char* key, std::string_view source) {
  const auto it = json.find(key);
  if (it == json.end()) return {};
  if (!it->is_string()) broken(source, fmt::format("`{}` must be a string", key));
  return it->get<std::string>();
}

std::uint64_t number_of(const Json& json, const char* key, std::string_view source) {
  const auto it = json.find(key);
  if (it == json.end()) return 0;
  if (!it->is_number_unsigned()) broken(source, fmt::format("`{}` must be a number", key));
  return it->get<std::uint64_t>();
}

void read_places(const Json& json, std::string_view source, Attachment& out) {
  out.netns = text_of(json, "netns", source);
  out.netns_id = {.inode = number_of(json, "inode", source), .cookie = number_of(json, "cookie", source)};
  out.boot_id = text_of(json, "bootID", source);
  out.started_ms = static_cast<std::int64_t>(number_of(json, "started", source));
  out.pod_namespace = text_of(json, "namespace", source);
  out.pod_name = text_of(json, "pod", source);
  out.pod_uid = text_of(json, "uid", source);
  out.args = text_of(json, "args", source);
  out.path = text_of(json, "path", source);
  out.host_ports = text_of(json, "hostPorts", source);
  out.libcni_cache = text_of(json, "libcniCache", source);
}

Attachment read_intent(const Json& json, std::string_view source) {
  if (number_of(json, "crossover", source) != 1) broken(source, "`crossover` must be 1, the format this release reads");
  Attachment out;
  out.id = {.container_id = text_of(json, "containerID", source), .ifname = text_of(json, "ifname", source)};
  if (!conf::is_container_id(out.id.container_id)) broken(source, "`containerID` is no container id");
  if (!conf::is_ifname(out.id.ifname)) broken(source, "`ifname` is no interface name");
  const std::optional<Network> network = parse_network(text_of(json, "network", source));
  if (!network) broken(source, "`network` must be legacy or cilium");
  out.network = *network;
  out.reason = text_of(json, "reason", source);
  read_places(json, source, out);
  out.list = conf::parse_list(text_of(json, "list", source), source);
  const std::string runtime = text_of(json, "runtimeConfig", source);
  if (!runtime.empty()) out.runtime_config = conf::Object::parse(runtime, source);
  return out;
}

void read_later(const Json& json, std::string_view source, Attachment& out) {
  if (json.contains("ready")) {
    out.ready_ms = static_cast<std::int64_t>(number_of(json, "ready", source));
    out.result = text_of(json, "result", source);
    if (json.contains("podRoutes")) out.pod_routes = parse_pod_routes(text_of(json, "podRoutes", source));
  } else if (json.contains("failed")) {
    out.failed_deletes = static_cast<unsigned>(number_of(json, "tries", source));
    out.last_failure = text_of(json, "why", source);
  }
}

}  // namespace

std::string intent_line(const Attachment& attachment) {
  OrderedJson json = {{"crossover", 1},
                      {"containerID", attachment.id.container_id},
                      {"ifname", attachment.id.ifname},
                      {"network", network_name(attachment.network)},
                      {"reason", attachment.reason},
                      {"netns", attachment.netns},
                      {"inode", attachment.netns_id.inode},
                      {"cookie", attachment.netns_id.cookie},
                      {"bootID", attachment.boot_id},
                      {"started", static_cast<std::uint64_t>(attachment.started_ms)},
                      {"namespace", attachment.pod_namespace},
                      {"pod", attachment.pod_name},
                      {"uid", attachment.pod_uid},
                      {"args", attachment.args},
                      {"path", attachment.path},
                      {"list", attachment.list.text()}};
  if (!attachment.runtime_config.empty()) json["runtimeConfig"] = attachment.runtime_config.text();
  if (!attachment.host_ports.empty()) json["hostPorts"] = attachment.host_ports;
  if (!attachment.libcni_cache.empty()) json["libcniCache"] = attachment.libcni_cache;
  return line_of(json);
}

std::string result_line(std::string_view result, std::int64_t ready_ms, const std::vector<PodRoute>& pod_routes) {
  OrderedJson json = {{"ready", static_cast<std::uint64_t>(ready_ms)}, {"result", result}};
  if (!pod_routes.empty()) json["podRoutes"] = pod_routes_text(pod_routes);
  return line_of(json);
}

std::string failure_line(unsigned tries, std::string_view why, std::int64_t failed_ms) {
  return line_of({{"failed", static_cast<std::uint64_t>(failed_ms)}, {"tries", tries}, {"why", why}});
}

std::string record_text(const Attachment& attachment) {
  std::string text = intent_line(attachment);
  if (attachment.result) text += result_line(*attachment.result, attachment.ready_ms, attachment.pod_routes);
  return text;
}

std::optional<Attachment> parse_record(std::string_view text, std::string_view source) {
  std::optional<Attachment> out;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    const Json json = parse_line(text.substr(0, end), source);
    if (out) {
      read_later(json, source, *out);
    } else {
      out = read_intent(json, source);
    }
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace plugin
