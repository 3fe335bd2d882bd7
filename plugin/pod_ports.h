// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "plugin/attachment.h"
#include "plugin/port_config.h"
#include "plugin/system.h"

// The meta plugin's own part in a pod's hostPorts, where host_ports.h leaves them to Crossover or to a plugin of the
// list. `mappings` is runtimeConfig.portMappings as JSON.
namespace plugin {

/// What crossover-portmap would be told if it were chained behind the pod's list. Code 7 for mappings that it refuses.
[[nodiscard]] PortConfig pod_ports(std::string_view network, const std::string& state_dir, std::string_view mappings);

/// Keys that our ruleset has for pods that are gone are taken out of it, before a plugin of the list maps them: ours
/// comes first in the kernel, and would go on sending to the dead. Code kPortTaken, naming the holder, for a live
/// one's.
void make_way(System& system, const PortConfig& config, const conf::AttachmentId& newcomer);

/// Code kPortsIncomplete if the ports that Crossover maps for `attachment` are not as its ADD left them.
void check_ports(System& system, const std::string& state_dir, const Attachment& attachment);

}  // namespace plugin
