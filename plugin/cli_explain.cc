// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "conf/result.h"
#include "plugin/cli.h"
#include "plugin/discovery.h"
#include "plugin/host_ports.h"
#include "plugin/journal.h"
#include "plugin/node.h"

namespace plugin {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n'; }

std::string addresses(const Attachment& attachment) {
  std::string out;
  for (const std::string& address : conf::result_addresses(attachment.result.value_or("{}")))
    out += (out.empty() ? "" : ",") + address;
  return out.empty() ? "-" : out;
}

std::string pod_name(const Attachment& attachment) {
  if (attachment.pod_name.empty()) return "-";
  return attachment.pod_namespace.empty() ? attachment.pod_name
                                          : fmt::format("{}/{}", attachment.pod_namespace, attachment.pod_name);
}

std::string_view state_of(const Attachment& attachment) {
  if (attachment.failed_deletes > 0 || !attachment.last_failure.empty()) return "deleting";
  return attachment.pending() ? "pending" : "ready";
}

PodFacts facts_for(const ExplainQuery& query) {
  PodFacts out{.pod_namespace = query.pod_namespace, .uid = query.uid, .override_to = std::nullopt};
  for (const std::string& annotation : query.annotations) {
    const std::size_t equals = annotation.find('=');
    if (equals != std::string::npos && annotation.substr(0, equals) == kOverrideAnnotation)
      out.override_to = annotation.substr(equals + 1);
  }
  return out;
}

std::vector<std::string> types_of(const conf::NetworkList& list) {
  std::vector<std::string> out;
  for (const conf::PluginConf& plugin : list.plugins) out.push_back(plugin.type);
  return out;
}

}  // namespace

std::string age_text(std::int64_t ms) {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 60 * kMinute;
  constexpr std::int64_t kDay = 24 * kHour;
  const std::int64_t s = std::max<std::int64_t>(ms / 1000, 0);
  if (s < 2 * kMinute) return fmt::format("{}s", s);
  if (s < 2 * kHour) return fmt::format("{}m", s / kMinute);
  return s < 2 * kDay ? fmt::format("{}h", s / kHour) : fmt::format("{}d", s / kDay);
}

Report explain_report(System& system, const conf::Settings& settings, const ExplainQuery& query, bool json) {
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kAlways, settings.agent_timeout);
  const Choice choice = decide(node.facts, facts_for(query), settings);
  const conf::NetworkList none;
  const conf::NetworkList& list = choice.network ? node.found(*choice.network)->list : none;
  const bool network_maps = list.runs(kCiliumCni) && node.facts.agent.host_ports.value_or(false);
  const PortMapper mapper = choice.network ? port_mapper(settings.host_ports, list, network_maps) : PortMapper::kNone;
  const std::string_view network = choice.network ? network_name(*choice.network) : "none";
  const CoexistenceView coexistence = look_at_coexistence(system, settings, node);
  const std::vector<std::string> pod_routes =
      choice.network ? explain_pod_routes(system, settings, node, *choice.network) : std::vector<std::string>{};
  if (json)
    return {dump({{"network", network},
                  {"reason", choice.reason},
                  {"code", choice.code},
                  {"plugins", types_of(list)},
                  {"hostPorts", port_mapper_name(mapper)},
                  {"coexistence",
                   {{"profile", coexistence.profile},
                    {"reason", coexistence.reason},
                    {"asserts", coexistence.wanted},
                    {"podRoutes", pod_routes},
                    {"advice", coexistence.advice}}}}),
            0};
  std::vector<std::vector<std::string>> rows = {{"network", std::string(network)}, {"reason", choice.reason}};
  if (choice.code != 0) rows.push_back({"refused", fmt::format("code {}", choice.code)});
  if (choice.network) rows.push_back({"list", fmt::format("{} ({})", list.name, node.found(*choice.network)->file)});
  for (const conf::PluginConf& plugin : list.plugins) rows.push_back({"  runs", plugin.type});
  rows.push_back({"hostPorts", std::string(port_mapper_name(mapper))});
  rows.push_back({"coexistence", fmt::format("{}: {}", coexistence.profile, coexistence.reason)});
  for (const std::string& item : coexistence.wanted) rows.push_back({"  asserts", item});
  for (const std::string& route : pod_routes) rows.push_back({"  in the pod", route});
  for (const std::string& line : coexistence.advice) rows.push_back({"  mind", line});
  for (const std::string& warning : node.lists.warnings) rows.push_back({"warning", warning});
  for (const std::string& warning : coexistence.warnings) rows.push_back({"warning", warning});
  return {aligned(rows), 0};
}

Report attachments_report(System& system, const conf::Settings& settings, bool json) {
  const std::vector<Attachment> all = Journal(system.disk, settings.state_dir).all();
  const std::int64_t now = system.clock.unix_ms();
  if (json) {
    Json out = Json::array();
    for (const Attachment& attachment : all)
      out.push_back({{"namespace", attachment.pod_namespace},
                     {"pod", attachment.pod_name},
                     {"containerID", attachment.id.container_id},
                     {"ifname", attachment.id.ifname},
                     {"network", network_name(attachment.network)},
                     {"reason", attachment.reason},
                     {"addresses", conf::result_addresses(attachment.result.value_or("{}"))},
                     {"ageSeconds", (now - attachment.started_ms) / 1000},
                     {"state", state_of(attachment)},
                     {"problem", attachment.last_failure}});
    return {dump(out), 0};
  }
  std::vector<std::vector<std::string>> rows = {
      {"POD", "CONTAINER", "INTERFACE", "NETWORK", "ADDRESSES", "AGE", "STATE"}};
  for (const Attachment& attachment : all)
    rows.push_back({pod_name(attachment), attachment.id.container_id.substr(0, 13), attachment.id.ifname,
                    std::string(network_name(attachment.network)), addresses(attachment),
                    age_text(now - attachment.started_ms), std::string(state_of(attachment))});
  return {aligned(rows), 0};
}

}  // namespace plugin
