// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "conf/disk.h"
#include "conf/error.h"
#include "conf/fd.h"
#include "conf/stable_hash.h"
#include "plugin/sync/access.h"
#include "plugin/sync/curl_api.h"
#include "plugin/sync/keeper.h"
#include "plugin/sync/run.h"

// crossover-sync: reads the command line, wires the real edges together, and is the only place that prints and exits.
namespace {

constexpr int kUsedWrongly = 2;

constexpr const char* kFooter =
    "Without --server and --kubeconfig: the service account of the pod it runs in. A node-state that an operator "
    "wrote,\n"
    "and a podCIDR file that something else wrote, are left alone. The age of what was mirrored is in sync-status.\n"
    "Exit status: 0 good or asked to end, 1 bad, 2 used wrongly.";

struct Options {
  std::string node;
  plugin::sync::Places places;
  plugin::sync::AccessOptions access;
  bool once = false;
  bool dry_run = false;
};

void add_options(CLI::App& app, Options& options) {
  app.footer(kFooter);
  app.set_version_flag("--version", CROSSOVER_VERSION);
  app.add_option("--node", options.node, "the node that this is")->type_name("NAME")->envname("NODE_NAME")->required();
  app.add_option("--state-dir", options.places.state_dir, "stateDir of Crossover's conflist")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--pod-cidrs", options.places.pod_cidrs, "the podCIDR file (DIR/pod-cidrs)")->type_name("FILE");
  app.add_flag("--once", options.once, "look once, then end");
  app.add_flag("--dry-run", options.dry_run, "look once, say what would be written, write nothing");
  app.add_option("--server", options.access.server, "the API server, https://HOST:PORT")->type_name("URL");
  app.add_option("--ca-file", options.access.ca_file, "who may have signed its certificate")->type_name("FILE");
  app.add_option("--token-file", options.access.token_file, "read again for every request")->type_name("FILE");
  app.add_option("--client-cert", options.access.client_cert, "a certificate of ours")->type_name("FILE");
  app.add_option("--client-key", options.access.client_key, "and its key")->type_name("FILE");
  app.add_option("--kubeconfig", options.access.kubeconfig, "as `kubectl config view --raw --minify -o json` prints it")
      ->type_name("FILE");
}

void say(const std::string& sentence) { (void)std::fprintf(stderr, "crossover-sync: %s\n", sentence.c_str()); }

plugin::sync::Moment now() {
  timespec boot{};
  (void)::clock_gettime(CLOCK_BOOTTIME, &boot);  // cannot fail on Linux 2.6.39 and newer
  const auto since_boot = std::chrono::seconds(boot.tv_sec) + std::chrono::nanoseconds(boot.tv_nsec);
  const auto unix_time = std::chrono::system_clock::now().time_since_epoch();
  return {.since_boot = std::chrono::duration_cast<std::chrono::milliseconds>(since_boot),
          .unix_ms = std::chrono::duration_cast<std::chrono::milliseconds>(unix_time).count()};
}

// Blocked and read as a descriptor: what waits for the API server wakes up at once, what writes a file ends it first.
// As the first process of a container we would not be ended by them otherwise.
conf::UniqueFd stop_signals() {
  sigset_t signals;
  (void)::sigemptyset(&signals);
  (void)::sigaddset(&signals, SIGTERM);
  (void)::sigaddset(&signals, SIGINT);
  (void)::sigprocmask(SIG_BLOCK, &signals, nullptr);
  (void)::signal(SIGPIPE, SIG_IGN);
  conf::UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw conf::CniError(conf::Code::kInternal, "signalfd", "the kernel refuses one");
  return fd;
}

int run(const Options& options) {
  conf::RealDisk disk;
  const plugin::sync::Access access = plugin::sync::access_from(
      options.access, [](const char* name) { return std::getenv(name); }, disk);
  const conf::UniqueFd stop = stop_signals();
  plugin::sync::CurlApi api(access, disk, stop.get());
  plugin::sync::Keeper keeper(disk, options.places, options.node, api.server(), options.dry_run, say);
  if (options.once || options.dry_run)
    return plugin::sync::run_once(api, keeper, options.node, now) || api.stopped() ? 0 : 1;
  say("mirrors " + options.node + " from " + api.server());
  const std::uint64_t seed = conf::stable_hash(options.node) ^ static_cast<std::uint64_t>(now().since_boot.count());
  plugin::sync::run(api, keeper, options.node, static_cast<std::uint32_t>(seed), now);
  return 0;
}

int parse_and_run(int argc, char** argv) {
  Options options;
  CLI::App app{"Mirrors this node's label io.cilium.migration/cilium-default and its podCIDRs from the API server",
               "crossover-sync"};
  add_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsedWrongly;  // --help and --version end here too
  }
  if (!plugin::sync::is_node_name(options.node)) {
    say("--node (or NODE_NAME) must be a node's name, as `kubectl get nodes` shows it");
    return kUsedWrongly;
  }
  return run(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const conf::CniError& error) {
    (void)std::fprintf(stderr, "crossover-sync: %s\n", error.what());
    return error.code() == static_cast<unsigned>(conf::Code::kInvalidConfig) ? kUsedWrongly : 1;
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "crossover-sync: %s\n", error.what());
    return 1;
  }
}
