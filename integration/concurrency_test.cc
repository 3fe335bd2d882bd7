// SPDX-License-Identifier: Apache-2.0

// Many calls at once. The plugins are scripts that say when they begin and end, and can be held at a gate; nothing here
// depends on how fast the machine is.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "conf/fd.h"
#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

namespace {

namespace fs = std::filesystem;
using fixture::Node;
using std::chrono::milliseconds;
using support::Finished;
using Strings = std::vector<std::string>;

// A sanitizer makes each process twenty times as large: as many of them would be more than a machine has memory for.
#if defined(__SANITIZE_ADDRESS__)
constexpr int kPods = 50;
#else
constexpr int kPods = 200;
#endif

constexpr const char* kList =
    R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"},{"type":"portmap"}]})";

// Keeps a file from ADD to DEL; its ADD waits, once it has said so, for as long as somebody holds the gate.
constexpr const char* kPlugin = R"(#!/bin/sh
type=${0##*/} dir=${0%/*}/../fake
file=$dir/kept/$type,$CNI_CONTAINERID,$CNI_IFNAME
case $CNI_COMMAND in
ADD)
  echo "begins $type $CNI_CONTAINERID" >>"$dir/log"
  if [ -e "$file" ]; then echo '{"code":7,"msg":"it is there already"}'; exit 1; fi
  : >"$file"
  flock -s "$dir/gate" sleep 0.01
  echo "ends $type $CNI_CONTAINERID" >>"$dir/log"
  echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/"}],"ips":[{"address":"10.9.0.2/24"}]}' ;;
DEL)
  sleep 0.01
  rm -f "$file" ;;
esac
exit 0
)";

/// A node whose plugins are that script.
struct Stage {
  Node node{{}};
  fs::path fake = node.dir() / "fake";

  Stage() {
    fs::create_directories(fake / "kept");
    fixture::write_file(fake / "gate", "");
    for (const char* type : {"bridge", "portmap"}) {
      fixture::write_file(node.bin_dir() / type, kPlugin);
      fs::permissions(node.bin_dir() / type, fs::perms::owner_all);
    }
    node.configure(R"("timeouts":{"lock":"240s","delegate":"240s"})");  // of a machine that does much else
    node.legacy(kList);
  }

  [[nodiscard]] std::future<Finished> start(const std::string& verb, const std::string& id,
                                            const std::string& netns) const {
    return std::async(std::launch::async, [this, verb, id, netns] {
      return node.call({{"CNI_COMMAND", verb},
                        {"CNI_CONTAINERID", id},
                        {"CNI_IFNAME", "eth0"},
                        {"CNI_NETNS", netns},
                        {"CNI_PATH", node.bin_dir()}},
                       node.request(), std::chrono::minutes(4));
    });
  }

  [[nodiscard]] Finished collect(const Strings& alive) const {
    std::string list;
    for (const std::string& id : alive)
      list += (list.empty() ? "" : ",") + (R"({"containerID":")" + id + R"(","ifname":"eth0"})");
    return node.call({{"CNI_COMMAND", "GC"}, {"CNI_PATH", node.bin_dir()}},
                     node.request(R"("cni.dev/valid-attachments":[)" + list + "]", "1.1.0"), std::chrono::minutes(4));
  }

  /// What plugins keep: "bridge,c1,eth0".
  [[nodiscard]] std::set<std::string> kept() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(fake / "kept")) out.insert(entry.path().filename());
    return out;
  }
  [[nodiscard]] Strings log() const {
    Strings lines;
    std::ifstream file(fake / "log");
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
  /// Returns when `count` ADDs of `type` have begun; throws if that takes four minutes.
  void wait_for_begun(const std::string& type, std::ptrdiff_t count) const {
    const auto begun = [&] {
      const Strings lines = log();
      return std::count_if(lines.begin(), lines.end(),
                           [&](const std::string& line) { return line.starts_with("begins " + type); });
    };
    for (int tries = 0; begun() < count; ++tries) {
      if (tries > 12'000) throw std::runtime_error("plugins did not begin");
      std::this_thread::sleep_for(milliseconds(20));
    }
  }
};

/// As long as it lives, no ADD of a plugin ends.
class Gate {
 public:
  explicit Gate(const Stage& stage) : fd_(::open((stage.fake / "gate").c_str(), O_RDONLY | O_CLOEXEC)) {
    REQUIRE(::flock(fd_.get(), LOCK_EX) == 0);
  }

 private:
  conf::UniqueFd fd_;
};

// How many ADDs of `type` were running at once, at most.
int most_at_once(const Strings& log, const std::string& type) {
  int now = 0;
  int most = 0;
  for (const std::string& line : log) {
    if (line.starts_with("begins " + type)) most = std::max(most, ++now);
    if (line.starts_with("ends " + type)) --now;
  }
  return most;
}

Strings numbered(const std::string& prefix, int count) {
  Strings out;
  for (int i = 0; i < count; ++i) out.push_back(prefix + std::to_string(i));
  return out;
}

std::vector<std::future<Finished>> start_all(const Stage& stage, const std::string& verb, const Strings& ids,
                                             const std::string& netns) {
  std::vector<std::future<Finished>> calls;
  for (const std::string& id : ids) calls.push_back(stage.start(verb, id, netns));
  return calls;
}

void check_all_ok(std::vector<std::future<Finished>>& calls) {
  for (std::future<Finished>& call : calls) {
    const Finished finished = call.get();
    CHECK_MESSAGE(finished.ok(), finished.out << finished.err);
  }
}

void check_clean(const Stage& stage) {
  CHECK(stage.node.records().empty());
  CHECK(stage.kept().empty());
}

void check_ok(const Finished& finished) { CHECK_MESSAGE(finished.ok(), finished.out << finished.err); }

bool is_attached(const Stage& stage, const std::string& id) {
  const std::set<std::string> kept = stage.kept();
  const bool kept_by_all = kept.count("bridge," + id + ",eth0") == 1 && kept.count("portmap," + id + ",eth0") == 1;
  const std::string record = fixture::read_file(stage.node.state_dir() / "attachments" / (id + ":eth0"));
  return kept_by_all && record.find("\n{\"ready\":") != std::string::npos;
}

}  // namespace

TEST_SUITE("concurrency") {
  // The gate opens only when all are at work: if one of them waited for another's plugin, none would ever end.
  TEST_CASE("A4.6 ADDs of very many pods at once: none fails, none waits for another's plugin") {
    const Stage stage;
    const Strings ids = numbered("c", kPods);
    const std::string netns = stage.node.pod("all");  // one will do: these plugins make no link
    std::vector<std::future<Finished>> adding;
    {
      const Gate gate(stage);
      adding = start_all(stage, "ADD", ids, netns);
      stage.wait_for_begun("bridge", kPods);
    }
    check_all_ok(adding);
    const int most = most_at_once(stage.log(), "bridge");
    (void)std::printf("concurrency: %d plugins at once\n", most);
    CHECK(most == kPods);
    CHECK(stage.node.records().size() == static_cast<std::size_t>(kPods));
    for (const std::string& id : ids) CHECK(is_attached(stage, id));

    auto deleting = start_all(stage, "DEL", ids, netns);
    check_all_ok(deleting);
    check_clean(stage);
  }

  TEST_CASE("B6.11 a DEL that begins while an ADD is at work, at any moment of it, always leaves nothing") {
    const Stage stage;
    const std::string netns = stage.node.pod("p1");
    std::mt19937 random(20261121);
    for (int round = 0; round < 16; ++round) {
      const std::string id = "r" + std::to_string(round);
      CAPTURE(round);
      auto adding = stage.start("ADD", id, netns);
      stage.wait_for_begun("bridge", round + 1);
      std::this_thread::sleep_for(milliseconds(random() % 60));
      check_ok(stage.start("DEL", id, netns).get());
      const Finished added = adding.get();
      CHECK((added.ok() || fixture::error_of(added).code == 106));  // it had ended, or it was overtaken
      check_clean(stage);
    }
  }

  // Without waiting for the ADD's first plugin, the DEL may come first, and then the ADD is a new one.
  TEST_CASE("B6.11 an ADD and a DEL that begin together leave all of the attachment or nothing") {
    const Stage stage;
    const std::string netns = stage.node.pod("p1");
    std::mt19937 random(7);
    for (int round = 0; round < 16; ++round) {
      CAPTURE(round);
      auto adding = stage.start("ADD", "c1", netns);
      std::this_thread::sleep_for(milliseconds(random() % 40));
      auto deleting = stage.start("DEL", "c1", netns);
      const Finished added = adding.get();
      check_ok(deleting.get());
      CHECK((added.ok() || fixture::error_of(added).code == 106));
      const bool attached = is_attached(stage, "c1");
      CHECK((added.ok() || !attached));
      if (!attached) check_clean(stage);
      check_ok(stage.start("DEL", "c1", netns).get());
      check_clean(stage);
    }
  }

  TEST_CASE("A5.1 eight DELs of one attachment at once all succeed, and leave nothing") {
    const Stage stage;
    const std::string netns = stage.node.pod("p1");
    for (int round = 0; round < 3; ++round) {
      check_ok(stage.start("ADD", "c1", netns).get());
      auto deleting = start_all(stage, "DEL", Strings(8, "c1"), netns);
      check_all_ok(deleting);
      check_clean(stage);
    }
  }

  TEST_CASE("B6.10 GCs beside ADDs spare the pods they know, and those they cannot know yet") {
    const Stage stage;
    const std::string netns = stage.node.pod("p1");
    const Strings known = numbered("known", 16);
    auto adding = start_all(stage, "ADD", known, netns);
    std::vector<std::future<Finished>> collecting;
    for (int i = 0; i < 4; ++i)
      collecting.push_back(std::async(std::launch::async, [&stage, &known] { return stage.collect(known); }));
    check_all_ok(adding);
    check_all_ok(collecting);
    CHECK(stage.node.records().size() == known.size());
    for (const std::string& id : known) CHECK(is_attached(stage, id));

    // A list made before these pods: a GC that began before an ADD spares it, one that began later takes it.
    const Strings late = numbered("late", 16);
    adding = start_all(stage, "ADD", late, netns);
    collecting.clear();
    for (int i = 0; i < 4; ++i)
      collecting.push_back(std::async(std::launch::async, [&stage, &known] { return stage.collect(known); }));
    check_all_ok(adding);
    check_all_ok(collecting);
    for (const std::string& id : known) CHECK(is_attached(stage, id));
    for (const std::string& record : stage.node.records())
      CHECK(is_attached(stage, record.substr(0, record.find(':'))));
    CHECK(stage.kept().size() == 2 * stage.node.records().size());

    check_ok(stage.collect({}));
    check_clean(stage);
  }
}
