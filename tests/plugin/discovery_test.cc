// SPDX-License-Identifier: Apache-2.0
#include "plugin/discovery.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <utility>
#include <vector>

#include "tests/fakes/machine.h"

namespace {

using plugin::Copies;
using plugin::Discovery;

std::string list(const std::string& name, const std::string& type) {
  return R"({"cniVersion":"1.0.0","name":")" + name + R"(","plugins":[{"type":")" + type + R"("}]})";
}

/// A node and what is found on it.
struct Node {
  fakes::Machine machine;

  void put(const std::string& name, const std::string& text) { machine.write(machine.net_dir() + '/' + name, text); }
  void age(const std::string& name) {
    std::filesystem::last_write_time(machine.net_dir() + '/' + name,
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(24 * 365 * 30));
  }
  Discovery look(Copies copies = Copies::kReadAndWrite) {
    plugin::System system = machine.process();
    return discover(system, machine.settings, copies);
  }
  std::string legacy_name() {
    const Discovery found = look();
    return found.legacy ? found.legacy->list.name : "";
  }
  std::string cilium_name() {
    const Discovery found = look();
    return found.cilium ? found.cilium->list.name : "";
  }
};

TEST_SUITE_BEGIN("plugin.discovery");

TEST_CASE("B1.1 legacy is the first valid file in byte order, whatever its kind") {
  Node node;
  node.put("5-late.conflist", list("late", "ptp"));
  node.put("10-first.conf", R"({"cniVersion":"0.4.0","name":"first","type":"bridge"})");
  node.put("00-note.txt", list("note", "ptp"));
  node.put(".05-hidden.conflist", list("hidden", "ptp"));
  CHECK(node.legacy_name() == "first");
}

TEST_CASE("our own file, cilium's and loopback's are not legacy") {
  Node node;
  node.put("00-crossover.conflist", list("crossover", "crossover"));
  node.put("05-cilium.conflist", list("cilium", "cilium-cni"));
  node.put("09-loopback.conf", R"({"name":"lo","type":"loopback"})");
  CHECK(node.legacy_name().empty());
  CHECK(node.look().legacy_problem == "no valid list of another plugin is in " + node.machine.net_dir());
  node.put("10-flannel.conflist", list("cbr0", "flannel"));
  CHECK(node.legacy_name() == "cbr0");
  CHECK(node.cilium_name() == "cilium");
}

TEST_CASE("B1.4 a list that Cilium renamed still serves, after those with their own names") {
  Node node;
  node.put("10-flannel.conflist.cilium_bak", list("cbr0", "flannel"));
  CHECK(node.legacy_name() == "cbr0");
  node.put("99-other.conflist", list("other", "ptp"));
  CHECK(node.legacy_name() == "other");
}

TEST_CASE("cilium's list is looked for in crossover.d first") {
  Node node;
  node.put("05-cilium.conflist", list("outer", "cilium-cni"));
  CHECK(node.cilium_name() == "outer");
  node.put("crossover.d/05-cilium.conflist", list("inner", "cilium-cni"));
  CHECK(node.cilium_name() == "inner");
}

TEST_CASE("B3.1 plugins of the sub-folder are part of the list, sorted, unless only inlined ones are wanted") {
  Node node;
  node.put("10-net.conflist", list("net", "bridge"));
  node.put("net/20-b.conf", R"({"type":"tuning"})");
  node.put("net/10-a.conf", R"({"type":"bandwidth"})");
  node.put("net/readme.txt", "no plugin");
  const Discovery found = node.look();
  REQUIRE(found.legacy);
  REQUIRE(found.legacy->list.plugins.size() == 3);
  CHECK(found.legacy->list.plugins[1].type == "bandwidth");
  CHECK(found.legacy->list.plugins[2].type == "tuning");
  node.put("10-net.conflist", R"({"name":"net","loadOnlyInlinedPlugins":true,"plugins":[{"type":"bridge"}]})");
  CHECK(node.look().legacy->list.plugins.size() == 1);
}

TEST_CASE("B1.2 an old broken file is passed over with a warning that names it") {
  Node node;
  node.put("05-broken.conflist", "{\"name\":");
  node.age("05-broken.conflist");
  node.put("10-flannel.conflist", list("cbr0", "flannel"));
  const Discovery found = node.look();
  REQUIRE(found.legacy);
  CHECK(found.legacy->list.name == "cbr0");
  REQUIRE(found.warnings.size() == 1);
  CHECK(found.warnings[0].find("05-broken.conflist") != std::string::npos);
}

TEST_CASE("a torn file is served from its last good copy, not replaced by a stranger's") {
  Node node;
  node.put("10-flannel.conflist", list("cbr0", "flannel"));
  node.put("99-other.conflist", list("other", "ptp"));
  CHECK(node.legacy_name() == "cbr0");
  node.put("10-flannel.conflist", list("cbr0", "flannel").substr(0, 30));
  const Discovery found = node.look();
  REQUIRE(found.legacy);
  CHECK(found.legacy->list.name == "cbr0");
  CHECK(found.legacy->from_copy);
  CHECK(found.legacy->in_place);
  REQUIRE(found.warnings.size() == 1);
  CHECK(found.warnings[0].find("the last good copy serves") != std::string::npos);
}

TEST_CASE("a deleted list is served from its copy, and is not in place") {
  Node node;
  node.put("10-flannel.conflist", list("cbr0", "flannel"));
  CHECK(node.legacy_name() == "cbr0");
  std::filesystem::remove(node.machine.net_dir() + "/10-flannel.conflist");
  const Discovery found = node.look();
  REQUIRE(found.legacy);
  CHECK(found.legacy->from_copy);
  CHECK_FALSE(found.legacy->in_place);
}

TEST_CASE("copies are made only when asked for, and a damaged copy is a warning") {
  Node node;
  node.put("10-flannel.conflist", list("cbr0", "flannel"));
  (void)node.look(Copies::kRead);
  const std::string copy = node.machine.state_dir() + "/networks/legacy";
  CHECK_FALSE(std::filesystem::exists(copy));
  node.machine.write(copy, "{\"file\":");
  CHECK(node.look(Copies::kRead).warnings.size() == 1);
  CHECK(node.legacy_name() == "cbr0");
  CHECK(node.look().warnings.empty());
}

TEST_CASE("a list named in the configuration is taken as it is, or refused with the reason") {
  Node node;
  node.put("crossover.d/05-second.conflist", list("second", "ptp"));
  node.machine.settings.cilium_conflist = node.machine.net_dir() + "/crossover.d/05-second.conflist";
  CHECK(node.cilium_name() == "second");
  node.machine.settings.legacy_conflist = node.machine.net_dir() + "/gone.conflist";
  CHECK(node.look().legacy_problem == node.machine.net_dir() + "/gone.conflist is missing");
  node.put("gone.conflist", list("own", "crossover"));
  CHECK(node.look().legacy_problem == node.machine.net_dir() + "/gone.conflist runs crossover itself");
}

TEST_CASE("facts for the decision") {
  Node node;
  node.put("crossover.d/05-cilium.conflist", list("cilium", "cilium-cni"));
  const Discovery found = node.look();
  const plugin::ListFacts facts = plugin::facts_of(found.cilium, "");
  CHECK(facts.usable);
  CHECK(facts.in_place);
  CHECK(facts.runs_cilium);
  CHECK(plugin::facts_of(std::nullopt, "why").problem == "why");
}

// Whatever lies about in net.d, and sorts before the list.
TEST_CASE("B1.1 what is no file, or no list, is passed over, and never waited for without end") {
  const std::string good = list("cbr0", "flannel");
  const std::vector<std::pair<std::string, std::function<void(const std::string&)>>> oddities = {
      {"a directory", [](const std::string& path) { std::filesystem::create_directories(path); }},
      {"a link to itself", [](const std::string& path) { std::filesystem::create_symlink(path, path); }},
      {"a link to nothing", [](const std::string& path) { std::filesystem::create_symlink("/nowhere/at/all", path); }},
      {"a link to a directory", [](const std::string& path) { std::filesystem::create_symlink("/", path); }},
      {"a link to a device without end",
       [](const std::string& path) { std::filesystem::create_symlink("/dev/zero", path); }},
      {"a FIFO that nobody writes to", [](const std::string& path) { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); }},
      {"a link to a FIFO",
       [](const std::string& path) {
         REQUIRE(::mkfifo((path + "-fifo").c_str(), 0600) == 0);
         std::filesystem::create_symlink(path + "-fifo", path);
       }},
      {"a terabyte of nothing",
       [](const std::string& path) {
         (void)std::ofstream(path).put('{');
         std::filesystem::resize_file(path, std::uintmax_t{1} << 40U);
       }},
      {"zeroes, as after a power cut", [](const std::string& path) { std::ofstream(path) << std::string(300, '\0'); }},
      {"nothing", [](const std::string& path) { (void)std::ofstream(path); }},
      {"half a list", [&](const std::string& path) { std::ofstream(path) << good.substr(0, 40); }},
      {"a list and the end of a longer one", [&](const std::string& path) { std::ofstream(path) << good << "\"}]}"; }},
      {"YAML", [](const std::string& path) { std::ofstream(path) << "name: cbr0\nplugins:\n- type: flannel\n"; }},
      {"an array", [](const std::string& path) { std::ofstream(path) << "[]"; }},
      {"a list without plugins",
       [](const std::string& path) { std::ofstream(path) << R"({"name":"x","plugins":[]})"; }},
      {"a plugin that is a path", [](const std::string& path) { std::ofstream(path) << list("x", "../../bin/sh"); }},
      {"a name that is a path", [](const std::string& path) { std::ofstream(path) << list("../x", "ptp"); }},
      {"very deep", [](const std::string& path) { std::ofstream(path) << std::string(100000, '['); }},
  };
  for (const auto& oddity : oddities) {
    CAPTURE(oddity.first);
    Node node;
    node.put("10-flannel.conflist", good);
    for (const char* name : {"05-odd.conflist", "06-odd.conf", "07-odd.json", "crossover.d/05-odd.conflist"}) {
      std::filesystem::create_directories(node.machine.net_dir() + "/crossover.d");
      oddity.second(node.machine.net_dir() + '/' + name);
    }
    const std::int64_t began = node.machine.clock.unix_ms();
    CHECK(node.legacy_name() == "cbr0");
    CHECK(node.machine.clock.unix_ms() - began < 1000);  // of the machine's own clock: what was waited for
    CHECK(node.cilium_name().empty());
  }
}

TEST_CASE("a name that is odd is a candidate only by its ending") {
  Node node;
  node.put("10-flannel.conflist", list("cbr0", "flannel"));
  for (const char* name :
       {"05-a.conflist~", "05-a.conflist.swp", ".05-a.conflist.swp", "05-a.conflist.bak", "#05-a.conflist#", "4913",
        "05-a.conflist.tmp", "05-a.conflist.rpmsave", "05-a.conflist.dpkg-new", "05-a.CONFLIST", ".conflist",
        "05-a.conflist.cilium_bak.cilium_bak", "05-a.conflist "})
    node.put(name, list("odd", "ptp"));
  CHECK(node.legacy_name() == "cbr0");
  node.put("05 \xff\n.conflist", list("newline", "ptp"));
  CHECK(node.legacy_name() == "newline");
}

TEST_CASE("a list that is away for a moment is waited for, not replaced by the next in order") {
  Node node;
  node.put("10-flannel.conflist", list("cbr0", "flannel"));
  node.put("87-podman-bridge.conflist", list("podman", "bridge"));
  REQUIRE(node.legacy_name() == "cbr0");
  std::filesystem::remove(node.machine.net_dir() + "/10-flannel.conflist");
  int pauses = 0;
  node.machine.clock.meanwhile = [&] {
    if (++pauses == 3) node.put("10-flannel.conflist", list("cbr1", "flannel"));
  };
  CHECK(node.legacy_name() == "cbr1");
  CHECK(pauses == 3);
}

TEST_CASE("a list that stays away gives place to the next in order, which is waited for once") {
  Node node;
  node.put("10-flannel.conflist", list("cbr0", "flannel"));
  node.put("87-podman-bridge.conflist", list("podman", "bridge"));
  REQUIRE(node.legacy_name() == "cbr0");
  std::filesystem::remove(node.machine.net_dir() + "/10-flannel.conflist");
  int pauses = 0;
  node.machine.clock.meanwhile = [&] { ++pauses; };
  CHECK(node.legacy_name() == "podman");
  CHECK(pauses == 5);
  CHECK(node.legacy_name() == "podman");
  CHECK(pauses == 5);
}

TEST_CASE("a list that Cilium renamed, and one that an earlier file goes before, are not waited for") {
  for (const bool renamed : {true, false}) {
    CAPTURE(renamed);
    Node node;
    node.put("10-flannel.conflist", list("cbr0", "flannel"));
    REQUIRE(node.legacy_name() == "cbr0");
    node.machine.clock.meanwhile = [] { FAIL("nothing may come back"); };
    if (renamed) {
      std::filesystem::rename(node.machine.net_dir() + "/10-flannel.conflist",
                              node.machine.net_dir() + "/10-flannel.conflist.cilium_bak");
      node.put("20-calico.conflist", list("calico", "calico"));
    } else {
      node.put("05-calico.conflist", list("calico", "calico"));
    }
    CHECK(node.legacy_name() == "calico");
  }
}

TEST_CASE("a list that is torn under its own name is served from the copy of the one that Cilium renamed") {
  Node node;
  node.put("10-flannel.conflist.cilium_bak", list("cbr0", "flannel"));
  REQUIRE(node.legacy_name() == "cbr0");
  node.put("10-flannel.conflist", "{\"name\":");
  node.put("87-podman-bridge.conflist", list("podman", "bridge"));
  CHECK(node.legacy_name() == "cbr0");
}

TEST_CASE("while net.d itself is away the copies serve both networks") {
  Node node;
  node.put("10-flannel.conflist", list("cbr0", "flannel"));
  node.put("crossover.d/05-cilium.conflist", list("cilium", "cilium-cni"));
  REQUIRE(node.legacy_name() == "cbr0");
  std::filesystem::rename(node.machine.net_dir(), node.machine.net_dir() + ".away");
  node.machine.clock.meanwhile = [] { FAIL("nothing is waited for"); };
  const Discovery found = node.look();
  REQUIRE(found.legacy);
  REQUIRE(found.cilium);
  CHECK(found.legacy->list.name == "cbr0");
  CHECK(found.cilium->list.name == "cilium");
  CHECK_FALSE(found.cilium->in_place);  // so it is no claim of Cilium's on the node
}

TEST_CASE("a torn plugin in a list's folder is served from the list's copy, a plugin that went away is gone") {
  Node node;
  node.put("10-net.conflist", list("net", "bridge"));
  node.put("net/20-tuning.conf", R"({"type":"tuning"})");
  REQUIRE(node.look().legacy->list.plugins.size() == 2);
  node.put("net/20-tuning.conf", R"({"type":)");
  const Discovery torn = node.look();
  REQUIRE(torn.legacy);
  CHECK(torn.legacy->from_copy);
  CHECK(torn.legacy->list.plugins.size() == 2);
  std::filesystem::remove(node.machine.net_dir() + "/net/20-tuning.conf");
  CHECK(node.look().legacy->list.plugins.size() == 1);
}

TEST_CASE("many torn files are waited for no longer than a few") {
  Node node;
  for (int i = 0; i < 50; ++i) node.put("10-" + std::to_string(i) + ".conflist", "{");
  // Just written by the machine's clock, too.
  for (const auto& entry : std::filesystem::directory_iterator(node.machine.net_dir()))
    std::filesystem::last_write_time(entry.path(),
                                     std::chrono::file_clock::from_sys(std::chrono::system_clock::time_point(
                                         std::chrono::milliseconds(node.machine.clock.unix_ms()))));
  int pauses = 0;
  node.machine.clock.meanwhile = [&] { ++pauses; };
  CHECK(node.legacy_name().empty());
  CHECK(pauses == 10);
}

TEST_SUITE_END();

}  // namespace
