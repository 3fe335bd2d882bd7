// SPDX-License-Identifier: Apache-2.0
#include "plugin/gc_leases.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "conf/attachment_name.h"
#include "conf/error.h"
#include "ipam/survey.h"

namespace plugin {
namespace {

using conf::CniError;
using ipam::Lease;

std::string store_dir(const Session& session) { return session.settings.state_dir + "/ipam"; }

// By the names that leases have too. A record that cannot be read is a record.
std::set<std::string> names_on_record(Session& session) {
  std::set<std::string> out;
  std::vector<BrokenRecord> broken;
  for (const Attachment& attachment : session.journal.all(&broken)) out.insert(conf::attachment_name(attachment.id));
  for (const BrokenRecord& record : broken)
    if (record.kind == BrokenRecord::Kind::kUnreadable) out.insert(conf::file_name_of(record.file));
  return out;
}

// Why the namespace of a lease of this boot is gone for certain; nothing if it may be there.
std::optional<std::string> why_gone(System& system, const Lease& lease) {
  if (lease.netns.empty() || lease.netns_inode == 0) return std::nullopt;
  try {
    const std::optional<PodNetns> now = system.pods.look(lease.netns, "lo");
    if (!now) return "its network namespace is gone";
    if (now->id.inode != lease.netns_inode) return "its network namespace is gone, another has its path";
    return std::nullopt;
  } catch (const CniError& error) {
    // Only this one says what is there. That it cannot be opened or entered may be due to us.
    if (error.msg() == "not a network namespace") return "its network namespace is gone, no namespace has its path";
    throw;
  }
}

/// What is known about the living, for one sweep.
class Judge {
 public:
  Judge(Session& session, const std::optional<std::vector<conf::AttachmentId>>& valid, std::int64_t before_ms)
      : system_(session.system), on_record_(names_on_record(session)), before_ms_(before_ms) {
    if (!valid) return;
    valid_.emplace();
    for (const conf::AttachmentId& id : *valid) valid_->insert(conf::attachment_name(id));
  }

  [[nodiscard]] std::optional<std::string> why_leaked(const Lease& lease) const {
    const std::string name = conf::attachment_name(lease.owner);
    if (on_record_.count(name) != 0 || lease.taken_ms > before_ms_) return std::nullopt;
    if (valid_) return valid_->count(name) != 0 ? std::nullopt : std::optional<std::string>("it is not in the list");
    if (!lease.boot_id.empty() && lease.boot_id != system_.boot_id) return "it is of an earlier boot";
    return why_gone(system_, lease);
  }
  [[nodiscard]] bool nobodys(const std::string& name) const {
    return valid_ && valid_->count(name) == 0 && on_record_.count(name) == 0;
  }

 private:
  System& system_;
  std::set<std::string> on_record_;
  std::optional<std::set<std::string>> valid_;
  std::int64_t before_ms_;
};

struct Leaked {
  Lease lease;
  std::string reason;
};

std::vector<Leaked> find_leaked(const Judge& judge, const ipam::Survey& seen, SweptLeases& out) {
  std::vector<Leaked> leaked;
  for (const Lease& lease : seen.leases) {
    try {
      std::optional<std::string> reason = judge.why_leaked(lease);
      if (reason) {
        leaked.push_back({lease, std::move(*reason)});
      } else {
        ++out.kept;
      }
    } catch (const CniError& error) {
      out.problems.push_back(fmt::format("lease of {} {}: whether its network namespace is gone cannot be told: {}",
                                         lease.owner.container_id, lease.owner.ifname, error.what()));
    }
  }
  return leaked;
}

void say_freed(Session& session, const Leaked& leaked) {
  Event event;
  event.verb = "gc";
  event.id = leaked.lease.owner;
  for (const conf::IpPrefix& address : leaked.lease.addresses)
    event.notes.push_back(fmt::format("freed {}: {}", address.str(), leaked.reason));
  event.ms = elapsed_ms(session.system);
  session.events.write(event);
}

void free_leaked(Session& session, ipam::Store* store, const std::vector<Leaked>& leaked, SweptLeases& out) {
  for (const Leaked& one : leaked) {
    try {
      if (store != nullptr && !store->give_back_if_same(one.lease, session.system.clock.unix_ms())) {
        ++out.kept;  // it was given back, or taken anew, since it was judged
        continue;
      }
      out.freed.push_back({one.lease.owner, one.lease.addresses, one.reason});
      if (store != nullptr) say_freed(session, one);
    } catch (const CniError& error) {
      out.problems.push_back(
          fmt::format("lease of {} {}: {}", one.lease.owner.container_id, one.lease.owner.ifname, error.what()));
    }
  }
}

void clear_damaged(Session& session, ipam::Store* store, const Judge& judge, const std::vector<std::string>& damaged,
                   SweptLeases& out) {
  for (const std::string& path : damaged) {
    try {
      const std::string name = conf::file_name_of(path);
      if (!judge.nobodys(name)) {
        out.problems.push_back(path +
                               ": no whole lease; it is removed when a list given with --valid does not name it");
      } else if (store == nullptr || store->remove_damaged(name, session.system.clock.unix_ms())) {
        out.notes.push_back(
            fmt::format("{} {}: no whole lease, and nobody's", store != nullptr ? "removed" : "would remove", path));
      }
    } catch (const CniError& error) {
      out.problems.push_back(fmt::format("{}: {}", path, error.what()));
    }
  }
}

}  // namespace

SweptLeases sweep_leases(Session& session, const std::optional<std::vector<conf::AttachmentId>>& valid,
                         std::int64_t before_ms, bool dry_run) {
  SweptLeases out;
  try {
    System& system = session.system;
    const std::optional<ipam::Survey> seen = ipam::survey(system.disk, {.dir = store_dir(session),
                                                                        .boot_id = system.boot_id,
                                                                        .now_ms = system.clock.unix_ms(),
                                                                        .wait = session.settings.lock_timeout});
    if (!seen) return out;
    const Judge judge(session, valid, before_ms);
    const std::vector<Leaked> leaked = find_leaked(judge, *seen, out);
    std::optional<ipam::Store> store;
    if (!dry_run)
      store.emplace(system.disk,
                    ipam::Store::Options{
                        .dir = store_dir(session), .boot_id = system.boot_id, .wait = session.settings.lock_timeout});
    free_leaked(session, store ? &*store : nullptr, leaked, out);
    clear_damaged(session, store ? &*store : nullptr, judge, seen->damaged, out);
    if (store) store->repair();
  } catch (const CniError& error) {
    out.problems.push_back(fmt::format("leases: {}", error.what()));
  }
  return out;
}

}  // namespace plugin
