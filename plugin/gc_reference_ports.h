// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "plugin/reference_ports.h"
#include "plugin/session.h"

// hostPorts that the reference portmap left for containers that are gone: its DEL was never run, or under another name.
namespace plugin {

struct FreedReferencePorts {
  PortmapOwner owner;
  std::set<std::string> where;  ///< "iptables", "ip6tables", "nft ip", "nft ip6"
};

struct SweptReferencePorts {
  std::vector<FreedReferencePorts> freed;
  std::vector<std::string> problems;  ///< one line each
  std::size_t kept = 0;               ///< containers whose rules are not ours to touch, or that may be alive
};

/// Has portmap take out what it left in iptables for dead containers of networks that are ours: those of the two lists,
/// their last good copies and the records. What it left in nft tells no network; that of dead containers is taken out
/// here if one of these lists runs portmap.
///
/// Dead is a container that nobody knows: it has no record of ours, no file in a libcni cache whatever the network's
/// name, and `valid`, if given, does not name it. The rules tell no age, and a pod that is just being attached around
/// us has rules before its cache file: so all of this must hold twice, two seconds apart. The caller holds the
/// exclusive lock.
[[nodiscard]] SweptReferencePorts sweep_reference_ports(Session& session,
                                                        const std::optional<std::vector<conf::AttachmentId>>& valid,
                                                        bool dry_run);

}  // namespace plugin
