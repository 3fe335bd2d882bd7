// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plugin/attachment.h"
#include "plugin/session.h"

// What GC and `crossover gc` share: taking apart what has no living owner.
namespace plugin {

struct Swept {
  std::vector<conf::AttachmentId> removed;
  std::vector<std::string> problems;  ///< what could not be finished, one line each
  std::vector<std::string> notes;     ///< what else was done, one line each
  std::size_t kept = 0;
};

/// Detaches every recorded attachment that `is_stale` names, each under its own lock and by its own record, and removes
/// what killed calls left unfinished. Attachments another call is at work on, and those younger than `before_ms`, are
/// kept: whoever listed the living cannot have known them. `path` is searched for plugins before the record's own
/// CNI_PATH. The caller holds the exclusive lock.
[[nodiscard]] Swept sweep(Session& session, const std::function<bool(const Attachment&)>& is_stale,
                          std::int64_t before_ms, const std::string& path, bool dry_run);

/// Whether an attachment's namespace is gone: it is of an earlier boot, or neither its path nor its inode is there.
[[nodiscard]] bool is_orphan(System& system, const Attachment& attachment);

}  // namespace plugin
