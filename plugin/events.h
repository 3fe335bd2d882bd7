// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/error.h"
#include "conf/request.h"
#include "conf/settings.h"
#include "plugin/attachment.h"
#include "plugin/delegate.h"
#include "plugin/lock.h"
#include "plugin/system.h"

// events.jsonl below stateDir: one JSON line for every call that attached, detached, checked or cleaned, with what was
// decided, why, what each delegate took and how it ended. Rotated once, to events.jsonl.1, at log.maxSize. The same
// lines go to log.file if there is one, as far as log.level lets them (a failure is `error`, one with notes `warn`,
// else `info`).
namespace plugin {

struct Event {
  std::string verb;  ///< "ADD", "DEL", "gc", ...
  conf::AttachmentId id;
  std::string pod_namespace;
  std::string pod_name;
  std::optional<Network> network;
  std::string reason;  ///< of the decision
  std::vector<Step> steps;
  std::vector<std::string> notes;       ///< warnings, and what was done beyond the ordinary
  double ms = 0;                        ///< the whole call
  std::optional<conf::CniError> error;  ///< nothing: it ended well

  void about(const Attachment& attachment);
};

[[nodiscard]] std::string event_line(const Event& event, std::int64_t unix_ms);

/// "2026-11-21T08:00:00.123Z".
[[nodiscard]] std::string utc_time(std::int64_t unix_ms);

class Events {
 public:
  Events(System& system, const conf::Settings& settings, const Locks& locks)
      : system_(system), settings_(settings), locks_(locks) {}
  /// Never fails a call: an event that cannot be written is said on stderr.
  void write(const Event& event);

 private:
  void append(const std::string& file, const std::string& line);
  System& system_;
  const conf::Settings& settings_;
  const Locks& locks_;
};

}  // namespace plugin
