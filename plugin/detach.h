// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "plugin/attachment.h"
#include "plugin/events.h"
#include "plugin/session.h"

// Takes an attachment apart by its record: the one way in which DEL, GC, an ADD that failed and `crossover gc` do it.
namespace plugin {

/// After so many DELs in a row that failed because a plugin is gone for good, only what is local is cleaned.
inline constexpr unsigned kTriesBeforeForgetting = 5;

struct DetachCall {
  std::string netns;     ///< CNI_NETNS of the request; empty: the record's own, if it is still there
  std::string path;      ///< CNI_PATH of the request; may be empty
  bool adopted = false;  ///< the record came from evidence: its namespace was never known, the request's is taken
  bool forget = false;   ///< run no plugin; clean what is local
};

/// Runs the recorded list's DEL and removes the record. Throws the first plugin's error when something is left to do:
/// then the record stays, with the count of tries, for the next DEL or GC. Steps and notes go to `event`.
/// The caller holds the attachment's lock.
void detach(Session& session, Attachment attachment, const DetachCall& call, Event& event);

/// The namespace a DEL of `attachment` may touch: the one under the requested path, or under the recorded one, if it
/// still is the namespace of the ADD; else empty. A path may since lead to another pod's namespace
/// (/proc/<pid>/ns/net). Throws what keeps us from telling.
[[nodiscard]] std::string netns_to_touch(System& system, const Attachment& attachment, const DetachCall& call);

}  // namespace plugin
