// SPDX-License-Identifier: Apache-2.0
#include "plugin/coexistence_add.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "conf/result.h"
#include "plugin/crossing.h"
#include "plugin/stale_rules.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::IpPrefix;

const conf::NetworkList* legacy_list(const Node& node) {
  return node.lists.legacy ? &node.lists.legacy->list : nullptr;
}

std::vector<IpPrefix> addresses_in(const std::string& result) {
  std::vector<IpPrefix> out;
  for (const std::string& text : conf::result_addresses(result))
    if (const std::optional<IpPrefix> address = IpPrefix::parse(text)) out.push_back(*address);
  return out;
}

bool has_family(const std::vector<IpPrefix>& cidrs, conf::Family family) {
  return std::any_of(cidrs.begin(), cidrs.end(), [&](const IpPrefix& cidr) { return cidr.addr.family == family; });
}

}  // namespace

CoexistenceFacts coexistence_facts(System& system, const conf::Settings& settings, const Node& node) {
  CoexistenceFacts out;
  const conf::NetworkList* legacy = legacy_list(node);
  out.legacy_is_aws = legacy != nullptr && legacy->runs("aws-cni");
  out.legacy_is_calico = legacy != nullptr && legacy->runs("calico");
  if (!wants_facts(settings, legacy)) return out;
  // On every node cilium_host has one of Cilium's own addresses: only the other links say whose CIDRs these are.
  const std::optional<netlink::Link> cilium_host = system.fib.link("cilium_host");
  for (const netlink::LinkAddress& one : system.fib.addresses())
    if (!cilium_host || one.link != cilium_host->index) out.node_addresses.push_back(one.address);
  if (node.socket.empty()) return out;
  out.ipam_mode = node.agent_config(system, settings.agent_timeout).ipam_mode;
  out.agent_silent = out.ipam_mode.empty();
  return out;
}

void Crossing::look() {
  if (looked_) return;
  looked_ = true;
  main_ = system_.fib.routes({.family = {}, .table = netlink::kMainTable, .protocol = {}});
  links_ = system_.fib.links();
}

std::uint32_t Crossing::mtu_to(const IpPrefix& dst) {
  look();
  const std::uint32_t known = crossing_mtu(main_, links_, dst);
  const auto& cilium = settings_.cilium_cidrs;
  const bool to_cilium =
      std::any_of(cilium.begin(), cilium.end(), [&](const IpPrefix& cidr) { return cidr.overlaps(dst); });
  if (!to_cilium || node_.socket.empty()) return known;
  const std::uint32_t said = node_.agent_config(system_, settings_.agent_timeout).route_mtu;
  return said != 0 && (known == 0 || said < known) ? said : known;
}

std::vector<std::string> Crossing::warnings() {
  if (settings_.legacy_cidrs.empty() || settings_.cilium_cidrs.empty()) return {};
  try {
    look();
  } catch (const CniError& error) {
    return {fmt::format("rp_filter and forwarding were not looked at: {}", error.what())};
  }
  std::vector<std::string> links;
  for (const auto* cidrs : {&settings_.legacy_cidrs, &settings_.cilium_cidrs})
    for (const IpPrefix& cidr : *cidrs)
      for (std::string& link : crossing_links(main_, links_, cidr))
        if (std::find(links.begin(), links.end(), link) == links.end()) links.push_back(std::move(link));
  const auto both = [this](conf::Family family) {
    return has_family(settings_.legacy_cidrs, family) && has_family(settings_.cilium_cidrs, family);
  };
  return crossing_warnings(system_.disk, system_.places.sysctl, both(conf::Family::kIpv4), both(conf::Family::kIpv6),
                           links);
}

Coexisting::Coexisting(Session& session, const Node& node)
    : session_(session),
      node_(node),
      plan_(plan_coexistence(session.settings, coexistence_facts(session.system, session.settings, node))) {}

void Coexisting::prepare_node(std::vector<std::string>& notes) {
  notes.insert(notes.end(), plan_.warnings.begin(), plan_.warnings.end());
  if (!plan_.rules.empty() || session_.settings.coexistence.stale_rules != conf::StaleRules::kOff) look_at_rules(notes);
  if (plan_.empty()) return;
  Plumbing plumbing(session_.system, plan_);
  const auto say = [&] { notes.insert(notes.end(), plumbing.done().begin(), plumbing.done().end()); };
  try {
    plumbing.assert_on(plumbing.look(false, &rules_before_), session_.locks, session_.settings.lock_timeout);
  } catch (const CniError&) {
    say();
    throw;
  }
  say();
}

void Coexisting::look_at_rules(std::vector<std::string>& notes) {
  try {
    rules_before_ = session_.system.fib.rules();
  } catch (const CniError& error) {
    if (!plan_.rules.empty()) throw;
    notes.push_back(fmt::format("no look for stale rules: {}", error.what()));  // no reason to refuse the pod
  }
}

// The pod is attached, and reaches its own network: what fails here is said, and no reason to refuse it.
std::vector<PodRoute> Coexisting::prepare_pod(const Attachment& attachment, const std::string& result,
                                              std::vector<std::string>& notes) {
  const std::vector<IpPrefix> addresses = addresses_in(result);
  try {
    look_for_stale_rules(attachment, addresses, notes);
  } catch (const CniError& error) {
    notes.push_back(fmt::format("no look for stale rules: {}", error.what()));
  }
  try {
    return add_routes(attachment, addresses, notes);
  } catch (const CniError& error) {
    notes.push_back(fmt::format("no routes to the other network in the pod: {}", error.what()));
    return {};
  }
}

std::vector<PodRoute> Coexisting::add_routes(const Attachment& attachment, const std::vector<IpPrefix>& addresses,
                                             std::vector<std::string>& notes) {
  System& system = session_.system;
  Crossing crossing(system, session_.settings, node_);
  const PodRoutesWanted wanted = pod_routes(session_.settings, attachment.network, addresses,
                                            [&](const IpPrefix& dst) { return crossing.mtu_to(dst); });
  if (wanted.routes.empty()) return {};
  const std::shared_ptr<netlink::Fib> pod = system.pods.fib(attachment.netns);
  if (!pod) return {};
  std::vector<PodRoute> out = add_pod_routes(*pod, attachment.id.ifname, wanted, notes);
  for (const PodRoute& route : out)
    notes.push_back(fmt::format("route to {} with mtu {} in the pod", route.dst.str(), route.mtu));
  for (std::string& warning : crossing.warnings()) notes.push_back(std::move(warning));
  return out;
}

void Coexisting::look_for_stale_rules(const Attachment& attachment, const std::vector<IpPrefix>& addresses,
                                      std::vector<std::string>& notes) {
  std::vector<conf::IpAddr> suspects;
  for (const IpPrefix& address : addresses)
    if (!rules_of(rules_before_, address.addr).empty()) suspects.push_back(address.addr);
  const conf::StaleRules setting = session_.settings.coexistence.stale_rules;
  if (suspects.empty() || setting == conf::StaleRules::kOff) return;
  netlink::Fib& fib = session_.system.fib;
  const std::vector<netlink::Rule> now = fib.rules();
  for (const StaleRule& stale : stale_rules(rules_before_, now, suspects, own_priorities(attachment.list))) {
    notes.push_back(stale.str());
    if (setting != conf::StaleRules::kRemove || !stale.certain || !can_be_deleted(stale.rule, now)) continue;
    const netlink::Ack ack = fib.remove(stale.rule);
    notes.push_back(ack.ok() ? "removed rule " + stale.rule.str() : "rule " + stale.rule.str() + ": " + ack.str());
  }
}

void check_coexistence(Session& session, const Node& node, const Attachment& attachment, const std::string& netns) {
  System& system = session.system;
  const CoexistencePlan plan = plan_coexistence(session.settings, coexistence_facts(system, session.settings, node));
  std::string missing;
  const auto add = [&missing](const std::string& what) { missing += (missing.empty() ? "" : "; ") + what; };
  if (!plan.empty()) {
    Plumbing plumbing(system, plan);
    const PlumbingSeen seen = plumbing.look(false);
    for (const Plumbing::Item& item : plumbing.items(seen))
      if (!item.present) add(item.text);
  }
  if (!missing.empty()) missing += "; `crossover reconcile` puts them back";
  if (!attachment.pod_routes.empty()) {
    const std::shared_ptr<netlink::Fib> pod = system.pods.fib(netns);
    if (pod)
      for (const std::string& problem : pod_route_problems(*pod, attachment.id.ifname, attachment.pod_routes))
        add(problem + " is missing in the pod");
  }
  if (!missing.empty())
    throw CniError(kPlumbingIncomplete, "rules and routes between the networks are not in place", missing);
}

}  // namespace plugin
