// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "conf/error.h"
#include "plugin/plumbing.h"
#include "tests/fakes/machine.h"
#include "tests/plugin/plans.h"

// A node in memory whose rules, routes and NAT are brought to a plan.
namespace plans {

inline constexpr std::uint8_t kStranger = 4;

/// A node with up0, others' rules, a route and a table of others. Every call is a process of its own.
struct Bench {
  fakes::Machine machine;
  plugin::CoexistencePlan plan;
  std::uint32_t up0 = 0;
  std::vector<std::string> done;  ///< by the last call

  Bench() {
    fakes::FakeFib& fib = machine.node_fib;
    up0 = fib.add_link("up0", "veth", 1500);
    fib.add_address(up0, "192.0.2.1/24");
    fib.insert(rule_to(512, "10.0.1.7/32", netlink::kMainTable, 3));
    fib.insert(rule_from(1536, "10.0.1.7/32", 2, 3));
    netlink::Route theirs;
    theirs.dst = cidr("10.99.0.0/16");
    theirs.link = up0;
    theirs.table = 7;
    theirs.protocol = kStranger;
    fib.state.routes.push_back(theirs);
    netlink::NftBatch batch;
    batch.add(netlink::AddTable{.table = {.family = netlink::NftFamily::kInet, .name = "others"}});
    (void)machine.ruleset.commit(batch);
    forget();
  }

  /// Two rules of each family, a route of each into table 7, and all sources kept.
  void ask_for_everything() {
    plan.rules = {suppressing(rule_to(900, "10.245.0.0/16"), 0), rule_to(901, "10.7.0.0/16", 7),
                  suppressing(rule_to(900, "fd00:245::/56"), 0), rule_to(901, "fd00:7::/48", 7)};
    plan.routes = {route("10.7.0.0/16", "192.0.2.254"), route("fd00:7::/48", "")};
    plan.kept_sources = {{.from = cidr("10.245.0.0/16"), .to = cidr("10.244.0.0/16")},
                         {.from = cidr("10.244.0.0/16"), .to = cidr("10.245.0.0/16")}};
  }
  static conf::RouteSetting route(const std::string& dst, const std::string& via) {
    conf::RouteSetting out;
    out.dst = cidr(dst);
    out.dev = "up0";
    out.table = 7;
    if (!via.empty()) out.via = addr(via);
    return out;
  }

  /// What an ADD does.
  void assert_plan() {
    work([](plugin::Plumbing& plumbing, const plugin::Locks& locks) {
      return plumbing.assert_on(plumbing.look(false), locks, kWait);
    });
  }
  void reconcile() {
    work([](plugin::Plumbing& plumbing, const plugin::Locks& locks) { return plumbing.reconcile(locks, kWait); });
  }
  /// Back to nothing; the plan stays.
  void uninstall() {
    const plugin::CoexistencePlan kept = plan;
    plan = {};
    try {
      reconcile();
    } catch (...) {
      plan = kept;
      throw;
    }
    plan = kept;
  }
  [[nodiscard]] std::vector<std::string> dry_run() {
    plugin::System system = machine.process();
    return plugin::Plumbing(system, plan).would_do();
  }
  [[nodiscard]] plugin::PlumbingChange change(bool closely = true) {
    plugin::System system = machine.process();
    return plugin::plumbing_change(plan, plugin::Plumbing(system, plan).look(closely));
  }
  [[nodiscard]] bool in_place() { return change().nothing_to_do(); }

  void forget() {
    machine.node_fib.calls = {};
    machine.ruleset.forget_calls();
  }
  /// Everything that is not ours.
  struct Others {
    std::vector<netlink::Rule> rules;
    std::vector<netlink::Route> routes;
    std::set<std::string> nft;
    bool operator==(const Others&) const = default;
  };
  [[nodiscard]] Others others() const {
    Others out;
    for (const netlink::Rule& rule : machine.node_fib.state.rules)
      if (rule.protocol != netlink::kOurProtocol) out.rules.push_back(rule);
    for (const netlink::Route& one : machine.node_fib.state.routes)
      if (one.protocol != netlink::kOurProtocol) out.routes.push_back(one);
    for (const std::string& line : machine.ruleset.snapshot())
      if (line.find("crossover") == std::string::npos) out.nft.insert(line);
    return out;
  }
  /// How many rules and routes are ours.
  [[nodiscard]] std::size_t ours() const {
    const auto& state = machine.node_fib.state;
    const auto mine = [](const auto& one) { return one.protocol == netlink::kOurProtocol; };
    return static_cast<std::size_t>(std::count_if(state.rules.begin(), state.rules.end(), mine) +
                                    std::count_if(state.routes.begin(), state.routes.end(), mine));
  }

 private:
  static constexpr conf::Millis kWait{1000};
  template <typename Work>
  void work(Work act) {
    plugin::System system = machine.process();
    const plugin::Locks locks = plugin::Locks::open(machine.state_dir(), "b001");
    plugin::Plumbing plumbing(system, plan);
    done.clear();
    try {
      done = act(plumbing, locks);
    } catch (const conf::CniError&) {
      done = plumbing.done();
      throw;
    }
  }
};

}  // namespace plans
