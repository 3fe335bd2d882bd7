// SPDX-License-Identifier: Apache-2.0
//
// What a hostPort costs: crossover-portmap next to Debian's portmap over iptables-nft and over iptables-legacy, each on
// a node of its own (namespaces), called in turns, with 0, 100, 1 000 and 10 000 mappings there already; then the first
// packet of a flow and new connections to the newest mapping. Prints figures and judges none.
//
//   portmap_speed BIN_DIR [--rounds N] [--most N] [--quick]    BIN_DIR holds crossover-portmap; needs root
//
// --most N: with more mappings than that, ours alone.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/stage.h"
#include "bench/traffic.h"

namespace {

namespace fs = std::filesystem;

constexpr const char* kPortmap = "/usr/lib/cni/portmap";
constexpr const char* kNode = "192.0.2.1";
constexpr const char* kPod = "10.89.0.2";
constexpr std::uint16_t kHostPort = 8080;
constexpr std::uint16_t kPodPort = 80;
constexpr std::size_t kFirstOther = 20'000;  // host ports of the mappings that are there already
constexpr std::size_t kPerPod = 100;         // so many of ours belong to one pod
constexpr std::size_t kFewest = 3;           // calls, however long one takes
constexpr double kBudgetMs = 30'000;         // of one peer's calls with one number of mappings

struct Setup {
  fs::path bin;
  fs::path work = "/tmp/crossover-bench";  // private tmpfs
  unsigned rounds = 30;
  unsigned packets = 200;
  double seconds = 1;
  std::size_t most = 10'000;
  std::vector<std::size_t> fills = {0, 100, 1'000, 10'000};
  std::vector<std::size_t> crowds = {0, 9'999};  // and the one that is measured
};

/// A plugin on its node, with a pod and a client.
struct Peer {
  std::string name;
  fs::path program;
  std::string flavour;  ///< of iptables; empty: ours
  fs::path dir;
  std::vector<double> add;
  std::vector<double> del;
  double spent = 0;

  [[nodiscard]] fs::path host() const { return dir / "host"; }
  [[nodiscard]] fs::path pod() const { return dir / "pod"; }
  [[nodiscard]] fs::path client() const { return dir / "client"; }
};

std::string path_of(const Peer& peer) {
  return "PATH=" + (peer.dir / "sbin").string() + ":/usr/sbin:/usr/bin:/sbin:/bin";
}

void shell_in(const fs::path& netns, const Peer& peer, const std::string& script) {
  bench::enter(netns);
  (void)bench::run({.path = "/bin/sh", .env = {path_of(peer)}, .input = "set -e\n" + script});
}

void wire(const Peer& peer) {
  shell_in(peer.host(), peer,
           fmt::format("ip link set lo up\n"
                       "ip link add up0 type veth peer name eth0 netns {}\n"
                       "ip link add pod0 type veth peer name eth0 netns {}\n"
                       "ip addr add {}/24 dev up0\nip link set up0 up\n"
                       "ip addr add 10.89.0.1/24 dev pod0\nip link set pod0 up\n"
                       "echo 1 > /proc/sys/net/ipv4/ip_forward\n",
                       peer.client().string(), peer.pod().string(), kNode));
  shell_in(peer.pod(), peer,
           fmt::format("ip addr add {}/24 dev eth0\nip link set eth0 up\nip route add default via 10.89.0.1\n", kPod));
  shell_in(peer.client(), peer,
           fmt::format("ip addr add 192.0.2.2/24 dev eth0\nip link set eth0 up\n"
                       "echo 1024 65000 > /proc/sys/net/ipv4/ip_local_port_range\n"));
}

std::string mapping(std::size_t host_port, const std::string& protocol) {
  return fmt::format(R"({{"hostPort":{},"containerPort":{},"protocol":"{}"}})", host_port, kPodPort, protocol);
}

double ms_of(const Peer& peer, const std::string& verb, const std::string& id, const std::string& mappings) {
  const std::string input = fmt::format(
      R"({{"cniVersion":"1.0.0","name":"bench","type":"portmap",{}"runtimeConfig":{{"portMappings":[{}]}},)"
      R"("prevResult":{{"cniVersion":"1.0.0","interfaces":[{{"name":"pod0"}},{{"name":"eth0","sandbox":"{}"}}],)"
      R"("ips":[{{"address":"{}/24","gateway":"10.89.0.1","interface":1}}]}}}})",
      peer.flavour.empty() ? fmt::format(R"("stateDir":"{}",)", (peer.dir / "state").string()) : "", mappings,
      peer.pod().string(), kPod);
  const std::vector<std::string> env = {"CNI_COMMAND=" + verb,
                                        "CNI_CONTAINERID=" + id,
                                        "CNI_NETNS=" + peer.pod().string(),
                                        "CNI_IFNAME=eth0",
                                        "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=pod",
                                        "CNI_PATH=/usr/lib/cni",
                                        path_of(peer)};
  bench::enter(peer.host());
  return bench::run({.path = peer.program, .env = env, .input = input}).ms;
}

void fill_ours(const Peer& peer, std::size_t count) {
  for (std::size_t begin = 0; begin < count; begin += kPerPod) {
    std::string mappings;
    for (std::size_t i = begin; i < std::min(count, begin + kPerPod); ++i)
      mappings += (mappings.empty() ? "" : ",") + mapping(kFirstOther + i, "tcp");
    (void)ms_of(peer, "ADD", fmt::format("other-{}", begin), mappings);
  }
}

// What its ADDs would have left, put there at once: one alone would take a second when many are there.
void fill_theirs(const Peer& peer, std::size_t count) {
  std::string chains = "*nat\n";
  std::string rules;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string chain = fmt::format("CNI-DN-{:021x}", i);
    const std::size_t port = kFirstOther + i;
    chains += fmt::format(":{} - [0:0]\n", chain);
    for (const char* from : {"10.89.0.0/24", "127.0.0.1/32"})
      rules += fmt::format("-A {} -s {} -p tcp -m tcp --dport {} -j CNI-HOSTPORT-SETMARK\n", chain, from, port);
    rules +=
        fmt::format("-A {} -p tcp -m tcp --dport {} -j DNAT --to-destination {}:{}\n", chain, port, kPod, kPodPort);
    rules += fmt::format(
        "-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name: \\\"bench\\\" id: \\\"other-{}\\\"\""
        " -m multiport --dports {} -j {}\n",
        i, port, chain);
  }
  bench::write_file(peer.dir / "rules", chains + rules + "COMMIT\n");
  shell_in(peer.host(), peer,
           fmt::format("iptables-{}-restore --noflush < {}\n", peer.flavour, (peer.dir / "rules").string()));
}

// The first call makes what later ones find.
void fill(const Peer& peer, std::size_t count) {
  (void)ms_of(peer, "ADD", "first", mapping(kHostPort, "tcp"));
  (void)ms_of(peer, "DEL", "first", mapping(kHostPort, "tcp"));
  if (count == 0) return;
  if (peer.flavour.empty()) {
    fill_ours(peer, count);
  } else {
    fill_theirs(peer, count);
  }
}

Peer make_peer(const Setup& setup, const std::string& flavour, std::size_t count) {
  static unsigned number = 0;
  Peer out;
  out.name = flavour.empty() ? "crossover-portmap" : "portmap, iptables-" + flavour;
  out.program = flavour.empty() ? setup.bin / "crossover-portmap" : fs::path(kPortmap);
  out.flavour = flavour;
  out.dir = setup.work / std::to_string(number++);
  fs::create_directories(out.dir / "sbin");
  for (const std::string name : {"iptables", "ip6tables"})
    if (!flavour.empty()) fs::create_symlink(fmt::format("/usr/sbin/{}-{}", name, flavour), out.dir / "sbin" / name);
  for (const fs::path& netns : {out.host(), out.pod(), out.client()}) bench::make_netns(netns);
  wire(out);
  fill(out, count);
  return out;
}

std::vector<Peer> make_peers(const Setup& setup, std::size_t count) {
  std::vector<Peer> out;
  out.push_back(make_peer(setup, "", count));
  if (count > setup.most) return out;
  for (const char* flavour : {"nft", "legacy"}) out.push_back(make_peer(setup, flavour, count));
  return out;
}

// In turns, so that whatever else the machine does meets all alike; who takes long drops out.
void call_in_turns(const Setup& setup, std::vector<Peer>& peers) {
  for (unsigned i = 0; i < setup.rounds; ++i) {
    for (Peer& peer : peers) {
      if (i >= kFewest && peer.spent > kBudgetMs) continue;
      const std::string id = fmt::format("pod-{}", i);
      peer.add.push_back(ms_of(peer, "ADD", id, mapping(kHostPort, "tcp")));
      peer.del.push_back(ms_of(peer, "DEL", id, mapping(kHostPort, "tcp")));
      peer.spent += peer.add.back() + peer.del.back();
    }
  }
}

void measure_calls(const Setup& setup, std::size_t count) {
  std::vector<Peer> peers = make_peers(setup, count);
  call_in_turns(setup, peers);
  for (const Peer& peer : peers) {
    const double add = bench::median(peer.add);
    const double del = bench::median(peer.del);
    fmt::print("  {:>6}  {:<25} {:>5}  {:10.3f} {:7.1f}  {:10.3f} {:7.1f}\n", count, peer.name, peer.add.size(), add,
               add / bench::median(peers.front().add), del, del / bench::median(peers.front().del));
  }
  std::fflush(stdout);
}

void measure_packets(const Setup& setup, std::size_t others) {
  for (const Peer& peer : make_peers(setup, others)) {
    (void)ms_of(peer, "ADD", "newest", mapping(kHostPort, "tcp") + "," + mapping(kHostPort, "udp"));
    const bench::Flow flow{
        .client = peer.client(), .pod = peer.pod(), .address = kNode, .port = kHostPort, .pod_port = kPodPort};
    (void)bench::first_packets(flow, 1);  // whose neighbours' addresses have to be asked for
    const std::vector<double> us = bench::first_packets(flow, setup.packets);
    fmt::print("  {:>6}  {:<25}  {:8.1f} ({:8.1f})  {:10.0f}\n", others + 1, peer.name, bench::median(us),
               bench::quantile(us, 0.99), bench::connections_per_second(flow, setup.seconds));
    std::fflush(stdout);
  }
}

void measure_all(const Setup& setup) {
  fmt::print("ADD and DEL of one mapping, medians in ms, and how many times ours\n");
  fmt::print("  {:>6}  {:<25} {:>5}  {:>10} {:>7}  {:>10} {:>7}\n", "others", "", "calls", "ADD", "times", "DEL",
             "times");
  for (const std::size_t count : setup.fills) measure_calls(setup, count);
  fmt::print("to the newest mapping: first packet of {}, median (p99) in microseconds; connections per second\n",
             setup.packets);
  for (const std::size_t count : setup.crowds) measure_packets(setup, count);
}

unsigned long number(const char* text) { return std::strtoul(text, nullptr, 10); }

Setup parse(int argc, char** argv) {
  if (argc < 2) bench::give_up("usage: portmap_speed BIN_DIR [--rounds N] [--most N] [--quick]");
  Setup setup;
  setup.bin = fs::absolute(argv[1]);
  for (int i = 2; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--rounds" && i + 1 < argc) setup.rounds = static_cast<unsigned>(number(argv[++i]));
    if (option == "--most" && i + 1 < argc) setup.most = number(argv[++i]);
    if (option == "--quick") {
      setup.rounds = 2;
      setup.packets = 10;
      setup.seconds = 0.05;
      setup.fills = {0, 100};
      setup.crowds = {0, 99};
    }
  }
  if (setup.rounds == 0) bench::give_up("--rounds takes a number of at least 1");
  return setup;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Setup setup = parse(argc, argv);
    bench::isolate();
    bench::mount_tmpfs(setup.work);
    measure_all(setup);
    return 0;
  } catch (const std::exception& error) {
    bench::give_up(error.what());
  }
}
