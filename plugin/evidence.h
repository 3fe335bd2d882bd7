// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "conf/request.h"
#include "plugin/attachment.h"
#include "plugin/node.h"
#include "plugin/system.h"

// Whose is a pod that has no record, because it is older than Crossover? Never guessed: cilium-cni and calico answer
// success for a stranger's container and delete its eth0.
namespace plugin {

/// A record made from what others left, with `reason` saying from what; in this order:
///   1. the runtime's libcni cache, whatever the network's name: its configuration, arguments and result;
///   2. the legacy IPAM's own files: host-local's of the legacy list's name, flannel's file of the container;
///   3. an endpoint that Cilium's agent has for the attachment.
/// Nothing if none of them knows the pod. Code 5 if one of them could not be read: it may know the pod.
[[nodiscard]] std::optional<Attachment> find_evidence(System& system, const conf::Settings& settings,
                                                      const conf::Request& request, std::vector<std::string>& notes);

/// The record a libcni cache file stands for (libcni/api.go cachedInfo, kind cniCacheV1); nothing if it is another
/// attachment's, or cannot be read as such. Pure.
[[nodiscard]] std::optional<Attachment> read_libcni_cache(std::string_view text, const std::string& file,
                                                          const conf::AttachmentId& id);

/// The same for whichever attachment it is of.
[[nodiscard]] std::optional<Attachment> read_any_libcni_cache(std::string_view text, const std::string& file);

}  // namespace plugin
