// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "plugin/cli.h"
#include "plugin/coexistence_add.h"
#include "plugin/port_switch.h"

namespace plugin {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n'; }

/// What was done to rules, routes and NAT.
struct Plumbed {
  std::vector<std::string> done;
  std::vector<std::string> problems;
  std::vector<std::string> warnings;
};

std::string left_unknown(const PlumbingSeen& seen) {
  return "whether chain preserve_source is there is not known: " + seen.kept_unknown;
}

Plumbed plumb(System& system, const conf::Settings& settings, const CoexistencePlan& plan, bool dry_run) {
  Plumbed out;
  Plumbing plumbing(system, plan);
  try {
    if (dry_run) {
      out.done = plumbing.would_do();
    } else {
      const Session session(system, settings);
      out.done = plumbing.reconcile(session.locks, settings.lock_timeout);
    }
    if (const PlumbingSeen seen = plumbing.look(true); !seen.kept_unknown.empty())
      out.warnings.push_back(left_unknown(seen));
  } catch (const conf::CniError& error) {
    out.done = plumbing.done();
    out.problems.emplace_back(error.what());
  }
  return out;
}

// Tried on real flannel, Calico and Cilium, in both directions, on one node and across.
std::vector<std::string> advice_on(conf::PreserveSource mode) {
  switch (mode) {
    case conf::PreserveSource::kToLegacy:
      return {"preserveSource to-legacy is safe on any node at any time; once every node has it, `both` may follow"};
    case conf::PreserveSource::kBoth:
      return {
          "preserveSource both needs at least to-legacy on every node first: until then packets from legacy pods here "
          "to Cilium pods on a node without it are lost. Back in reverse: to-legacy everywhere, then off"};
    case conf::PreserveSource::kOff:
      break;
  }
  return {};
}

std::string lines(std::string_view label, const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += fmt::format("{}{}\n", label, text);
  return out;
}

}  // namespace

CoexistenceView look_at_coexistence(System& system, const conf::Settings& settings, const Node& node) {
  CoexistenceView out;
  try {
    const CoexistencePlan plan = plan_coexistence(settings, coexistence_facts(system, settings, node));
    out.profile = profile_name(plan.profile);
    out.reason = plan.reason;
    out.warnings = plan.warnings;
    out.advice = advice_on(settings.coexistence.preserve_source);
    Plumbing plumbing(system, plan);
    const PlumbingSeen seen = plumbing.look(true);
    for (const Plumbing::Item& item : plumbing.items(seen)) {
      out.wanted.push_back(item.text);
      if (item.present) out.present.push_back(item.text);
      if (!item.problem.empty()) out.warnings.push_back(item.text + ": " + item.problem);
    }
    for (const std::string& text : plumbing.surplus(seen))
      out.warnings.push_back(text + ": ours, and no longer asked for; `crossover reconcile` removes it");
    if (!seen.kept_unknown.empty()) out.warnings.push_back(left_unknown(seen));
    for (std::string& warning : Crossing(system, settings, node).warnings()) out.warnings.push_back(std::move(warning));
  } catch (const conf::CniError& error) {
    out.warnings.push_back(fmt::format("coexistence: {}", error.what()));
  }
  return out;
}

std::vector<std::string> explain_pod_routes(System& system, const conf::Settings& settings, const Node& node,
                                            Network network) {
  const auto& own = network == Network::kLegacy ? settings.legacy_cidrs : settings.cilium_cidrs;
  Crossing crossing(system, settings, node);
  std::vector<std::string> out;
  try {
    const PodRoutesWanted wanted =
        pod_routes(settings, network, own, [&](const conf::IpPrefix& dst) { return crossing.mtu_to(dst); });
    for (const PodRoute& route : wanted.routes)
      out.push_back(fmt::format("route to {} with mtu {}{}", route.dst.str(), route.mtu,
                                wanted.derived ? ", if the pod's own is larger" : ""));
  } catch (const conf::CniError& error) {
    out.push_back(fmt::format("routes are not known: {}", error.what()));
  }
  return out;
}

Report reconcile_report(System& system, const conf::Settings& settings, bool json) {
  PortSwitch ports(system, settings.state_dir);
  // Without a record there is nothing of ours to be put into the kernel, a table neither.
  const bool changed = !ports.records().names().empty() && ports.restore();
  const PortsView now = look_at_ports(system, settings);
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kIfItMatters, settings.agent_timeout);
  const CoexistencePlan plan = plan_coexistence(settings, coexistence_facts(system, settings, node));
  const Plumbed plumbed = plumb(system, settings, plan, false);
  const CoexistenceView view = look_at_coexistence(system, settings, node);
  const int status = now.problems.empty() && plumbed.problems.empty() ? 0 : 1;
  if (json) {
    return {dump({{"hostPorts",
                   {{"changed", changed}, {"mapped", now.mapped}, {"pods", now.pods}, {"problems", now.problems}}},
                  {"coexistence",
                   {{"profile", view.profile},
                    {"done", plumbed.done},
                    {"wanted", view.wanted},
                    {"present", view.present},
                    {"problems", plumbed.problems},
                    {"warnings", view.warnings}}}}),
            status};
  }
  std::string text =
      fmt::format("hostPorts: {} of {} pods, {}\n", now.mapped, now.pods, changed ? "put back" : "all in place");
  text += lines("problem: ", now.problems);
  text +=
      fmt::format("coexistence: {}, {} wanted, {} in place\n", view.profile, view.wanted.size(), view.present.size());
  text += lines("  ", plumbed.done) + lines("problem: ", plumbed.problems) + lines("warning: ", view.warnings);
  return {text, status};
}

Report remove_coexistence_report(System& system, const conf::Settings& settings, bool dry_run, bool json) {
  CoexistencePlan nothing;
  const Plumbed plumbed = plumb(system, settings, nothing, dry_run);
  const int status = plumbed.problems.empty() ? 0 : 1;
  std::vector<std::string> warnings = plumbed.warnings;
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kIfItMatters, settings.agent_timeout);
  if (!look_at_coexistence(system, settings, node).wanted.empty())
    warnings.emplace_back("the configuration still asks for them: the next ADD puts them back");
  if (json)
    return {dump({{"dryRun", dry_run}, {"done", plumbed.done}, {"problems", plumbed.problems}, {"warnings", warnings}}),
            status};
  std::string text = plumbed.done.empty() && status == 0 ? "nothing of Crossover's is there\n" : "";
  text += lines(dry_run ? "would " : "", plumbed.done) + lines("problem: ", plumbed.problems);
  return {text + lines("warning: ", warnings), status};
}

}  // namespace plugin
