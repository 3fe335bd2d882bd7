// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/error.h"
#include "conf/list.h"
#include "conf/request.h"
#include "plugin/system.h"

// Runs a foreign plugin list as libcni would (libcni/api.go), under its own name and version, and better where the
// reference is wrong: ETXTBSY ends in an error, stderr is kept, everything has a limit, a DEL goes on after a failure.
namespace plugin {

/// One plugin's part of a call, for the events.
struct Step {
  std::string type;
  std::string verb;
  double ms = 0;
  std::string end;  ///< "ok", or the error
};

/// What one call passes to every plugin of a list.
struct Call {
  conf::AttachmentId id;
  std::string netns;
  std::string args;           ///< CNI_ARGS
  std::string path;           ///< CNI_PATH, searched first and passed on
  std::string fallback_path;  ///< searched when `path` has no such plugin (the ADD's own)
  conf::Object runtime_config;
  std::optional<std::string> prev_result;        ///< for DEL and CHECK
  std::optional<std::string> valid_attachments;  ///< for GC
  std::chrono::milliseconds deadline{90'000};    ///< for each plugin
  int keep_fd = -1;                              ///< the lock a plugin inherits
};

/// A plugin that failed, and whether a retry can ever help.
struct Failure {
  std::string type;
  conf::CniError error;
  bool gone_for_good = false;  ///< its binary is missing, or its credentials are gone
};

class Delegates {
 public:
  explicit Delegates(System& system) : system_(system) {}

  /// ADD over the list, in order. The final result, verbatim but for a cniVersion put in where none was. Throws the
  /// failing plugin's error with its type in front; undoing is the caller's. `between` runs before each plugin and may
  /// throw to stop.
  [[nodiscard]] std::string add(const conf::NetworkList& list, const Call& call, const std::function<void()>& between);
  /// DEL over the whole list, in reverse; goes on after a failure.
  [[nodiscard]] std::vector<Failure> del(const conf::NetworkList& list, const Call& call);
  /// CHECK, in order, stopping at the first error. Nothing happens for a list below 0.4.0 or with disableCheck.
  void check(const conf::NetworkList& list, const Call& call);
  /// STATUS, in order, the first error thrown with its code; lists below 1.1.0 do not know it. A plugin that has no
  /// answer by the deadline is passed over and named in `late`.
  void status(const conf::NetworkList& list, const Call& call, std::vector<std::string>& late);
  /// GC over the list, going on after a failure. Nothing happens for a list below 1.1.0 or with disableGC.
  [[nodiscard]] std::vector<Failure> gc(const conf::NetworkList& list, const Call& call);

  /// The path of the program for `type`; CniError 101 (missing), 4 (no CNI_PATH) or 7 (it is ourselves).
  [[nodiscard]] std::string find(const std::string& type, const Call& call);

  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }

 private:
  std::string run(const conf::NetworkList& list, const conf::PluginConf& plugin, const Call& call,
                  const conf::Injection& injection);
  System& system_;
  std::vector<Step> steps_;
};

/// The environment of a delegate: `inherited` without any CNI_* that a call sets, and those of this call.
[[nodiscard]] std::vector<std::string> delegate_environment(const std::vector<std::string>& inherited, conf::Verb verb,
                                                            const Call& call);

/// What a plugin's end means: its stdout on success, else its error with `type` in front, and the cure if we know one.
/// Pure.
[[nodiscard]] std::string read_outcome(const std::string& type, conf::Verb verb, const Outcome& outcome);

}  // namespace plugin
