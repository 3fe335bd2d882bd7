// SPDX-License-Identifier: Apache-2.0
#include "plugin/gc.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "conf/unfinished.h"
#include "plugin/commands.h"
#include "plugin/delegate.h"
#include "plugin/detach.h"
#include "plugin/gc_ports.h"
#include "plugin/libcni_cache.h"
#include "plugin/node.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::Code;

// What the runtime keeps of it. Once `crossover uninstall` has handed the node back, no DEL of our list comes any more
// by which libcni would remove that.
void clear_runtime_cache(System& system, const conf::AttachmentId& id, Event& event) {
  for (const conf::DirEntry& entry : system.disk.list(system.places.libcni_cache)) {
    if (!entry.is_regular || !entry.name.ends_with(libcni_cache_name("", id))) continue;
    const std::string file = system.places.libcni_cache + '/' + entry.name;
    if (system.disk.remove(file)) event.notes.push_back("removed " + file);
  }
}

void detach_stale(Session& session, const conf::AttachmentId& id, const std::string& path, Swept& out) {
  const std::optional<Locks::Guard> own = session.locks.attachment(id, std::chrono::milliseconds(0));
  Event event;
  event.verb = "GC";
  event.id = id;
  try {
    const Found found = own ? session.journal.find(id) : Found{};
    if (!found.attachment) {
      ++out.kept;  // another call is at work on it, or has just removed it
      return;
    }
    event.about(*found.attachment);
    clear_runtime_cache(session.system, id, event);  // while the record is there: nobody would look for it afterwards
    detach(session, *found.attachment, {.netns = {}, .path = path}, event);
    out.removed.push_back(id);
  } catch (const CniError& error) {
    event.error = error;
    out.problems.push_back(fmt::format("{} {}: {}", id.container_id, id.ifname, error.what()));
  }
  event.ms = elapsed_ms(session.system);
  session.events.write(event);
}

// Nobody else is at work, so that what is unfinished will never be. What cannot be read may be a stale attachment's.
void clear_unfinished(Session& session, const std::vector<BrokenRecord>& broken, bool dry_run, Swept& out) {
  for (const BrokenRecord& record : broken) {
    if (record.kind == BrokenRecord::Kind::kUnreadable)
      out.problems.push_back(fmt::format("{}: {}", record.file, record.problem));
    if (record.kind != BrokenRecord::Kind::kUnfinished) continue;
    try {
      if (!dry_run) session.journal.remove_unfinished(record);
      out.notes.push_back(fmt::format("{} {}: {}", dry_run ? "would remove" : "removed", record.file, record.problem));
    } catch (const CniError& error) {
      out.problems.push_back(fmt::format("{}: {}", record.file, error.what()));
    }
  }
}

// Not under any lock: `crossover set` and crossover-portmap write here beside us.
void clear_temporaries(Session& session, std::int64_t now_ms, bool dry_run, Swept& out) {
  const std::chrono::system_clock::time_point now{std::chrono::milliseconds(now_ms)};
  const std::string& state = session.settings.state_dir;
  for (const std::string& dir : {state, state + "/networks", state + "/ports"}) {
    try {
      for (const std::string& file :
           conf::unfinished_files(session.system.disk, dir, now - conf::kCertainlyUnfinished)) {
        if (!dry_run) session.system.disk.remove(file);
        out.notes.push_back(fmt::format("{} {}: it was never finished", dry_run ? "would remove" : "removed", file));
      }
    } catch (const CniError& error) {
      out.problems.push_back(fmt::format("{}: {}", dir, error.what()));
    }
  }
}

bool is_among(const std::vector<conf::AttachmentId>& ids, const conf::AttachmentId& id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// The plugins of both lists learn who is alive: what the runtime said and what is still on record.
void forward(Session& session, const conf::Request& request, std::vector<conf::AttachmentId> valid, Swept& swept) {
  for (const Attachment& attachment : session.journal.all())
    if (!is_among(valid, attachment.id)) valid.push_back(attachment.id);
  const Node node = look_at_node(session.system, session.settings, Copies::kRead, AskAgent::kIfItMatters,
                                 session.settings.agent_timeout);
  Call call;
  call.path = request.path;
  call.valid_attachments = conf::attachment_ids_json(valid);
  call.deadline = session.settings.delegate_timeout;
  call.keep_fd = session.locks.fd();
  for (const std::optional<FoundList>& found : {node.lists.legacy, node.lists.cilium}) {
    if (!found) continue;
    for (const Failure& failure : Delegates(session.system).gc(found->list, call))
      swept.problems.emplace_back(failure.error.what());
  }
}

}  // namespace

bool is_orphan(System& system, const Attachment& attachment) {
  if (attachment.boot_id.empty()) return false;  // adopted from evidence: its namespace was never known
  return netns_to_touch(system, attachment, {}).empty();
}

Swept sweep(Session& session, const std::function<bool(const Attachment&)>& is_stale, std::int64_t before_ms,
            const std::string& path, bool dry_run) {
  Swept out;
  std::vector<BrokenRecord> broken;
  for (const Attachment& attachment : session.journal.all(&broken)) {
    try {
      if (attachment.started_ms > before_ms || !is_stale(attachment)) {
        ++out.kept;
      } else if (dry_run) {
        out.removed.push_back(attachment.id);
      } else {
        detach_stale(session, attachment.id, path, out);
      }
    } catch (const CniError& error) {  // whether it is stale could not be told
      out.problems.push_back(fmt::format("{} {}: {}", attachment.id.container_id, attachment.id.ifname, error.what()));
    }
  }
  clear_unfinished(session, broken, dry_run, out);
  clear_temporaries(session, before_ms, dry_run, out);
  return out;
}

std::string gc(System& system, const conf::Request& request, const conf::NetConf& netconf) {
  if (!netconf.valid_attachments) return {};  // no list: who is alive is unknown, and nothing is destroyed
  const std::int64_t began = system.clock.unix_ms();
  Session session(system, netconf.settings);
  const std::optional<Locks::Guard> alone = session.locks.exclusive(netconf.settings.lock_timeout);
  if (!alone)
    throw CniError(Code::kTryAgainLater, "other calls are at work",
                   fmt::format("they did not end within {} ms", netconf.settings.lock_timeout.count()));
  const std::vector<conf::AttachmentId>& valid = *netconf.valid_attachments;
  Swept swept = sweep(
      session, [&valid](const Attachment& attachment) { return !is_among(valid, attachment.id); }, began, request.path,
      false);
  // Whoever else maps ports here is not in the runtime's list: only those of pods that are gone.
  const SweptPorts ports = sweep_ports(session, std::nullopt, began, false);
  swept.problems.insert(swept.problems.end(), ports.problems.begin(), ports.problems.end());
  forward(session, request, valid, swept);
  if (swept.problems.empty()) return {};
  std::string all;
  for (const std::string& problem : swept.problems) all += (all.empty() ? "" : "; ") + problem;
  throw CniError(Code::kDelegateBroken, "garbage collection is incomplete", all);
}

}  // namespace plugin
