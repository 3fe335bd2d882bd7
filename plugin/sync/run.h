// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "plugin/sync/api.h"
#include "plugin/sync/follower.h"
#include "plugin/sync/keeper.h"

// crossover-sync itself, once it knows the node, the server and the files.
namespace plugin::sync {

using Now = std::function<Moment()>;

/// One look at both objects, and the files brought up to it. False if something is wrong.
[[nodiscard]] bool run_once(Api& api, Keeper& keeper, const std::string& node, const Now& now);

/// Until api.stopped(). The files are looked at whenever something happens, and every 30 seconds: by then at the latest
/// a `crossover set auto` is noticed.
void run(Api& api, Keeper& keeper, const std::string& node, std::uint32_t seed, const Now& now);

}  // namespace plugin::sync
