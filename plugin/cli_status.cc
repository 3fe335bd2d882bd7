// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "conf/error.h"
#include "conf/result.h"
#include "ipam/survey.h"
#include "plugin/cli.h"
#include "plugin/discovery.h"
#include "plugin/host_ports.h"
#include "plugin/install.h"
#include "plugin/journal.h"
#include "plugin/neighbours.h"
#include "plugin/node.h"

namespace plugin {
namespace {

using Json = nlohmann::ordered_json;

struct Counts {
  std::size_t of_legacy = 0;  ///< also those that are pending
  std::size_t legacy = 0;
  std::size_t cilium = 0;
  std::size_t pending = 0;
};

Counts count(const std::vector<Attachment>& attachments) {
  Counts out;
  for (const Attachment& attachment : attachments) {
    if (attachment.network == Network::kLegacy) ++out.of_legacy;
    if (attachment.pending()) {
      ++out.pending;
    } else if (attachment.network == Network::kLegacy) {
      ++out.legacy;
    } else {
      ++out.cilium;
    }
  }
  return out;
}

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n'; }

Json network_json(const Node& node, Network network) {
  const std::optional<FoundList>& found = node.found(network);
  return {{"usable", usable(node.facts, network)},
          {"name", found ? found->list.name : ""},
          {"file", found ? found->file : ""},
          {"problem", why_unusable(node.facts, network)}};
}

std::vector<std::string> network_row(const Node& node, Network network) {
  const std::optional<FoundList>& found = node.found(network);
  const std::string problem = why_unusable(node.facts, network);
  std::string what = found ? fmt::format("{} ({})", found->list.name, found->file) : "";
  if (found && found->from_copy) what += ", from the last good copy";
  if (!problem.empty()) what += (what.empty() ? "" : ": ") + problem;
  return {fmt::format("  {}", network_name(network)), usable(node.facts, network) ? "usable" : "not usable", what};
}

std::string age(std::int64_t ms) {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 60 * kMinute;
  constexpr std::int64_t kDay = 24 * kHour;
  const std::int64_t s = std::max<std::int64_t>(ms / 1000, 0);
  if (s < 2 * kMinute) return fmt::format("{}s", s);
  if (s < 2 * kHour) return fmt::format("{}m", s / kMinute);
  return s < 2 * kDay ? fmt::format("{}h", s / kHour) : fmt::format("{}d", s / kDay);
}

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

/// The store of crossover-ipam, as far as it can be seen.
struct LeaseView {
  std::vector<ipam::BlockUse> blocks;
  std::vector<std::string> warnings;
};

LeaseView look_at_leases(System& system, const conf::Settings& settings) {
  constexpr std::chrono::milliseconds kPatience{200};
  LeaseView out;
  try {
    std::optional<ipam::Survey> seen = ipam::survey(system.disk, {.dir = settings.state_dir + "/ipam",
                                                                  .boot_id = system.boot_id,
                                                                  .now_ms = system.clock.unix_ms(),
                                                                  .wait = kPatience});
    if (!seen) return out;
    out.blocks = std::move(seen->blocks);
    for (const std::string& file : seen->damaged) out.warnings.push_back(file + ": no whole lease");
  } catch (const conf::CniError& error) {
    out.warnings.push_back(std::string("leases are not shown: ") + error.what());
  }
  return out;
}

// Those that rest are free: they are handed out when nothing else is left.
std::uint32_t free_in(const ipam::BlockUse& block) {
  return block.capacity > block.used ? block.capacity - block.used : 0;
}

Json leases_json(const LeaseView& view) {
  Json out = Json::array();
  for (const ipam::BlockUse& block : view.blocks)
    out.push_back(
        {{"cidr", block.cidr.str()}, {"used", block.used}, {"free", free_in(block)}, {"cooling", block.cooling}});
  return out;
}

std::string leases_text(const LeaseView& view) {
  if (view.blocks.empty()) return {};
  std::vector<std::vector<std::string>> rows = {{"leases", "used", "free", "of which cooling"}};
  for (const ipam::BlockUse& block : view.blocks)
    rows.push_back({"  " + block.cidr.str(), std::to_string(block.used), std::to_string(free_in(block)),
                    std::to_string(block.cooling)});
  return aligned(rows);
}

std::string coexistence_text(const CoexistenceView& view) {
  std::string out = "coexistence\n";
  if (view.wanted.empty()) return out + fmt::format("  {}: nothing is needed\n", view.profile);
  for (const std::string& item : view.wanted) {
    const bool there = std::find(view.present.begin(), view.present.end(), item) != view.present.end();
    out += fmt::format("  {}  {}\n", there ? "in place" : "missing ", item);
  }
  return out;
}

/// What crossover-sync last wrote about itself (sync/keeper.h); nothing if it is not in use, or the file is torn.
struct SyncView {
  std::int64_t age_s = 0;  ///< since its last success; negative: never
  std::string problem;
};

std::optional<SyncView> look_at_sync(System& system, const conf::Settings& settings) {
  constexpr std::size_t kMaxBytes = std::size_t{64} << 10U;
  try {
    const std::optional<std::string> text = system.disk.read(settings.state_dir + "/sync-status", kMaxBytes);
    if (!text) return std::nullopt;
    const conf::Object status = conf::Object::parse(*text, "sync-status");
    const std::string* raw = status.find("lastSuccess");
    const std::optional<long long> last = raw == nullptr ? std::nullopt : conf::as_integer(*raw);
    if (!last) return std::nullopt;
    return SyncView{.age_s = *last <= 0 ? -1 : std::max<std::int64_t>((system.clock.unix_ms() - *last) / 1000, 0),
                    .problem = conf::string_member(status, "problem", "sync-status").value_or("")};
  } catch (const conf::CniError&) {
    return std::nullopt;
  }
}

std::string sync_text(const SyncView& sync) {
  return sync.age_s < 0 ? "has not heard from the API server yet"
                        : fmt::format("last heard from the API server {} ago", age(sync.age_s * 1000));
}

/// Nobody hears from a watch that is quiet for some minutes.
bool is_old(const SyncView& sync) { return sync.age_s < 0 || sync.age_s > 600; }

std::string joined(const std::vector<std::string>& texts) { return fmt::format("{}", fmt::join(texts, ", ")); }

template <typename Value>
std::vector<std::string> texts_of(const std::vector<Value>& values) {
  std::vector<std::string> out;
  for (const Value& value : values) out.push_back(value.str());
  return out;
}

/// "tunnel vxlan 8473", "native"; empty if the agent did not say.
std::string routing_text(const Neighbours& here) {
  if (here.health.routing == "Native" || here.config.routing == "native") return "native";
  if (here.health.routing.empty() && here.config.routing.empty()) return {};
  const std::string& protocol =
      here.health.tunnel_protocol.empty() ? here.config.tunnel_protocol : here.health.tunnel_protocol;
  const unsigned port = tunnel_port(here);
  return fmt::format("tunnel {}{}", protocol, port == 0 ? "" : fmt::format(" {}", port));
}

std::string host_routing_text(const Neighbours& here) {
  if (!here.health.host_routing.empty() || !here.config.legacy_host_routing) return here.health.host_routing;
  return *here.config.legacy_host_routing ? "Legacy" : "BPF";
}

Json agent_json(const Neighbours& here) {
  const AgentHealth& health = here.health;
  if (!health.answered) return {{"problem", health.problem}};
  Json out = {{"state", health.state},
              {"version", health.version},
              {"cniFile", health.cni_file_state},
              {"ipamMode", here.config.ipam_mode},
              {"podCIDRs", texts_of(here.config.pod_cidrs)},
              {"routers", texts_of(here.config.routers)},
              {"healthAddresses", texts_of(health.health_addresses)},
              {"routing", routing_text(here)},
              {"hostRouting", host_routing_text(here)},
              {"kubeProxyReplacement", health.kube_proxy_replacement},
              {"masquerading", health.masquerading},
              {"deviceMTU", here.config.device_mtu},
              {"routeMTU", here.config.route_mtu}};
  if (health.host_ports) out["hostPorts"] = *health.host_ports;
  return out;
}

/// Those lines of which the agent said something.
std::string agent_text(const Neighbours& here) {
  const AgentHealth& health = here.health;
  if (!health.answered) return fmt::format("cilium's agent\n  {}\n", health.problem);
  const AgentConfig& config = here.config;
  const std::vector<std::vector<std::string>> all = {
      {"  state", health.state + (health.version.empty() ? "" : ", " + health.version)},
      {"  its list", health.cni_file_state},
      {"  addresses", joined(texts_of(config.pod_cidrs)) + (config.ipam_mode.empty() ? "" : " by " + config.ipam_mode)},
      {"  its own", joined(texts_of(config.routers)) +
                        (health.health_addresses.empty() ? "" : ", " + joined(texts_of(health.health_addresses)))},
      {"  routing", routing_text(here)},
      {"  on the host", host_routing_text(here)},
      {"  kube-proxy replacement", health.kube_proxy_replacement},
      {"  masquerading", health.masquerading},
      {"  MTU", config.route_mtu == 0 ? "" : fmt::format("{}, of routes {}", config.device_mtu, config.route_mtu)}};
  std::vector<std::vector<std::string>> rows = {{"cilium's agent"}};
  std::copy_if(all.begin(), all.end(), std::back_inserter(rows), [](const auto& row) { return !row[1].empty(); });
  return aligned(rows);
}

std::vector<std::string> warnings_of(const Node& node, const std::vector<BrokenRecord>& broken,
                                     const LeaseView& leases) {
  std::vector<std::string> out = node.lists.warnings;
  for (const BrokenRecord& record : broken) out.push_back(fmt::format("{}: {}", record.file, record.problem));
  out.insert(out.end(), leases.warnings.begin(), leases.warnings.end());
  return out;
}

}  // namespace

Report status_report(System& system, const conf::Settings& settings, bool json) {
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kAlways, settings.agent_timeout);
  const NodeState state = node_state(node.facts);
  std::vector<BrokenRecord> broken;
  const Counts counts = count(Journal(system.disk, settings.state_dir).all(&broken));
  const LeaseView leases = look_at_leases(system, settings);
  const PortsView ports = look_at_ports(system, settings);
  std::vector<std::string> warnings = warnings_of(node, broken, leases);
  warnings.insert(warnings.end(), ports.problems.begin(), ports.problems.end());
  if (std::string renamed = renamed_by_cilium(system.disk, settings.net_dir + "/00-crossover.conflist");
      !renamed.empty())
    warnings.push_back(std::move(renamed));
  const CoexistenceView coexistence = look_at_coexistence(system, settings, node);
  warnings.insert(warnings.end(), coexistence.warnings.begin(), coexistence.warnings.end());
  const Neighbours neighbours = look_at_neighbours(system, settings, node, counts.of_legacy);
  for (std::string& warning : neighbour_warnings(neighbours)) warnings.push_back(std::move(warning));
  const std::optional<SyncView> sync = look_at_sync(system, settings);
  if (sync && (is_old(*sync) || !sync->problem.empty()))
    warnings.push_back(fmt::format("crossover-sync {}{}; the last good state stays", sync_text(*sync),
                                   sync->problem.empty() ? "" : ": " + sync->problem));
  if (json) {
    Json out = {{"nodeState", state_name(state.state)},
                {"source", state.source},
                {"reason", state.reason},
                {"networks",
                 {{"legacy", network_json(node, Network::kLegacy)}, {"cilium", network_json(node, Network::kCilium)}}},
                {"attachments", {{"legacy", counts.legacy}, {"cilium", counts.cilium}, {"pending", counts.pending}}},
                {"leases", leases_json(leases)},
                {"ports", ports.mapped},
                {"coexistence", {{"wanted", coexistence.wanted}, {"present", coexistence.present}}}};
    if (neighbours.has_agent) out["agent"] = agent_json(neighbours);
    if (sync) out["sync"] = {{"ageSeconds", sync->age_s}, {"problem", sync->problem}};
    if (!warnings.empty()) out["warnings"] = warnings;
    return {dump(out), 0};
  }
  std::string text = aligned(
      {{"node state", std::string(state_name(state.state))}, {"  source", state.source}, {"  reason", state.reason}});
  if (sync) text += fmt::format("crossover-sync\n  {}\n", sync_text(*sync));
  text += "networks\n" + aligned({network_row(node, Network::kLegacy), network_row(node, Network::kCilium)});
  text +=
      fmt::format("attachments\n  legacy {}  cilium {}  pending {}\n", counts.legacy, counts.cilium, counts.pending);
  if (neighbours.has_agent) text += agent_text(neighbours);
  text += leases_text(leases);
  text += fmt::format("hostPorts\n  {} of {} pods\n", ports.mapped, ports.pods);
  text += coexistence_text(coexistence);
  for (const std::string& warning : warnings) text += "warning: " + warning + '\n';
  return {text, 0};
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
                    age(now - attachment.started_ms), std::string(state_of(attachment))});
  return {aligned(rows), 0};
}

}  // namespace plugin
