// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "conf/error.h"
#include "conf/netconf.h"
#include "conf/version.h"
#include "plugin/cli.h"
#include "plugin/detach.h"
#include "plugin/gc.h"
#include "plugin/gc_leases.h"
#include "plugin/gc_ports.h"
#include "plugin/gc_reference_ports.h"
#include "plugin/node.h"
#include "plugin/session.h"

namespace plugin {
namespace {

using Json = nlohmann::ordered_json;
using conf::CniError;
using conf::Code;

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n'; }

std::vector<conf::AttachmentId> read_valid(System& system, const std::string& file) {
  const std::optional<std::string> text = system.disk.read(file, conf::kMaxGcBytes);
  if (!text) throw CniError(Code::kIo, "no such list", file + " does not exist");
  return conf::parse_attachment_ids(*text, file);
}

/// All that one command did.
struct Cleaned {
  Swept records;
  SweptLeases leases;
  SweptPorts ports;
  SweptReferencePorts portmap;
};

// Records first: their plugins give their leases back themselves.
Cleaned sweep_orphans(Session& session, const GcOptions& options) {
  System& system = session.system;
  const std::int64_t began = system.clock.unix_ms();
  std::optional<std::vector<conf::AttachmentId>> valid;
  if (!options.valid_file.empty()) valid = read_valid(system, options.valid_file);
  const auto is_stale = [&](const Attachment& attachment) {
    if (!valid) return is_orphan(system, attachment);
    return std::find(valid->begin(), valid->end(), attachment.id) == valid->end();
  };
  Cleaned out;
  out.records = sweep(session, is_stale, began, {}, options.dry_run);
  out.leases = sweep_leases(session, valid, began, options.dry_run);
  out.ports = sweep_ports(session, valid, began, options.dry_run);
  out.portmap = sweep_reference_ports(session, valid, options.dry_run);
  return out;
}

void forget_one(Session& session, const Attachment& attachment, Swept& out, std::vector<std::string>& notes) {
  Event event;
  event.verb = "gc --forget";
  event.about(attachment);
  detach(session, attachment, {.netns = {}, .path = {}, .adopted = false, .forget = true}, event);
  event.ms = elapsed_ms(session.system);
  session.events.write(event);
  out.removed.push_back(attachment.id);
  notes.insert(notes.end(), event.notes.begin(), event.notes.end());
}

Swept forget_container(Session& session, const GcOptions& options, std::vector<std::string>& notes) {
  Swept out;
  for (const Attachment& attachment : session.journal.all()) {
    if (attachment.id.container_id != options.forget) continue;
    if (options.dry_run) {
      out.removed.push_back(attachment.id);
      continue;
    }
    const std::optional<Locks::Guard> own = session.locks.attachment(attachment.id, session.settings.lock_timeout);
    if (!own) throw CniError(Code::kBusy, "another call is still at work", options.forget);
    const Found found = session.journal.find(attachment.id);  // again: whoever we waited for may have changed it
    if (found.attachment) forget_one(session, *found.attachment, out, notes);
  }
  if (out.removed.empty()) throw CniError(Code::kUnknownContainer, "no record of this container", options.forget);
  return out;
}

Json ids_json(const std::vector<conf::AttachmentId>& ids) {
  Json out = Json::array();
  for (const conf::AttachmentId& id : ids) out.push_back({{"containerID", id.container_id}, {"ifname", id.ifname}});
  return out;
}

Json leases_json(const SweptLeases& leases) {
  Json freed = Json::array();
  for (const FreedLease& lease : leases.freed) {
    freed.push_back({{"containerID", lease.id.container_id}, {"ifname", lease.id.ifname}});
    for (const conf::IpPrefix& address : lease.addresses) freed.back()["addresses"].push_back(address.str());
    freed.back()["reason"] = lease.reason;
  }
  return {{"freed", freed}, {"kept", leases.kept}};
}

Json portmap_json(const SweptReferencePorts& portmap) {
  Json freed = Json::array();
  for (const FreedReferencePorts& one : portmap.freed)
    freed.push_back({{"containerID", one.owner.container_id}, {"network", one.owner.network}, {"in", one.where}});
  return {{"freed", freed}, {"kept", portmap.kept}};
}

std::string portmap_text(const SweptReferencePorts& portmap, bool dry_run) {
  std::string out;
  for (const FreedReferencePorts& one : portmap.freed)
    out += fmt::format("{} portmap's rules of {}: {}\n", dry_run ? "would take out" : "took out",
                       one.owner.container_id, fmt::join(one.where, ", "));
  return out;
}

std::string freed_line(const FreedLease& lease, bool dry_run) {
  std::string addresses;
  for (const conf::IpPrefix& address : lease.addresses) addresses += (addresses.empty() ? "" : ",") + address.str();
  return fmt::format("{} {} {} {}: {}\n", dry_run ? "would free" : "freed", lease.id.container_id, lease.id.ifname,
                     addresses, lease.reason);
}

std::string gc_text(const Cleaned& cleaned, const std::vector<std::string>& notes, bool dry_run) {
  const Swept& swept = cleaned.records;
  std::string text;
  for (const conf::AttachmentId& id : swept.removed)
    text += fmt::format("{} {} {}\n", dry_run ? "would clean" : "cleaned", id.container_id, id.ifname);
  for (const FreedLease& lease : cleaned.leases.freed) text += freed_line(lease, dry_run);
  for (const conf::AttachmentId& id : cleaned.ports.freed)
    text +=
        fmt::format("{} the hostPorts of {} {}\n", dry_run ? "would take out" : "took out", id.container_id, id.ifname);
  text += portmap_text(cleaned.portmap, dry_run);
  for (const std::string& note : notes) text += "  " + note + '\n';
  for (const std::string& problem : swept.problems) text += "problem: " + problem + '\n';
  text += fmt::format("{} {}, kept {}, problems {}\n", dry_run ? "to clean" : "cleaned", swept.removed.size(),
                      swept.kept, swept.problems.size());
  text += fmt::format("leases: {} {}, kept {}\n", dry_run ? "to free" : "freed", cleaned.leases.freed.size(),
                      cleaned.leases.kept);
  const char* const took_out = dry_run ? "to take out" : "took out";
  text += fmt::format("hostPorts: {} {}, kept {}\n", took_out, cleaned.ports.freed.size(), cleaned.ports.kept);
  return text + fmt::format("portmap: {} {}, kept {}\n", took_out, cleaned.portmap.freed.size(), cleaned.portmap.kept);
}

// crossover-sync looks once more at what is there and then replaces it: not while we do.
void write_node_state(System& system, const conf::Settings& settings, const std::string& text) {
  system.disk.make_dirs(settings.state_dir);
  const Locks locks = Locks::open(settings.state_dir, system.boot_id);
  const std::optional<Locks::Guard> alone = locks.node_state(settings.lock_timeout);
  if (!alone) throw CniError(Code::kTryAgainLater, "node-state is being written", "somebody else does it; try again");
  system.disk.replace(node_state_path(settings), text, conf::Sync::kYes);
}

}  // namespace

Report set_report(System& system, const conf::Settings& settings, const std::string& word, const std::string& reason,
                  bool json) {
  const std::string text = node_state_text(word, reason);
  write_node_state(system, settings, text);
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kAlways, settings.agent_timeout);
  const NodeState state = node_state(node.facts);
  const Choice choice = decide(node.facts, {}, settings);
  const std::string next = choice.network ? fmt::format("new pods join {}", network_name(*choice.network))
                                          : fmt::format("new pods are refused: {}", choice.reason);
  if (json)
    return {dump({{"nodeState", state_name(state.state)}, {"source", state.source}, {"reason", state.reason}}), 0};
  return {fmt::format("node state {} ({}); {}\n", state_name(state.state), state.reason, next), 0};
}

Report gc_report(System& system, const conf::Settings& settings, const GcOptions& options, bool json) {
  Session session(system, settings);
  std::vector<std::string> notes;
  Cleaned cleaned;
  Swept& swept = cleaned.records;
  if (options.forget.empty()) {
    const std::optional<Locks::Guard> alone = session.locks.exclusive(settings.lock_timeout);
    if (!alone) throw CniError(Code::kTryAgainLater, "other calls are at work", "they did not end in time; try again");
    cleaned = sweep_orphans(session, options);
    notes = swept.notes;
    notes.insert(notes.end(), cleaned.leases.notes.begin(), cleaned.leases.notes.end());
    swept.problems.insert(swept.problems.end(), cleaned.leases.problems.begin(), cleaned.leases.problems.end());
    swept.problems.insert(swept.problems.end(), cleaned.ports.problems.begin(), cleaned.ports.problems.end());
    const std::vector<std::string>& left = cleaned.portmap.problems;
    swept.problems.insert(swept.problems.end(), left.begin(), left.end());
  } else {
    swept = forget_container(session, options, notes);
  }
  std::vector<BrokenRecord> broken;
  (void)session.journal.all(&broken);  // only for what cannot be read
  for (const BrokenRecord& record : broken)
    if (record.kind == BrokenRecord::Kind::kSetAside || !options.forget.empty())
      swept.problems.push_back(fmt::format("{}: {}", record.file, record.problem));
  const int status = swept.problems.empty() ? 0 : 1;
  if (json)
    return {dump({{"dryRun", options.dry_run},
                  {"removed", ids_json(swept.removed)},
                  {"kept", swept.kept},
                  {"leases", leases_json(cleaned.leases)},
                  {"ports", {{"freed", ids_json(cleaned.ports.freed)}, {"kept", cleaned.ports.kept}}},
                  {"portmap", portmap_json(cleaned.portmap)},
                  {"notes", notes},
                  {"problems", swept.problems}}),
            status};
  return {gc_text(cleaned, notes, options.dry_run), status};
}

Report version_report(bool json) {
  const Json libraries = {
      {"nlohmann-json",
       fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
      {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"libmnl", CROSSOVER_LIBMNL_VERSION}};
  if (json)
    return {dump({{"version", CROSSOVER_VERSION}, {"specVersions", conf::kSpecVersions}, {"libraries", libraries}}), 0};
  std::string specs;
  for (const std::string_view version : conf::kSpecVersions)
    specs += fmt::format("{}{}", specs.empty() ? "" : ", ", version);
  std::string built;
  for (const auto& [name, version] : libraries.items())
    built += fmt::format("{}{} {}", built.empty() ? "" : ", ", name, version.get<std::string>());
  return {aligned({{"crossover", CROSSOVER_VERSION}, {"CNI versions", specs}, {"libraries", built}}), 0};
}

}  // namespace plugin
