// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/error.h"
#include "conf/settings.h"
#include "plugin/node.h"
#include "plugin/system.h"

// The command line: `crossover` with arguments and no CNI_COMMAND.
namespace plugin {

/// Parses the arguments, runs the command, prints. Returns the exit status: 0 good, 1 bad, 2 used wrongly.
[[nodiscard]] int run_command_line(System& system, int argc, char** argv);

inline constexpr const char* kDefaultConf = "/etc/cni/net.d/00-crossover.conflist";

/// Our entry of the conflist `file`. The defaults if there is no such file and it is not `required`; a CniError that
/// names the file for one that is missing though required, cannot be read, or has no entry of ours.
[[nodiscard]] conf::Settings load_settings(System& system, const std::string& file, bool required);

/// What one command prints and how it ends.
struct Report {
  std::string text;
  int status = 0;
  std::string complaint = {};  ///< one line for stderr; empty for none
};

/// Arguments that make no sense together: exit status 2.
class UsedWrongly : public conf::CniError {
 public:
  explicit UsedWrongly(const std::string& details)
      : CniError(conf::Code::kInvalidEnvironment, "used wrongly", details) {}
};

struct ExplainQuery {
  std::string pod_namespace;
  std::string pod;
  std::string uid;
  std::vector<std::string> annotations;  ///< "k=v"
};

struct GcOptions {
  bool dry_run = false;
  std::string valid_file;
  std::string forget;
};

struct PoolQuery {
  std::vector<std::string> cidrs;
  unsigned mask_size = 0;
  std::string used_file;             ///< empty for none
  std::optional<std::size_t> count;  ///< how many must be left; else up to ten are shown
};

/// The hostPorts that Crossover maps for pods that are there.
struct PortsView {
  std::size_t pods = 0;
  std::size_t mapped = 0;             ///< one for each key and family
  std::vector<std::string> problems;  ///< what of them is not in place, one line each
};
[[nodiscard]] PortsView look_at_ports(System& system, const conf::Settings& settings);

/// What coexistence asks for here, and what is there of it (plumbing.h).
struct CoexistenceView {
  std::string profile;
  std::string reason;
  std::vector<std::string> wanted;
  std::vector<std::string> present;   ///< those of `wanted` that are there
  std::vector<std::string> warnings;  ///< also why something cannot be there
  std::vector<std::string> advice;    ///< on the order of a roll-out
};
[[nodiscard]] CoexistenceView look_at_coexistence(System& system, const conf::Settings& settings, const Node& node);
/// The routes that a pod of `network` would get, by the CIDRs alone, one line each.
[[nodiscard]] std::vector<std::string> explain_pod_routes(System& system, const conf::Settings& settings,
                                                          const Node& node, Network network);

/// How `install`, `uninstall` and `retire` are asked for.
struct InstallOptions {
  std::string conf = kDefaultConf;
  std::string bin_dir;
  bool coexistence = false;  ///< uninstall: only rules, routes and NAT
  bool dry_run = false;
  std::optional<std::string> root;      ///< install: the host's, whose paths all others are
  std::optional<std::string> conflist;  ///< install: a file of ours with the conflist to write
};

[[nodiscard]] Report status_report(System& system, const conf::Settings& settings, bool json);
[[nodiscard]] Report explain_report(System& system, const conf::Settings& settings, const ExplainQuery& query,
                                    bool json);
[[nodiscard]] Report attachments_report(System& system, const conf::Settings& settings, bool json);
[[nodiscard]] Report set_report(System& system, const conf::Settings& settings, const std::string& word,
                                const std::string& reason, bool json);
[[nodiscard]] Report gc_report(System& system, const conf::Settings& settings, const GcOptions& options, bool json);
[[nodiscard]] Report reconcile_report(System& system, const conf::Settings& settings, bool json);
[[nodiscard]] Report install_report(System& system, const InstallOptions& options, bool json);
[[nodiscard]] Report uninstall_report(System& system, const InstallOptions& options, bool json);
[[nodiscard]] Report retire_report(System& system, const InstallOptions& options, bool json);
/// `crossover uninstall --coexistence`.
[[nodiscard]] Report remove_coexistence_report(System& system, const conf::Settings& settings, bool dry_run, bool json);
[[nodiscard]] Report pool_report(System& system, const PoolQuery& query, bool json);
[[nodiscard]] Report version_report(bool json);

/// "90s", "5m", "30h", "3d"; "0s" for what is still to come.
[[nodiscard]] std::string age_text(std::int64_t ms);

/// Rows with their cells aligned in columns, two spaces apart.
[[nodiscard]] std::string aligned(const std::vector<std::vector<std::string>>& rows);

}  // namespace plugin
