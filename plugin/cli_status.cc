// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "conf/error.h"
#include "ipam/survey.h"
#include "plugin/cli.h"
#include "plugin/discovery.h"
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
                        : fmt::format("last heard from the API server {} ago", age_text(sync.age_s * 1000));
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

/// Everything that `status` shows.
struct View {
  Node node;
  NodeState state;
  Counts counts;
  LeaseView leases;
  PortsView ports;
  CoexistenceView coexistence;
  Neighbours neighbours;
  std::optional<SyncView> sync;
  std::vector<std::string> warnings;
};

void add_to(std::vector<std::string>& out, std::vector<std::string> more) {
  std::move(more.begin(), more.end(), std::back_inserter(out));
}

/// Node, leases, hostPorts, net.d, rules and routes, the other network, crossover-sync: in this order.
std::vector<std::string> all_warnings(System& system, const conf::Settings& settings, const View& view,
                                      const std::vector<BrokenRecord>& broken) {
  std::vector<std::string> out = warnings_of(view.node, broken, view.leases);
  add_to(out, view.ports.problems);
  if (std::string renamed = renamed_by_cilium(system.disk, settings.net_dir + "/00-crossover.conflist");
      !renamed.empty())
    out.push_back(std::move(renamed));
  add_to(out, view.coexistence.warnings);
  add_to(out, neighbour_warnings(view.neighbours));
  const std::optional<SyncView>& sync = view.sync;
  if (sync && (is_old(*sync) || !sync->problem.empty()))
    out.push_back(fmt::format("crossover-sync {}{}; the last good state stays", sync_text(*sync),
                              sync->problem.empty() ? "" : ": " + sync->problem));
  return out;
}

View look(System& system, const conf::Settings& settings) {
  View out;
  out.node = look_at_node(system, settings, Copies::kRead, AskAgent::kAlways, settings.agent_timeout);
  out.state = node_state(out.node.facts);
  std::vector<BrokenRecord> broken;
  out.counts = count(Journal(system.disk, settings.state_dir).all(&broken));
  out.leases = look_at_leases(system, settings);
  out.ports = look_at_ports(system, settings);
  out.coexistence = look_at_coexistence(system, settings, out.node);
  out.neighbours = look_at_neighbours(system, settings, out.node, out.counts.of_legacy);
  out.sync = look_at_sync(system, settings);
  out.warnings = all_warnings(system, settings, out, broken);
  return out;
}

Json status_json(const View& view) {
  const Counts& counts = view.counts;
  Json out = {
      {"nodeState", state_name(view.state.state)},
      {"source", view.state.source},
      {"reason", view.state.reason},
      {"networks",
       {{"legacy", network_json(view.node, Network::kLegacy)}, {"cilium", network_json(view.node, Network::kCilium)}}},
      {"attachments", {{"legacy", counts.legacy}, {"cilium", counts.cilium}, {"pending", counts.pending}}},
      {"leases", leases_json(view.leases)},
      {"ports", view.ports.mapped},
      {"coexistence", {{"wanted", view.coexistence.wanted}, {"present", view.coexistence.present}}}};
  if (view.neighbours.has_agent) out["agent"] = agent_json(view.neighbours);
  if (view.sync) out["sync"] = {{"ageSeconds", view.sync->age_s}, {"problem", view.sync->problem}};
  if (!view.warnings.empty()) out["warnings"] = view.warnings;
  return out;
}

std::string status_text(const View& view) {
  const Counts& counts = view.counts;
  std::string out = aligned({{"node state", std::string(state_name(view.state.state))},
                             {"  source", view.state.source},
                             {"  reason", view.state.reason}});
  if (view.sync) out += fmt::format("crossover-sync\n  {}\n", sync_text(*view.sync));
  out += "networks\n" + aligned({network_row(view.node, Network::kLegacy), network_row(view.node, Network::kCilium)});
  out += fmt::format("attachments\n  legacy {}  cilium {}  pending {}\n", counts.legacy, counts.cilium, counts.pending);
  if (view.neighbours.has_agent) out += agent_text(view.neighbours);
  out += leases_text(view.leases);
  out += fmt::format("hostPorts\n  {} of {} pods\n", view.ports.mapped, view.ports.pods);
  out += coexistence_text(view.coexistence);
  for (const std::string& warning : view.warnings) out += "warning: " + warning + '\n';
  return out;
}

}  // namespace

Report status_report(System& system, const conf::Settings& settings, bool json) {
  const View view = look(system, settings);
  return {json ? dump(status_json(view)) : status_text(view), 0};
}

}  // namespace plugin
