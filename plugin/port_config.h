// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/request.h"
#include "plugin/conditions.h"
#include "plugin/port_mapping.h"

// The configuration of crossover-portmap on stdin: the reference's keys, and stateDir.
namespace plugin {

/// Mappings of one attachment. A ruleset change of that many elements is about 1 MiB of netlink.
inline constexpr std::size_t kMaxMappings = 4096;

struct PortConfig {
  std::string cni_version;
  std::string name;
  std::vector<PortMapping> mappings;
  bool snat = true;
  bool masq_all = false;
  Conditions conditions_v4{.family = conf::Family::kIpv4, .text = {}};
  Conditions conditions_v6{.family = conf::Family::kIpv6, .text = {}};
  std::string state_dir = "/var/lib/cni/crossover";
  std::optional<std::string> prev_result;
  std::optional<std::vector<conf::AttachmentId>> valid_attachments;
};

/// Everything that bytes can tell. Code 6 (no JSON), 1 (a version that is not ours or too old for the verb) or 7, which
/// names the key, its value and the rule it broke: an unknown key of the entry; `backend` other than "nftables",
/// `externalSetMarkChain` and conditions in iptables' syntax, with advice; a mapping whose hostPort or containerPort is
/// not 1..65535, whose protocol is not tcp, udp or sctp, whose hostIP is no address, ::1 or an IPv4 address in IPv6's
/// clothes, or 127.0.0.0/8 where `snat` is false; more than kMaxMappings of them. `markMasqBit` is taken and has no
/// effect: no mark is needed.
[[nodiscard]] PortConfig parse_port_config(std::string_view text, conf::Verb verb);

/// What a DEL may need of a configuration that may no longer be any good: where the state is, and the keys that the
/// attachment may hold if its record is lost. Whatever cannot be read is left out.
struct PortHints {
  std::string state_dir;
  std::vector<PortMapping> mappings;
};
[[nodiscard]] PortHints read_port_hints(std::string_view text);

/// The first address of each family in `result` (of any version) that is `ifname`'s in a sandbox, or nobody's that the
/// result knows. Code 6 for what is no result.
[[nodiscard]] PodAddresses pod_addresses(std::string_view result, std::string_view assumed_version,
                                         std::string_view ifname);

}  // namespace plugin
