// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"
#include "plugin/node.h"
#include "plugin/system.h"

// Putting Crossover on a node, and taking it off again. Each step is atomic and the order is the only safe one: what
// the runtime loads comes last when it goes in and first when it goes out. A step that is done already is left alone,
// so that whoever was killed in between starts again.
namespace plugin {

inline constexpr const char* kDefaultBinDir = "/opt/cni/bin";

/// The smallest useful configuration for a runtime that looks into `net_dir`.
[[nodiscard]] std::string default_conflist(const std::string& net_dir);

struct Placement {
  std::string conf;     ///< our conflist; its directory is the runtime's
  std::string bin_dir;  ///< where the runtime looks for plugins
  bool dry_run = false;
  std::string content = {};   ///< what the conflist is to be; empty: the smallest, where there is none
  bool from_outside = false;  ///< this process is not in the node's network namespace: the first ADD does what is there
};

/// What was, or would be, done; one line each. Steps that were done before are not among them.
struct Placed {
  std::vector<std::string> done;
  std::vector<std::string> warnings;
};

/// Program, links, state directory, conflist. Code 7 or kCannotPlace, before anything is changed, if the next pod could
/// not start: no list for it, or one whose plugins are not in bin_dir. Where the conflist is in place already that is a
/// warning: Crossover is in the way anyway, and a newer program may be the cure.
[[nodiscard]] Placed install(System& system, const conf::Settings& settings, const Placement& where);

/// What is to be said if Cilium has renamed our conflist `conf` to *.cilium_bak (its cni-exclusive); else empty.
[[nodiscard]] std::string renamed_by_cilium(conf::Disk& disk, const std::string& conf);

inline constexpr unsigned kCannotPlace = 124;  ///< pods would be cut off, or could not start

/// Hands the node back to its legacy list: that becomes the first that the runtime finds. Refused while a pod is on the
/// second network, since its DEL would come to the wrong plugins.
[[nodiscard]] Placed uninstall(System& system, const conf::Settings& settings, const Placement& where);

/// Hands the node to Cilium's list, likewise. Refused while a pod is on the legacy network, on record or not.
[[nodiscard]] Placed retire(System& system, const conf::Settings& settings, const Placement& where);

}  // namespace plugin
