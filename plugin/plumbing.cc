// SPDX-License-Identifier: Apache-2.0
#include "plugin/plumbing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "conf/error.h"

namespace plugin {
namespace {

using conf::CniError;
using netlink::Ack;
using netlink::Route;
using netlink::Rule;

constexpr int kTries = 4;
constexpr std::uint32_t kFirstOrdinaryRule = 101;  // what lies before decides about local delivery

[[noreturn]] void refused(const std::string& what, const std::string& why) {
  throw CniError(kPlumbing, "rules and routes between the networks cannot be made", what + ": " + why);
}

/// What a verdict of the kernel means for the person on the node.
std::string cure_for(int error) {
  switch (error) {
    case EPERM:
      return "; this needs CAP_NET_ADMIN";
    case EOPNOTSUPP:
    case ENOSYS:
    case EAFNOSUPPORT:
      return "; this kernel has no policy routing (CONFIG_IP_MULTIPLE_TABLES) for this family";
    case ENETUNREACH:
      return "; `via` is on no link of this node: name `dev`, or set `onlink`";
    case EINVAL:
      return "; the kernel may be older than Linux 4.17";
    default:
      return {};
  }
}

/// The same but for who made it: another owner's does the same.
bool does_the_same(const Rule& a, const Rule& b) {
  Rule copy = b;
  copy.protocol = a.protocol;
  return a == copy;
}

bool is_ours(const Rule& rule) { return rule.protocol == netlink::kOurProtocol; }

bool has_rule(const std::vector<Rule>& rules, const Rule& wanted) {
  return std::any_of(rules.begin(), rules.end(), [&](const Rule& rule) { return does_the_same(rule, wanted); });
}

/// A link that the configuration leaves to the kernel is whichever it chose.
bool fits(const Route& there, const Route& wanted) {
  Route copy = wanted;
  if (copy.link == 0) copy.link = there.link;
  return there == copy;
}

bool has_route(const std::vector<Route>& routes, const Route& wanted) {
  return std::any_of(routes.begin(), routes.end(), [&](const Route& route) { return fits(route, wanted); });
}

/// Two that the kernel takes for one: it refuses the second.
bool clash(const Route& a, const Route& b) { return a.table == b.table && a.dst == b.dst && a.metric == b.metric; }

/// Somebody else's rule at a priority of ours that does something else.
const Rule* in_the_way(const std::vector<Rule>& rules, const Rule& wanted) {
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) {
    return rule.priority == wanted.priority && rule.family == wanted.family && !is_ours(rule) &&
           !does_the_same(rule, wanted);
  });
  return found == rules.end() ? nullptr : &*found;
}

/// Whether the kernel refuses `wanted` as there already because of `there`: it does not compare selectors that `wanted`
/// leaves out, and before 4.18 no suppression either.
bool taken_for(const Rule& wanted, Rule there) {
  if (!wanted.from) there.from.reset();
  if (!wanted.to) there.to.reset();
  there.suppress_prefix_length = wanted.suppress_prefix_length;
  return there == wanted;
}

std::string rule_text(const Rule& rule) {
  return (rule.family == conf::Family::kIpv6 ? "rule -6 " : "rule ") + rule.str();
}

}  // namespace

Route route_of(const conf::RouteSetting& setting, std::uint32_t link) {
  Route out;
  out.dst = setting.dst.masked();
  out.via = setting.via;
  out.link = link;
  out.table = setting.table;
  out.mtu = setting.mtu;
  out.onlink = setting.onlink;
  out.metric = setting.metric;
  out.src = setting.src;
  out.scope = netlink::scope_for(out);
  if (setting.dst.addr.family == conf::Family::kIpv6 && out.metric == 0) out.metric = netlink::kDefaultMetric6;
  return out;
}

PlumbingChange plumbing_change(const CoexistencePlan& plan, const PlumbingSeen& seen) {
  PlumbingChange out;
  for (const Rule& rule : plan.rules)
    if (!has_rule(seen.rules, rule)) out.missing_rules.push_back(rule);
  for (const Rule& rule : seen.rules)
    if (is_ours(rule) && !has_rule(plan.rules, rule)) out.surplus_rules.push_back(rule);
  for (const Route& route : seen.wanted)
    if (!has_route(seen.routes, route)) out.missing_routes.push_back(route);
  for (const Route& route : seen.routes)
    if (std::none_of(seen.wanted.begin(), seen.wanted.end(), [&](const Route& one) { return fits(route, one); }))
      out.surplus_routes.push_back(route);
  out.kept_differs = seen.kept.changed;
  out.no_link = seen.no_link;
  return out;
}

PlumbingSeen Plumbing::look(bool closely, const std::vector<Rule>* rules) {
  PlumbingSeen out;
  if (rules != nullptr)
    out.rules = *rules;
  else if (closely || !plan_.rules.empty())
    out.rules = system_.fib.rules();
  if (closely || !plan_.routes.empty())
    out.routes = system_.fib.routes({.family = {}, .table = {}, .protocol = netlink::kOurProtocol});
  for (const conf::RouteSetting& setting : plan_.routes) {
    std::uint32_t index = 0;
    if (!setting.dev.empty()) {
      const std::optional<netlink::Link> link = system_.fib.link(setting.dev);
      if (!link) {
        out.no_link.push_back(setting.dev);
        continue;
      }
      index = link->index;
    }
    out.wanted.push_back(route_of(setting, index));
  }
  if (!closely && plan_.kept_sources.empty()) return out;
  try {
    out.kept = KeptSources(system_.firewall).look(plan_.kept_sources, closely);
  } catch (const CniError& error) {
    if (!plan_.kept_sources.empty()) throw;
    out.kept_unknown = error.what();
  }
  return out;
}

std::vector<std::string> Plumbing::assert_on(const PlumbingSeen& seen, const Locks& locks, conf::Millis wait) {
  if (!plumbing_change(plan_, seen).lacks_nothing()) settle(Surplus::kStays, locks, wait);
  return done_;
}

std::vector<std::string> Plumbing::reconcile(const Locks& locks, conf::Millis wait) {
  settle(plan_.guessed ? Surplus::kStays : Surplus::kGoes, locks, wait);
  return done_;
}

// What was done is looked at once more: others change the same things, and an answer of the kernel's can be lost.
void Plumbing::settle(Surplus surplus, const Locks& locks, conf::Millis wait) {
  const std::optional<Locks::Guard> held = locks.plumbing(wait);
  if (!held)
    throw CniError(conf::Code::kBusy, "another call is still at work", "rules and routes between the networks");
  for (int i = 0; i <= kTries; ++i) {
    const PlumbingSeen now = look(surplus == Surplus::kGoes);
    const PlumbingChange todo = plumbing_change(plan_, now);
    if (surplus == Surplus::kGoes ? todo.nothing_to_do() : todo.lacks_nothing()) return;
    if (i < kTries) change(todo, now, surplus);
  }
  throw CniError(conf::Code::kTryAgainLater, "rules and routes between the networks do not stay",
                 "somebody changes them at once; for systemd-networkd set ManageForeignRoutingPolicyRules=no and "
                 "ManageForeignRoutes=no in networkd.conf");
}

std::vector<std::string> Plumbing::would_do() {
  std::vector<std::string> out;
  PlumbingChange todo = plumbing_change(plan_, look(true));
  if (plan_.guessed) {
    todo.surplus_rules.clear();
    todo.surplus_routes.clear();
  }
  for (const Rule& rule : todo.surplus_rules) out.push_back("remove " + rule_text(rule));
  for (const Route& route : todo.surplus_routes) out.push_back("remove route " + route_text(route));
  for (const Route& route : todo.missing_routes) out.push_back("add route " + route_text(route));
  if (todo.kept_differs)
    out.emplace_back(plan_.kept_sources.empty() ? "remove chain preserve_source" : "make chain preserve_source");
  for (const Rule& rule : todo.missing_rules) out.push_back("add " + rule_text(rule));
  return out;
}

// The order is that of two phases: nothing leads to a route that is not there yet, or is gone already.
void Plumbing::change(const PlumbingChange& change, const PlumbingSeen& seen, Surplus surplus) {
  if (!change.no_link.empty())
    refused("`coexistence.routes`", fmt::format("there is no device {} on this node", change.no_link.front()));
  if (surplus == Surplus::kGoes) {
    for (const Rule& rule : change.surplus_rules)
      if (remove_rule(rule)) done_.push_back("removed " + rule_text(rule));
    for (const Route& route : change.surplus_routes)
      if (remove_route(route)) done_.push_back("removed route " + route_text(route));
  }
  for (const Route& route : change.missing_routes)
    if (add_route(route)) done_.push_back("added route " + route_text(route));
  if (change.kept_differs) {
    KeptSources(system_.firewall).make(plan_.kept_sources);
    done_.emplace_back(plan_.kept_sources.empty() ? "removed chain preserve_source" : "made chain preserve_source");
  }
  for (const Rule& rule : change.missing_rules)
    if (add_rule(rule, seen)) done_.push_back("added " + rule_text(rule));
}

bool Plumbing::add_rule(const Rule& rule, const PlumbingSeen& seen) {
  if (rule.priority < kFirstOrdinaryRule) refused(rule_text(rule), "priorities below 101 are not ours to use");
  if (const Rule* other = in_the_way(seen.rules, rule))
    refused(rule_text(rule), fmt::format("another owner has a rule with this priority: {}", other->str()));
  Ack ack = system_.fib.add(rule);
  const auto outdated = std::find_if(seen.rules.begin(), seen.rules.end(), [&](const Rule& there) {
    return taken_for(rule, there) && !has_rule(plan_.rules, there);
  });
  if (ack.error == EEXIST && outdated != seen.rules.end()) {
    (void)remove_rule(*outdated);
    ack = system_.fib.add(rule);
  }
  if (ack.error == EEXIST) return false;  // somebody was faster
  if (!ack.ok() && ack.error != ENOBUFS) refused(rule_text(rule), ack.str() + cure_for(ack.error));
  return true;
}

bool Plumbing::add_route(const Route& route) {
  const auto what = [&] { return "route " + route_text(route); };
  Ack ack = system_.fib.add(route);
  if (ack.error == EEXIST) {
    for (const Route& other :
         system_.fib.routes({.family = route.dst.addr.family, .table = route.table, .protocol = {}})) {
      if (!clash(other, route)) continue;
      if (fits(other, route)) return false;  // somebody was faster
      if (other.protocol != netlink::kOurProtocol)
        refused(what(), fmt::format("another owner has one: {}", route_text(other)));
      (void)remove_route(other);  // our own, of an earlier configuration
      ack = system_.fib.add(route);
      break;
    }
  }
  if (ack.error == EEXIST) return false;
  if (!ack.ok() && ack.error != ENOBUFS) refused(what(), ack.str() + cure_for(ack.error));
  return true;
}

bool Plumbing::remove_rule(const Rule& rule) {
  const Ack ack = system_.fib.remove(rule);
  if (ack.error == ENOENT) return false;
  if (!ack.ok() && ack.error != ENOBUFS) refused("removal of " + rule_text(rule), ack.str() + cure_for(ack.error));
  return true;
}

bool Plumbing::remove_route(const Route& route) {
  const Ack ack = system_.fib.remove(route);
  if (ack.error == ESRCH || ack.error == ENODEV) return false;
  if (!ack.ok() && ack.error != ENOBUFS)
    refused("removal of route " + route_text(route), ack.str() + cure_for(ack.error));
  return true;
}

std::string Plumbing::route_text(const Route& route) const {
  if (route.link == 0) return route.str();
  for (const netlink::Link& link : system_.fib.links())
    if (link.index == route.link) return route.str(link.name);
  return route.str();
}

std::vector<Plumbing::Item> Plumbing::items(const PlumbingSeen& seen) const {
  std::vector<Item> out;
  for (const Route& route : seen.wanted)
    out.push_back({.text = "route " + route_text(route), .present = has_route(seen.routes, route), .problem = {}});
  for (const std::string& dev : seen.no_link)
    out.push_back({.text = "route dev " + dev, .present = false, .problem = "there is no device " + dev});
  for (const KeptSource& kept : plan_.kept_sources) {
    const bool there = std::find(seen.kept.kept.begin(), seen.kept.kept.end(), kept) != seen.kept.kept.end();
    out.push_back({.text = "nat " + kept.str(), .present = there, .problem = {}});
  }
  for (const Rule& rule : plan_.rules) {
    const Rule* other = in_the_way(seen.rules, rule);
    out.push_back({.text = rule_text(rule),
                   .present = has_rule(seen.rules, rule),
                   .problem = other == nullptr ? "" : "another owner has this priority: " + other->str()});
  }
  return out;
}

std::vector<std::string> Plumbing::surplus(const PlumbingSeen& seen) const {
  std::vector<std::string> out;
  if (plan_.guessed) return out;
  const PlumbingChange change = plumbing_change(plan_, seen);
  for (const Rule& rule : change.surplus_rules) out.push_back(rule_text(rule));
  for (const Route& route : change.surplus_routes) out.push_back("route " + route_text(route));
  const bool all_kept = seen.kept.kept.size() == plan_.kept_sources.size();
  if (seen.kept.there && seen.kept.changed && all_kept)
    out.emplace_back(plan_.kept_sources.empty() ? "nat chain preserve_source"
                                                : "nat chain preserve_source: other rules");
  return out;
}

}  // namespace plugin
