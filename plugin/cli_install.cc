// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

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

Report report(System& system, const InstallOptions& options, bool json, Operation operation, std::string_view nothing) {
  const Placed placed = operation(system, settings_for(system, options.conf),
                                  {.conf = options.conf, .bin_dir = options.bin_dir, .dry_run = options.dry_run});
  if (json) {
    const Json out = {{"dryRun", options.dry_run}, {"done", placed.done}, {"warnings", placed.warnings}};
    return {out.dump(2, ' ', false, Json::error_handler_t::replace) + '\n', 0};
  }
  std::string text = placed.done.empty() ? fmt::format("{}\n", nothing) : "";
  for (const std::string& line : placed.done) text += fmt::format("{}{}\n", options.dry_run ? "would do: " : "", line);
  for (const std::string& warning : placed.warnings) text += fmt::format("mind: {}\n", warning);
  return {text, 0};
}

}  // namespace

Report install_report(System& system, const InstallOptions& options, bool json) {
  return report(system, options, json, install, "all is in place");
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
