// SPDX-License-Identifier: Apache-2.0
#include "plugin/cli.h"
#include "plugin/install.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>

#include "conf/error.h"
#include "conf/list.h"
#include "plugin/discovery.h"

namespace plugin {
namespace {

constexpr int kUsedWrongly = 2;

constexpr const char* kFooter =
    "Files: /etc/cni/net.d/00-crossover.conflist (what the runtime loads), /var/lib/cni/crossover (node-state, "
    "records,\n"
    "events.jsonl). Exit status: 0 good, 1 bad, 2 used wrongly.";

struct Options {
  std::string conf = kDefaultConf;
  bool json = false;
  std::string word;
  std::vector<std::string> reason;
  ExplainQuery explain;
  GcOptions gc;
  PoolQuery pool;
  InstallOptions install;
};

using Run = std::function<Report(const conf::Settings&)>;

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

int fail(const conf::CniError& error, bool json, int status = 1) {
  (void)std::fprintf(stderr, "crossover: %s\n", error.what());
  if (json) (void)std::printf("%s\n", conf::error_json(error, "1.1.0").c_str());
  return status;
}

/// The commands and their options, as one table of CLI11's.
class Parser {
 public:
  explicit Parser(System& system) : system_(system) {
    app_.require_subcommand(1);
    app_.footer(kFooter);
    app_.set_version_flag("--version", CROSSOVER_VERSION);
    command("status", "where this node stands: its state and who says so, both networks, attachments",
            [this](const conf::Settings& settings) { return status_report(system_, settings, options_.json); });
    add_explain();
    command("attachments", "the pods on record: network, addresses, age, state",
            [this](const conf::Settings& settings) { return attachments_report(system_, settings, options_.json); });
    add_set();
    add_gc();
    command("reconcile",
            "put back hostPorts, rules and routes after a firewall was flushed or the configuration changed",
            [this](const conf::Settings& settings) { return reconcile_report(system_, settings, options_.json); });
    add_installs();
    add_pool();
    command(
        "version", "this program's version, the CNI versions it speaks, the libraries it was built with",
        [this](const conf::Settings&) { return version_report(options_.json); }, false);
  }

  int run(int argc, char** argv) {
    if (const std::string_view first = argc > 1 ? argv[1] : "";
        !first.empty() && !first.starts_with('-') && !knows(first)) {
      (void)std::fprintf(stderr, "crossover: no command `%.64s`; `crossover --help` lists them\n", argv[1]);
      return kUsedWrongly;
    }
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app_.exit(error) == 0 ? 0 : kUsedWrongly;  // --help and --version end here too
    }
    try {
      const bool required = options_.conf != kDefaultConf;
      const Report report = chosen_(needs_conf_ ? load_settings(system_, options_.conf, required) : conf::Settings{});
      (void)std::fwrite(report.text.data(), 1, report.text.size(), stdout);
      if (!report.complaint.empty()) (void)std::fprintf(stderr, "crossover: %s\n", report.complaint.c_str());
      return report.status;
    } catch (const UsedWrongly& error) {
      return fail(error, options_.json, kUsedWrongly);
    } catch (const conf::CniError& error) {
      return fail(error, options_.json);
    } catch (const std::exception& error) {
      return fail(conf::CniError(conf::Code::kInternal, "internal error", error.what()), options_.json);
    }
  }

 private:
  // CLI11 would only say that a command is missing.
  [[nodiscard]] bool knows(std::string_view word) {
    const auto commands = app_.get_subcommands([](const CLI::App*) { return true; });
    return std::any_of(commands.begin(), commands.end(),
                       [word](const CLI::App* sub) { return sub->get_name() == word; });
  }

  CLI::App* command(const std::string& name, const std::string& what, const Run& run, bool needs_conf = true) {
    CLI::App* sub = app_.add_subcommand(name, what);
    sub->add_option("--conf", options_.conf, "Crossover's conflist")->type_name("FILE")->capture_default_str();
    sub->add_flag("--json", options_.json, "JSON for machines");
    sub->callback([this, run, needs_conf] {
      chosen_ = run;
      needs_conf_ = needs_conf;
    });
    return sub;
  }

  void add_explain() {
    CLI::App* sub = command("explain", "what an ADD would do now and why, plugin by plugin, without doing it",
                            [this](const conf::Settings& settings) {
                              return explain_report(system_, settings, options_.explain, options_.json);
                            });
    sub->add_option("--namespace", options_.explain.pod_namespace, "the pod's namespace")->type_name("NS");
    sub->add_option("--pod", options_.explain.pod, "the pod's name")->type_name("NAME");
    sub->add_option("--uid", options_.explain.uid, "the pod's UID, for canary.percent")->type_name("UID");
    sub->add_option("--annotation", options_.explain.annotations, "an annotation of the pod; repeatable")
        ->type_name("K=V")
        ->allow_extra_args(false);
  }

  void add_set() {
    CLI::App* sub =
        command("set", "write node-state: legacy, cilium, hold (refuse new pods) or auto (no opinion)",
                [this](const conf::Settings& settings) {
                  return set_report(system_, settings, options_.word, joined(options_.reason), options_.json);
                });
    sub->add_option("state", options_.word, "legacy, cilium, hold or auto")
        ->required()
        ->check(CLI::IsMember({"legacy", "cilium", "hold", "auto"}));
    sub->add_option("reason", options_.reason, "why; shown by status and in refusals");
  }

  void add_gc() {
    CLI::App* sub = command("gc", "find and clean what has no living owner", [this](const conf::Settings& settings) {
      return gc_report(system_, settings, options_.gc, options_.json);
    });
    sub->add_flag("--dry-run", options_.gc.dry_run, "only say what would be cleaned");
    CLI::Option* valid =
        sub->add_option("--valid", options_.gc.valid_file,
                        "the living: a JSON array of {\"containerID\",\"ifname\"}; all others are cleaned")
            ->type_name("FILE");
    sub->add_option("--forget", options_.gc.forget,
                    "clean what is local of this container without running its plugins, which are gone for good")
        ->type_name("ID")
        ->excludes(valid);
  }

  using InstallRun = Report (*)(System&, const InstallOptions&, bool);
  CLI::App* add_install(const std::string& name, const std::string& what, InstallRun report) {
    CLI::App* sub = command(
        name, what,
        [this, report](const conf::Settings&) {
          options_.install.conf = options_.conf;
          return report(system_, options_.install, options_.json);
        },
        false);
    sub->add_option("--bin-dir", options_.install.bin_dir, "where the runtime's plugins are")
        ->type_name("DIR")
        ->default_val(kDefaultBinDir);
    sub->add_flag("--dry-run", options_.install.dry_run, "only say what would be done");
    return sub;
  }

  void add_installs() {
    CLI::App* install =
        add_install("install", "put Crossover on this node: program, links, and last the conflist", install_report);
    install
        ->add_option("--root", options_.install.root,
                     "put it on the host whose root is mounted there: all other paths are that host's, and so are "
                     "its symbolic links; rules and routes are left to its first ADD")
        ->type_name("DIR");
    install
        ->add_option("--conflist", options_.install.conflist,
                     "write this conflist (not below --root) instead of the smallest one, also in place of one "
                     "that is there")
        ->type_name("FILE");
    add_install("uninstall", "hand the node back to its legacy list, once no pod is on the second network",
                uninstall_report)
        ->add_flag("--coexistence", options_.install.coexistence,
                   "only remove rules, routes and NAT between the networks");
    add_install("retire", "hand the node to Cilium's list, once no pod is on the legacy network", retire_report);
  }

  void add_pool() {
    CLI::App* sub = command(
        "pool", "the next node blocks of a cluster pool, as Cilium's operator would give them",
        [this](const conf::Settings&) { return pool_report(system_, options_.pool, options_.json); }, false);
    sub->add_option("--cidr", options_.pool.cidrs, "a CIDR of the pool; repeatable, in the order of use")
        ->type_name("CIDR")
        ->allow_extra_args(false)
        ->required();
    sub->add_option("--mask-size", options_.pool.mask_size, "the length of a node's block")->type_name("N")->required();
    sub->add_option("--used", options_.pool.used_file,
                    "blocks in use: one CIDR a line, or what `kubectl get ciliumnodes -o json` printed")
        ->type_name("FILE");
    sub->add_option("--count", options_.pool.count, "how many blocks; exit status 1 if fewer are left (default: 10)")
        ->type_name("N")
        ->check(CLI::Range(1, 65536));
  }

  System& system_;
  Options options_;
  CLI::App app_{"Crossover moves a node's pods from a legacy CNI to Cilium, pod by pod, and back."};
  Run chosen_;
  bool needs_conf_ = true;
};

}  // namespace

int run_command_line(System& system, int argc, char** argv) { return Parser(system).run(argc, argv); }

conf::Settings load_settings(System& system, const std::string& file, bool required) {
  std::optional<std::string> text = system.disk.read(file, conf::kMaxConfigBytes);
  // Under the name that Cilium gave it, it still says where everything is.
  if (!text) text = system.disk.read(file + std::string(kRenamedByCilium), conf::kMaxConfigBytes);
  if (!text) {
    if (!required) return {};
    throw conf::CniError(conf::Code::kIo, "no such configuration", file + " does not exist");
  }
  const conf::NetworkList list = conf::parse_list(*text, file);
  for (const conf::PluginConf& plugin : list.plugins)
    if (plugin.type == system.self.name || plugin.type == "crossover") return conf::parse_settings(plugin.conf);
  throw conf::CniError(conf::Code::kInvalidConfig, "not Crossover's configuration",
                       file + " has no plugin of type crossover");
}

std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

}  // namespace plugin
