// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/fib.h"
#include "plugin/coexistence.h"
#include "plugin/kept_source.h"
#include "plugin/session.h"

// Brings the kernel's rules, routes and NAT to a plan, and away from it. They are node-wide and stay when a pod goes.
//
// Ours is what carries protocol 157, and chain preserve_source: nothing else is ever changed. A rule that another owner
// made and that does exactly the same counts as present. Routes come before the rules that lead to them, and go after
// them. All is looked at without a lock; whoever finds something missing takes one, looks again, and then changes.
namespace plugin {

inline constexpr unsigned kPlumbing = 122;            ///< rules, routes or NAT of coexistence cannot be made
inline constexpr unsigned kPlumbingIncomplete = 123;  ///< CHECK: they are not as they should be

/// What the kernel has, as far as a plan is concerned.
struct PlumbingSeen {
  std::vector<netlink::Rule> rules;    ///< everybody's, both families
  std::vector<netlink::Route> routes;  ///< of protocol 157
  std::vector<netlink::Route> wanted;  ///< the plan's, with their links' indexes
  std::vector<std::string> no_link;    ///< devices that the plan's routes name and that are not there
  KeptSources::Seen kept;
  std::string kept_unknown;  ///< why it is not known whether a chain that nobody wants is there (no nf_tables)
};

/// What is to be done to get from `seen` to the plan.
struct PlumbingChange {
  std::vector<netlink::Rule> missing_rules;
  std::vector<netlink::Rule> surplus_rules;
  std::vector<netlink::Route> missing_routes;
  std::vector<netlink::Route> surplus_routes;
  bool kept_differs = false;
  std::vector<std::string> no_link;

  [[nodiscard]] bool lacks_nothing() const {
    return missing_rules.empty() && missing_routes.empty() && !kept_differs && no_link.empty();
  }
  [[nodiscard]] bool nothing_to_do() const {
    return lacks_nothing() && surplus_rules.empty() && surplus_routes.empty();
  }
};
/// Pure.
[[nodiscard]] PlumbingChange plumbing_change(const CoexistencePlan& plan, const PlumbingSeen& seen);

/// A route of the configuration as the kernel will list it.
[[nodiscard]] netlink::Route route_of(const conf::RouteSetting& setting, std::uint32_t link);

class Plumbing {
 public:
  Plumbing(System& system, const CoexistencePlan& plan) : system_(system), plan_(plan) {}

  /// At most one dump of a kind; none of a kind that the plan has nothing of, unless `closely`. `rules`: a dump of them
  /// that was made a moment ago.
  [[nodiscard]] PlumbingSeen look(bool closely, const std::vector<netlink::Rule>* rules = nullptr);

  /// Adds what is missing; nothing is removed but what is ours, outdated and in the way of that. What was done. Code
  /// kPlumbing naming what cannot be made, who is in the way and the cure; 11 if somebody keeps removing it.
  std::vector<std::string> assert_on(const PlumbingSeen& seen, const Locks& locks, conf::Millis wait);
  /// Adds what is missing and, unless the plan is guessed, removes what is ours and not asked for; else as assert_on.
  std::vector<std::string> reconcile(const Locks& locks, conf::Millis wait);
  /// What reconcile would do; looks without a lock.
  [[nodiscard]] std::vector<std::string> would_do();
  /// One line for each change so far, also of those before an error.
  [[nodiscard]] const std::vector<std::string>& done() const { return done_; }

  struct Item {
    std::string text;
    bool present = false;
    std::string problem;  ///< why it is not, if that is known
  };
  /// The plan as people know it from `ip rule`, `ip route` and nft, and what is there of it.
  [[nodiscard]] std::vector<Item> items(const PlumbingSeen& seen) const;
  /// What is ours and not asked for.
  [[nodiscard]] std::vector<std::string> surplus(const PlumbingSeen& seen) const;

 private:
  enum class Surplus { kStays, kGoes };
  void settle(Surplus surplus, const Locks& locks, conf::Millis wait);
  void change(const PlumbingChange& change, const PlumbingSeen& seen, Surplus surplus);
  // Whether it was us who did it; the answer may have been lost.
  bool add_route(const netlink::Route& route);
  bool add_rule(const netlink::Rule& rule, const PlumbingSeen& seen);
  bool remove_rule(const netlink::Rule& rule);
  bool remove_route(const netlink::Route& route);
  [[nodiscard]] std::string route_text(const netlink::Route& route) const;

  System& system_;
  const CoexistencePlan& plan_;
  std::vector<std::string> done_;
};

}  // namespace plugin
