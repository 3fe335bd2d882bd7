// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "integration/labs/stage.h"

namespace lab {

/// Who asks whom, in words: a line for each.
struct Table {
  std::string title;
  std::vector<std::string> lines;

  [[nodiscard]] std::string text() const;
};

/// Everybody asks everybody else but hosts each other: "l1 -> c2 10.245.1.254", see `text` of Seen.
[[nodiscard]] Table cross(Stage& stage, const std::string& title, Size size);

/// What `cross` has to give when those are the modes of node 1 and node 2. `pod_routes`: legacy pods know the MTU of
/// their way to Cilium's pods.
struct Expected {
  Preserve node1 = Preserve::kOff;
  Preserve node2 = Preserve::kOff;
  bool pod_routes = false;
  Size size = Size::kSmall;
};
[[nodiscard]] Table expected(Stage& stage, const std::string& title, const Expected& how);

}  // namespace lab
