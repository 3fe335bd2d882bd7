// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "plugin/cli.h"
#include "plugin/port_switch.h"

namespace plugin {

PortsView look_at_ports(System& system, const conf::Settings& settings) {
  PortsView out;
  PortSwitch ports(system, settings.state_dir);
  try {
    for (const PortRecord& record : ports.records().all()) {
      if (!ports.is_alive(record)) continue;
      ++out.pods;
      out.mapped += record.redirections.size();
      for (const std::string& problem : ports.problems(record))
        out.problems.push_back(fmt::format("hostPorts of container {} {}: {}; `crossover reconcile` puts them back",
                                           record.owner.container_id, record.owner.ifname, problem));
    }
  } catch (const conf::CniError& error) {
    out.problems.push_back(fmt::format("hostPorts cannot be looked at: {}", error.what()));
  }
  return out;
}

Report reconcile_report(System& system, const conf::Settings& settings, bool json) {
  PortSwitch ports(system, settings.state_dir);
  // Without a record there is nothing of ours to be put into the kernel, a table neither.
  const bool changed = !ports.records().names().empty() && ports.restore();
  const PortsView now = look_at_ports(system, settings);
  if (json) {
    const nlohmann::ordered_json out = {
        {"hostPorts", {{"changed", changed}, {"mapped", now.mapped}, {"pods", now.pods}, {"problems", now.problems}}}};
    return {out.dump(2) + '\n', now.problems.empty() ? 0 : 1};
  }
  std::string text =
      fmt::format("hostPorts: {} of {} pods, {}\n", now.mapped, now.pods, changed ? "put back" : "all in place");
  for (const std::string& problem : now.problems) text += "problem: " + problem + '\n';
  return {text, now.problems.empty() ? 0 : 1};
}

}  // namespace plugin
