// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/disk.h"
#include "netlink/conntrack.h"
#include "netlink/fib.h"
#include "netlink/firewall.h"
#include "netlink/host_link.h"
#include "plugin/agent.h"
#include "plugin/exec.h"
#include "plugin/pods.h"

// Everything a verb may touch.
namespace plugin {

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual std::int64_t unix_ms() = 0;   ///< milliseconds since 1970
  [[nodiscard]] virtual std::uint64_t boot_ns() = 0;  ///< CLOCK_BOOTTIME
  virtual void sleep(std::chrono::milliseconds time) = 0;
};

class RealClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t unix_ms() override;
  [[nodiscard]] std::uint64_t boot_ns() override;
  void sleep(std::chrono::milliseconds time) override;
};

/// Where others keep what tells whose a pod is.
struct Places {
  std::string libcni_cache = "/var/lib/cni/results";       ///< libcni's, whatever the network's name
  std::string host_local = "/var/lib/cni/networks";        ///< host-local's default dataDir
  std::string flannel = "/var/lib/cni/flannel";            ///< flannel's file for each container
  std::string flannel_subnet = "/run/flannel/subnet.env";  ///< what flanneld tells its plugin
  std::string cilium_socket = "/var/run/cilium/cilium.sock";
  std::string sysctl = "/proc/sys";
  std::string program = "/proc/self/exe";  ///< what `crossover install` puts on the node
  std::string programs = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin";  ///< where iptables may be besides PATH
  std::string plugins = "/opt/cni/bin:/usr/lib/cni:/usr/libexec/cni";      ///< where plugins are if nobody says it
};

/// The running program, so that a list that names it is never run.
struct Self {
  std::string name = "crossover";      ///< the file name it was called by: the `type` of our own entry
  std::optional<conf::FileInfo> file;  ///< the executable itself
};

struct System {
  conf::Disk& disk;
  Runner& runner;
  Pods& pods;
  Agent& agent;
  Clock& clock;
  netlink::Firewall& firewall;
  netlink::Flows& flows;
  netlink::HostLinks& host_links;
  netlink::Fib& fib;
  std::string boot_id;
  std::uint64_t started_ns = 0;          ///< Clock::boot_ns when the process began
  std::vector<std::string> environment;  ///< what delegates inherit, "K=V"
  Self self;
  Places places;
};

}  // namespace plugin
