// SPDX-License-Identifier: Apache-2.0

// The real binary, killed at every door to the kernel: whatever of an ADD or a DEL was done by then, one call more
// makes the node what it was before the ADD. tests/plugin/crash_test.cc does the same to the parts, step by step.

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "integration/fixture/node.h"
#include "integration/support/syscall_killer.h"

namespace {

namespace fs = std::filesystem;
using fixture::Node;
using support::Count;
using support::Cut;

// Sanitizers make thousands of system calls of their own before the first of ours; there, a part of the rest will do.
#if defined(__SANITIZE_ADDRESS__)
constexpr Count kCount = Count::kFromInput;
constexpr std::size_t kWidth = 9;
#else
constexpr Count kCount = Count::kFromStart;
constexpr std::size_t kWidth = 1;
#endif

constexpr const char* kList =
    R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"},{"type":"portmap"}]})";

// A plugin that keeps a file from ADD to DEL; `bridge` also makes the pod's interface.
constexpr const char* kPlugin = R"(#!/bin/sh
type=${0##*/} pod=${CNI_NETNS##*/}
file=${0%/*}/../kept/$type,$CNI_CONTAINERID,$CNI_IFNAME
case $CNI_COMMAND in
ADD)
  if [ -e "$file" ]; then echo '{"code":7,"msg":"it is there already"}'; exit 1; fi
  : >"$file"
  if [ $type = bridge ]; then ip -n "$pod" link add "$CNI_IFNAME" type veth peer name host0 || exit 1; fi
  echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/"}],"ips":[{"address":"10.9.0.2/24"}]}' ;;
DEL)
  if [ $type = bridge ] && [ -n "$pod" ]; then ip -n "$pod" link del "$CNI_IFNAME" 2>/dev/null; fi
  rm -f "$file" ;;
esac
exit 0
)";

void install(const Node& node, const std::string& type) {
  const fs::path file = node.bin_dir() / type;
  fixture::write_file(file, kPlugin);
  fs::permissions(file, fs::perms::owner_all);
}

using Snapshot = std::map<std::string, std::string>;

// What is there to stay, whatever happens to a pod.
bool is_bookkeeping(const std::string& name) {
  return name.starts_with("state/events.jsonl") || name == "state/lock" || name.starts_with("state/networks/");
}

void collect(const fs::path& folder, const fs::path& base, Snapshot& into) {
  if (!fs::exists(folder)) return;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(base);
    if (entry.is_regular_file() && !is_bookkeeping(name)) into[name] = fixture::read_file(entry.path());
  }
}

/// A node with one pod, and what is on it.
struct Stage {
  Node node{{}};
  std::string netns = node.pod("victim");

  Stage() {
    fs::create_directory(node.dir() / "kept");
    install(node, "bridge");
    install(node, "portmap");
    node.legacy(kList);
  }

  [[nodiscard]] Snapshot snapshot() const {
    Snapshot out;
    collect(node.state_dir(), node.dir(), out);
    collect(node.dir() / "kept", node.dir(), out);
    collect("/var/lib/cni", "/", out);
    for (const char* link : {"eth0", "host0"})
      if (node.has_link("victim", link)) out[std::string("link ") + link] = "";
    return out;
  }

  [[nodiscard]] Cut kill(const std::string& verb, std::size_t at) const {
    const fixture::Env env = {{"CNI_COMMAND", verb},
                              {"CNI_CONTAINERID", "c1"},
                              {"CNI_IFNAME", "eth0"},
                              {"CNI_NETNS", netns},
                              {"CNI_PATH", node.bin_dir()},
                              {"ASAN_OPTIONS", "detect_leaks=0"}};  // the leak checker cannot run under a tracer
    return support::run_and_kill({node.bin_dir() / "crossover"}, env, node.request(), kCount, at);
  }

  void must(const std::string& verb) const {
    const support::Finished finished = node.call(verb, "c1", netns);
    CHECK_MESSAGE(finished.ok(), verb << ": " << finished.out << finished.err);
  }

  void collect_garbage() const {
    const support::Finished finished = node.call({{"CNI_COMMAND", "GC"}, {"CNI_PATH", node.bin_dir()}},
                                                 node.request(R"("cni.dev/valid-attachments":[])", "1.1.0"));
    CHECK_MESSAGE(finished.ok(), "GC: " << finished.out << finished.err);
  }
};

std::string names_in(const Snapshot& snapshot) {
  std::string out;
  for (const auto& [name, content] : snapshot) out += '\n' + name;
  return out;
}

void check_same(const Snapshot& now, const Snapshot& before) {
  CHECK(names_in(now) == names_in(before));
  CHECK(now == before);
}

// An answer that somebody may have read is a promise, even if we died while we gave it.
void check_promise(const Stage& stage, const Cut& cut) {
  const bool answered = !cut.out.empty() && nlohmann::json::accept(cut.out);
  if (!answered) return;
  const Snapshot now = stage.snapshot();
  const auto record = now.find("state/attachments/c1:eth0");
  REQUIRE(record != now.end());
  CHECK(record->second.find("\n{\"ready\":") != std::string::npos);
  CHECK(record->second.back() == '\n');
  for (const char* name : {"kept/bridge,c1,eth0", "kept/portmap,c1,eth0", "link eth0"}) CHECK(now.count(name) == 1);
}

using Act = std::function<void(const Stage&)>;

// Kills `verb` at every stop that the build's width allows, and comes back by `way_out` each time.
void kill_everywhere(const std::string& verb, const Act& prepare, const Act& way_out, std::size_t least) {
  const Stage stage;
  const Snapshot before = stage.snapshot();
  std::size_t points = 0;
  for (std::size_t at = 1;; at += kWidth, ++points) {
    prepare(stage);
    const Cut cut = stage.kill(verb, at);
    CAPTURE(at);
    CAPTURE(cut.last);
    if (verb == "ADD") check_promise(stage, cut);
    way_out(stage);
    check_same(stage.snapshot(), before);
    if (cut.killed) continue;
    CHECK(cut.status == 0);
    (void)std::printf("kill: %s: killed at %zu of %zu stops\n", verb.c_str(), points, cut.stops);
    break;
  }
  CHECK(points >= least);
}

void nothing(const Stage& /*stage*/) {}
void add(const Stage& stage) { stage.must("ADD"); }
void del(const Stage& stage) { stage.must("DEL"); }
void collect_garbage(const Stage& stage) { stage.collect_garbage(); }

}  // namespace

TEST_SUITE("kill") {
  TEST_CASE("A4.4 an ADD killed at any system call leaves nothing after one DEL") {
    kill_everywhere("ADD", nothing, del, 150 / kWidth);
  }

  TEST_CASE("A8.1 an ADD killed at any system call leaves nothing after one GC") {
    kill_everywhere("ADD", nothing, collect_garbage, 150 / kWidth);
  }

  TEST_CASE("A5.1 a DEL killed at any system call is finished by one DEL") {
    kill_everywhere("DEL", add, del, 100 / kWidth);
  }

  TEST_CASE("A8.1 a DEL killed at any system call is finished by one GC") {
    kill_everywhere("DEL", add, collect_garbage, 100 / kWidth);
  }
}
