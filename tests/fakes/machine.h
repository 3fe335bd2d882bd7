// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "conf/disk.h"
#include "conf/netconf.h"
#include "conf/request.h"
#include "plugin/cli.h"
#include "plugin/system.h"
#include "tests/fakes/fault.h"
#include "tests/fakes/fault_fib.h"
#include "tests/fakes/fault_firewall.h"
#include "tests/fakes/nft.h"
#include "tests/fakes/world.h"

// One node for one test: a temporary directory with net.d, a state directory and plugins' programs, and the fakes
// around it. Every call is a process of its own.
namespace fakes {

class Machine {
 public:
  Machine();
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // The parts; a test reaches into them as it likes. Declared in the order in which they stand on each other.
  conf::RealDisk real_disk;
  Fate fate;
  FaultDisk disk{real_disk, fate};
  FakePods namespaces;
  World world{namespaces, real_disk};
  FaultRunner runner{world, fate};
  FaultPods pods{namespaces, fate};
  FakeAgent agent;
  FakeClock clock;
  FakeFirewall ruleset;
  FaultFirewall firewall{ruleset, fate};
  FakeFlows flows;
  FakeHostLinks host_links;
  FakeFib node_fib;
  FaultFib fib{node_fib, fate};
  conf::Settings settings;  ///< netDir and stateDir are set
  std::string boot_id = "b001";
  std::string cni_version = "1.0.0";
  std::string runtime_config;  ///< of the next requests, JSON; may be empty

  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] std::string net_dir() const { return dir_ + "/net.d"; }
  [[nodiscard]] std::string state_dir() const { return dir_ + "/state"; }
  [[nodiscard]] std::string bin_dir() const { return dir_ + "/bin"; }
  [[nodiscard]] std::string cache_dir() const { return dir_ + "/results"; }  ///< libcni's
  [[nodiscard]] std::string lease_dir() const { return dir_ + "/leases"; }   ///< for host-local's dataDir

  /// Writes a file, its directories too; removes it first.
  void write(const std::string& path, std::string_view bytes);
  /// A program's file for each of these types.
  void install(const std::vector<std::string>& types);
  void uninstall(const std::string& type);
  /// net.d/10-legacy.conflist and net.d/crossover.d/05-cilium.conflist; their programs are installed.
  void legacy(std::string_view list);
  void cilium(std::string_view list);
  void node_state(std::string_view text) { write(state_dir() + "/node-state", text); }

  /// What a new process sees.
  [[nodiscard]] plugin::System process();
  /// A request of `verb` for `id`, eth0, in `netns`; what it leaves empty a test may fill.
  [[nodiscard]] conf::Request request(conf::Verb verb, const std::string& id, const std::string& netns) const;
  [[nodiscard]] conf::NetConf netconf() const;

  /// One process each: what it prints, or a CniError, or Killed.
  std::string add(const std::string& id, const std::string& netns);
  std::string del(const std::string& id, const std::string& netns);
  std::string check(const std::string& id, const std::string& netns);
  std::string gc(const std::vector<conf::AttachmentId>& valid);
  /// `crossover gc`.
  plugin::Report gc_command(const plugin::GcOptions& options = {});

  /// A power cut and a new start: what was not synced is lost, so are all namespaces and what plugins kept in memory.
  void cut_power(FaultDisk::PowerCut kind);

  /// All that an ADD could leave: files below stateDir (but events.jsonl, lock and networks/), leases and libcni's
  /// cache with their content, what plugins keep, and links in pods.
  [[nodiscard]] std::map<std::string, std::string> snapshot();

 private:
  void collect(const std::string& folder, std::map<std::string, std::string>& into);
  std::string dir_;
};

}  // namespace fakes
