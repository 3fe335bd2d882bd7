// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "integration/support/cluster.h"

namespace lab {

/// eth0's other address: fd00:172:30::<10+number>.
[[nodiscard]] std::string address6(const support::Node& node);
/// Gives it to all of them, as kubelets with two families have it, and lets them forward. Nobody waits for duplicates.
void add_ipv6(const support::Cluster& cluster);
/// IPv6 in a namespace whose devices are not there yet: forwarding, and addresses that can be used at once.
void forward_ipv6(const support::Netns& netns);

/// Many lines for `ip -6` at the price of one program.
void ip6(const support::Netns& netns, const std::vector<std::string>& lines);

}  // namespace lab
