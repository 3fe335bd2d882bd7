// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/ip.h"
#include "plugin/session.h"

// The leases of crossover-ipam that nobody will give back: their DEL never came.
namespace plugin {

struct FreedLease {
  conf::AttachmentId id;
  std::vector<conf::IpPrefix> addresses;
  std::string reason;
};

struct SweptLeases {
  std::vector<FreedLease> freed;
  std::vector<std::string> problems;  ///< one line each
  std::vector<std::string> notes;     ///< what else was done
  std::size_t kept = 0;
};

/// Frees the leases below stateDir that are leaked. One that is on record, or younger than `before_ms`, never is. Of
/// the others: with `valid`, all that it does not name; without, those of an earlier boot and those whose namespace is
/// gone (nothing is under its path, or something else). A path or inode that is not known says nothing.
/// A damaged lease is a problem; with `valid` it is removed if it is neither named nor on record.
///
/// No lease of a pod that is just being added is freed. Crossover's own ADD has the pod on record before its IPAM
/// plugin runs, and the caller holds the exclusive lock, so that none runs at all. Under other callers the namespace is
/// there before the lease. And what is freed is compared with what was judged, under the store's lock.
[[nodiscard]] SweptLeases sweep_leases(Session& session, const std::optional<std::vector<conf::AttachmentId>>& valid,
                                       std::int64_t before_ms, bool dry_run);

}  // namespace plugin
