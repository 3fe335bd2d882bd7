// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conf/disk.h"
#include "conf/json.h"
#include "conf/request.h"

// The reference host-local's own files, read to tell whose a pod is and whether addresses are left, and removed when
// its binary is gone for good. One file an address in <dataDir>/<network name>/, which holds
// "<container id>\r\n<ifname>" (plugins: ipam/host-local/backend/disk); older ones hold the container id alone. Names
// that are no address are its own book-keeping (lock, last_reserved_ip.N).
namespace ipam {

inline constexpr const char* kHostLocalDir = "/var/lib/cni/networks";

struct HostLocalLease {
  std::string path;
  std::string address;       ///< the file's name; v6 addresses too
  conf::AttachmentId owner;  ///< ifname empty in the old format
};

/// Every lease below `dir` (one network's directory). Unreadable and empty files are left out.
[[nodiscard]] std::vector<HostLocalLease> host_local_leases(conf::Disk& disk, const std::string& dir);

/// Those of `id`: the same container and interface, or the same container in the old format.
[[nodiscard]] std::vector<HostLocalLease> host_local_leases_of(conf::Disk& disk, const std::string& dir,
                                                               const conf::AttachmentId& id);

struct HostLocalUse {
  std::uint64_t capacity = 0;  ///< addresses its ranges could hand out; saturates
  std::uint64_t used = 0;      ///< files in its directory that fall in those ranges
};

/// For one range set each, in order; `ipam` is the `ipam` section of a plugin entry with type host-local (`ranges`, or
/// the older `subnet`, `rangeStart`, `rangeEnd`, `gateway`). Empty if the section cannot be read.
[[nodiscard]] std::vector<HostLocalUse> host_local_use(conf::Disk& disk, const conf::Object& ipam,
                                                       const std::string& dir);

/// The directory of network `name` for that section: `dataDir` or kHostLocalDir, then the name.
[[nodiscard]] std::string host_local_dir(const conf::Object& ipam, const std::string& name);

}  // namespace ipam
