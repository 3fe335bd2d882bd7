// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "plugin/session.h"

// hostPorts that nobody will take out: their DEL never came.
namespace plugin {

struct SweptPorts {
  std::vector<conf::AttachmentId> freed;
  std::vector<std::string> problems;  ///< one line each
  std::size_t kept = 0;
};

/// Takes out the mappings below stateDir whose owner is neither on record (the sweep of the records sees to those) nor
/// alive: with `valid`, all that it does not name; without, those whose namespace is gone. Those younger than
/// `before_ms` are kept. A damaged record is removed: it is of an earlier boot (port_record.h).
[[nodiscard]] SweptPorts sweep_ports(Session& session, const std::optional<std::vector<conf::AttachmentId>>& valid,
                                     std::int64_t before_ms, bool dry_run);

}  // namespace plugin
