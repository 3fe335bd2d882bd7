// SPDX-License-Identifier: Apache-2.0
#include "plugin/detach.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "ipam/config.h"
#include "ipam/host_local.h"
#include "ipam/store.h"
#include "plugin/delegate.h"
#include "plugin/habits.h"
#include "plugin/libcni_cache.h"
#include "plugin/portmap.h"

namespace plugin {
namespace {

using conf::CniError;

bool is_that_netns(System& system, const Attachment& attachment, const std::string& path) {
  if (path.empty()) return false;
  try {
    const std::optional<PodNetns> pod = system.pods.look(path, attachment.id.ifname);
    return pod && !pod->is_ours && pod->id.same_as(attachment.netns_id);
  } catch (const CniError& error) {
    // What lies under the path now is no namespace: the pod's is gone. Anything else is a bad moment of ours, and
    // taking the namespace for gone would leave its links behind.
    if (error.code() == static_cast<unsigned>(conf::Code::kInvalidNetns)) return false;
    throw;
  }
}

Call call_for(const Session& session, const Attachment& attachment, const DetachCall& call, std::string netns) {
  return {.id = attachment.id,
          .netns = std::move(netns),
          .args = attachment.args,
          .path = call.path,
          .fallback_path = attachment.path,
          .runtime_config = attachment.runtime_config,
          .prev_result = attachment.result,
          .valid_attachments = std::nullopt,
          .deadline = session.settings.delegate_timeout,
          .keep_fd = session.locks.fd()};
}

bool all_gone_for_good(const std::vector<Failure>& failures) {
  return std::all_of(failures.begin(), failures.end(), [](const Failure& failure) { return failure.gone_for_good; });
}

std::string sentences(const std::vector<Failure>& failures) {
  std::string out;
  for (const Failure& failure : failures) out += (out.empty() ? "" : "; ") + std::string(failure.error.what());
  return conf::without_swallowed_phrases(out);
}

CniError unfinished(const std::vector<Failure>& failures, const Attachment& attachment) {
  const CniError& first = failures.front().error;
  std::string details = conf::without_swallowed_phrases(first.details());
  for (std::size_t i = 1; i < failures.size(); ++i)
    details += (details.empty() ? "" : "; ") + conf::without_swallowed_phrases(failures[i].error.what());
  if (attachment.failed_deletes > 0)
    details += fmt::format("; try {} of {}, then only what is local is cleaned; `crossover gc --forget {}` does it now",
                           attachment.failed_deletes, kTriesBeforeForgetting, attachment.id.container_id);
  return {first.code(), conf::without_swallowed_phrases(first.msg()), std::move(details)};
}

void remove_noting(Session& session, const std::string& path, Event& event) {
  if (session.system.disk.remove(path)) event.notes.push_back("removed " + path);
}

void give_back_lease(Session& session, const Attachment& attachment, const conf::Object& ipam, Event& event) {
  if (conf::string_member(ipam, "type", "ipam") != "crossover-ipam") return;
  const std::string dir = conf::string_member(ipam, "stateDir", "ipam").value_or(ipam::kDefaultStateDir) + "/ipam";
  if (!session.system.disk.info(dir)) return;
  ipam::Store store(session.system.disk, {.dir = dir, .boot_id = session.system.boot_id});
  if (store.give_back(attachment.id, session.system.clock.unix_ms()))
    event.notes.push_back("gave back the lease of crossover-ipam");
}

// What a plugin that can no longer run would have freed and we can reach: the pod's interface (its host end goes with
// it), the leases of crossover-ipam and host-local, flannel's file.
void clean_local(Session& session, const Attachment& attachment, const std::string& netns, Event& event) {
  System& system = session.system;
  if (!netns.empty() && system.pods.delete_link(netns, attachment.netns_id, attachment.id.ifname))
    event.notes.push_back(fmt::format("deleted {} in {}", attachment.id.ifname, netns));
  for (const conf::PluginConf& plugin : attachment.list.plugins) {
    const std::string* section = plugin.conf.find("ipam");
    const conf::Object ipam = section != nullptr && conf::kind_of(*section) == "object"
                                  ? conf::Object::parse(*section, "ipam")
                                  : conf::Object();
    give_back_lease(session, attachment, ipam, event);
    const std::string dir = ipam::host_local_dir(ipam, attachment.list.name);
    for (const ipam::HostLocalLease& lease : ipam::host_local_leases_of(system.disk, dir, attachment.id))
      remove_noting(session, lease.path, event);
  }
  if (const auto file = flannel_container_file(attachment.list, system.places, attachment.id.container_id))
    remove_noting(session, *file, event);
}

void forget(Session& session, const Attachment& attachment, const std::string& netns, Event& event) {
  clean_local(session, attachment, netns, event);
  event.notes.push_back("only what is local was cleaned; addresses that a plugin keeps elsewhere may stay taken");
}

// First, so that nothing more is sent to the pod. Ports that stay open are no reason to keep its network, but the
// record stays with them.
std::optional<CniError> close_ports(Session& session, const conf::AttachmentId& id, Event& event) {
  try {
    if (unmap_ports(session.system, session.settings.state_dir, id)) event.notes.push_back("took its hostPorts out");
  } catch (const CniError& error) {
    return CniError(error.code(), conf::without_swallowed_phrases(error.msg()),
                    conf::without_swallowed_phrases(error.details()));
  }
  return std::nullopt;
}

bool is_gone(System& system, const std::string& netns, const std::string& ifname) {
  if (netns.empty()) return true;
  try {
    return !system.pods.look(netns, ifname);
  } catch (const CniError& error) {
    return error.code() == static_cast<unsigned>(conf::Code::kInvalidNetns);
  }
}

// cilium-cni of 1.16 to 1.18 says so for ever, and the pod would stay Terminating. Its agent knows whether the endpoint
// is gone; while it cannot be asked, the error stands.
void excuse_absent_namespace(Session& session, const Attachment& attachment, const std::string& netns,
                             std::vector<Failure>& failures, Event& event) {
  const auto blamed = std::find_if(failures.begin(), failures.end(), [](const Failure& failure) {
    return blames_the_namespace(failure.type, failure.error.what());
  });
  System& system = session.system;
  if (blamed == failures.end() || !is_gone(system, netns, attachment.id.ifname)) return;
  const std::string socket = session.settings.cilium_socket.value_or(system.places.cilium_socket);
  if (socket.empty() || system.agent.endpoint(socket, attachment.id.container_id, attachment.id.ifname,
                                              session.settings.agent_timeout) != Endpoint::kAbsent)
    return;
  event.notes.push_back("cilium's agent has no such endpoint, so this was no failure: " +
                        std::string(blamed->error.what()));
  failures.erase(blamed);
}

bool flannel_knows_nothing(Session& session, const Attachment& attachment) {
  const auto file = flannel_container_file(attachment.list, session.system.places, attachment.id.container_id);
  return file && !session.system.disk.info(*file);
}

void note_failures(Session& session, Attachment& attachment, const std::vector<Failure>& failures) {
  attachment.failed_deletes = all_gone_for_good(failures) ? attachment.failed_deletes + 1 : 0;
  attachment.last_failure = sentences(failures);
  session.journal.note_failure(attachment, session.system.clock.unix_ms());
}

// Throws if something is left to do for a later DEL.
void run_plugins(Session& session, Attachment& attachment, const Call& call, Event& event) {
  const bool left_to_us = flannel_knows_nothing(session, attachment);
  Delegates delegates(session.system);
  std::vector<Failure> failures = delegates.del(attachment.list, call);
  event.steps.insert(event.steps.end(), delegates.steps().begin(), delegates.steps().end());
  excuse_absent_namespace(session, attachment, call.netns, failures, event);
  if (left_to_us) clean_local(session, attachment, call.netns, event);
  if (failures.empty()) return;
  if (!all_gone_for_good(failures) || attachment.failed_deletes + 1 < kTriesBeforeForgetting) {
    note_failures(session, attachment, failures);
    throw unfinished(failures, attachment);
  }
  event.notes.push_back(fmt::format("given up after {} tries: {}", kTriesBeforeForgetting, sentences(failures)));
  forget(session, attachment, call.netns, event);
}

}  // namespace

std::string netns_to_touch(System& system, const Attachment& attachment, const DetachCall& call) {
  if (call.adopted) return call.netns;
  if (attachment.boot_id != system.boot_id) return {};
  if (is_that_netns(system, attachment, call.netns)) return call.netns;
  return is_that_netns(system, attachment, attachment.netns) ? attachment.netns : std::string{};
}

void detach(Session& session, Attachment attachment, const DetachCall& call, Event& event) {
  const std::optional<CniError> shut = close_ports(session, attachment.id, event);
  const std::string netns = netns_to_touch(session.system, attachment, call);
  if (call.forget) {
    forget(session, attachment, netns, event);
  } else {
    run_plugins(session, attachment, call_for(session, attachment, call, netns), event);
  }
  // The runtime's own cache file of a network that is no longer loaded: libcni removes only the current network's.
  if (!attachment.libcni_cache.empty()) remove_noting(session, attachment.libcni_cache, event);
  // Likewise the one that `crossover uninstall` made for the list, if the DEL comes here nevertheless.
  const std::string handed =
      session.system.places.libcni_cache + '/' + libcni_cache_name(attachment.list.name, attachment.id);
  if (session.system.disk.info(handed)) remove_noting(session, handed, event);
  if (shut) throw *shut;
  session.journal.forget(attachment.id);
}

}  // namespace plugin
