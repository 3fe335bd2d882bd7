// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/disk.h"
#include "ipam/store.h"

// The store as it stands, for people who look: nothing is made, mended or waited for longer than they like.
namespace ipam {

struct Survey {
  std::vector<Lease> leases;         ///< in byte order of their files' names
  std::vector<std::string> damaged;  ///< paths of lease files that are none, or cannot be read
  /// Every block that a lease is of or that a call of this boot used. Without a configuration: `capacity` is what the
  /// last call that used the block said, else the usual one; `used` counts what damaged leases still hold.
  std::vector<BlockUse> blocks;
};

struct SurveyOptions {
  std::string dir;  ///< as Store::Options'
  std::string boot_id;
  std::int64_t now_ms = 0;
  std::chrono::milliseconds wait{0};  ///< for a call that is changing a lease; then code 105
};

/// Nothing if there is no store.
[[nodiscard]] std::optional<Survey> survey(conf::Disk& disk, const SurveyOptions& options);

}  // namespace ipam
