// SPDX-License-Identifier: Apache-2.0

// The demo: three nodes on this machine, a legacy network and a second one, and a migration between them under load.
// ./integration/demo builds and starts it. Everything it makes hangs on this process; the kernel takes it away with us.

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "integration/labs/lab.h"
#include "integration/migration.h"
#include "integration/picture.h"
#include "integration/report.h"
#include "integration/support/namespaces.h"

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

volatile sig_atomic_t interrupted = 0;

struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

struct Arguments {
  std::string out = "build/demo";
  std::string network = "flannel";
  bool brief = false;
  bool help = false;
  integration::Fault fault = integration::Fault::kNone;
};

constexpr std::string_view kUsage =
    "usage: demo [--network NAME] [--out DIR] [--short] [--fault loss|leak]\n"
    "  --network  the legacy network: flannel (as usual), flannel-host-gw, calico, canal or aws\n"
    "  --out DIR  where demo.txt, demo.json and demo.svg go (build/demo)\n"
    "  --short    fewer pods, shorter phases\n"
    "  --fault loss|leak\n"
    "             lets something go wrong on purpose: the demo then has to fail\n";

integration::Fault fault(std::string_view word) {
  if (word == "loss") return integration::Fault::kLoss;
  if (word == "leak") return integration::Fault::kLeak;
  throw std::invalid_argument(fmt::format("--fault is loss or leak, not '{}'", word));
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    if (word == "--out" && i + 1 < argc) {
      arguments.out = argv[++i];
    } else if (word == "--network" && i + 1 < argc) {
      arguments.network = argv[++i];
    } else if (word == "--fault" && i + 1 < argc) {
      arguments.fault = fault(argv[++i]);
    } else if (word == "--short") {
      arguments.brief = true;
    } else if (word == "--help" || word == "-h") {
      arguments.help = true;
    } else {
      throw std::invalid_argument(fmt::format("'{}' is not understood", word));
    }
  }
  return arguments;
}

void watch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { interrupted = signal; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) (void)::sigaction(signal, &action, nullptr);
  (void)::signal(SIGPIPE, SIG_IGN);  // a closed terminal must not keep us from the report
}

void pause_for(milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  do {
    if (interrupted != 0) throw Interrupted();
    std::this_thread::sleep_for(std::min(time, milliseconds(20)));
  } while (std::chrono::steady_clock::now() < until);
}

void say(const std::string& line) {
  if (interrupted != 0) throw Interrupted();
  fmt::print("{}\n", line);
  (void)std::fflush(stdout);
}

void write(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text << std::flush;
  if (!out) throw std::runtime_error("cannot write " + file.string());
}

integration::MigrationOptions options_for(const Arguments& arguments, const fs::path& bin) {
  integration::MigrationOptions options;
  options.crossover = bin / "crossover";
  options.fault = arguments.fault;
  options.pause = pause_for;
  options.say = say;
  if (arguments.brief) {
    options.pods_per_node = 2;
    options.soak = milliseconds(300);
    options.between = milliseconds(50);
  }
  return options;
}

integration::Record migrate(const Arguments& arguments) {
  lab::Lab lab = lab::lab_named(arguments.network);
  const fs::path bin = fs::read_symlink("/proc/self/exe").parent_path();
  support::isolate({"/etc/cni", "/var/lib/cni"});
  const support::Cluster cluster(3);
  lab.build(cluster);
  const support::Runtime runtime(bin / "libcni-driver", bin.string() + ":/usr/lib/cni");
  support::Prober prober;
  integration::Migration migration(cluster, lab, runtime, prober, options_for(arguments, bin));
  try {
    migration.run();
    return migration.record();
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    integration::Record record = migration.record();
    record.problems.insert(record.problems.begin(), error.what());
    return record;
  }
}

int report(const integration::Record& record, const fs::path& out) {
  const std::string table = integration::table(record);
  fmt::print("\n{}\n", table);
  write(out / "demo.txt", table);
  write(out / "demo.json", integration::json(record));
  write(out / "demo.svg", integration::picture(record));
  fmt::print("also in {0}/demo.txt, {0}/demo.json and {0}/demo.svg\n", out.string());
  for (const auto& problem : record.problems) fmt::print(stderr, "FAILED: {}\n", problem);
  if (!record.problems.empty()) return 1;
  fmt::print("good: no probe lost, nothing left over\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Arguments arguments = parse(argc, argv);
    if (arguments.help) return fmt::print("{}", kUsage), 0;
    const fs::path out = fs::absolute(arguments.out);
    fs::create_directories(out);
    watch_signals();
    return report(migrate(arguments), out);
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "{}\n{}", error.what(), kUsage);
    return 2;
  } catch (const Interrupted&) {
    fmt::print(stderr, "interrupted; everything is taken down\n");
    return 130;
  } catch (const std::exception& error) {
    fmt::print(stderr, "FAILED: {}\n", error.what());
    return 1;
  }
}
