// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>

#include "netlink/conntrack.h"
#include "plugin/port_record.h"

// The flows that conntrack remembers: a UDP or SCTP flow that began before a mapping came or went keeps going where it
// went, for as long as its packets come. TCP ends by itself.
namespace plugin {

enum class FlowsOf {
  kNewPod,   ///< its mappings have just come: flows to its keys that do not go to it are stale
  kGonePod,  ///< they have just gone: all flows to its keys, and all that went to it, are
};

/// Whether `flow` is stale. `local`: the addresses of this host; what only passes through is never stale. Pure.
[[nodiscard]] bool is_stale(const netlink::Flow& flow, const PortRecord& record, FlowsOf which,
                            const std::set<conf::IpAddr>& local);

/// Ends the stale flows of `record`; one dump for each family that has UDP or SCTP mappings, none without.
void flush_flows(netlink::Flows& flows, const PortRecord& record, FlowsOf which);

}  // namespace plugin
