// SPDX-License-Identifier: Apache-2.0
#include "plugin/gc_reference_ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <utility>

#include "conf/error.h"
#include "plugin/delegate.h"
#include "plugin/discovery.h"
#include "plugin/port_record.h"
#include "plugin/reference_rules.h"

namespace plugin {
namespace {

using conf::CniError;

constexpr std::chrono::milliseconds kSettle{2000};

/// What is known of the living, at one moment.
class Living {
 public:
  Living(Session& session, const std::optional<std::vector<conf::AttachmentId>>& valid) {
    std::vector<BrokenRecord> broken;
    for (const Attachment& attachment : session.journal.all(&broken)) ids_.insert(attachment.id.container_id);
    for (const BrokenRecord& record : broken) names_.push_back(conf::file_name_of(record.file));
    PortRecords ports(session.system.disk, session.settings.state_dir);
    for (const PortRecord& record : ports.all()) ids_.insert(record.owner.container_id);
    for (std::string& name : ports.names()) names_.push_back(std::move(name));
    const std::string& cache = session.system.places.libcni_cache;
    // The second is that of cri-dockerd, and was the kubelet's.
    for (const std::string& dir : {cache, conf::folder_of(cache) + "/cache/results"})
      for (conf::DirEntry& entry : session.system.disk.list(dir)) names_.push_back(std::move(entry.name));
    if (!valid) return;
    for (const conf::AttachmentId& id : *valid) ids_.insert(id.container_id);
  }

  /// A file that has the id anywhere in its name may be the container's.
  [[nodiscard]] bool may_live(const std::string& container_id) const {
    if (ids_.count(container_id) != 0) return true;
    return std::any_of(names_.begin(), names_.end(),
                       [&](const std::string& name) { return name.find(container_id) != std::string::npos; });
  }

 private:
  std::set<std::string> ids_;
  std::vector<std::string> names_;
};

/// The networks that are ours, by name, with the version to run a plugin of theirs in.
struct OurNetworks {
  std::map<std::string, std::string> versions;
  bool run_portmap = false;
  std::string plugin_path;  ///< where the records' plugins were

  void add(const conf::NetworkList& list) {
    versions.emplace(list.name, list.cni_version);
    run_portmap = run_portmap || list.runs("portmap");
  }
};

// A list that was given another name is known by its copy until the next ADD.
void add_copies(Session& session, OurNetworks& out) {
  for (const Network network : {Network::kLegacy, Network::kCilium}) {
    try {
      const std::string file = fmt::format("{}/networks/{}", session.settings.state_dir, network_name(network));
      const std::optional<std::string> text = session.system.disk.read(file, 4 * conf::kMaxConfigBytes);
      if (!text) continue;
      const conf::Object copy = conf::Object::parse(*text, file, 4 * conf::kMaxConfigBytes);
      if (const auto list = conf::string_member(copy, "list", file)) out.add(conf::parse_list(*list, file));
    } catch (const CniError&) {
      continue;  // no copy: discovery says so where it matters
    }
  }
}

OurNetworks our_networks(Session& session) {
  OurNetworks out;
  const Discovery lists = discover(session.system, session.settings, Copies::kRead);
  for (const std::optional<FoundList>& found : {lists.legacy, lists.cilium})
    if (found) out.add(found->list);
  add_copies(session, out);
  for (const Attachment& attachment : session.journal.all()) {
    out.add(attachment.list);
    if (out.plugin_path.find(attachment.path) == std::string::npos) out.plugin_path += attachment.path + ':';
  }
  return out;
}

std::string said(const PortmapOwner& owner) {
  return owner.network.empty() ? owner.container_id
                               : fmt::format("{} of network {}", owner.container_id, owner.network);
}

// Its DEL goes by the network's name and the container's id alone, but does nothing without some mapping.
conf::NetworkList teardown(const std::string& network, const std::string& version) {
  conf::NetworkList out;
  out.name = network;
  out.cni_version = version;
  // Newer ones would else choose the backend by what they find now; older ones do not know the key.
  out.plugins.push_back(conf::parse_plugin(
      R"({"type":"portmap","backend":"iptables","capabilities":{"portMappings":true}})", "portmap's teardown"));
  return out;
}

class Sweep {
 public:
  Sweep(Session& session, const std::optional<std::vector<conf::AttachmentId>>& valid)
      : session_(session),
        valid_(valid),
        ours_(our_networks(session)),
        iptables_(session.system, session.settings.delegate_timeout, session.locks.fd()),
        tables_(session.system.firewall) {}

  SweptReferencePorts run(bool dry_run) {
    if (ours_.versions.empty()) return {};  // no network of ours can have left anything
    SeenReferenceRules seen = look();
    std::set<PortmapOwner> dead = dead_among(seen);
    if (!dead.empty()) {
      session_.system.clock.sleep(kSettle);
      seen = look();
      const std::set<PortmapOwner> again = dead_among(seen);
      std::set<PortmapOwner> both;
      std::set_intersection(dead.begin(), dead.end(), again.begin(), again.end(), std::inserter(both, both.end()));
      dead = std::move(both);
    }
    out_.kept = seen.here.size();
    for (const PortmapOwner& owner : dead) judge(owner, seen);
    if (!dry_run) take_out();
    out_.problems.insert(out_.problems.end(), problems_.begin(), problems_.end());
    return std::move(out_);
  }

 private:
  [[nodiscard]] SeenReferenceRules look() {
    SeenReferenceRules seen;
    iptables_.look(seen, problems_);
    try {
      if (ours_.run_portmap) tables_.look(seen);
    } catch (const CniError& error) {
      problems_.insert(fmt::format("what portmap left could not be looked for: {}", error.what()));
    }
    return seen;
  }

  [[nodiscard]] std::set<PortmapOwner> dead_among(const SeenReferenceRules& seen) {
    const Living living(session_, valid_);
    std::set<PortmapOwner> out;
    for (const auto* owners : {&seen.here, &seen.elsewhere})
      for (const auto& [owner, where] : *owners)
        if ((owner.network.empty() || ours_.versions.count(owner.network) != 0) && !living.may_live(owner.container_id))
          out.insert(owner);
    return out;
  }

  void judge(const PortmapOwner& owner, const SeenReferenceRules& seen) {
    const auto here = seen.here.find(owner);
    if (here != seen.here.end()) {
      out_.freed.push_back({.owner = owner, .where = here->second});
      --out_.kept;
      return;
    }
    problems_.insert(
        fmt::format("portmap left rules of {} in {}, and would find another iptables: run this command "
                    "with that one first in PATH",
                    said(owner), fmt::join(seen.elsewhere.at(owner), ", ")));
  }

  void take_out() {
    std::set<std::string> in_tables;
    std::map<PortmapOwner, Event> events;
    for (const FreedReferencePorts& one : out_.freed) {
      Event& event = events[one.owner];
      event.verb = "gc";
      event.id.container_id = one.owner.container_id;
      if (one.owner.network.empty()) {
        in_tables.insert(one.owner.container_id);
      } else {
        run_portmap(one.owner, event);
      }
    }
    if (!in_tables.empty()) take_out_of_tables(in_tables, events);
    if (!out_.freed.empty()) confirm(events);
  }

  void run_portmap(const PortmapOwner& owner, Event& event) {
    System system = session_.system;  // with a PATH of its own: portmap must find the iptables that we looked with
    auto& environment = system.environment;
    const auto is_path = [](const std::string& entry) { return entry.starts_with("PATH="); };
    environment.erase(std::remove_if(environment.begin(), environment.end(), is_path), environment.end());
    environment.push_back("PATH=" + iptables_.path());
    Call call;
    call.id = {.container_id = owner.container_id, .ifname = "eth0"};
    call.path = inherited(session_.system, "CNI_PATH");
    call.fallback_path = ours_.plugin_path + session_.system.places.plugins;
    call.runtime_config.set("portMappings", R"([{"hostPort":1,"containerPort":1,"protocol":"tcp"}])");
    call.deadline = session_.settings.delegate_timeout;
    call.keep_fd = session_.locks.fd();
    Delegates delegates(system);
    for (const Failure& failure : delegates.del(teardown(owner.network, ours_.versions.at(owner.network)), call))
      event.error = failure.error;
    event.steps = delegates.steps();
  }

  void take_out_of_tables(const std::set<std::string>& container_ids, std::map<PortmapOwner, Event>& events) {
    try {
      tables_.take_out(container_ids);
    } catch (const CniError& error) {
      for (const std::string& id : container_ids) events.at({.container_id = id, .network = {}}).error = error;
    }
  }

  // What counts is what is there now.
  void confirm(std::map<PortmapOwner, Event>& events) {
    const SeenReferenceRules now = look();
    std::vector<FreedReferencePorts> gone;
    for (FreedReferencePorts& one : out_.freed) {
      Event& event = events.at(one.owner);
      const bool still = now.here.count(one.owner) != 0;
      if (still || event.error)
        problems_.insert(fmt::format("portmap's rules of {} {}: {}", said(one.owner),
                                     still ? "are still there" : "are gone",
                                     event.error ? event.error->what() : "its DEL succeeded and left them"));
      if (!still) event.notes.push_back(fmt::format("took out what portmap left in {}", fmt::join(one.where, ", ")));
      event.ms = elapsed_ms(session_.system);
      session_.events.write(event);
      if (!still) gone.push_back(std::move(one));
    }
    out_.freed = std::move(gone);
  }

  Session& session_;
  const std::optional<std::vector<conf::AttachmentId>>& valid_;
  OurNetworks ours_;
  ReferenceIptables iptables_;
  ReferenceTables tables_;
  SweptReferencePorts out_;
  std::set<std::string> problems_;  ///< each once: what cannot be looked at cannot be a second time
};

}  // namespace

SweptReferencePorts sweep_reference_ports(Session& session, const std::optional<std::vector<conf::AttachmentId>>& valid,
                                          bool dry_run) {
  try {
    return Sweep(session, valid).run(dry_run);
  } catch (const CniError& error) {
    SweptReferencePorts out;
    out.problems.push_back(fmt::format("what portmap left could not be looked for: {}", error.what()));
    return out;
  }
}

}  // namespace plugin
