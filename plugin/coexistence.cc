// SPDX-License-Identifier: Apache-2.0
#include "plugin/coexistence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "conf/section.h"

namespace plugin {
namespace {

using conf::IpPrefix;
using conf::Profile;

// Both look the main table up, so that no table of our own can go stale.
constexpr std::uint32_t kLocalPodsPriority = 105;  // before Cilium's 109-111 (ENI)
constexpr std::uint32_t kToCiliumPriority = 900;   // before aws-cni's 1024 and 1536
constexpr std::uint32_t kAllButHostRoutesV4 = 31;
constexpr std::uint32_t kAllButHostRoutesV6 = 127;

/// Rules that others make there, and delete with whatever stands beside them.
struct Owner {
  std::uint32_t priority;
  std::string_view name;
};
constexpr std::array<Owner, 9> kOthersPriorities = {{{109, "Cilium"},
                                                     {110, "Cilium"},
                                                     {111, "Cilium"},
                                                     {112, "Cilium"},
                                                     {512, "the AWS VPC CNI"},
                                                     {1024, "the AWS VPC CNI"},
                                                     {1535, "the AWS VPC CNI"},
                                                     {1536, "the AWS VPC CNI"},
                                                     {32765, "the AWS VPC CNI"}}};

constexpr std::array<std::string_view, 9> kOthersLinks = {"cali", "vxlan.calico", "tunl0",  "cni0",           "flannel",
                                                          "eni",  "lxc",          "cilium", "vxlan-v6.calico"};

bool runs(const conf::NetworkList* list, std::string_view type) { return list != nullptr && list->runs(type); }

bool holds_node(const IpPrefix& cidr, const std::vector<IpPrefix>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [&](const IpPrefix& address) { return cidr.contains(address.addr); });
}

netlink::Rule rule_to(std::uint32_t priority, const IpPrefix& to, std::uint32_t suppressed) {
  netlink::Rule out;
  out.family = to.addr.family;
  out.priority = priority;
  out.to = to;
  out.suppress_prefix_length = suppressed;
  return out;
}

netlink::Rule rule_of(const conf::RuleSetting& setting, conf::Family family) {
  netlink::Rule out;
  out.family = family;
  out.priority = setting.priority;
  out.from = setting.from;
  out.to = setting.to;
  out.iif = setting.iif;
  out.table = setting.table;
  if (setting.suppress_prefix_length)
    out.suppress_prefix_length = static_cast<std::uint32_t>(*setting.suppress_prefix_length);
  // What matches everything is what the kernel calls no selector.
  if (out.from && out.from->prefix_len == 0) out.from.reset();
  if (out.to && out.to->prefix_len == 0) out.to.reset();
  return out;
}

/// `narrow` as the kernel compares it to `wide`: by no selector that this leaves out.
netlink::Rule without_selectors_of(netlink::Rule narrow, const netlink::Rule& wide) {
  if (!wide.from) narrow.from.reset();
  if (!wide.to) narrow.to.reset();
  return narrow;
}

/// One plan, made step by step.
class Planning {
 public:
  Planning(const conf::Settings& settings, const CoexistenceFacts& facts) : settings_(settings), facts_(facts) {}

  CoexistencePlan run() {
    choose_profile();
    if (plan_.profile == Profile::kAwsVpcCni) reach_cilium();
    if (plan_.profile == Profile::kCiliumEni) reach_local_pods();
    add_rules();
    refuse_twins();
    add_routes();
    keep_sources();
    std::stable_sort(plan_.rules.begin(), plan_.rules.end(),
                     [](const netlink::Rule& a, const netlink::Rule& b) { return a.priority < b.priority; });
    return std::move(plan_);
  }

 private:
  [[nodiscard]] const conf::Coexistence& asked() const { return settings_.coexistence; }
  [[nodiscard]] bool is_auto() const { return asked().profile == Profile::kAuto; }

  void choose(Profile profile, std::string reason) {
    plan_.profile = profile;
    plan_.reason = std::move(reason);
  }

  void choose_profile() {
    if (!is_auto()) return choose(asked().profile, "coexistence.profile says so");
    if (!facts_.legacy_is_aws) return choose(Profile::kOverlay, "the legacy list does not run aws-cni");
    if (facts_.ipam_mode == "eni") return choose(Profile::kCiliumEni, "the agent's ipam-mode is eni");
    const auto& cidrs = settings_.cilium_cidrs;
    const bool in_vpc = std::any_of(cidrs.begin(), cidrs.end(),
                                    [this](const IpPrefix& cidr) { return holds_node(cidr, facts_.node_addresses); });
    if (in_vpc) return choose(Profile::kCiliumEni, "this node has an address in cilium.cidrs: they are the VPC's");
    choose(Profile::kAwsVpcCni, "the legacy list runs aws-cni");
    plan_.guessed = facts_.agent_silent;
    if (plan_.guessed)
      plan_.warnings.emplace_back(
          "the agent does not say whether its ipam-mode is eni: until it does, no rule is removed; or set "
          "`coexistence.profile`");
  }

  /// What a profile cannot be without: under `auto` a warning, else a refusal.
  void miss(const std::string& what) {
    if (!is_auto()) conf::refuse_configuration(what);
    plan_.warnings.push_back(what);
  }

  // Pods of aws-cni's secondary interfaces leave by rule 1536, past the routes to Cilium's pods.
  void reach_cilium() {
    if (settings_.cilium_cidrs.empty())
      return miss("`cilium.cidrs` is empty: on AWS it says which addresses must be reached by the main table");
    for (const IpPrefix& cidr : settings_.cilium_cidrs) {
      if (holds_node(cidr, facts_.node_addresses)) {
        miss(
            fmt::format("`cilium.cidrs` has {}, in which this node has an address: these pods live in the VPC, and "
                        "`coexistence.profile` must be cilium-eni",
                        cidr.str()));
        continue;
      }
      plan_.rules.push_back(rule_to(kToCiliumPriority, cidr, 0));
    }
  }

  // In ENI mode Cilium sends its pods' packets to the VPC by rule 111, though the receiver may be next door.
  void reach_local_pods() {
    if (facts_.legacy_is_calico)
      conf::refuse_configuration(
          "`coexistence.profile` cilium-eni makes a rule that ends at the blackhole routes of Calico's blocks: it "
          "cannot be used beside Calico");
    if (settings_.cilium_cidrs.empty() && settings_.legacy_cidrs.empty())
      return miss("`cilium.cidrs` and `legacy.cidrs` are empty: in ENI mode one of them says the CIDR of the VPC");
    for (const auto* cidrs : {&settings_.legacy_cidrs, &settings_.cilium_cidrs})
      for (const IpPrefix& cidr : *cidrs) {
        const bool is_v4 = cidr.addr.family == conf::Family::kIpv4;
        plan_.rules.push_back(rule_to(kLocalPodsPriority, cidr, is_v4 ? kAllButHostRoutesV4 : kAllButHostRoutesV6));
      }
    // A CIDR of the VPC has routes of the main table that leave by the first interface: they are not for all pods.
    for (const IpPrefix& cidr : settings_.cilium_cidrs)
      if (!facts_.node_addresses.empty() && facts_.ipam_mode != "eni" && !holds_node(cidr, facts_.node_addresses))
        plan_.rules.push_back(rule_to(kToCiliumPriority, cidr, 0));
  }

  void add_rules() {
    for (std::size_t i = 0; i < asked().rules.size(); ++i) {
      const conf::RuleSetting& setting = asked().rules[i];
      const std::string path = fmt::format("`coexistence.rules[{}]`", i);
      for (const Owner& owner : kOthersPriorities)
        if (owner.priority == setting.priority)
          conf::refuse_configuration(fmt::format("{} has the priority {}, which is {}'s: take another one, such as 901",
                                                 path, setting.priority, owner.name));
      const bool main_table = setting.table == netlink::kMainTable;
      if (facts_.legacy_is_calico && main_table && setting.suppress_prefix_length.value_or(0) > 0)
        conf::refuse_configuration(
            fmt::format("{} suppresses routes of the main table beside Calico: it would end at the blackhole routes of "
                        "Calico's blocks; only suppressPrefixLength 0 is safe there",
                        path));
      // Without an address a rule is for both families.
      const auto& prefix = setting.to ? setting.to : setting.from;
      for (const conf::Family family : {conf::Family::kIpv4, conf::Family::kIpv6})
        if (!prefix || prefix->addr.family == family) add_once(rule_of(setting, family));
    }
  }

  // The second one of two would be refused as there already, or not, depending on their order.
  void refuse_twins() const {
    for (const netlink::Rule& wide : plan_.rules)
      for (const netlink::Rule& narrow : plan_.rules)
        if (narrow != wide && without_selectors_of(narrow, wide) == wide)
          conf::refuse_configuration(
              fmt::format("`coexistence.rules` has two rules with the priority {}, of which the kernel takes one for "
                          "the other: `{}` and `{}`; give one of them another priority",
                          wide.priority, wide.str(), narrow.str()));
  }

  void add_once(const netlink::Rule& rule) {
    if (std::find(plan_.rules.begin(), plan_.rules.end(), rule) == plan_.rules.end()) plan_.rules.push_back(rule);
  }

  void add_routes() {
    for (std::size_t i = 0; i < asked().routes.size(); ++i) {
      const conf::RouteSetting& route = asked().routes[i];
      const auto others = std::find_if(kOthersLinks.begin(), kOthersLinks.end(),
                                       [&](std::string_view prefix) { return route.dev.starts_with(prefix); });
      if (others != kOthersLinks.end())
        conf::refuse_configuration(fmt::format(
            "`coexistence.routes[{}].dev` is {}: the routes of that device are another plugin's, which removes ours", i,
            route.dev));
      plan_.routes.push_back(route);
    }
  }

  void keep_sources() {
    const conf::PreserveSource mode = asked().preserve_source;
    if (mode == conf::PreserveSource::kOff) return;
    const bool vpc = plan_.profile == Profile::kAwsVpcCni || plan_.profile == Profile::kCiliumEni;
    if (vpc || facts_.legacy_is_aws)
      conf::refuse_configuration(
          "`coexistence.preserveSource` must be off on AWS: the VPC drops packets whose source is not an address of "
          "the interface that they leave by");
    for (const IpPrefix& cilium : settings_.cilium_cidrs)
      for (const IpPrefix& legacy : settings_.legacy_cidrs) {
        if (cilium.addr.family != legacy.addr.family) continue;
        plan_.kept_sources.push_back({.from = cilium, .to = legacy});
        if (mode == conf::PreserveSource::kBoth) plan_.kept_sources.push_back({.from = legacy, .to = cilium});
      }
    if (plan_.kept_sources.empty())
      conf::refuse_configuration(
          "`coexistence.preserveSource` needs `legacy.cidrs` and `cilium.cidrs` of the same family: between them "
          "addresses are kept");
  }

  const conf::Settings& settings_;
  const CoexistenceFacts& facts_;
  CoexistencePlan plan_;
};

}  // namespace

bool wants_facts(const conf::Settings& settings, const conf::NetworkList* legacy) {
  const Profile profile = settings.coexistence.profile;
  if (profile == Profile::kAuto) return runs(legacy, "aws-cni");
  return profile == Profile::kAwsVpcCni || profile == Profile::kCiliumEni;
}

std::string KeptSource::str() const {
  const std::string_view ip = from.addr.family == conf::Family::kIpv4 ? "ip" : "ip6";
  return fmt::format("{0} saddr {1} {0} daddr {2} snat to {0} saddr", ip, from.str(), to.str());
}

CoexistencePlan plan_coexistence(const conf::Settings& settings, const CoexistenceFacts& facts) {
  return Planning(settings, facts).run();
}

std::string_view profile_name(Profile profile) {
  switch (profile) {
    case Profile::kAuto:
      return "auto";
    case Profile::kOverlay:
      return "overlay";
    case Profile::kAwsVpcCni:
      return "aws-vpc-cni";
    case Profile::kCiliumEni:
      return "cilium-eni";
    case Profile::kNone:
      break;
  }
  return "none";
}

std::string_view preserve_source_name(conf::PreserveSource mode) {
  switch (mode) {
    case conf::PreserveSource::kToLegacy:
      return "to-legacy";
    case conf::PreserveSource::kBoth:
      return "both";
    case conf::PreserveSource::kOff:
      break;
  }
  return "off";
}

}  // namespace plugin
