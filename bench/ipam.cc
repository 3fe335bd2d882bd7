// SPDX-License-Identifier: Apache-2.0
//
// What an address costs: crossover-ipam, whose leases are on disk when it answers, next to Debian's host-local, which
// syncs nothing; called in turns, out of a /16 of which 0, 250, 5 000 and 60 000 addresses are taken, with the state on
// disk and in memory (tmpfs). Prints figures and judges none.
//
//   ipam_speed BIN_DIR [--rounds N] [--disk DIR] [--quick]    BIN_DIR holds crossover-ipam; needs root

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/stage.h"
#include "conf/attachment_name.h"
#include "ipam/block.h"
#include "ipam/lease.h"

namespace {

namespace fs = std::filesystem;
using bench::Program;

constexpr const char* kHostLocal = "/usr/lib/cni/host-local";
constexpr std::string_view kNetwork = "bench";
constexpr std::string_view kBlock = "10.200.0.0/16";

struct Setup {
  fs::path bin;
  fs::path disk;
  fs::path netns;
  unsigned rounds = 100;
  std::vector<std::size_t> fills = {0, 250, 5'000, 60'000};
};

/// The two of them with their leases, below one directory.
struct Peers {
  fs::path ours;
  fs::path theirs;
  std::string input;  ///< the same for both: each knows where its own state is
};

std::string container_id(std::string_view what, std::size_t number) {
  return fmt::format("{:0>52}{:012x}", what, number);
}

// All over the block, as after a while in use: 40503 is coprime to what follows.
std::uint32_t offset_of(std::size_t number) { return static_cast<std::uint32_t>(2 + number * 40'503 % 65'533); }

void write(const fs::path& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary);
  if (!(out << text << std::flush)) bench::give_up("cannot write " + path.string());
}

std::string boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string out;
  in >> out;
  return out;
}

// The files that `count` ADDs would have left, without their tables and cursors: both make them at their first call.
void fill(const Peers& peers, std::size_t count) {
  const ipam::Block block = ipam::make_block(conf::IpPrefix::parse(kBlock).value());
  const std::string boot = boot_id();
  fs::create_directories(peers.ours / "ipam" / "leases");
  fs::create_directories(peers.theirs / kNetwork);
  for (std::size_t i = 0; i < count; ++i) {
    const conf::IpAddr ip = block.at(offset_of(i));
    const ipam::Lease lease{.owner = {.container_id = container_id("f", i), .ifname = "eth0"},
                            .network = std::string(kNetwork),
                            .addresses = {{ip, block.cidr.prefix_len}},
                            .boot_id = boot,
                            .netns = fmt::format("/run/netns/cni-{}", i),
                            .netns_inode = 4'026'532'000 + i,
                            .pod = fmt::format("default/pod-{}", i),
                            .taken_ms = 1'763'711'133'241};
    write(peers.ours / "ipam" / "leases" / conf::attachment_name(lease.owner), ipam::lease_text(lease));
    write(peers.theirs / kNetwork / ip.str(), lease.owner.container_id + "\r\neth0");
  }
}

Peers prepare(const fs::path& dir, std::size_t count) {
  fs::remove_all(dir);
  Peers out{.ours = dir / "crossover-ipam", .theirs = dir / "host-local", .input = {}};
  out.input = fmt::format(R"({{"cniVersion":"1.0.0","name":"{}","type":"bridge","ipam":{{"type":"host-local",)"
                          R"("ranges":[[{{"subnet":"{}"}}]],"dataDir":"{}","stateDir":"{}"}}}})",
                          kNetwork, kBlock, out.theirs.string(), out.ours.string());
  fill(out, count);
  return out;
}

double ms_of(const Setup& setup, const fs::path& program, const Peers& peers, const std::string& verb,
             const std::string& id) {
  const std::vector<std::string> env = {"CNI_COMMAND=" + verb,
                                        "CNI_CONTAINERID=" + id,
                                        "CNI_NETNS=" + setup.netns.string(),
                                        "CNI_IFNAME=eth0",
                                        "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=pod",
                                        "CNI_PATH=/usr/lib/cni"};
  return bench::run({.path = program, .env = env, .input = peers.input}).ms;
}

struct Figures {
  std::vector<double> ours;
  std::vector<double> theirs;
};

std::string cells(const Figures& figures) {
  const auto cell = [](const std::vector<double>& values) {
    return fmt::format("{:8.3f} ({:8.3f})", bench::median(values), bench::quantile(values, 0.99));
  };
  return fmt::format("{}  {}  {:6.1f}", cell(figures.ours), cell(figures.theirs),
                     bench::median(figures.theirs) / bench::median(figures.ours));
}

// In turns, so that whatever else the machine does meets both alike. The first calls make what later ones find.
void measure(const Setup& setup, const Peers& peers, std::size_t count) {
  const fs::path program = setup.bin / "crossover-ipam";
  Figures add;
  Figures del;
  for (unsigned i = 0; i <= setup.rounds; ++i) {
    const std::string id = container_id("a", i);
    const std::array<double, 4> ms = {
        ms_of(setup, program, peers, "ADD", id), ms_of(setup, kHostLocal, peers, "ADD", id),
        ms_of(setup, program, peers, "DEL", id), ms_of(setup, kHostLocal, peers, "DEL", id)};
    if (i == 0) continue;
    add.ours.push_back(ms[0]);
    add.theirs.push_back(ms[1]);
    del.ours.push_back(ms[2]);
    del.theirs.push_back(ms[3]);
  }
  fmt::print("  {:>6}  ADD  {}\n          DEL  {}\n", count, cells(add), cells(del));
  std::fflush(stdout);
}

void measure_all(const Setup& setup, const std::string& where, const fs::path& dir) {
  fmt::print("state {}, median (p99) of {} in ms\n", where, setup.rounds);
  fmt::print("  {:>6}       {:>19}  {:>19}  {:>6}\n", "leases", "crossover-ipam", "host-local", "times");
  for (const std::size_t count : setup.fills) {
    measure(setup, prepare(dir, count), count);
    fs::remove_all(dir);
  }
}

Setup parse(int argc, char** argv) {
  if (argc < 2) bench::give_up("usage: ipam_speed BIN_DIR [--rounds N] [--disk DIR] [--quick]");
  Setup setup;
  setup.bin = fs::absolute(argv[1]);
  setup.disk = fs::absolute(setup.bin / "..").lexically_normal();
  for (int i = 2; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--rounds" && i + 1 < argc)
      setup.rounds = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
    if (option == "--disk" && i + 1 < argc) setup.disk = fs::absolute(argv[++i]).lexically_normal();
    if (option == "--quick") {
      setup.rounds = 2;
      setup.fills = {0, 250};
    }
  }
  if (setup.rounds == 0) bench::give_up("--rounds takes a number of at least 1");
  return setup;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Setup setup = parse(argc, argv);
    bench::isolate();
    const fs::path memory = "/tmp/crossover-bench";
    bench::mount_tmpfs(memory);
    setup.netns = bench::make_netns(memory / "pod");
    measure_all(setup, "on disk", setup.disk / "bench-leases");
    measure_all(setup, "in memory", memory / "leases");
    return 0;
  } catch (const std::exception& error) {
    bench::give_up(error.what());
  }
}
