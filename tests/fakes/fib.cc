// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/fib.h"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

using netlink::Ack;
using netlink::Link;
using netlink::LinkAddress;
using netlink::Route;
using netlink::RouteFilter;
using netlink::Rule;

namespace fakes {
namespace {

constexpr std::uint8_t kKernel = 2;  // RTPROT_KERNEL
constexpr std::uint32_t kLoopback = 1;

Rule kernel_rule(conf::Family family, std::uint32_t priority, std::uint32_t table) {
  Rule rule;
  rule.family = family;
  rule.priority = priority;
  rule.table = table;
  rule.protocol = kKernel;
  return rule;
}

Ack refusal(int error) { return {.error = error, .sentence = {}}; }

/// Whether the kernel says EEXIST to `wanted` because of `rule`: a `from` or `to` that is left out fits any, and `not`
/// is not compared.
bool is_same_rule(const Rule& wanted, const Rule& rule) {
  Rule other = rule;
  other.inverted = wanted.inverted;
  if (!wanted.from) other.from.reset();
  if (!wanted.to) other.to.reset();
  return wanted == other;
}

/// Whether a deletion of `asked` takes `rule`: what is not said fits any.
bool fits(const Rule& asked, const Rule& rule) {
  return asked.family == rule.family && asked.priority == rule.priority && asked.action == rule.action &&
         asked.table == rule.table && (!asked.from || asked.from == rule.from) && (!asked.to || asked.to == rule.to) &&
         (asked.iif.empty() || asked.iif == rule.iif) && (asked.oif.empty() || asked.oif == rule.oif) &&
         (asked.mark_mask == 0 || (asked.mark == rule.mark && asked.mark_mask == rule.mark_mask)) &&
         (!asked.suppress_prefix_length || asked.suppress_prefix_length == rule.suppress_prefix_length) &&
         (asked.protocol == 0 || asked.protocol == rule.protocol);
}

bool leads_nowhere(netlink::RouteType type) { return type >= netlink::RouteType::kBlackhole; }

/// As it is kept: a masked destination, IPv6 without scope and metric 0, and leading nowhere by "lo".
Route kept(Route route) {
  route.dst = route.dst.masked();
  if (route.dst.addr.family == conf::Family::kIpv4) return route;
  route.scope = 0;
  if (route.metric == 0) route.metric = netlink::kDefaultMetric6;
  if (leads_nowhere(route.type)) route.link = kLoopback;
  return route;
}

bool is_same_place(const Route& a, const Route& b) {
  return a.dst == b.dst && a.table == b.table && a.metric == b.metric;
}

bool fits(const Route& asked, const Route& route) {
  const bool is_v4 = asked.dst.addr.family == conf::Family::kIpv4;
  return asked.dst.masked() == route.dst && asked.table == route.table &&
         (asked.metric == 0 || asked.metric == route.metric) && (!asked.via || asked.via == route.via) &&
         (asked.link == 0 || asked.link == route.link) && (asked.protocol == 0 || asked.protocol == route.protocol) &&
         (!is_v4 || (asked.type == route.type && asked.scope == route.scope && (!asked.src || asked.src == route.src) &&
                     (asked.mtu == 0 || asked.mtu == route.mtu)));
}

bool passes(const RouteFilter& filter, const Route& route) {
  return (!filter.family || *filter.family == route.dst.addr.family) &&
         (!filter.table || *filter.table == route.table) && (!filter.protocol || *filter.protocol == route.protocol);
}

std::pair<conf::Family, std::uint32_t> place_of(const Rule& rule) { return {rule.family, rule.priority}; }

}  // namespace

FakeFib::FakeFib() {
  insert(kernel_rule(conf::Family::kIpv4, 0, netlink::kLocalTable));
  insert(kernel_rule(conf::Family::kIpv4, 32766, netlink::kMainTable));
  insert(kernel_rule(conf::Family::kIpv4, 32767, 253));
  insert(kernel_rule(conf::Family::kIpv6, 0, netlink::kLocalTable));
  insert(kernel_rule(conf::Family::kIpv6, 32766, netlink::kMainTable));
  (void)add_link("lo", "", 65536);
}

void FakeFib::clear_faults() {
  faults_.clear();
  look_error_.reset();
  before_change = nullptr;
  before_look = nullptr;
}

std::uint32_t FakeFib::add_link(std::string_view name, std::string_view kind, std::uint32_t mtu, bool up) {
  std::uint32_t index = 1;
  for (const Link& link : state.links) index = std::max(index, link.index + 1);
  state.links.push_back(
      Link{.index = index, .name = std::string(name), .kind = std::string(kind), .up = up, .mtu = mtu});
  return index;
}

void FakeFib::add_address(std::uint32_t link, std::string_view prefix) {
  const std::optional<conf::IpPrefix> address = conf::IpPrefix::parse(prefix);
  if (!address) throw std::invalid_argument("no address: " + std::string(prefix));
  state.addresses.push_back(LinkAddress{.link = link, .address = *address});
}

void FakeFib::delete_link(std::string_view name) {
  const auto found =
      std::find_if(state.links.begin(), state.links.end(), [name](const Link& link) { return link.name == name; });
  if (found == state.links.end()) return;
  const std::uint32_t index = found->index;
  state.links.erase(found);
  std::erase_if(state.addresses, [index](const LinkAddress& address) { return address.link == index; });
  std::erase_if(state.routes, [index](const Route& route) { return route.link == index; });
}

/// Behind those of its priority.
void FakeFib::insert(const Rule& rule) {
  const auto behind = std::upper_bound(state.rules.begin(), state.rules.end(), rule,
                                       [](const Rule& a, const Rule& b) { return place_of(a) < place_of(b); });
  state.rules.insert(behind, rule);
}

bool FakeFib::has_link(std::uint32_t index) const {
  return std::any_of(state.links.begin(), state.links.end(), [index](const Link& link) { return link.index == index; });
}

void FakeFib::disturb(const std::function<void()>& hook) {
  if (!hook || disturbing_) return;
  disturbing_ = true;
  const std::function<void()> called = hook;  // it may well replace itself
  try {
    called();
  } catch (...) {
    disturbing_ = false;
    throw;
  }
  disturbing_ = false;
}

void FakeFib::look(unsigned& counter) {
  if (!disturbing_) ++counter;
  disturb(before_look);
  if (look_error_ && !disturbing_) throw conf::CniError(*look_error_);
}

std::optional<FibFault> FakeFib::fault_for(FibFault::What what) {
  std::optional<FibFault> found;
  for (Pending& pending : faults_) {
    const FibFault& fault = pending.fault;
    if (fault.what != FibFault::What::kAny && fault.what != what) continue;
    ++pending.seen;
    const bool is_over = fault.times != 0 && pending.seen >= fault.nth + fault.times;
    if (!found && pending.seen >= fault.nth && !is_over) found = fault;
  }
  return found;
}

Ack FakeFib::change(FibFault::What what, const std::function<Ack()>& effect) {
  if (disturbing_) return effect();  // somebody else's
  ++calls.changes;
  disturb(before_change);
  const std::optional<FibFault> fault = fault_for(what);
  if (!fault) return effect();
  if (fault->after_effect) (void)effect();
  return refusal(fault->error);
}

std::vector<Rule> FakeFib::rules() {
  look(calls.rule_dumps);
  return state.rules;
}

std::vector<Route> FakeFib::routes(const RouteFilter& filter) {
  look(calls.route_dumps);
  std::vector<Route> out;
  for (const conf::Family family : {conf::Family::kIpv4, conf::Family::kIpv6})
    for (const Route& route : state.routes)
      if (route.dst.addr.family == family && passes(filter, route)) out.push_back(route);
  return out;
}

std::vector<LinkAddress> FakeFib::addresses() {
  look(calls.address_dumps);
  return state.addresses;
}

std::vector<Link> FakeFib::links() {
  look(calls.link_dumps);
  return state.links;
}

std::optional<Link> FakeFib::link(std::string_view name) {
  look(calls.link_requests);
  for (const Link& link : state.links)
    if (link.name == name) return link;
  return std::nullopt;
}

Ack FakeFib::add(const Rule& rule) {
  return change(FibFault::What::kAddRule, [&]() -> Ack {
    const bool is_there = std::any_of(state.rules.begin(), state.rules.end(),
                                      [&rule](const Rule& other) { return is_same_rule(rule, other); });
    if (is_there) return refusal(EEXIST);
    insert(rule);
    return {};
  });
}

Ack FakeFib::remove(const Rule& rule) {
  return change(FibFault::What::kRemoveRule, [&]() -> Ack {
    const auto found =
        std::find_if(state.rules.begin(), state.rules.end(), [&rule](const Rule& other) { return fits(rule, other); });
    if (found == state.rules.end()) return refusal(ENOENT);
    state.rules.erase(found);
    return {};
  });
}

Ack FakeFib::add(const Route& route) {
  return change(FibFault::What::kAddRoute, [&]() -> Ack {
    if (route.link != 0 && !has_link(route.link)) return refusal(ENODEV);
    const Route wanted = kept(route);
    const bool is_there = std::any_of(state.routes.begin(), state.routes.end(),
                                      [&wanted](const Route& other) { return is_same_place(wanted, other); });
    if (is_there) return refusal(EEXIST);
    state.routes.push_back(wanted);
    return {};
  });
}

Ack FakeFib::remove(const Route& route) {
  return change(FibFault::What::kRemoveRoute, [&]() -> Ack {
    auto found = state.routes.end();
    for (auto it = state.routes.begin(); it != state.routes.end(); ++it)
      if (fits(route, *it) && (found == state.routes.end() || it->metric < found->metric)) found = it;
    if (found == state.routes.end()) return refusal(ESRCH);
    state.routes.erase(found);
    return {};
  });
}

}  // namespace fakes
