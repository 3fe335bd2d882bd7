// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/ip.h"
#include "conf/json.h"

// The plugin entry of Crossover's own conflist, typed and checked. Every key is optional; an unknown key, a wrong type
// or a value out of range is code 7 with the key's path, what is there and what must be (conf/section.h).
namespace conf {

using Millis = std::chrono::milliseconds;

enum class WhenNotReady { kFail, kLegacy, kDelegate };
enum class HostPorts { kAuto, kCrossover, kDelegate, kOff };
enum class LogLevel { kError, kWarn, kInfo, kDebug };
enum class Profile { kAuto, kOverlay, kAwsVpcCni, kCiliumEni, kNone };
enum class PreserveSource { kOff, kToLegacy, kBoth };
enum class StaleRules { kWarn, kRemove, kOff };

struct RuleSetting {           ///< coexistence.rules[]
  std::uint32_t priority = 0;  ///< 101..32765
  std::optional<IpPrefix> from;
  std::optional<IpPrefix> to;
  std::string iif;
  std::uint32_t table = 0;                    ///< 1..4294967295; "main" and "local" are 254 and 255
  std::optional<int> suppress_prefix_length;  ///< 0..128
  bool operator==(const RuleSetting&) const = default;
};

struct RouteSetting {  ///< coexistence.routes[]
  IpPrefix dst;
  std::optional<IpAddr> via;
  std::string dev;
  std::uint32_t table = 254;
  std::uint32_t mtu = 0;  ///< 0: none; else 68..65535
  bool onlink = false;
  std::uint32_t metric = 0;
  std::optional<IpAddr> src;
  bool operator==(const RouteSetting&) const = default;
};

struct PodRouteSetting {  ///< coexistence.podRoutes[]
  IpPrefix dst;
  std::uint32_t mtu = 0;  ///< 68..65535
  bool operator==(const PodRouteSetting&) const = default;
};

struct Coexistence {
  Profile profile = Profile::kAuto;
  std::vector<RuleSetting> rules;
  std::vector<RouteSetting> routes;
  PreserveSource preserve_source = PreserveSource::kOff;
  std::vector<PodRouteSetting> pod_routes;
  StaleRules stale_rules = StaleRules::kWarn;
};

struct Settings {
  std::string net_dir = "/etc/cni/net.d";
  std::string state_dir = "/var/lib/cni/crossover";
  std::string legacy_conflist;  ///< empty: discovered
  std::vector<IpPrefix> legacy_cidrs;
  std::string cilium_conflist;  ///< empty: discovered
  std::vector<IpPrefix> cilium_cidrs;
  std::optional<std::string> cilium_socket;  ///< nothing: the default if the list runs cilium-cni; "": never ask
  WhenNotReady when_not_ready = WhenNotReady::kFail;
  bool allow_pod_override = false;
  std::vector<std::string> canary_namespaces;
  unsigned canary_percent = 0;  ///< 0..100
  HostPorts host_ports = HostPorts::kAuto;
  Coexistence coexistence;
  Millis delegate_timeout{90'000};
  Millis agent_timeout{500};
  Millis lock_timeout{30'000};
  std::string log_file;
  LogLevel log_level = LogLevel::kInfo;
  std::uint64_t log_max_bytes = 10U << 20U;
};

/// Checks and types the entry. What the protocol itself puts there is left alone: cniVersion, name, type, capabilities,
/// runtimeConfig, prevResult, args, dns, ipam, and cni.dev/*. Paths must be absolute and without "..", CIDRs without
/// host bits; timeouts above 0, log.maxSize from 1KiB to 1024GiB. A rule needs priority and table, a route dst and one
/// of via and dev, a pod route dst and mtu; a rule with `from` needs `to` or `iif` too. legacy.cidrs and cilium.cidrs
/// must not overlap.
[[nodiscard]] Settings parse_settings(const Object& entry);

/// A duration as Go writes it: "90s", "1m30s", "500ms", "1.5h", "250us", rounded up to whole milliseconds; nothing for
/// anything else, for negative ones and for those of more than 24 hours.
[[nodiscard]] std::optional<Millis> parse_duration(std::string_view text);

/// A size: a whole number of bytes, or one with KiB, MiB, GiB, KB, MB, GB; nothing for anything else.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace conf
