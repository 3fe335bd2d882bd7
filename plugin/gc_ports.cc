// SPDX-License-Identifier: Apache-2.0
#include "plugin/gc_ports.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "plugin/port_switch.h"
#include "plugin/portmap.h"

namespace plugin {
namespace {

bool is_leaked(Session& session, PortSwitch& ports, const PortRecord& record,
               const std::optional<std::vector<conf::AttachmentId>>& valid, std::int64_t before_ms) {
  if (record.made_ms > before_ms || session.journal.find(record.owner).attachment) return false;
  if (valid) return std::find(valid->begin(), valid->end(), record.owner) == valid->end();
  return !ports.is_alive(record);
}

void say_freed(Session& session, const PortRecord& record) {
  Event event;
  event.verb = "gc";
  event.id = record.owner;
  for (const Redirection& one : record.redirections) event.notes.push_back("took out hostPort " + one.key.str());
  event.ms = elapsed_ms(session.system);
  session.events.write(event);
}

}  // namespace

SweptPorts sweep_ports(Session& session, const std::optional<std::vector<conf::AttachmentId>>& valid,
                       std::int64_t before_ms, bool dry_run) {
  SweptPorts out;
  const std::string& state_dir = session.settings.state_dir;
  PortSwitch ports(session.system, state_dir);
  for (const std::string& name : ports.records().names()) {
    try {
      const std::optional<PortRecord> record = ports.records().find(name);
      if (!record) {
        if (!dry_run) (void)ports.records().remove(name);
      } else if (!is_leaked(session, ports, *record, valid, before_ms)) {
        ++out.kept;
      } else {
        if (!dry_run) (void)unmap_ports(session.system, state_dir, record->owner);
        if (!dry_run) say_freed(session, *record);
        out.freed.push_back(record->owner);
      }
    } catch (const conf::CniError& error) {
      out.problems.push_back(fmt::format("hostPorts of {}: {}", name, error.what()));
    }
  }
  return out;
}

}  // namespace plugin
