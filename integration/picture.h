// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "integration/record.h"

// The record as one SVG picture: a bar for the life of each pod, coloured by its network, in a lane for each node; one
// column for each phase; below, the probes of that phase.
namespace integration {

[[nodiscard]] std::string picture(const Record& record);

}  // namespace integration
