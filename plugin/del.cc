// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "conf/error.h"
#include "plugin/commands.h"
#include "plugin/detach.h"
#include "plugin/evidence.h"
#include "plugin/session.h"

namespace plugin {
namespace {

using conf::CniError;

// A record that makes no sense is kept aside for people; the pod is then like one without a record. One that could not
// be read this time (a bad moment of the disk, no descriptor left) will be, by the DEL that the runtime sends next.
Found find_record(Session& session, const conf::AttachmentId& id, Event& event) {
  try {
    return session.journal.find(id);
  } catch (const CniError& error) {
    if (error.code() == static_cast<unsigned>(conf::Code::kIo)) throw;
    event.notes.push_back(fmt::format("set aside: {}", error.details()));
    session.journal.set_aside(id);
    return {};
  }
}

// Evidence may be gone with the first plugin that did its part, so that a DEL killed half way, or failing, would leave
// nothing that leads to the rest. A full disk must not keep the DEL from going on.
void keep_evidence(Session& session, const Attachment& attachment, Event& event) {
  try {
    session.journal.forget(attachment.id);  // what was found there is no record
    (void)session.journal.begin(attachment);
  } catch (const CniError& error) {
    event.notes.push_back(fmt::format("no record could be made first: {}", error.what()));
  }
}

void detach_one(Session& session, const conf::Request& request, Event& event) {
  const Session::Held held = session.hold(request.id);
  Found found = find_record(session, request.id, event);
  DetachCall call{.netns = request.netns, .path = request.path, .adopted = false, .forget = false};
  if (!found.attachment) {
    found.attachment = find_evidence(session.system, session.settings, request, event.notes);
    call.adopted = true;
    if (found.attachment) keep_evidence(session, *found.attachment, event);
  } else {
    call.adopted = found.attachment->boot_id.empty();  // adopted by an earlier DEL that failed
  }
  if (found.attachment) {
    event.about(*found.attachment);
    detach(session, *found.attachment, call, event);
    return;
  }
  event.reason = "nothing is known of this attachment; its namespace is left alone";
  session.journal.forget(request.id);  // an intent that was cut short, a draft
}

}  // namespace

// DEL belongs to the record, not to today's decision.
std::string del(System& system, const conf::Request& request, const conf::NetConf& netconf) {
  Session session(system, netconf.settings);
  // Before waiting: an ADD of the same attachment that still runs sees it and undoes itself.
  session.locks.mark_deletion(request.id, system.clock.boot_ns());
  Event event;
  event.verb = "DEL";
  event.id = request.id;
  const auto finish = [&](const std::optional<CniError>& error) {
    event.error = error;
    event.ms = elapsed_ms(system);
    session.events.write(event);
  };
  try {
    detach_one(session, request, event);
  } catch (const CniError& error) {
    finish(error);
    throw;
  }
  finish(std::nullopt);
  return {};
}

}  // namespace plugin
