// SPDX-License-Identifier: Apache-2.0
//
// What Crossover adds to a delegate's call: the same delegate called directly and through Crossover, in turns, with its
// state in memory (tmpfs) and on disk, one and sixteen at a time; 200 ADDs of a real plugin at once; start-up, size and
// resident memory next to Debian's host-local. Prints figures and judges none.
//
//   overhead BIN_DIR [--rounds N] [--crowd N] [--disk DIR]    BIN_DIR holds crossover and noop_delegate; needs root

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "bench/measure.h"
#include "bench/stage.h"

namespace {

namespace fs = std::filesystem;
using bench::Program;

constexpr const char* kPlugins = "/usr/lib/cni";

struct Setup {
  fs::path bin;
  fs::path work;   // private tmpfs: lists, namespaces, links to programs
  fs::path state;  // where Crossover keeps its records
  unsigned rounds = 200;
  unsigned crowd = 200;
};

std::vector<std::string> call_env(const Setup& setup, const std::string& verb, const std::string& id,
                                  const fs::path& netns) {
  return {"CNI_COMMAND=" + verb,
          "CNI_CONTAINERID=" + id,
          "CNI_NETNS=" + netns.string(),
          "CNI_IFNAME=eth0",
          "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=pod",
          fmt::format("CNI_PATH={}:{}", (setup.work / "bin").string(), kPlugins),
          "PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
}

Program direct(const Setup& setup, const std::string& type, const std::string& plugin_conf, const std::string& verb,
               const std::string& id, const fs::path& netns) {
  const fs::path own = setup.work / "bin" / type;
  return {.path = fs::exists(own) ? own : fs::path(kPlugins) / type,
          .env = call_env(setup, verb, id, netns),
          .input = plugin_conf};
}

Program through(const Setup& setup, const std::string& verb, const std::string& id, const fs::path& netns) {
  const std::string conf =
      fmt::format(R"({{"cniVersion":"1.0.0","name":"crossover","type":"crossover","netDir":"{}","stateDir":"{}"}})",
                  (setup.work / "net.d").string(), setup.state.string());
  return {.path = setup.work / "bin" / "crossover", .env = call_env(setup, verb, id, netns), .input = conf};
}

std::string noop_conf(const std::string& name) {
  return fmt::format(R"({{"cniVersion":"1.0.0","name":"{}","type":"noop_delegate"}})", name);
}

void use_list(const Setup& setup, const std::string& plugin) {
  bench::write_file(setup.work / "net.d" / "10-bench.conflist",
                    fmt::format(R"({{"cniVersion":"1.0.0","name":"bench","plugins":[{}]}})", plugin));
}

struct Pair {
  std::vector<double> direct;
  std::vector<double> through;
};

void print_pair(const std::string& what, const Pair& pair) {
  const double d = bench::median(pair.direct);
  const double t = bench::median(pair.through);
  fmt::print("  {:<28} direct {:7.3f} ms   through Crossover {:7.3f} ms   added {:6.3f} ms\n", what, d, t, t - d);
}

// In turns, so that whatever else the machine does meets both alike.
void one_at_a_time(const Setup& setup, const std::string& where, const fs::path& netns) {
  Pair add;
  Pair del;
  for (unsigned i = 0; i < setup.rounds; ++i) {
    const std::string id = fmt::format("one-{}", i);
    const std::string conf = noop_conf("bench");
    add.direct.push_back(bench::run(direct(setup, "noop_delegate", conf, "ADD", id, netns)).ms);
    add.through.push_back(bench::run(through(setup, "ADD", id, netns)).ms);
    del.direct.push_back(bench::run(direct(setup, "noop_delegate", conf, "DEL", id, netns)).ms);
    del.through.push_back(bench::run(through(setup, "DEL", id, netns)).ms);
  }
  print_pair(fmt::format("ADD, state {}", where), add);
  print_pair(fmt::format("DEL, state {}", where), del);
}

void sixteen_at_a_time(const Setup& setup, const std::string& where, const fs::path& netns) {
  constexpr unsigned kBatch = 16;
  for (const char* verb : {"ADD", "DEL"}) {
    Pair pair;
    for (unsigned round = 0; round < setup.rounds / kBatch + 1; ++round) {
      std::vector<Program> straight;
      std::vector<Program> crossed;
      for (unsigned i = 0; i < kBatch; ++i) {
        const std::string id = fmt::format("many-{}-{}", round, i);
        straight.push_back(direct(setup, "noop_delegate", noop_conf("bench"), verb, id, netns));
        crossed.push_back(through(setup, verb, id, netns));
      }
      pair.direct.push_back(bench::run_all(straight, kBatch) * 1000.0 / kBatch);
      pair.through.push_back(bench::run_all(crossed, kBatch) * 1000.0 / kBatch);
    }
    print_pair(fmt::format("{} x16, state {}", verb, where), pair);
  }
}

// Real plugins, all at once: what Crossover costs of the throughput.
void crowd(const Setup& setup) {
  const std::string ptp =
      R"("type":"ptp","ipam":{"type":"host-local","dataDir":"/var/lib/cni/bench","ranges":[[{"subnet":"10.250.0.0/16"}]]})";
  use_list(setup, "{" + ptp + "}");
  std::vector<fs::path> pods;
  for (unsigned i = 0; i < setup.crowd; ++i) pods.push_back(bench::make_netns(setup.work / "pods" / std::to_string(i)));
  std::vector<double> ratios;
  for (int round = 0; round < 3; ++round) {
    std::map<std::string, std::vector<Program>> calls;
    for (unsigned i = 0; i < setup.crowd; ++i) {
      const std::string id = fmt::format("crowd-{}-{}", round, i);
      const std::string conf = fmt::format(R"({{"cniVersion":"1.0.0","name":"bench",{}}})", ptp);
      for (const char* verb : {"ADD", "DEL"}) {
        calls[std::string("direct ") + verb].push_back(direct(setup, "ptp", conf, verb, id, pods[i]));
        calls[std::string("through ") + verb].push_back(through(setup, verb, id, pods[i]));
      }
    }
    const double straight = bench::run_all(calls["direct ADD"], setup.crowd);
    (void)bench::run_all(calls["direct DEL"], setup.crowd);  // only the ADDs are compared
    const double crossed = bench::run_all(calls["through ADD"], setup.crowd);
    (void)bench::run_all(calls["through DEL"], setup.crowd);
    ratios.push_back(straight / crossed);
    fmt::print("  {} ADDs of ptp at once       direct {:5.2f} s      through Crossover {:5.2f} s\n", setup.crowd,
               straight, crossed);
  }
  fmt::print("  throughput with Crossover     {:.1f} % of the delegates alone (median of 3)\n",
             100.0 * bench::median(ratios));
}

void start_up(const Setup& setup) {
  std::vector<double> own;
  std::vector<double> peer;
  long own_rss = 0;
  long peer_rss = 0;
  for (unsigned i = 0; i < setup.rounds; ++i) {
    const std::vector<std::string> env = {"CNI_COMMAND=VERSION", "CNI_NETNS=dummy", "CNI_IFNAME=dummy",
                                          "CNI_PATH=dummy"};
    const std::string input = R"({"cniVersion":"1.0.0"})";
    const bench::Run ours = bench::run({setup.work / "bin" / "crossover", env, input});
    const bench::Run theirs = bench::run({fs::path(kPlugins) / "host-local", env, input});
    own.push_back(ours.ms);
    peer.push_back(theirs.ms);
    own_rss = std::max(own_rss, ours.max_rss_kib);
    peer_rss = std::max(peer_rss, theirs.max_rss_kib);
  }
  const fs::path binary = setup.bin / "crossover";
  fmt::print("  VERSION                      Crossover {:.3f} ms ({} KiB resident)   host-local {:.3f} ms ({} KiB)\n",
             bench::median(own), own_rss, bench::median(peer), peer_rss);
  fmt::print("  binary                       Crossover {} KiB   host-local {} KiB\n", fs::file_size(binary) / 1024,
             fs::file_size(fs::path(kPlugins) / "host-local") / 1024);
}

void resident(const Setup& setup, const fs::path& netns) {
  long add = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string id = fmt::format("rss-{}", i);
    add = std::max(add, bench::run(through(setup, "ADD", id, netns)).max_rss_kib);
    (void)bench::run(through(setup, "DEL", id, netns));  // only the ADD's memory is of interest
  }
  fmt::print("  resident during an ADD       {} KiB at most\n", add);
}

Setup parse(int argc, char** argv, fs::path& disk) {
  if (argc < 2) bench::give_up("usage: overhead BIN_DIR [--rounds N] [--crowd N] [--disk DIR]");
  Setup setup;
  setup.bin = fs::absolute(argv[1]);
  disk = fs::absolute(setup.bin / "..").lexically_normal();
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--rounds") setup.rounds = static_cast<unsigned>(std::strtoul(argv[i + 1], nullptr, 10));
    if (option == "--crowd") setup.crowd = static_cast<unsigned>(std::strtoul(argv[i + 1], nullptr, 10));
    if (option == "--disk") disk = fs::absolute(argv[i + 1]).lexically_normal();
  }
  if (setup.rounds == 0 || setup.crowd == 0) bench::give_up("--rounds and --crowd take numbers of at least 1");
  return setup;
}

void measure(Setup& setup, const fs::path& disk) {
  bench::isolate();
  setup.work = "/tmp/crossover-bench";
  bench::mount_tmpfs(setup.work);
  bench::mount_tmpfs("/var/lib/cni");
  fs::create_directories(setup.work / "bin");
  for (const char* name : {"crossover", "noop_delegate"}) fs::copy_file(setup.bin / name, setup.work / "bin" / name);
  const fs::path netns = bench::make_netns(setup.work / "pod");
  const fs::path on_disk = disk / "bench-state";

  fmt::print("start-up, median of {}\n", setup.rounds);
  start_up(setup);
  for (const auto& [where, state] : {std::pair<std::string, fs::path>{"in memory", setup.work / "state"},
                                     std::pair<std::string, fs::path>{"on disk", on_disk}}) {
    setup.state = state;
    use_list(setup, R"({"type":"noop_delegate"})");
    fmt::print("a delegate that does nothing, median of {}, state {}\n", setup.rounds, where);
    one_at_a_time(setup, where, netns);
    sixteen_at_a_time(setup, where, netns);
    if (where == "in memory") resident(setup, netns);
  }
  fmt::print("Debian's ptp and host-local\n");
  crowd(setup);
  fs::remove_all(on_disk);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    fs::path disk;
    Setup setup = parse(argc, argv, disk);
    measure(setup, disk);
    return 0;
  } catch (const std::exception& error) {
    bench::give_up(error.what());
  }
}
