// SPDX-License-Identifier: Apache-2.0
#include "plugin/install.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>

#include "conf/disk.h"
#include "conf/error.h"
#include "conf/json.h"
#include "conf/list.h"
#include "conf/result.h"
#include "conf/unfinished.h"
#include "plugin/coexistence_add.h"
#include "plugin/delegate.h"
#include "plugin/evidence.h"
#include "plugin/gc.h"
#include "plugin/libcni_cache.h"
#include "plugin/neighbours.h"
#include "plugin/session.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::Code;

constexpr std::size_t kMaxProgram = std::size_t{1} << 30U;  // builds for debugging have a hundred MiB
constexpr std::size_t kMaxCacheBytes = 4 * conf::kMaxConfigBytes;
constexpr std::size_t kMaxNamed = 5;
constexpr std::string_view kProgram = "crossover";
constexpr std::array<std::string_view, 2> kLinks = {"crossover-ipam", "crossover-portmap"};

[[noreturn]] void cannot(const std::string& why) { throw CniError(kCannotPlace, "refused, nothing was changed", why); }

/// Steps, done or only said.
class Steps {
 public:
  explicit Steps(bool dry_run) : dry_run_(dry_run) {}
  void step(std::string text, const std::function<void()>& action) {
    if (!dry_run_) action();
    out_.done.push_back(std::move(text));
  }
  void warn(std::string text) { out_.warnings.push_back(std::move(text)); }
  [[nodiscard]] bool dry_run() const { return dry_run_; }
  [[nodiscard]] Placed take() { return std::move(out_); }

 private:
  bool dry_run_;
  Placed out_;
};

/// What a runtime loads from its directory: the first in byte order that it takes for a configuration.
std::vector<std::string> loadable(conf::Disk& disk, const std::string& dir) {
  std::vector<std::string> out;
  for (const conf::DirEntry& entry : disk.list(dir)) {
    const bool is_conf =
        entry.name.ends_with(".conflist") || entry.name.ends_with(".conf") || entry.name.ends_with(".json");
    if (entry.is_regular && is_conf) out.push_back(entry.name);
  }
  return out;
}

void require_plugins(System& system, const conf::NetworkList& list, const std::string& bin_dir) {
  Call call;
  call.path = bin_dir;
  Delegates delegates(system);
  for (const conf::PluginConf& plugin : list.plugins) {
    try {
      (void)delegates.find(plugin.type, call);
    } catch (const CniError& error) {
      cannot(fmt::format("list {} cannot run: {}", list.name, error.what()));
    }
  }
}

void require_next_pod(System& system, const conf::Settings& settings, const Node& node, const Placement& where) {
  const Choice choice = decide(node.facts, {}, settings);
  const bool held = node_state(node.facts).state == State::kHold;
  if (!choice.network && !held) cannot("the next pod could not start: " + choice.reason);
  for (const Network network : {Network::kLegacy, Network::kCilium})
    if (const auto& found = node.found(network); found && (choice.network == network || held))
      require_plugins(system, found->list, where.bin_dir);
}

/// What an install that was killed left beside `target`, whose name nothing else bears.
void remove_drafts(System& system, const std::string& target, Steps& steps) {
  const std::chrono::system_clock::time_point now{std::chrono::milliseconds(system.clock.unix_ms())};
  const std::string name = '.' + conf::file_name_of(target) + '.';
  for (const std::string& file :
       conf::unfinished_files(system.disk, conf::folder_of(target), now - conf::kCertainlyUnfinished))
    if (conf::file_name_of(file).starts_with(name))
      steps.step("removed " + file + ": it was never finished", [&] { (void)system.disk.remove(file); });
}

void place_programs(System& system, const Placement& where, Steps& steps) {
  const std::optional<std::string> program = system.disk.read(system.places.program, kMaxProgram);
  if (!program) cannot(system.places.program + " cannot be read");
  const std::string target = where.bin_dir + '/' + std::string(kProgram);
  remove_drafts(system, target, steps);
  if (system.disk.read(target, kMaxProgram) != program)
    steps.step("program " + target, [&] { system.disk.replace_program(target, *program); });
  for (const std::string_view name : kLinks) {
    const std::string link = fmt::format("{}/{}", where.bin_dir, name);
    remove_drafts(system, link, steps);
    if (system.disk.link_target(link) == std::string(kProgram)) continue;
    steps.step(fmt::format("link {} -> {}", link, kProgram),
               [&] { system.disk.replace_link(link, std::string(kProgram)); });
  }
}

void warn_of_neighbours(System& system, const Placement& where, Steps& steps) {
  const std::string dir = conf::folder_of(where.conf);
  const std::vector<std::string> names = loadable(system.disk, dir);
  const std::string own = conf::file_name_of(where.conf);
  if (!names.empty() && names.front() < own)
    steps.warn(
        fmt::format("{}/{} sorts before {}: the runtime loads it instead of Crossover's", dir, names.front(), own));
  if (std::string warning = renamed_by_cilium(system.disk, where.conf); !warning.empty())
    steps.warn(std::move(warning));
}

/// Rules and routes; a node that does not take them now gets them by its first ADD.
void assert_plumbing(System& system, const conf::Settings& settings, const Node& node, Steps& steps) {
  const CoexistencePlan plan = plan_coexistence(settings, coexistence_facts(system, settings, node));
  if (plan.empty()) return;
  Plumbing plumbing(system, plan);
  const PlumbingSeen seen = plumbing.look(false);
  if (plumbing_change(plan, seen).lacks_nothing()) return;
  steps.step("rules and routes between the networks", [&] {
    const Session session(system, settings);
    (void)plumbing.assert_on(seen, session.locks, settings.lock_timeout);
  });
}

// The lines say themselves whether it was done.
void remove_plumbing(System& system, const conf::Settings& settings, Steps& steps) {
  const CoexistencePlan nothing;
  Plumbing plumbing(system, nothing);
  std::vector<std::string> lines;
  if (steps.dry_run()) {
    lines = plumbing.would_do();
  } else {
    const Session session(system, settings);
    lines = plumbing.reconcile(session.locks, settings.lock_timeout);
  }
  for (std::string& line : lines) steps.step(std::move(line), [] {});
}

// libcni before 1.2 keeps no namespace; the results of main plugins do.
std::string netns_of(const Attachment& pod) {
  return pod.netns.empty() && pod.result ? conf::result_sandbox(*pod.result) : pod.netns;
}

std::string pods_text(const std::vector<Attachment>& pods) {
  std::string out;
  for (std::size_t i = 0; i < pods.size() && i < kMaxNamed; ++i) {
    const Attachment& pod = pods[i];
    const std::string name = pod.pod_name.empty() ? pod.id.container_id : pod.pod_namespace + '/' + pod.pod_name;
    out += (i == 0 ? "" : ", ") + name;
    if (netns_of(pod).empty()) out += fmt::format(" (known by {} alone: if it is gone, remove that)", pod.libcni_cache);
  }
  return pods.size() > kMaxNamed ? fmt::format("{} and {} more", out, pods.size() - kMaxNamed) : out;
}

/// The living, by their network. One without a result is nobody's yet.
struct Living {
  std::vector<Attachment> legacy;
  std::vector<Attachment> cilium;
};

Living living_pods(System& system, const conf::Settings& settings) {
  Living out;
  for (Attachment& attachment : Journal(system.disk, settings.state_dir).all()) {
    if (attachment.pending())
      cannot(fmt::format("the ADD of container {} is at work or was interrupted: try again, or `crossover gc` first",
                         attachment.id.container_id));
    if (is_orphan(system, attachment)) continue;
    (attachment.network == Network::kLegacy ? out.legacy : out.cilium).push_back(std::move(attachment));
  }
  return out;
}

/// One whose namespace nobody wrote down may live.
bool may_live(System& system, const Attachment& pod) {
  const std::string netns = netns_of(pod);
  try {
    return netns.empty() || system.pods.look(netns, pod.id.ifname).has_value();
  } catch (const CniError&) {
    return false;  // something else has its path by now
  }
}

/// Living pods of other lists than Crossover's and Cilium's: they are older than Crossover.
std::vector<Attachment> older_pods(System& system, const conf::NetworkList& cilium, const Living& known) {
  std::vector<Attachment> out;
  for (const conf::DirEntry& entry : system.disk.list(system.places.libcni_cache)) {
    if (!entry.is_regular) continue;
    const std::string file = system.places.libcni_cache + '/' + entry.name;
    std::optional<Attachment> found;
    try {
      const std::optional<std::string> text = system.disk.read(file, kMaxCacheBytes);
      if (text) found = read_any_libcni_cache(*text, file);
    } catch (const CniError&) {
      continue;  // no cache file of libcni's
    }
    if (!found || is_ours(found->list, system.self) || found->list.name == cilium.name) continue;
    if (found->id.ifname == "lo") continue;  // containerd brings `lo` up by a list and a cache file of its own
    const auto recorded = [&](const Attachment& one) { return one.id == found->id; };
    if (std::any_of(known.legacy.begin(), known.legacy.end(), recorded) ||
        std::any_of(known.cilium.begin(), known.cilium.end(), recorded))
      continue;
    if (may_live(system, *found)) out.push_back(std::move(*found));
  }
  return out;
}

/// The runtime's next DEL goes to the list itself: there it looks for the ADD under the list's own name.
void hand_over(System& system, const std::vector<Attachment>& pods, Steps& steps) {
  for (const Attachment& pod : pods) {
    const std::string file = system.places.libcni_cache + '/' + libcni_cache_name(pod.list.name, pod.id);
    if (system.disk.info(file)) continue;
    steps.step("libcni's cache " + file, [&] {
      system.disk.make_dirs(system.places.libcni_cache);
      system.disk.replace(file, libcni_cache_text(pod), conf::Sync::kYes);
    });
  }
}

/// The name under which the runtime finds it.
std::string loaded_name(const FoundList& found) {
  return std::string(without_renaming(conf::file_name_of(found.file)));
}

void put_list(System& system, const FoundList& found, const std::string& dir, Steps& steps) {
  const std::string target = dir + '/' + loaded_name(found);
  if (found.file == target && found.in_place && !found.from_copy) return;
  const bool renamed = found.in_place && found.file != target && without_renaming(found.file) == target;
  steps.step(fmt::format("{} from {}", target, found.from_copy ? "the last good copy" : found.file), [&] {
    if (renamed)
      system.disk.rename(found.file, target);
    else
      system.disk.replace(target, found.list.text(), conf::Sync::kYes);
  });
}

void require_first(System& system, const Placement& where, const std::string& name) {
  const std::string dir = conf::folder_of(where.conf);
  for (const std::string& other : loadable(system.disk, dir)) {
    if (other == conf::file_name_of(where.conf)) continue;
    if (other < name)
      cannot(fmt::format("{0}/{1} sorts before {2}: the runtime would load it; remove it from {0} first", dir, other,
                         name));
    return;
  }
}

void remove_conflist(System& system, const Placement& where, Steps& steps) {
  if (system.disk.info(where.conf)) steps.step("removed " + where.conf, [&] { (void)system.disk.remove(where.conf); });
}

void explain_what_follows(const std::vector<Attachment>& pods, std::string_view list, const Placement& where,
                          Steps& steps) {
  if (pods.empty()) return;
  steps.warn(
      fmt::format("{} pods were attached by Crossover: containerd sends their DELs to {} itself, which finds their "
                  "ADDs in libcni's "
                  "cache; CRI-O sends them to {}/{}, which needs the records. Keep both until `crossover gc` says that "
                  "none is left",
                  pods.size(), list, where.bin_dir, kProgram));
}

}  // namespace

std::string default_conflist(const std::string& net_dir) {
  const std::string elsewhere =
      net_dir == conf::Settings{}.net_dir ? "" : fmt::format(R"("netDir":{},)", conf::quote(net_dir));
  return R"({"cniVersion":"1.0.0","cniVersions":["0.3.1","0.4.0","1.0.0","1.1.0"],"name":"crossover","loadOnlyInlinedPlugins":true,
 "plugins":[{"type":"crossover",)" +
         elsewhere + R"("capabilities":{"portMappings":true,"bandwidth":true,"ips":true,"ipRanges":true,"mac":true,
   "dns":true,"aliases":true,"cgroupPath":true,"infinibandGUID":true,"deviceID":true,"io.kubernetes.cri.pod-annotations":true}}]}
)";
}

std::string renamed_by_cilium(conf::Disk& disk, const std::string& conf) {
  if (!disk.info(conf + std::string(kRenamedByCilium))) return {};
  return fmt::format(
      "{}{} is there: Cilium renamed it{}; let Cilium write into {}/crossover.d (write-cni-conf-when-ready), or set "
      "cni.exclusive to false",
      conf, kRenamedByCilium, disk.info(conf) ? "" : ", and the runtime does not call Crossover",
      conf::folder_of(conf));
}

Placed install(System& system, const conf::Settings& settings, const Placement& where) {
  Steps steps(where.dry_run);
  const std::string dir = conf::folder_of(where.conf);
  for (const std::string& needed : {dir, where.bin_dir})
    if (const auto info = system.disk.info(needed); !info || !info->is_dir)
      cannot(needed +
             " is no directory: the runtime has its plugins and their configuration elsewhere; say --conf and "
             "--bin-dir");
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kIfItMatters, settings.agent_timeout);
  const std::optional<std::string> current = system.disk.read(where.conf, conf::kMaxConfigBytes);
  const std::string wanted = !where.content.empty() ? where.content : current.value_or(default_conflist(dir));
  try {
    require_next_pod(system, settings, node, where);
  } catch (const CniError& error) {
    if (current != wanted) throw;
    steps.warn(error.details());
  }

  place_programs(system, where, steps);
  if (!system.disk.info(settings.state_dir))
    steps.step("directory " + settings.state_dir, [&] { system.disk.make_dirs(settings.state_dir); });
  if (!where.from_outside) assert_plumbing(system, settings, node, steps);
  remove_drafts(system, where.conf, steps);
  if (current != wanted) steps.step(where.conf, [&] { system.disk.replace(where.conf, wanted, conf::Sync::kYes); });
  warn_of_neighbours(system, where, steps);
  for (std::string& warning : neighbour_warnings(look_at_neighbours(system, settings, node, 0)))
    steps.warn(std::move(warning));
  return steps.take();
}

Placed uninstall(System& system, const conf::Settings& settings, const Placement& where) {
  Steps steps(where.dry_run);
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kIfItMatters, settings.agent_timeout);
  if (!node.lists.legacy) cannot("there is no legacy list to hand the node back to: " + node.lists.legacy_problem);
  const FoundList& legacy = *node.lists.legacy;
  const Living pods = living_pods(system, settings);
  if (!pods.cilium.empty())
    cannot(
        fmt::format("{} pods are on the second network, and their DELs would come to {}: {}. `crossover set legacy`, "
                    "delete these pods, and try again",
                    pods.cilium.size(), legacy.list.name, pods_text(pods.cilium)));
  require_plugins(system, legacy.list, where.bin_dir);
  require_first(system, where, loaded_name(legacy));

  hand_over(system, pods.legacy, steps);
  put_list(system, legacy, conf::folder_of(where.conf), steps);
  remove_conflist(system, where, steps);
  remove_plumbing(system, settings, steps);
  explain_what_follows(pods.legacy, legacy.list.name, where, steps);
  return steps.take();
}

Placed retire(System& system, const conf::Settings& settings, const Placement& where) {
  Steps steps(where.dry_run);
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kAlways, settings.agent_timeout);
  if (!usable(node.facts, Network::kCilium))
    cannot("the second network cannot take pods: " + why_unusable(node.facts, Network::kCilium));
  const FoundList& cilium = *node.lists.cilium;
  const Living pods = living_pods(system, settings);
  std::vector<Attachment> left = pods.legacy;
  for (Attachment& older : older_pods(system, cilium.list, pods)) left.push_back(std::move(older));
  if (!left.empty())
    cannot(
        fmt::format("{} pods are on the legacy network: {}. Delete them, so that they come back on {}, and try again",
                    left.size(), pods_text(left), cilium.list.name));
  require_plugins(system, cilium.list, where.bin_dir);
  require_first(system, where, loaded_name(cilium));

  hand_over(system, pods.cilium, steps);
  put_list(system, cilium, conf::folder_of(where.conf), steps);
  remove_conflist(system, where, steps);
  explain_what_follows(pods.cilium, cilium.list.name, where, steps);
  steps.warn(
      "rules, routes and NAT between the networks stay: `crossover uninstall --coexistence` removes them once no node "
      "has a legacy pod");
  return steps.take();
}

}  // namespace plugin
