// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plugin/attachment.h"
#include "tests/fakes/machine.h"

// Breaks a call at every step of it, once in each way, and comes back to the state before the ADD each time.
namespace story {

using fakes::Machine;
using Act = std::function<void(Machine&)>;
using Snapshot = std::map<std::string, std::string>;

inline const std::string kPod = "/run/netns/a";
inline const std::string kId = "5fc10b";

/// A way back to the state before the ADD.
struct WayOut {
  const char* name;
  Act act;
};

/// A call that is to be broken, and what leads to it.
struct Story {
  std::string name;
  std::size_t least_steps;  ///< as many as there are today
  Act set_up;               ///< the node, before the state that is to come back
  Act prepare;              ///< what happened to the pod before
  Act act;                  ///< the call
  Act promised;             ///< what holds if the call reported success
  Act repair;               ///< takes away what the story itself broke
  std::vector<WayOut> ways_out;
  bool undoes_itself = false;  ///< a call that failed once, and did not die, left nothing to come back from
};

/// Lets every step of the call fail, fail after its effect, and be its last, and every look at a file or a pod fail;
/// once for each way out. Prints how many steps there were.
void check_story(const Story& story);

enum class End { kSuccess, kError, kDeath };
/// Runs one call, and says how it ended.
[[nodiscard]] End ended(Machine& machine, const Act& act);

/// net.d with bridge (and host-local), portmap and bandwidth, and a pod.
void legacy_node(Machine& machine);
/// The same with cilium beside it, and the node on cilium.
void cilium_node(Machine& machine);
[[nodiscard]] std::string legacy_list(const Machine& machine, const std::string& version);
[[nodiscard]] std::string host_local(const Machine& machine);  ///< an `ipam` member

void add(Machine& machine);
void del(Machine& machine);
void nothing(Machine& machine);
void failing_del(Machine& machine);
/// A pod that is older than Crossover: the plugins have it, and no record names it.
void attach_without_us(Machine& machine);
/// What libcni would have kept of that.
void write_libcni_cache(Machine& machine);

/// Ways out.
void del_twice(Machine& machine);
void collect(Machine& machine);                ///< a GC that lists nobody
void command_without_netns(Machine& machine);  ///< `crossover gc`, the pod's namespace being gone
[[nodiscard]] std::vector<WayOut> after_add();
[[nodiscard]] std::vector<WayOut> after_del();

/// Promises: all that a good ADD on such a node leaves is there; nothing is.
[[nodiscard]] Act is_complete(const Act& set_up);
[[nodiscard]] Act is_clean(const Act& set_up);

void check_same(const Snapshot& now, const Snapshot& before);
/// The pod's record.
[[nodiscard]] std::optional<plugin::Attachment> record_in(const Snapshot& snapshot);

}  // namespace story
