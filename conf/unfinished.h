// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "conf/disk.h"

// What processes left that were killed in Disk::replace: ".<name>.<pid>.tmp". Their names tell no owner, and another
// pid namespace has the same numbers, so that only time tells whether somebody may still be at work on one.
namespace conf {

/// Whether Disk::replace names its temporary files so.
[[nodiscard]] bool is_unfinished_name(std::string_view name);

/// The paths of such files in `dir` that were written before `before`.
[[nodiscard]] std::vector<std::string> unfinished_files(Disk& disk, const std::string& dir,
                                                        std::chrono::system_clock::time_point before);

/// For those who hold no lock that would keep the writers away.
inline constexpr std::chrono::hours kCertainlyUnfinished{1};

}  // namespace conf
