// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "conf/request.h"
#include "plugin/port_config.h"
#include "plugin/system.h"

// The plugin crossover-portmap: hostPorts of the pod that the plugins before it in the chain have attached.
namespace plugin {

/// Runs `request` on the configuration `stdin_text`. What goes to stdout is returned; errors are thrown as CniError:
/// those of parse_port_config and PortSwitch; code 7 for a specific hostIP that no link of this node has; code 8 for an
/// ADD without a namespace; code 121 (kPortsIncomplete) for a CHECK that finds something missing or different; code 50
/// for a STATUS where nf_tables cannot be used.
[[nodiscard]] std::string run_portmap(System& system, const conf::Request& request, std::string_view stdin_text);

/// What an ADD maps, for whoever has the result of a pod's network in hand.
struct PortRequest {
  conf::AttachmentId owner;
  std::string netns;
  std::string args;  ///< CNI_ARGS
  PodAddresses pod;
};
/// Maps config.mappings, which must not be empty, for one attachment, and forgets stale flows; all or nothing.
void map_ports(System& system, const PortConfig& config, const PortRequest& request);
/// Code kPortsIncomplete, saying what is wrong, if what map_ports did for `owner` is not all in place, or was of others
/// than config.mappings and `pod`.
void check_mapped(System& system, const PortConfig& config, const conf::AttachmentId& owner, const PodAddresses& pod);
/// Takes out what the attachment has, by its record below `state_dir`; false if there is none.
bool unmap_ports(System& system, const std::string& state_dir, const conf::AttachmentId& owner);

}  // namespace plugin
