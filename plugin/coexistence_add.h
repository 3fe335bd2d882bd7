// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plugin/attachment.h"
#include "plugin/coexistence.h"
#include "plugin/node.h"
#include "plugin/plumbing.h"
#include "plugin/pod_routes.h"
#include "plugin/session.h"

// What an ADD does so that its pod and those of the other network reach each other: the node's plumbing before the pod
// is attached, routes and stale rules after. And the same for those who only look.
namespace plugin {

/// What the plan needs to know of this node; asks the agent only if `settings` depend on it.
[[nodiscard]] CoexistenceFacts coexistence_facts(System& system, const conf::Settings& settings, const Node& node);

/// Routes and links of the node, looked at when first needed.
class Crossing {
 public:
  Crossing(System& system, const conf::Settings& settings, const Node& node)
      : system_(system), settings_(settings), node_(node) {}

  /// The MTU that packets to `dst` really have: the smaller one of this node's ways and, to Cilium's pods, of the
  /// agent's route MTU. 0 if neither is known.
  [[nodiscard]] std::uint32_t mtu_to(const conf::IpPrefix& dst);
  /// crossing_warnings() for the links between the configured CIDRs. Never throws.
  [[nodiscard]] std::vector<std::string> warnings();

 private:
  void look();
  System& system_;
  const conf::Settings& settings_;
  const Node& node_;
  bool looked_ = false;
  std::vector<netlink::Route> main_;
  std::vector<netlink::Link> links_;
};

class Coexisting {
 public:
  /// Code 7 for a configuration that this node cannot have (plan_coexistence).
  Coexisting(Session& session, const Node& node);

  /// Asserts the plan. What was done goes to `notes`. Errors as Plumbing::assert_on's; none if there is nothing to
  /// assert.
  void prepare_node(std::vector<std::string>& notes);
  /// The pod's routes to the other network: those that are there, for its record. `notes`: what was done, what could
  /// not be done, and stale rules of the pod's addresses. Nothing of it refuses the pod.
  [[nodiscard]] std::vector<PodRoute> prepare_pod(const Attachment& attachment, const std::string& result,
                                                  std::vector<std::string>& notes);

 private:
  void look_at_rules(std::vector<std::string>& notes);
  [[nodiscard]] std::vector<PodRoute> add_routes(const Attachment& attachment,
                                                 const std::vector<conf::IpPrefix>& addresses,
                                                 std::vector<std::string>& notes);
  void look_for_stale_rules(const Attachment& attachment, const std::vector<conf::IpPrefix>& addresses,
                            std::vector<std::string>& notes);
  Session& session_;
  const Node& node_;
  CoexistencePlan plan_;
  std::vector<netlink::Rule> rules_before_;
};

/// CHECK: code kPlumbingIncomplete, saying what is missing, unless the plan and the pod's routes are in place.
void check_coexistence(Session& session, const Node& node, const Attachment& attachment, const std::string& netns);

}  // namespace plugin
