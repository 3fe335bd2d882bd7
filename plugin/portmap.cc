// SPDX-License-Identifier: Apache-2.0
#include "plugin/portmap.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "conf/error.h"
#include "conf/result.h"
#include "plugin/port_flows.h"
#include "plugin/port_switch.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::Code;
using conf::Request;

const std::string& required_result(const PortConfig& config) {
  if (config.prev_result) return *config.prev_result;
  throw CniError(Code::kInvalidConfig, "required key missing",
                 "`prevResult` must be there: this plugin is to follow the one that attaches the pod");
}

std::string add(System& system, const Request& request, const PortConfig& config) {
  const std::string& result = required_result(config);
  const std::string version = conf::result_version(result, config.cni_version);
  std::string out = conf::convert_result(result, version, config.cni_version);
  if (config.mappings.empty()) return out;
  map_ports(system, config,
            {.owner = request.id,
             .netns = request.netns,
             .args = request.args,
             .pod = pod_addresses(result, config.cni_version, request.id.ifname)});
  return out;
}

// By the record alone. If it is lost, what is asked for again says where to look.
std::string del(System& system, const Request& request, std::string_view stdin_text) {
  const PortHints hints = read_port_hints(stdin_text);
  if (unmap_ports(system, hints.state_dir, request.id) || hints.mappings.empty()) return {};
  std::vector<PortKey> keys;
  for (const PortMapping& one : hints.mappings)
    for (const PortKey& key : possible_keys(one)) keys.push_back(key);
  PortSwitch(system, hints.state_dir).unmap_keys(owner_name(request.id), keys);
  return {};
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += (out.empty() ? "" : "; ") + line;
  return out;
}

[[noreturn]] void incomplete(const conf::AttachmentId& owner, const std::string& what) {
  throw CniError(kPortsIncomplete, "hostPorts are not as they were made",
                 fmt::format("{} {}: {}", owner.container_id, owner.ifname, what));
}

std::string check(System& system, const Request& request, const PortConfig& config) {
  const std::string& result = required_result(config);
  if (config.mappings.empty() && !PortRecords(system.disk, config.state_dir).find(owner_name(request.id))) return {};
  check_mapped(system, config, request.id, pod_addresses(result, config.cni_version, request.id.ifname));
  return {};
}

std::string status(System& system) {
  try {
    (void)system.firewall.has_table(crossover_table());
  } catch (const CniError& error) {
    throw CniError(Code::kNotAvailable, "hostPorts cannot be mapped",
                   fmt::format("nf_tables cannot be used: {}", error.what()));
  }
  return {};
}

// Attachments of other networks are none of this call's business, unless no boot knows them any more.
bool is_for_gc(const System& system, const PortRecord& record, const std::string& network,
               const std::set<conf::AttachmentId>& valid) {
  if (record.boot_id != system.boot_id) return true;
  return record.network == network && valid.count(record.owner) == 0;
}

std::string gc(System& system, const PortConfig& config) {
  if (!config.valid_attachments) return {};  // who is alive is unknown, and nothing is destroyed
  const std::set<conf::AttachmentId> valid(config.valid_attachments->begin(), config.valid_attachments->end());
  PortSwitch ports(system, config.state_dir);
  std::vector<std::string> problems;
  for (const std::string& name : ports.records().names()) {
    try {
      const std::optional<PortRecord> record = ports.records().find(name);
      if (!record) {
        (void)ports.records().remove(name);
      } else if (is_for_gc(system, *record, config.name, valid)) {
        (void)unmap_ports(system, config.state_dir, record->owner);
      }
    } catch (const CniError& error) {
      problems.push_back(fmt::format("{}: {}", name, error.what()));
    }
  }
  ports.records().clear_unfinished(system.clock.unix_ms());
  if (problems.empty()) return {};
  throw CniError(Code::kIo, "garbage collection is incomplete", joined(problems));
}

}  // namespace

void check_mapped(System& system, const PortConfig& config, const conf::AttachmentId& owner, const PodAddresses& pod) {
  PortSwitch ports(system, config.state_dir);
  const std::optional<PortRecord> record = ports.records().find(owner_name(owner));
  if (!record) incomplete(owner, "there is no record of them");
  const bool same = record->redirections == redirections(config.mappings, pod) && record->snat == config.snat &&
                    record->masq_all == config.masq_all && record->conditions_v4 == config.conditions_v4 &&
                    record->conditions_v6 == config.conditions_v6 && record->boot_id == system.boot_id;
  if (!same) incomplete(owner, "others were recorded than are asked about");
  const std::vector<std::string> problems = ports.problems(*record);
  if (!problems.empty()) incomplete(owner, joined(problems) + "; `crossover reconcile` puts them back");
}

std::string run_portmap(System& system, const Request& request, std::string_view stdin_text) {
  if (request.verb == conf::Verb::kDel) return del(system, request, stdin_text);
  const PortConfig config = parse_port_config(stdin_text, request.verb);
  switch (request.verb) {
    case conf::Verb::kAdd:
      return add(system, request, config);
    case conf::Verb::kCheck:
      return check(system, request, config);
    case conf::Verb::kStatus:
      return status(system);
    case conf::Verb::kGc:
      return gc(system, config);
    case conf::Verb::kDel:
    case conf::Verb::kVersion:
      return {};
  }
  return {};
}

}  // namespace plugin
