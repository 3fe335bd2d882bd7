// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "integration/labs/stage.h"

namespace lab {

/// Everybody asks everybody else but hosts each other; the text of a Matrix.
[[nodiscard]] std::string cross(Stage& stage, const std::string& title, Size size, Family family = Family::kIpv4);

/// What `cross` has to give when those are the modes of node 1 and node 2. `pod_routes`: legacy pods know the MTU of
/// their way to Cilium's pods.
struct Expected {
  Preserve node1 = Preserve::kOff;
  Preserve node2 = Preserve::kOff;
  bool pod_routes = false;
  Size size = Size::kSmall;
  Family family = Family::kIpv4;
};
[[nodiscard]] std::string expected(Stage& stage, const std::string& title, const Expected& how);

}  // namespace lab
