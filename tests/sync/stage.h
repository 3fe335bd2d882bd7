// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "plugin/sync/keeper.h"
#include "plugin/sync/run.h"
#include "tests/fakes/fault.h"
#include "tests/support/scratch.h"
#include "tests/sync/answers.h"
#include "tests/sync/fake_api.h"

// A node with its files and an API server, for one test of what is written.
namespace fakes {

using plugin::sync::Keeper;
using plugin::sync::Kind;
using plugin::sync::Places;

inline const std::string kCilium = "cilium label: io.cilium.migration/cilium-default is true\n";
inline const std::string kLegacy = "legacy label: io.cilium.migration/cilium-default is absent\n";
inline const std::string kBlocks = "# crossover-sync: CiliumNode node1\n10.245.1.0/24\n";

struct Stage {
  scratch::Folder folder;
  conf::RealDisk real;
  Fate fate;
  FaultDisk disk{real, fate};
  FakeApi api;
  std::vector<std::string> log;
  bool dry_run = false;

  Stage() { good("true"); }
  void good(const std::string& label) {
    list(Kind::kNode, answers::list(Kind::kNode, answers::node(label)));
    list(Kind::kCiliumNode, answers::list(Kind::kCiliumNode, answers::cilium_node()));
  }
  /// From now on; the fake goes on with the last of what it was told.
  template <typename Reply>
  void list(Kind kind, const Reply& reply) {
    api.will_list(kind, reply);
    if (told[kind]++ != 0) (void)api.get(kind == Kind::kNode ? "nodes" : "ciliumnodes");
  }
  std::map<Kind, int> told;

  [[nodiscard]] Places places() const { return {.state_dir = folder.file("state"), .pod_cidrs = {}}; }
  [[nodiscard]] Keeper keeper() {
    return {disk, places(), "node1", api.server(), dry_run, [this](const std::string& line) { log.push_back(line); }};
  }
  bool once() {
    Keeper one = keeper();
    return once(one);
  }
  bool once(Keeper& one) {
    return plugin::sync::run_once(api, one, "node1", [this] { return api.now(); });
  }
  [[nodiscard]] std::string file(const std::string& name) {
    return real.read(places().state_dir + "/" + name, 100'000).value_or("none");
  }
  void put(const std::string& name, const std::string& bytes) {
    real.make_dirs(places().state_dir);
    real.replace(places().state_dir + "/" + name, bytes, conf::Sync::kNo);
  }
  [[nodiscard]] std::string status(const std::string& last, const std::string& problem, const std::string& kept = "") {
    return R"({"format":1,"node":"node1","server":"https://10.96.0.1:443","lastSuccess":)" + last + R"(,"problem":")" +
           problem + R"(","kept":[)" + kept + "]}\n";
  }
};

}  // namespace fakes
