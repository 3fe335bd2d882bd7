// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "integration/record.h"

// The record for people (a table) and machines (JSON).
namespace integration {

/// Kinds of pairs, in the order of the columns.
inline constexpr const char* kKinds[] = {"legacy-legacy same node",
                                         "legacy-legacy across",
                                         "legacy-second same node",
                                         "legacy-second across",
                                         "second-second same node",
                                         "second-second across",
                                         "hostPort"};
/// The index into kKinds; which of the two asked makes no difference.
[[nodiscard]] std::size_t kind_of(const support::ProbeCount& count);

struct Sum {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
  double slowest_ms = 0;
};
/// Of one phase: one for each kind, and at the end one for all.
[[nodiscard]] std::vector<Sum> sums(const Record& record, const std::string& phase);
/// Of all phases.
[[nodiscard]] std::vector<Sum> sums(const Record& record);

/// Each address that a pod got while another had it, in a line for people.
[[nodiscard]] std::vector<std::string> twice(const Record& record);

[[nodiscard]] std::string table(const Record& record);
[[nodiscard]] std::string json(const Record& record);

}  // namespace integration
