// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "conf/section.h"
#include "ipam/store.h"

// The keys of the `ipam` section that say which addresses there are.
namespace ipam {

/// Reads `podCIDRs`, or host-local's `ranges`, `subnet`, `rangeStart`, `rangeEnd` and `gateway`, then `exclude`,
/// `reservedCIDRs` and `clusterPool`, and checks them against each other. `ip_ranges` is runtimeConfig.ipRanges, which
/// come before the section's own, as in host-local.
[[nodiscard]] std::vector<Want> read_wants(conf::Section& section, const std::optional<conf::Value>& ip_ranges);

}  // namespace ipam
