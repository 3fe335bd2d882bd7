// SPDX-License-Identifier: Apache-2.0
#include "plugin/port_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

namespace plugin {
namespace {

using conf::Family;
using conf::IpPrefix;
using netlink::Expressions;
using netlink::Field;
using netlink::Lookup;
using netlink::NftRule;
using netlink::NftSet;
using netlink::Register;
using netlink::Verdict;
using netlink::VerdictCode;

constexpr std::array<Family, 2> kFamilies = {Family::kIpv4, Family::kIpv6};
constexpr std::int32_t kBeforeDstnat = -101;
constexpr std::int32_t kBeforeSrcnat = 99;
constexpr std::int32_t kRaw = -300;

std::string_view suffix(Family family) { return family == Family::kIpv4 ? "v4" : "v6"; }
Field addr_field(Family family) { return family == Family::kIpv4 ? Field::kIpv4Addr : Field::kIpv6Addr; }
std::uint8_t words(Family family) { return family == Family::kIpv4 ? 1 : 4; }

std::string named(std::string_view what, Family family) { return fmt::format("{}_{}", what, suffix(family)); }

IpPrefix loopback_net() { return *IpPrefix::parse("127.0.0.0/8"); }

NftSet set_of(std::string name, std::vector<Field> key, std::vector<Field> data = {}) {
  return {.table = crossover_table(), .name = std::move(name), .key = std::move(key), .data = std::move(data)};
}

NftRule rule(std::string_view chain, Expressions expressions, std::string_view comment) {
  return {.table = crossover_table(),
          .chain = std::string(chain),
          .expressions = std::move(expressions),
          .comment = fmt::format("hostports {}: {}", kLayoutVersion, comment)};
}

Expressions all_of(std::initializer_list<Expressions> parts) {
  Expressions out;
  for (const Expressions& part : parts) netlink::append(out, part);
  return out;
}

Expressions verdict(VerdictCode code, std::string_view chain = {}) {
  return {Verdict{.code = code, .chain = std::string(chain)}};
}

// Puts the fields of a key one behind the other into registers from 0 on.
class KeyLoader {
 public:
  explicit KeyLoader(Family family) : family_(family), expressions_(netlink::nfproto_is(family)) {}
  KeyLoader& saddr() { return add(netlink::load_saddr(family_, Register{next_}), words(family_)); }
  KeyLoader& daddr() { return add(netlink::load_daddr(family_, Register{next_}), words(family_)); }
  KeyLoader& iifname() { return add(netlink::LoadMeta{.key = netlink::Meta::kIifname, .to = Register{next_}}, 4); }
  KeyLoader& service() {
    add(netlink::LoadMeta{.key = netlink::Meta::kL4proto, .to = Register{next_}}, 1);
    return add(netlink::load_dport(Register{next_}), 1);
  }
  [[nodiscard]] Expressions in(std::string set, std::optional<Register> data = {}) {
    expressions_.emplace_back(Lookup{.set = std::move(set), .key = Register{0}, .data = data});
    return std::move(expressions_);
  }

 private:
  KeyLoader& add(netlink::Expression load, std::uint8_t size) {
    expressions_.push_back(std::move(load));
    next_ = static_cast<std::uint8_t>(next_ + size);
    return *this;
  }
  Family family_;
  Expressions expressions_;
  std::uint8_t next_ = 0;
};

constexpr Register kData{8};  // behind the longest key that a map of ours has

Expressions dnat(Family family) {
  const Register port{static_cast<std::uint8_t>(kData.word + words(family))};
  return {netlink::Nat{.kind = netlink::Nat::Kind::kDnat, .family = family, .address = kData, .port = port}};
}

// Its rules are those of which conditions there are.
bool depends_on_conditions(std::string_view chain) {
  return chain == "hostports_addr_if" || chain == "hostports_port_if";
}

Expressions masquerade() { return {netlink::Masquerade{}}; }

std::vector<NftSet> fixed_sets() {
  std::vector<NftSet> out;
  for (const Family family : kFamilies) {
    const Field addr = addr_field(family);
    const std::vector<Field> target = {addr, Field::kInetProto, Field::kInetService};
    const std::vector<Field> data = {addr, Field::kInetService};
    out.push_back(set_of(named("ports", family), {Field::kInetProto, Field::kInetService}, data));
    out.push_back(set_of(named("ports_addr", family), target, data));
    out.push_back(set_of(named("ports_masq_all", family), target));
    out.push_back(set_of(named("ports_hairpin", family), {addr, addr, Field::kInetProto, Field::kInetService}));
    out.push_back(
        set_of(named("ports_same_link", family), {Field::kIfname, addr, Field::kInetProto, Field::kInetService}));
  }
  out.push_back(set_of("ports_unmasked", {Field::kInetProto, Field::kInetService}));
  out.push_back(set_of("ports_loopback", {Field::kIpv4Addr, Field::kInetProto, Field::kInetService}));
  out.push_back(set_of(std::string(kLocalnetSet), {Field::kIfname}));
  return out;
}

netlink::NftChain chain(std::string_view name, std::optional<netlink::BaseHook> base = {}) {
  return {.table = crossover_table(), .name = std::string(name), .base = base};
}

netlink::BaseHook hook(netlink::ChainType type, netlink::Hook at, std::int32_t priority) {
  netlink::BaseHook out;
  out.type = type;
  out.hook = at;
  out.priority = priority;
  return out;
}

std::vector<netlink::NftChain> fixed_chains() {
  using netlink::ChainType;
  using netlink::Hook;
  return {chain("hostports_addr_if"),
          chain("hostports_port_if"),
          chain("hostports_by_port"),
          chain("hostports"),
          chain("hostports_masquerade"),
          chain("hostports_prerouting", hook(ChainType::kNat, Hook::kPrerouting, kBeforeDstnat)),
          chain("hostports_output", hook(ChainType::kNat, Hook::kOutput, kBeforeDstnat)),
          chain("hostports_postrouting", hook(ChainType::kNat, Hook::kPostrouting, kBeforeSrcnat)),
          chain("hostports_raw", hook(ChainType::kFilter, Hook::kPrerouting, kRaw))};
}

// Only what is addressed to this node is ever redirected.
void add_entry_rules(std::vector<NftRule>& out) {
  for (const std::string_view base : {"hostports_prerouting", "hostports_output"})
    out.push_back(rule(base, all_of({netlink::daddr_is_local(), verdict(VerdictCode::kJump, "hostports")}),
                       "what is addressed to this node"));
}

void add_redirection_rules(std::vector<NftRule>& out) {
  const IpPrefix loopback{.addr = *conf::IpAddr::parse("::1"), .prefix_len = 128};
  out.push_back(rule("hostports", all_of({netlink::daddr_in(loopback), verdict(VerdictCode::kReturn)}),
                     "nothing is routed from ::1 to a pod"));
  out.push_back(rule("hostports", verdict(VerdictCode::kJump, "hostports_addr_if"), "conditions"));
  for (const Family family : kFamilies)
    out.push_back(rule(
        "hostports", all_of({KeyLoader(family).daddr().service().in(named("ports_addr", family), kData), dnat(family)}),
        "by address and port"));
  out.push_back(rule("hostports", verdict(VerdictCode::kGoto, "hostports_by_port"), "by port"));

  // A chain that is left by accept and not by its end: a chain of conditions may have gone here instead of returning.
  const std::string_view by_port = "hostports_by_port";
  out.push_back(rule(by_port,
                     all_of({netlink::daddr_in(loopback_net()), KeyLoader(Family::kIpv4).service().in("ports_unmasked"),
                             verdict(VerdictCode::kAccept)}),
                     "from 127.0.0.1 only with masquerading"));
  out.push_back(rule(by_port, verdict(VerdictCode::kJump, "hostports_port_if"), "conditions"));
  for (const Family family : kFamilies)
    out.push_back(rule(by_port, all_of({KeyLoader(family).service().in(named("ports", family), kData), dnat(family)}),
                       "by port"));
  out.push_back(rule(by_port, verdict(VerdictCode::kAccept), "no hostPort"));
}

void add_masquerade_rules(std::vector<NftRule>& out) {
  out.push_back(rule(
      "hostports_postrouting",
      all_of({netlink::ct_status_has(netlink::kCtStatusDnat), verdict(VerdictCode::kJump, "hostports_masquerade")}),
      "what was redirected"));
  const std::string_view to = "hostports_masquerade";
  out.push_back(rule(to,
                     all_of({netlink::saddr_in(loopback_net()),
                             KeyLoader(Family::kIpv4).daddr().service().in("ports_loopback"), masquerade()}),
                     "from 127.0.0.1"));
  for (const Family family : kFamilies) {
    const auto add = [&](KeyLoader key, std::string_view set, std::string_view comment) {
      out.push_back(rule(to, all_of({key.service().in(named(set, family)), masquerade()}), comment));
    };
    add(KeyLoader(family).saddr().daddr(), "ports_hairpin", "from the pod to itself");
    add(KeyLoader(family).iifname().daddr(), "ports_same_link", "from the pod's own bridge");
    add(KeyLoader(family).daddr(), "ports_masq_all", "masqAll");
  }
}

void add_raw_rules(std::vector<NftRule>& out) {
  const auto drop = [&out](Expressions loopback, std::string_view comment) {
    const Expressions link = {netlink::LoadMeta{.key = netlink::Meta::kIifname, .to = Register{0}},
                              Lookup{.set = std::string(kLocalnetSet), .key = Register{0}, .data = std::nullopt}};
    out.push_back(rule("hostports_raw", all_of({std::move(loopback), link, verdict(VerdictCode::kDrop)}), comment));
  };
  drop(netlink::daddr_in(loopback_net()), "127.0.0.0/8 is not reached from outside");
  drop(netlink::saddr_in(loopback_net()), "127.0.0.0/8 does not come from outside");
}

PortLayout make_fixed_layout() {
  PortLayout out{.sets = fixed_sets(), .chains = fixed_chains(), .rules = {}};
  add_entry_rules(out.rules);
  add_redirection_rules(out.rules);
  add_masquerade_rules(out.rules);
  add_raw_rules(out.rules);
  return out;
}

using Comments = std::map<std::string, std::vector<std::string>>;  // by chain

// The comments that stand in the chains of `layout`.
template <typename Rules, typename RuleOf>
Comments comments_of(const Rules& rules, RuleOf rule_of, const std::set<std::string>& chains) {
  Comments out;
  for (const auto& one : rules)
    if (const NftRule& it = rule_of(one); chains.count(it.chain) != 0) out[it.chain].push_back(it.comment);
  return out;
}

bool in_place(const std::vector<netlink::ListedRule>& listed, const PortLayout& layout) {
  std::set<std::string> chains;
  for (const netlink::NftChain& one : layout.chains)
    if (!depends_on_conditions(one.name)) chains.insert(one.name);
  return comments_of(
             layout.rules, [](const NftRule& it) -> const NftRule& { return it; }, chains) ==
         comments_of(
             listed, [](const netlink::ListedRule& it) -> const NftRule& { return it.rule; }, chains);
}

}  // namespace

const netlink::NftTable& crossover_table() {
  static const netlink::NftTable table{.family = netlink::NftFamily::kInet, .name = "crossover"};
  return table;
}

bool is_port_chain(std::string_view name) { return name.starts_with("hostports"); }
bool is_port_set(std::string_view name) { return name.starts_with("ports"); }

const PortLayout& fixed_layout() {
  static const PortLayout layout = make_fixed_layout();
  return layout;
}

bool has_fixed_rules(const std::vector<netlink::ListedRule>& rules) { return in_place(rules, fixed_layout()); }

bool has_condition_rules(const std::vector<netlink::ListedRule>& rules, const Conditions& conditions) {
  const PortLayout layout = condition_layout(conditions);
  const auto is_listed = [&rules](const NftRule& wanted) {
    return std::any_of(rules.begin(), rules.end(), [&wanted](const netlink::ListedRule& one) {
      return one.rule.chain == wanted.chain && one.rule.comment == wanted.comment;
    });
  };
  return in_place(rules, layout) && std::all_of(layout.rules.begin(), layout.rules.end(), is_listed);
}

PortLayout condition_layout(const Conditions& conditions) {
  PortLayout out;
  const Family family = conditions.family;
  const std::string hash = condition_hash(conditions);
  const std::string by_addr = "ports_addr_if_" + hash;
  const std::string by_port = "ports_if_" + hash;
  const std::string addr_chain = "hostports_addr_if_" + hash;
  const std::string port_chain = "hostports_port_if_" + hash;
  out.sets = {set_of(by_addr, {addr_field(family), Field::kInetProto, Field::kInetService}),
              set_of(by_port, {Field::kInetProto, Field::kInetService})};
  out.chains = {chain(addr_chain), chain(port_chain)};
  const std::string path = family == Family::kIpv4 ? "conditionsV4" : "conditionsV6";
  for (const std::string& own : {addr_chain, port_chain})
    for (const Expressions& meant : condition_rules(conditions, path))
      out.rules.push_back(rule(own, all_of({meant, verdict(VerdictCode::kReturn)}), "meant"));
  out.rules.push_back(rule(addr_chain, verdict(VerdictCode::kGoto, "hostports_by_port"), "not meant"));
  out.rules.push_back(rule(port_chain, verdict(VerdictCode::kAccept), "not meant"));
  out.rules.push_back(
      rule("hostports_addr_if",
           all_of({KeyLoader(family).daddr().service().in(by_addr), verdict(VerdictCode::kJump, addr_chain)}),
           "if " + hash));
  out.rules.push_back(rule("hostports_port_if",
                           all_of({KeyLoader(family).service().in(by_port), verdict(VerdictCode::kJump, port_chain)}),
                           "if " + hash));
  return out;
}

}  // namespace plugin
