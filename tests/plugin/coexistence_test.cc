// SPDX-License-Identifier: Apache-2.0
#include "plugin/coexistence.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/plugin/plans.h"
#include "tests/support/refusal.h"

namespace {

using conf::Code;
using conf::PreserveSource;
using conf::Profile;
using conf::RouteSetting;
using conf::RuleSetting;
using conf::Settings;
using plans::cidr;
using plans::rule_to;
using plans::settings;
using plugin::CoexistenceFacts;
using plugin::CoexistencePlan;
using plugin::plan_coexistence;
using Strings = std::vector<std::string>;

CoexistenceFacts facts(const Strings& addresses = {}, const std::string& ipam_mode = {}) {
  CoexistenceFacts out;
  out.ipam_mode = ipam_mode;
  for (const std::string& address : addresses) out.node_addresses.push_back(cidr(address));
  return out;
}
CoexistenceFacts on_aws(const Strings& addresses = {"10.0.1.5/24"}, const std::string& ipam_mode = {}) {
  CoexistenceFacts out = facts(addresses, ipam_mode);
  out.legacy_is_aws = true;
  return out;
}
CoexistenceFacts beside_calico() {
  CoexistenceFacts out;
  out.legacy_is_calico = true;
  return out;
}

/// "rule -6 900: from all ..." of the plan, as `ip rule` prints them.
Strings rules_of(const CoexistencePlan& plan) {
  Strings out;
  for (const netlink::Rule& rule : plan.rules)
    out.push_back((rule.family == conf::Family::kIpv6 ? "-6 " : "") + rule.str());
  return out;
}
Strings kept_of(const CoexistencePlan& plan) {
  Strings out;
  for (const plugin::KeptSource& kept : plan.kept_sources) out.push_back(kept.str());
  return out;
}

void check_refused(const Settings& settings, const CoexistenceFacts& facts, const std::string& details) {
  support::check_refusal(support::refusal_of([&] { return plan_coexistence(settings, facts); }), Code::kInvalidConfig,
                         "invalid configuration", details);
}

conf::NetworkList list_of(const std::string& type) {
  return conf::parse_list(R"({"name":"a","plugins":[{"type":")" + type + R"("}]})", "x");
}

Settings with_profile(Profile profile, const Strings& legacy, const Strings& cilium) {
  Settings out = settings(legacy, cilium);
  out.coexistence.profile = profile;
  return out;
}

Settings with_rule(const RuleSetting& rule) {
  Settings out = settings({"10.244.0.0/16"}, {"10.245.0.0/16"});
  out.coexistence.rules = {rule};
  return out;
}

TEST_SUITE_BEGIN("plugin.coexistence");

TEST_CASE("overlays need no rules, and auto chooses them for whatever list does not run aws-cni") {
  const CoexistencePlan plan = plan_coexistence(settings({"10.244.0.0/16"}, {"10.245.0.0/16"}), facts({}, "eni"));
  CHECK(plan.profile == Profile::kOverlay);
  CHECK(plan.reason == "the legacy list does not run aws-cni");
  CHECK(plan.empty());
  CHECK(plan.warnings.empty());
}

TEST_CASE("auto chooses aws-vpc-cni beside aws-cni: routes to Cilium's pods come before those of the interface") {
  const CoexistencePlan plan = plan_coexistence(settings({}, {"10.245.0.0/16", "fd00:245::/56"}), on_aws());
  CHECK(plan.profile == Profile::kAwsVpcCni);
  CHECK(plan.reason == "the legacy list runs aws-cni");
  CHECK(rules_of(plan) == Strings{"900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157",
                                  "-6 900: from all to fd00:245::/56 lookup main suppress_prefixlength 0 proto 157"});
  CHECK(plan.warnings.empty());
}

TEST_CASE("auto chooses cilium-eni when the agent says so, and when this node has an address in Cilium's CIDR") {
  const Settings vpc = settings({}, {"10.0.0.0/16", "fd00::/56"});
  const Strings rules = {"105: from all to 10.0.0.0/16 lookup main suppress_prefixlength 31 proto 157",
                         "-6 105: from all to fd00::/56 lookup main suppress_prefixlength 127 proto 157"};
  const CoexistencePlan said = plan_coexistence(vpc, on_aws({"192.0.2.1/24"}, "eni"));
  CHECK(said.profile == Profile::kCiliumEni);
  CHECK(said.reason == "the agent's ipam-mode is eni");
  CHECK(rules_of(said) == rules);

  // Though only one family shows it, and whatever other mode the agent names.
  const CoexistencePlan seen = plan_coexistence(vpc, on_aws({"127.0.0.1/8", "10.0.1.5/24"}));
  CHECK(seen.profile == Profile::kCiliumEni);
  CHECK(seen.reason == "this node has an address in cilium.cidrs: they are the VPC's");
  CHECK(plan_coexistence(settings({}, {"10.0.0.0/16"}), on_aws({"10.0.1.5/24"}, "cluster-pool")).profile ==
        Profile::kCiliumEni);
}

TEST_CASE("while the agent does not say its ipam-mode, auto beside aws-cni is a guess, and says so") {
  CoexistenceFacts silent = on_aws();
  silent.agent_silent = true;
  const CoexistencePlan guess = plan_coexistence(settings({}, {"10.245.0.0/16"}), silent);
  CHECK(guess.profile == Profile::kAwsVpcCni);
  CHECK(guess.guessed);
  REQUIRE(guess.warnings.size() == 1);
  CHECK(guess.warnings[0].find("until it does, no rule is removed") != std::string::npos);
  // What the node itself shows is no guess, nor is what was asked for.
  CHECK_FALSE(plan_coexistence(settings({}, {"10.0.0.0/16"}), silent).guessed);
  Settings asked = settings({}, {"10.245.0.0/16"});
  asked.coexistence.profile = Profile::kAwsVpcCni;
  CHECK_FALSE(plan_coexistence(asked, silent).guessed);
}

TEST_CASE("a profile that is asked for is taken, whatever the node looks like") {
  const CoexistenceFacts aws = on_aws({"10.0.1.5/24"}, "eni");
  for (const Profile profile : {Profile::kOverlay, Profile::kNone}) {
    const CoexistencePlan plan = plan_coexistence(with_profile(profile, {}, {"10.245.0.0/16"}), aws);
    CHECK(plan.profile == profile);
    CHECK(plan.reason == "coexistence.profile says so");
    CHECK(plan.empty());
  }
  CHECK(rules_of(plan_coexistence(with_profile(Profile::kAwsVpcCni, {}, {"10.245.0.0/16"}), facts())) ==
        Strings{"900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157"});
  CHECK(rules_of(plan_coexistence(with_profile(Profile::kCiliumEni, {"10.0.0.0/16"}, {}), facts())) ==
        Strings{"105: from all to 10.0.0.0/16 lookup main suppress_prefixlength 31 proto 157"});
}

TEST_CASE("cilium-eni also reaches Cilium's pods by the main table where their CIDR is not the VPC's") {
  const Settings both = with_profile(Profile::kCiliumEni, {"10.0.0.0/16"}, {"10.245.0.0/16"});
  CHECK(rules_of(plan_coexistence(both, facts({"10.0.1.5/24"}))) ==
        Strings{"105: from all to 10.0.0.0/16 lookup main suppress_prefixlength 31 proto 157",
                "105: from all to 10.245.0.0/16 lookup main suppress_prefixlength 31 proto 157",
                "900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157"});
  // A CIDR of the VPC that this node has no address of is the VPC's all the same if the agent says eni.
  CHECK(plan_coexistence(both, facts({"10.0.1.5/24"}, "eni")).rules.size() == 2);
}

TEST_CASE("only what depends on the node makes somebody ask for it") {
  const conf::NetworkList aws = list_of("aws-cni");
  const conf::NetworkList flannel = list_of("flannel");
  CHECK(plugin::wants_facts(settings({}, {}), &aws));
  CHECK_FALSE(plugin::wants_facts(settings({}, {}), &flannel));
  CHECK_FALSE(plugin::wants_facts(settings({}, {}), nullptr));
  for (const Profile profile : {Profile::kAwsVpcCni, Profile::kCiliumEni})
    CHECK(plugin::wants_facts(with_profile(profile, {}, {}), &flannel));
  for (const Profile profile : {Profile::kOverlay, Profile::kNone})
    CHECK_FALSE(plugin::wants_facts(with_profile(profile, {}, {}), &aws));
}

TEST_CASE("CIDRs that are needed and not there are a warning under auto, and a refusal for who asked for them") {
  const std::string aws = "`cilium.cidrs` is empty: on AWS it says which addresses must be reached by the main table";
  const std::string eni =
      "`cilium.cidrs` and `legacy.cidrs` are empty: in ENI mode one of them says the CIDR of the VPC";
  const CoexistencePlan plan = plan_coexistence(settings({}, {}), on_aws());
  CHECK(plan.empty());
  CHECK(plan.warnings == Strings{aws});
  CHECK(plan_coexistence(settings({}, {}), on_aws({}, "eni")).warnings == Strings{eni});
  check_refused(with_profile(Profile::kAwsVpcCni, {"10.0.0.0/16"}, {}), facts(), aws);
  check_refused(with_profile(Profile::kCiliumEni, {}, {}), facts(), eni);
}

TEST_CASE("aws-vpc-cni is refused for pods that live in the VPC") {
  check_refused(with_profile(Profile::kAwsVpcCni, {}, {"10.245.0.0/16", "10.0.0.0/16"}), facts({"10.0.1.5/24"}),
                "`cilium.cidrs` has 10.0.0.0/16, in which this node has an address: these pods live in the VPC, and "
                "`coexistence.profile` must be cilium-eni");
}

TEST_CASE("cilium-eni is refused beside Calico, whose blocks end a lookup") {
  check_refused(
      with_profile(Profile::kCiliumEni, {"10.0.0.0/16"}, {}), beside_calico(),
      "`coexistence.profile` cilium-eni makes a rule that ends at the blackhole routes of Calico's blocks: it "
      "cannot be used beside Calico");
}

TEST_CASE("rules of the configuration come with those of the profile, by priority and each once") {
  Settings asked = with_profile(Profile::kAwsVpcCni, {}, {"10.245.0.0/16"});
  RuleSetting late{
      .priority = 30000, .from = cidr("10.9.0.0/16"), .to = {}, .iif = "up0", .table = 7, .suppress_prefix_length = {}};
  RuleSetting early{
      .priority = 101, .from = {}, .to = cidr("10.7.0.0/16"), .iif = {}, .table = 254, .suppress_prefix_length = {}};
  early.suppress_prefix_length = 24;
  RuleSetting same{
      .priority = 900, .from = {}, .to = cidr("10.245.0.0/16"), .iif = {}, .table = 254, .suppress_prefix_length = {}};
  same.suppress_prefix_length = 0;
  asked.coexistence.rules = {late, early, same, early};
  CHECK(rules_of(plan_coexistence(asked, facts())) ==
        Strings{"101: from all to 10.7.0.0/16 lookup main suppress_prefixlength 24 proto 157",
                "900: from all to 10.245.0.0/16 lookup main suppress_prefixlength 0 proto 157",
                "30000: from 10.9.0.0/16 iif up0 lookup 7 proto 157"});
}

TEST_CASE("rules of the configuration are made under every profile, none too") {
  Settings asked = with_rule(
      {.priority = 901, .from = {}, .to = cidr("10.7.0.0/16"), .iif = {}, .table = 7, .suppress_prefix_length = {}});
  for (const Profile profile : {Profile::kAuto, Profile::kOverlay, Profile::kNone}) {
    asked.coexistence.profile = profile;
    CHECK(rules_of(plan_coexistence(asked, facts())) == Strings{"901: from all to 10.7.0.0/16 lookup 7 proto 157"});
  }
}

TEST_CASE("a rule without an address is for both families, and one of all addresses is for its own") {
  CHECK(rules_of(plan_coexistence(
            with_rule({.priority = 901, .from = {}, .to = {}, .iif = "up0", .table = 7, .suppress_prefix_length = {}}),
            facts())) ==
        Strings{"901: from all iif up0 lookup 7 proto 157", "-6 901: from all iif up0 lookup 7 proto 157"});
  CHECK(rules_of(plan_coexistence(with_rule({.priority = 901,
                                             .from = {},
                                             .to = cidr("::/0"),
                                             .iif = "up0",
                                             .table = 7,
                                             .suppress_prefix_length = {}}),
                                  facts())) == Strings{"-6 901: from all iif up0 lookup 7 proto 157"});
}

TEST_CASE("priorities at which others make and delete rules are refused, naming them") {
  const std::vector<std::pair<std::uint32_t, std::string>> owners = {
      {109, "Cilium"},           {110, "Cilium"},           {111, "Cilium"},
      {112, "Cilium"},           {512, "the AWS VPC CNI"},  {1024, "the AWS VPC CNI"},
      {1535, "the AWS VPC CNI"}, {1536, "the AWS VPC CNI"}, {32765, "the AWS VPC CNI"}};
  for (const auto& [priority, owner] : owners) {
    RuleSetting rule;
    rule.priority = priority;
    rule.to = cidr("10.7.0.0/16");
    rule.table = 254;
    check_refused(with_rule(rule), facts(),
                  "`coexistence.rules[0]` has the priority " + std::to_string(priority) + ", which is " + owner +
                      "'s: take another one, such as 901");
    rule.priority = priority - (priority == 32765 ? 2 : 100);
    if (rule.priority > 100) CHECK(plan_coexistence(with_rule(rule), facts()).rules.size() == 1);
  }
}

TEST_CASE("suppression of more than the default route is refused beside Calico, in the main table") {
  RuleSetting rule{
      .priority = 901, .from = {}, .to = cidr("10.7.0.0/16"), .iif = {}, .table = 254, .suppress_prefix_length = {}};
  rule.suppress_prefix_length = 31;
  check_refused(
      with_rule(rule), beside_calico(),
      "`coexistence.rules[0]` suppresses routes of the main table beside Calico: it would end at the blackhole "
      "routes of Calico's blocks; only suppressPrefixLength 0 is safe there");
  CHECK(plan_coexistence(with_rule(rule), facts()).rules.size() == 1);
  RuleSetting elsewhere = rule;
  elsewhere.table = 7;
  CHECK(plan_coexistence(with_rule(elsewhere), beside_calico()).rules.size() == 1);
  rule.suppress_prefix_length = 0;
  CHECK(plan_coexistence(with_rule(rule), beside_calico()).rules.size() == 1);
}

TEST_CASE("two rules of one priority that the kernel takes for one are refused") {
  const RuleSetting wide{
      .priority = 901, .from = {}, .to = cidr("10.7.0.0/16"), .iif = {}, .table = 7, .suppress_prefix_length = {}};
  RuleSetting narrow = wide;
  narrow.from = cidr("10.9.0.0/16");
  for (const bool wide_first : {true, false}) {
    Settings asked = with_rule(wide_first ? wide : narrow);
    asked.coexistence.rules.push_back(wide_first ? narrow : wide);
    check_refused(
        asked, facts(),
        "`coexistence.rules` has two rules with the priority 901, of which the kernel takes one for the other: "
        "`901: from all to 10.7.0.0/16 lookup 7 proto 157` and "
        "`901: from 10.9.0.0/16 to 10.7.0.0/16 lookup 7 proto 157`; give one of them another priority");
    asked.coexistence.rules[0].priority = 902;
    CHECK(plan_coexistence(asked, facts()).rules.size() == 2);
  }
  Settings others = with_rule(narrow);  // two of which neither contains the other
  others.coexistence.rules.push_back(narrow);
  others.coexistence.rules[1].from = cidr("10.10.0.0/16");
  CHECK(plan_coexistence(others, facts()).rules.size() == 2);
}

TEST_CASE("routes are taken as they are configured, but never on another plugin's device") {
  Settings asked = settings({}, {});
  const RouteSetting route{.dst = cidr("10.7.0.0/16"), .via = {}, .dev = "up0", .src = {}};
  asked.coexistence.routes = {route, route};
  CHECK(plan_coexistence(asked, facts()).routes == std::vector<RouteSetting>{route, route});
  for (const std::string dev : {"cali12345", "vxlan.calico", "vxlan-v6.calico", "tunl0", "cni0", "flannel.1",
                                "flannel-v6.1", "eni1a2b", "lxc_health", "cilium_host"}) {
    asked.coexistence.routes[1].dev = dev;
    check_refused(asked, facts(),
                  "`coexistence.routes[1].dev` is " + dev +
                      ": the routes of that device are another plugin's, which removes ours");
  }
}

TEST_CASE("kept sources: to-legacy is one direction, both is both, family by family") {
  Settings asked = settings({"10.244.0.0/16", "fd00:244::/56"}, {"10.245.0.0/16", "fd00:245::/56"});
  CHECK(plan_coexistence(asked, facts()).kept_sources.empty());
  asked.coexistence.preserve_source = PreserveSource::kToLegacy;
  CHECK(kept_of(plan_coexistence(asked, facts())) ==
        Strings{"ip saddr 10.245.0.0/16 ip daddr 10.244.0.0/16 snat to ip saddr",
                "ip6 saddr fd00:245::/56 ip6 daddr fd00:244::/56 snat to ip6 saddr"});
  asked.coexistence.preserve_source = PreserveSource::kBoth;
  CHECK(kept_of(plan_coexistence(asked, facts())) ==
        Strings{"ip saddr 10.245.0.0/16 ip daddr 10.244.0.0/16 snat to ip saddr",
                "ip saddr 10.244.0.0/16 ip daddr 10.245.0.0/16 snat to ip saddr",
                "ip6 saddr fd00:245::/56 ip6 daddr fd00:244::/56 snat to ip6 saddr",
                "ip6 saddr fd00:244::/56 ip6 daddr fd00:245::/56 snat to ip6 saddr"});
}

TEST_CASE("kept sources without CIDRs of one family are refused") {
  const std::string details =
      "`coexistence.preserveSource` needs `legacy.cidrs` and `cilium.cidrs` of the same family: between them addresses "
      "are kept";
  const std::vector<std::pair<Strings, Strings>> cidrs = {
      {{}, {}}, {{"10.244.0.0/16"}, {}}, {{}, {"10.245.0.0/16"}}, {{"10.244.0.0/16"}, {"fd00:245::/56"}}};
  for (const auto& [legacy, cilium] : cidrs) {
    Settings asked = settings(legacy, cilium);
    asked.coexistence.preserve_source = PreserveSource::kToLegacy;
    check_refused(asked, facts(), details);
  }
}

TEST_CASE("kept sources are refused on AWS, by profile or by what the legacy list runs") {
  const std::string details =
      "`coexistence.preserveSource` must be off on AWS: the VPC drops packets whose source is not an address of the "
      "interface that they leave by";
  Settings asked = settings({"10.0.0.0/16"}, {"10.245.0.0/16"});
  asked.coexistence.preserve_source = PreserveSource::kToLegacy;
  for (const Profile profile : {Profile::kAuto, Profile::kOverlay, Profile::kNone}) {
    asked.coexistence.profile = profile;
    check_refused(asked, on_aws(), details);
  }
  for (const Profile profile : {Profile::kAwsVpcCni, Profile::kCiliumEni}) {
    asked.coexistence.profile = profile;
    check_refused(asked, facts(), details);
  }
}

TEST_CASE("profiles and ways of keeping sources are named as in the configuration") {
  Strings names;
  for (const Profile profile :
       {Profile::kAuto, Profile::kOverlay, Profile::kAwsVpcCni, Profile::kCiliumEni, Profile::kNone})
    names.emplace_back(plugin::profile_name(profile));
  for (const PreserveSource mode : {PreserveSource::kOff, PreserveSource::kToLegacy, PreserveSource::kBoth})
    names.emplace_back(plugin::preserve_source_name(mode));
  CHECK(names == Strings{"auto", "overlay", "aws-vpc-cni", "cilium-eni", "none", "off", "to-legacy", "both"});
}

TEST_SUITE_END();

}  // namespace
