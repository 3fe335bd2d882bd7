// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "conf/section.h"
#include "ipam/source.h"
#include "ipam/store.h"

// The keys of the `ipam` section that say which addresses there are.
namespace ipam {

/// What a source says; it throws what ends the call.
using AskSource = std::function<Answer(const Source&)>;

/// Reads `podCIDRs`, `podCIDRsFrom`, or host-local's `ranges`, `subnet`, `rangeStart`, `rangeEnd` and `gateway`, then
/// `exclude`, `reservedCIDRs` and `clusterPool`, and checks them against each other. `ip_ranges` is
/// runtimeConfig.ipRanges, which come before the section's own, as in host-local. Without `ask` a section with
/// `podCIDRsFrom` is checked as far as it can be, and has no blocks of its own.
[[nodiscard]] std::vector<Want> read_wants(conf::Section& section, const std::optional<conf::Value>& ip_ranges,
                                           const AskSource& ask);

}  // namespace ipam
