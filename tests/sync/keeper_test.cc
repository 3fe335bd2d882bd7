// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/keeper.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "plugin/cli.h"
#include "plugin/lock.h"
#include "tests/fakes/machine.h"
#include "tests/sync/stage.h"

namespace {

using fakes::kBlocks;
using fakes::kCilium;
using fakes::kLegacy;
using fakes::Stage;
using plugin::sync::Answer;
using plugin::sync::Keeper;
using plugin::sync::Kind;
using plugin::sync::Places;

TEST_SUITE_BEGIN("sync.keeper");

TEST_CASE("one look writes the node's state, its podCIDRs and how old they are") {
  Stage stage;
  CHECK(stage.once());
  CHECK(stage.file("node-state") == kCilium);
  CHECK(stage.file("pod-cidrs") == kBlocks);
  CHECK(stage.file("sync-status") == stage.status("1763741000000", ""));
  CHECK(stage.log == std::vector<std::string>{
                         "wrote " + stage.places().node_state_file() + ": " + kCilium.substr(0, kCilium.size() - 1),
                         "wrote " + stage.places().pod_cidrs_file() + ": 10.245.1.0/24"});
}

TEST_CASE("a dry run writes nothing, not even the folder") {
  Stage stage;
  stage.dry_run = true;
  CHECK(stage.once());
  CHECK_FALSE(stage.real.info(stage.places().state_dir));
  CHECK(stage.log.front() ==
        "would write " + stage.places().node_state_file() + ": " + kCilium.substr(0, kCilium.size() - 1));
}

TEST_CASE("an API server that is down changes neither file, and the status says since when") {
  Stage stage;
  REQUIRE(stage.once());
  stage.api.passes(std::chrono::hours{1});
  stage.list(Kind::kNode, plugin::sync::Reply(std::string("Failed to connect")));
  CHECK_FALSE(stage.once());
  CHECK(stage.file("node-state") == kCilium);
  CHECK(stage.file("pod-cidrs") == kBlocks);
  CHECK(stage.file("sync-status") == stage.status("1763741000000", "Node: Failed to connect"));
}

TEST_CASE("without the right to see CiliumNodes the podCIDR file is left alone, and the label counts") {
  Stage stage;
  stage.list(Kind::kCiliumNode, Answer{.status = 403, .body = {}});
  CHECK_FALSE(stage.once());
  CHECK(stage.file("node-state") == kCilium);
  CHECK(stage.file("pod-cidrs") == "none");  // the Node's would be wrong if there is a CiliumNode
  CHECK(stage.file("sync-status") ==
        stage.status("0",
                     "CiliumNode: 403: the account may not list and watch this; see deploy/ for the rights it needs"));
}

TEST_CASE("without Cilium the Node's podCIDRs are taken") {
  Stage stage;
  stage.list(Kind::kCiliumNode, Answer{.status = 404, .body = "404 page"});
  CHECK(stage.once());
  CHECK(stage.file("pod-cidrs") == "# crossover-sync: Node node1\n10.244.1.0/24\n");
}

TEST_CASE("a node that the API server does not know keeps all it has") {
  Stage stage;
  REQUIRE(stage.once());
  stage.list(Kind::kNode, answers::list(Kind::kNode));
  CHECK_FALSE(stage.once());
  CHECK(stage.file("node-state") == kCilium);
  CHECK(stage.file("sync-status") ==
        stage.status("1763741000000", "there is no Node node1; everything stays as it is"));
}

TEST_CASE("an operator's word wins until it is taken back") {
  Stage stage;
  REQUIRE(stage.once());
  stage.put("node-state", "hold firmware\n");
  CHECK(stage.once());
  CHECK(stage.file("node-state") == "hold firmware\n");
  CHECK(stage.file("sync-status") ==
        stage.status("1763741000000", "",
                     "\"node-state was not written by crossover-sync and stays; the label says cilium; `crossover set "
                     "auto` hands it over\""));
  stage.put("node-state", "auto\n");
  CHECK(stage.once());
  CHECK(stage.file("node-state") == kCilium);
}

/// Changes a file when another one is written beside it.
class Meddler final : public conf::Disk {
 public:
  bool locked = true;  ///< whether the lock of `crossover set` was held whenever something took its name
  Meddler(conf::Disk& real, std::string path, std::string bytes)
      : real_(real), path_(std::move(path)), bytes_(std::move(bytes)) {}
  std::optional<std::string> read(const std::string& path, std::size_t max) override { return real_.read(path, max); }
  std::vector<conf::DirEntry> list(const std::string& dir) override { return real_.list(dir); }
  std::optional<conf::FileInfo> info(const std::string& path) override { return real_.info(path); }
  void make_dirs(const std::string& dir) override { real_.make_dirs(dir); }
  bool create(const std::string& path, std::string_view bytes) override { return real_.create(path, bytes); }
  void append(const std::string& path, std::string_view bytes, conf::Sync sync) override {
    real_.append(path, bytes, sync);
    if (!bytes_.empty() && path.find("node-state") != std::string::npos) real_.replace(path_, bytes_, conf::Sync::kNo);
  }
  void write_at(const std::string& path, std::uint64_t at, std::string_view bytes) override {
    real_.write_at(path, at, bytes);
  }
  void replace(const std::string& path, std::string_view bytes, conf::Sync sync) override {
    real_.replace(path, bytes, sync);
  }
  bool remove(const std::string& path) override { return real_.remove(path); }
  void rename(const std::string& from, const std::string& to) override {
    locked = locked && !plugin::Locks::open(conf::folder_of(path_), {}).node_state(std::chrono::milliseconds{0});
    real_.rename(from, to);
  }
  void replace_program(const std::string& path, std::string_view bytes) override { real_.replace_program(path, bytes); }
  void replace_link(const std::string& path, const std::string& target) override { real_.replace_link(path, target); }
  std::optional<std::string> link_target(const std::string& path) override { return real_.link_target(path); }

 private:
  conf::Disk& real_;
  std::string path_;
  std::string bytes_;
};

TEST_CASE("an operator who writes while we write wins") {
  Stage stage;
  REQUIRE(stage.once());
  stage.good("");
  Meddler disk(stage.real, stage.places().node_state_file(), "hold stop everything\n");
  Keeper keeper(disk, stage.places(), "node1", stage.api.server(), false,
                [&stage](const std::string& line) { stage.log.push_back(line); });
  CHECK(stage.once(keeper));
  CHECK(stage.file("node-state") == "hold stop everything\n");
  CHECK(stage.log.back() ==
        stage.places().node_state_file() + " has just been changed by somebody else: looking at it again");
  CHECK(stage.real.list(stage.places().state_dir).size() == 4);  // with the lock, and nothing temporary
}

TEST_CASE("what was looked at once more takes its name under the lock of crossover set") {
  Stage stage;
  Meddler disk(stage.real, stage.places().node_state_file(), "");
  Keeper keeper(disk, stage.places(), "node1", stage.api.server(), false, [](const std::string&) {});
  CHECK(stage.once(keeper));
  CHECK(stage.file("node-state") == kCilium);
  CHECK(disk.locked);
  // And while somebody else has it nothing is written, for as long as that takes.
  stage.good("");
  const plugin::Locks locks = plugin::Locks::open(stage.places().state_dir, {});
  const auto alone = locks.node_state(std::chrono::milliseconds{0});
  REQUIRE(alone);
  CHECK(stage.once(keeper));
  CHECK(stage.file("node-state") == kCilium);
}

TEST_CASE("an operator's word is never lost, however often both write") {
  Stage stage;
  fakes::Machine node;
  node.settings.state_dir = stage.places().state_dir;
  std::atomic<bool> done = false;
  std::atomic<unsigned> settled = 0;
  std::thread sync([&] {
    Keeper keeper(stage.real, stage.places(), "node1", stage.api.server(), false, [](const std::string&) {});
    for (bool on = true; !done; on = !on, ++settled) {
      stage.good(on ? "true" : "");
      (void)stage.once(keeper);
    }
  });
  unsigned lost = 0;
  plugin::System system = node.process();
  for (int round = 0; round < 200; ++round) {
    const std::string word = "hold round " + std::to_string(round) + '\n';
    (void)plugin::set_report(system, node.settings, "hold", "round " + std::to_string(round), false);
    if (stage.file("node-state") != word) ++lost;
    for (const unsigned seen = settled; settled < seen + 2;) std::this_thread::yield();
    if (stage.file("node-state") != word) ++lost;
    (void)plugin::set_report(system, node.settings, "auto", "", false);
    while (stage.file("node-state").starts_with("auto")) std::this_thread::yield();
  }
  done = true;
  sync.join();
  CHECK(lost == 0);
}

TEST_CASE("a file that cannot be read or written is a problem, and the other one is written") {
  Stage stage;
  stage.real.make_dirs(stage.places().node_state_file());  // a folder of that name
  CHECK_FALSE(stage.once());
  CHECK(stage.file("pod-cidrs") == kBlocks);
  CHECK(stage.file("sync-status").find("node-state") != std::string::npos);
}

TEST_CASE("killed or failed at any step, each file is old or new, and the next run completes it") {
  Stage count;
  REQUIRE(count.once());
  count.good("");
  count.fate.begin();
  REQUIRE(count.once());
  const std::size_t steps = count.fate.steps();
  REQUIRE(steps > 4);
  for (const fakes::Harm harm : {fakes::Harm::kKill, fakes::Harm::kFail, fakes::Harm::kFailAfter}) {
    for (std::size_t at = 1; at <= steps; ++at) {
      Stage stage;
      REQUIRE(stage.once());
      stage.good("");
      stage.fate.begin(harm, at);
      try {
        (void)stage.once();
      } catch (const fakes::Killed&) {
        INFO("killed");
      }
      INFO(at);
      const std::string state = stage.file("node-state");
      CHECK((state == kCilium || state == kLegacy));
      CHECK(stage.file("pod-cidrs") == kBlocks);
      stage.fate.begin();
      CHECK(stage.once());
      CHECK(stage.file("node-state") == kLegacy);
    }
  }
}

TEST_CASE("after a power cut the node-state is whole") {
  for (const auto kind : {fakes::FaultDisk::PowerCut::kNothingUnsynced, fakes::FaultDisk::PowerCut::kEmptyFiles}) {
    Stage stage;
    REQUIRE(stage.once());
    stage.disk.sync_all();
    stage.good("");
    REQUIRE(stage.once());
    stage.disk.cut_power(kind);
    const std::string state = stage.file("node-state");
    CHECK((state == kCilium || state == kLegacy));
    CHECK(stage.once());
    CHECK(stage.file("node-state") == kLegacy);
  }
}

TEST_CASE("a status that cannot be understood is written anew, and what was there is not made younger") {
  Stage stage;
  stage.put("sync-status", "{\"lastSuccess\":77}\n");
  stage.list(Kind::kNode, plugin::sync::Reply(std::string("down")));
  CHECK_FALSE(stage.once());
  CHECK(stage.file("sync-status") == stage.status("77", "Node: down"));
  stage.put("sync-status", "nonsense");
  CHECK_FALSE(stage.once());
  CHECK(stage.file("sync-status") == stage.status("0", "Node: down"));
}

TEST_CASE("the same problem is told once") {
  Stage stage;
  stage.list(Kind::kNode, plugin::sync::Reply(std::string("down")));
  Keeper keeper = stage.keeper();
  for (int count = 0; count < 3; ++count) CHECK_FALSE(stage.once(keeper));
  CHECK(stage.log == std::vector<std::string>{"Node: down"});
  stage.good("true");
  CHECK(stage.once(keeper));
  stage.list(Kind::kNode, plugin::sync::Reply(std::string("down")));
  CHECK_FALSE(stage.once(keeper));
  CHECK(stage.log.back() == "Node: down");
}

TEST_CASE("the podCIDR file can be elsewhere") {
  Stage stage;
  Places places = stage.places();
  places.pod_cidrs = stage.folder.file("run/blocks");
  Keeper keeper(stage.disk, places, "node1", "s", false, [](const std::string&) {});
  CHECK(stage.once(keeper));
  CHECK(stage.real.read(places.pod_cidrs, 1000) == kBlocks);
  CHECK(stage.file("pod-cidrs") == "none");
}

TEST_SUITE_END();

}  // namespace
