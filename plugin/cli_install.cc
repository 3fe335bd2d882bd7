// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "conf/list.h"
#include "conf/rooted_disk.h"
#include "plugin/cli.h"
#include "plugin/install.h"

namespace plugin {
namespace {

using Json = nlohmann::ordered_json;
using Operation = Placed (*)(System&, const conf::Settings&, const Placement&);

/// Our own configuration; before there is one, the defaults, with the lists where it will be.
conf::Settings settings_for(System& system, const std::string& file) {
  if (system.disk.info(file)) return load_settings(system, file, true);
  conf::Settings out;
  if (file.starts_with('/')) out.net_dir = conf::folder_of(file);
  return out;
}

Report report_of(const Placed& placed, bool dry_run, bool json, std::string_view nothing) {
  if (json) {
    const Json out = {{"dryRun", dry_run}, {"done", placed.done}, {"warnings", placed.warnings}};
    return {out.dump(2, ' ', false, Json::error_handler_t::replace) + '\n', 0};
  }
  std::string text = placed.done.empty() ? fmt::format("{}\n", nothing) : "";
  for (const std::string& line : placed.done) text += fmt::format("{}{}\n", dry_run ? "would do: " : "", line);
  for (const std::string& warning : placed.warnings) text += fmt::format("mind: {}\n", warning);
  return {text, 0};
}

Report report(System& system, const InstallOptions& options, bool json, Operation operation, std::string_view nothing) {
  const Placed placed = operation(system, settings_for(system, options.conf),
                                  {.conf = options.conf, .bin_dir = options.bin_dir, .dry_run = options.dry_run});
  return report_of(placed, options.dry_run, json, nothing);
}

std::string root_of_host(System& system, const std::string& root) {
  const std::optional<conf::FileInfo> info = root.starts_with('/') ? system.disk.info(root) : std::nullopt;
  if (!info || !info->is_dir) throw UsedWrongly(fmt::format("--root `{}` is no directory with a full path", root));
  return root;
}

System with_disk(System& system, conf::Disk& disk) {
  return {.disk = disk,
          .runner = system.runner,
          .pods = system.pods,
          .agent = system.agent,
          .clock = system.clock,
          .firewall = system.firewall,
          .flows = system.flows,
          .host_links = system.host_links,
          .fib = system.fib,
          .boot_id = system.boot_id,
          .started_ns = system.started_ns,
          .environment = system.environment,
          .self = system.self,
          .places = system.places};
}

Placed install_on_host(System& system, const std::string& root, const std::optional<conf::Settings>& given,
                       Placement where) {
  conf::RootedDisk disk(system.disk, root_of_host(system, root), system.places.program);
  System host = with_disk(system, disk);
  conf::Settings settings = given ? *given : settings_for(host, where.conf);
  // The agent is called by a path of ours.
  host.places.cilium_socket = disk.outside(host.places.cilium_socket);
  if (settings.cilium_socket && !settings.cilium_socket->empty())
    settings.cilium_socket = disk.outside(*settings.cilium_socket);
  where.from_outside = true;
  return install(host, settings, where);
}

}  // namespace

Report install_report(System& system, const InstallOptions& options, bool json) {
  Placement where{.conf = options.conf, .bin_dir = options.bin_dir, .dry_run = options.dry_run};
  std::optional<conf::Settings> given;
  if (options.conflist) {
    given = load_settings(system, *options.conflist, true);
    where.content = system.disk.read(*options.conflist, conf::kMaxConfigBytes).value_or("");
  }
  const Placed placed = options.root ? install_on_host(system, *options.root, given, where)
                                     : install(system, given ? *given : settings_for(system, options.conf), where);
  return report_of(placed, options.dry_run, json, "all is in place");
}

Report uninstall_report(System& system, const InstallOptions& options, bool json) {
  if (options.coexistence)
    return remove_coexistence_report(system, settings_for(system, options.conf), options.dry_run, json);
  return report(system, options, json, uninstall, "nothing of Crossover's is in the runtime's way");
}

Report retire_report(System& system, const InstallOptions& options, bool json) {
  return report(system, options, json, retire, "the node is on its second list already");
}

}  // namespace plugin
