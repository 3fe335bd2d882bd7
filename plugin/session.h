// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "conf/settings.h"
#include "plugin/events.h"
#include "plugin/journal.h"
#include "plugin/lock.h"
#include "plugin/system.h"

namespace plugin {

/// stateDir opened for one call: its records, its locks, its events. Makes the directories that are missing; code 104
/// if that cannot be done.
struct Session {
  Session(System& the_system, const conf::Settings& the_settings);

  /// The locks of one attachment: shared with all other calls but garbage collection, and its own.
  struct Held {
    Locks::Guard shared;
    Locks::Guard own;
  };
  /// Code 105 naming who is in the way, if they are not free within timeouts.lock.
  [[nodiscard]] Held hold(const conf::AttachmentId& id);

  System& system;
  const conf::Settings& settings;
  Journal journal;
  Locks locks;
  Events events;
};

/// Milliseconds since `system` began.
[[nodiscard]] double elapsed_ms(System& system);

}  // namespace plugin
