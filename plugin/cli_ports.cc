// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

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

}  // namespace plugin
