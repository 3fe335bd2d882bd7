// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/ip.h"
#include "conf/list.h"
#include "conf/settings.h"
#include "netlink/rule.h"

// What this node needs so that the pods of both networks reach each other. Pure: a function of the
// configuration and of what the node is, never of a pod. plumbing.h brings the kernel there.
namespace plugin {

/// What the plan depends on besides the configuration.
struct CoexistenceFacts {
  bool legacy_is_aws = false;     ///< the legacy list runs aws-cni
  bool legacy_is_calico = false;  ///< it runs calico: Calico itself, or Canal
  std::string ipam_mode;          ///< the agent's ("eni"); empty if nobody asked or it did not say
  bool agent_silent = false;      ///< there is an agent, and it did not say its ipam-mode
  std::vector<conf::IpPrefix> node_addresses;
};

/// Whether the plan depends on the agent and on the node's addresses at all.
[[nodiscard]] bool wants_facts(const conf::Settings& settings, const conf::NetworkList* legacy);

/// What flows from `from` to `to` keeps its own address, whoever masquerades after us.
struct KeptSource {
  conf::IpPrefix from;
  conf::IpPrefix to;
  bool operator==(const KeptSource&) const = default;
  /// "ip saddr 10.245.0.0/16 ip daddr 10.244.0.0/16 snat to ip saddr"
  [[nodiscard]] std::string str() const;
};

struct CoexistencePlan {
  conf::Profile profile = conf::Profile::kNone;  ///< the one in effect: never kAuto
  std::string reason;                            ///< why this one; one line
  std::vector<netlink::Rule> rules;              ///< by priority; protocol kOurProtocol
  std::vector<conf::RouteSetting> routes;
  std::vector<KeptSource> kept_sources;
  bool guessed = false;  ///< the agent could still say that another profile is right: nothing may be removed
  std::vector<std::string> warnings;  ///< what could not be planned under `auto`, and the cure

  [[nodiscard]] bool empty() const { return rules.empty() && routes.empty() && kept_sources.empty(); }
};

/// Code 7, with the key and the reason, for what would break one of the two networks: a priority that belongs to
/// others, suppression of all but host routes beside Calico, a device of another plugin, kept addresses in a VPC, CIDRs
/// that are needed and not there, two rules of one priority that the kernel takes for one.
[[nodiscard]] CoexistencePlan plan_coexistence(const conf::Settings& settings, const CoexistenceFacts& facts);

[[nodiscard]] std::string_view profile_name(conf::Profile profile);
[[nodiscard]] std::string_view preserve_source_name(conf::PreserveSource mode);

}  // namespace plugin
