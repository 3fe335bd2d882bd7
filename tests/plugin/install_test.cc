// SPDX-License-Identifier: Apache-2.0
#include "plugin/install.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "plugin/cli.h"
#include "plugin/evidence.h"
#include "plugin/libcni_cache.h"
#include "tests/plugin/install_node.h"
#include "tests/support/refusal.h"

namespace {

namespace fs = std::filesystem;
using fakes::content;
using fakes::kCilium;
using fakes::kLegacy;
using fakes::mode_of;
using Node = fakes::InstallNode;
using plugin::Placed;
using support::refusal_of;

TEST_SUITE_BEGIN("plugin.install");

TEST_CASE("install puts program, links and last the conflist there, and again does nothing") {
  Node node;
  const Placed placed = node.run(plugin::install);
  CHECK(content(node.bin("crossover")) == "the program");
  CHECK(mode_of(node.bin("crossover")) == 0755);
  CHECK(fs::read_symlink(node.bin("crossover-ipam")) == "crossover");
  CHECK(fs::read_symlink(node.bin("crossover-portmap")) == "crossover");
  CHECK(content(node.conf()) == plugin::default_conflist(node.machine.net_dir()));
  CHECK(mode_of(node.conf()) == 0600);
  REQUIRE(placed.done.size() >= 4);
  CHECK(placed.done.front() == "program " + node.bin("crossover"));
  CHECK(placed.done.back() == node.conf());
  CHECK(node.run(plugin::install).done.empty());
}

TEST_CASE("the conflist of install says where the lists are, unless that is where they usually are") {
  const auto settings = [](const std::string& dir) {
    return conf::parse_settings(conf::parse_list(plugin::default_conflist(dir), "x").plugins.at(0).conf);
  };
  CHECK(settings("/etc/cni/net.d").net_dir == "/etc/cni/net.d");
  CHECK(plugin::default_conflist("/etc/cni/net.d").find("netDir") == std::string::npos);
  CHECK(settings("/var/lib/rancher/k3s/agent/etc/cni/net.d").net_dir == "/var/lib/rancher/k3s/agent/etc/cni/net.d");
}

TEST_CASE("install replaces an older program and keeps the operator's conflist") {
  Node node;
  (void)node.run(plugin::install);
  node.machine.write(node.machine.dir() + "/crossover.program", "a newer one");
  node.machine.write(node.conf(), R"({"name":"crossover","plugins":[{"type":"crossover","hostPorts":"off"}]})");
  CHECK(node.run(plugin::install).done == std::vector<std::string>{"program " + node.bin("crossover")});
  CHECK(content(node.bin("crossover")) == "a newer one");
  CHECK(content(node.conf()).find("off") != std::string::npos);
}

TEST_CASE("install --dry-run says the same and changes nothing") {
  Node node;
  const auto before = node.files();
  const Placed said = node.run(plugin::install, true);
  CHECK(node.files() == before);
  CHECK(said.done == node.run(plugin::install).done);
}

TEST_CASE("install is refused where the next pod could not start") {
  Node node;
  node.machine.uninstall("portmap");
  CHECK(node.refusal(plugin::install).find("list cbr0 cannot run: ") == 0);
  fs::remove(node.machine.net_dir() + "/10-legacy.conflist");
  CHECK(node.refusal(plugin::install).find("the next pod could not start: ") == 0);
  fs::remove_all(node.machine.bin_dir());
  CHECK(node.refusal(plugin::install).find(node.machine.bin_dir() + " is no directory") == 0);
}

TEST_CASE("where the conflist is in place already, a next pod that could not start is only a warning") {
  Node node;
  (void)node.run(plugin::install);
  fs::remove(node.machine.net_dir() + "/10-legacy.conflist");
  node.machine.write(node.machine.dir() + "/crossover.program", "the cure");
  const Placed placed = node.run(plugin::install);
  CHECK(placed.done == std::vector<std::string>{"program " + node.bin("crossover")});
  REQUIRE(placed.warnings.size() == 1);
  CHECK(placed.warnings[0].find("the next pod could not start: ") == 0);
}

TEST_CASE("install warns of a file that comes first, and of Cilium's renaming") {
  Node node;
  node.machine.write(node.machine.net_dir() + "/00-aaa.conflist", kLegacy);
  node.machine.write(node.conf() + ".cilium_bak", "{}");
  const std::vector<std::string> warnings = node.run(plugin::install).warnings;
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0].find("/00-aaa.conflist sorts before 00-crossover.conflist") != std::string::npos);
  CHECK(warnings[1].find("write-cni-conf-when-ready") != std::string::npos);
}

TEST_CASE("status says that Cilium renamed our conflist, and how to stop it") {
  Node node;
  (void)node.run(plugin::install);
  fs::rename(node.conf(), node.conf() + ".cilium_bak");
  plugin::System system = node.machine.process();
  const std::string text = plugin::status_report(system, node.machine.settings, false).text;
  CHECK(
      text.find("warning: " + node.conf() +
                ".cilium_bak is there: Cilium renamed it, and the runtime does not call Crossover; let Cilium write") !=
      std::string::npos);
}

TEST_CASE("install takes out what an install left that was killed, and nobody else's") {
  Node node;
  const std::vector<std::string> ours = {node.bin(".crossover.123.tmp"), node.bin(".crossover-ipam.7.1.tmp"),
                                         node.machine.net_dir() + "/.00-crossover.conflist.9.tmp"};
  const std::string theirs = node.machine.net_dir() + "/.10-legacy.conflist.9.tmp";
  const std::string young = node.bin(".crossover.124.tmp");
  const auto now = fs::file_time_type::clock::now();
  for (const std::string& file : ours) node.machine.write(file, "half");
  for (const std::string& file : {theirs, young}) node.machine.write(file, "half");
  // The clock of the machine stands in 2025: what is younger than it is from now on.
  for (const std::string& file : ours) fs::last_write_time(file, now - std::chrono::hours(24 * 3650));
  fs::last_write_time(theirs, now - std::chrono::hours(24 * 3650));
  (void)node.run(plugin::install);
  for (const std::string& file : ours) CHECK_FALSE(fs::exists(file));
  CHECK(fs::exists(theirs));
  CHECK(fs::exists(young));
}

TEST_CASE("a DEL that comes to Crossover after uninstall takes out the cache that was handed over") {
  Node node;
  (void)node.run(plugin::install);
  (void)node.machine.add("c1", "/a");
  (void)node.run(plugin::uninstall);
  REQUIRE(fs::exists(node.machine.cache_dir() + "/cbr0-c1-eth0"));
  (void)node.machine.del("c1", "/a");
  CHECK_FALSE(fs::exists(node.machine.cache_dir() + "/cbr0-c1-eth0"));
}

TEST_CASE("killed at any step, install goes on from there") {
  std::size_t steps = 0;
  {
    Node node;
    node.machine.fate.begin();
    (void)node.run(plugin::install);
    steps = node.machine.fate.steps();
  }
  REQUIRE(steps >= 4);
  for (std::size_t at = 1; at <= steps; ++at) {
    for (const fakes::Harm harm : {fakes::Harm::kKill, fakes::Harm::kFail, fakes::Harm::kFailAfter}) {
      CAPTURE(at);
      Node node;
      node.machine.fate.begin(harm, at);
      try {
        (void)node.run(plugin::install);
      } catch (const fakes::Killed&) {
      } catch (const conf::CniError&) {
      }
      // Whatever the runtime loads now can start pods: ours is there only if its program is.
      if (fs::exists(node.conf())) CHECK(content(node.bin("crossover")) == "the program");
      node.machine.fate.begin();
      (void)node.run(plugin::install);
      CHECK(content(node.conf()) == plugin::default_conflist(node.machine.net_dir()));
      CHECK(fs::read_symlink(node.bin("crossover-portmap")) == "crossover");
    }
  }
}

TEST_CASE("uninstall hands the node back: the legacy list comes first, and finds its ADDs in libcni's cache") {
  Node node;
  (void)node.run(plugin::install);
  (void)node.machine.add("c1", "/a");
  const Placed placed = node.run(plugin::uninstall);
  CHECK_FALSE(fs::exists(node.conf()));
  CHECK(fs::exists(node.bin("crossover")));  // CRI-O's DELs still come here
  const std::string cache = content(node.machine.cache_dir() + "/cbr0-c1-eth0");
  const auto found = plugin::read_any_libcni_cache(cache, "cache");
  REQUIRE(found);
  CHECK(found->list.name == "cbr0");
  CHECK(found->id.container_id == "c1");
  CHECK(found->netns == "/a");
  CHECK(found->result.has_value());
  REQUIRE(placed.warnings.size() == 1);
  CHECK(placed.warnings[0].find("1 pods were attached by Crossover") == 0);
  CHECK(node.run(plugin::uninstall).done.empty());
}

TEST_CASE("uninstall is refused while a pod is on the second network, naming it") {
  Node node;
  node.be_on_cilium();
  (void)node.run(plugin::install);
  (void)node.machine.add("c1", "/a");
  CHECK(node.refusal(plugin::uninstall).find("1 pods are on the second network") == 0);
  CHECK(node.refusal(plugin::uninstall).find("default/pod-c1") != std::string::npos);
  node.machine.namespaces.remove("/a");  // it is gone: its record is for gc
  (void)node.run(plugin::uninstall);
  CHECK_FALSE(fs::exists(node.conf()));
}

TEST_CASE("uninstall gives a list that Cilium renamed its name back, and one that is gone from its last good copy") {
  Node node;
  (void)node.run(plugin::install);
  (void)node.machine.add("c1", "/a");  // keeps a copy of the list
  const std::string file = node.machine.net_dir() + "/10-legacy.conflist";
  fs::rename(file, file + ".cilium_bak");
  CHECK(node.run(plugin::uninstall).done[1] == file + " from " + file + ".cilium_bak");
  CHECK(content(file) == kLegacy);
  CHECK_FALSE(fs::exists(file + ".cilium_bak"));

  (void)node.run(plugin::install);
  fs::remove(file);
  (void)node.run(plugin::uninstall);
  CHECK(conf::parse_list(content(file), file).name == "cbr0");
}

TEST_CASE("uninstall is refused if the runtime would load another list") {
  Node node;
  (void)node.run(plugin::install);
  node.machine.write(node.machine.net_dir() + "/05-cilium.conflist", kCilium);
  CHECK(node.refusal(plugin::uninstall).find("/05-cilium.conflist sorts before 10-legacy.conflist") !=
        std::string::npos);
}

TEST_CASE("retire hands the node to Cilium's list when no legacy pod is left") {
  Node node;
  node.be_on_cilium();
  (void)node.run(plugin::install);
  (void)node.machine.add("c1", "/a");
  const Placed placed = node.run(plugin::retire);
  CHECK_FALSE(fs::exists(node.conf()));
  CHECK(conf::parse_list(content(node.machine.net_dir() + "/05-cilium.conflist"), "x").runs("cilium-cni"));
  CHECK(fs::exists(node.machine.cache_dir() + "/cilium-c1-eth0"));
  CHECK(placed.warnings.size() == 2);
}

TEST_CASE("retire is refused while a pod is on the legacy network, on record or older than Crossover") {
  Node node;
  (void)node.run(plugin::install);
  (void)node.machine.add("c1", "/a");
  node.be_on_cilium();
  CHECK(node.refusal(plugin::retire).find("1 pods are on the legacy network: default/pod-c1") == 0);
  (void)node.machine.del("c1", "/a");
  plugin::Attachment older;
  older.id = {.container_id = "c2", .ifname = "eth0"};
  older.netns = "/b";
  older.list = conf::parse_list(kLegacy, "x");
  node.machine.write(node.machine.cache_dir() + "/cbr0-c2-eth0", plugin::libcni_cache_text(older));
  CHECK(node.refusal(plugin::retire).find("1 pods are on the legacy network: c2") == 0);
  node.machine.namespaces.remove("/b");
  (void)node.run(plugin::retire);
  CHECK_FALSE(fs::exists(node.conf()));
}

TEST_CASE("retire is refused while Cilium cannot take pods") {
  Node node;
  (void)node.run(plugin::install);
  CHECK(node.refusal(plugin::retire).find("the second network cannot take pods: ") == 0);
}

TEST_SUITE_END();

TEST_SUITE_BEGIN("plugin.libcni_cache");

TEST_CASE("what is written is what is read back") {
  plugin::Attachment pod;
  pod.id = {.container_id = "5fc10b", .ifname = "eth0"};
  pod.netns = "/run/netns/a";
  pod.args = "IgnoreUnknown=1;K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=default";
  pod.list = conf::parse_list(kLegacy, "x");
  pod.list.load_only_inlined = true;
  pod.runtime_config = conf::Object::parse(R"({"portMappings":[{"hostPort":8080}]})", "x");
  pod.result = R"({"cniVersion":"0.3.1","ips":[]})";
  CHECK(plugin::libcni_cache_name("cbr0", pod.id) == "cbr0-5fc10b-eth0");
  for (std::size_t more = 0; more < 3; ++more) {  // all three ends of base64
    pod.list.name += 'x';
    const auto back = plugin::read_any_libcni_cache(plugin::libcni_cache_text(pod), "cache");
    REQUIRE(back);
    CHECK(back->id == pod.id);
    CHECK(back->netns == pod.netns);
    CHECK(back->args == pod.args);
    CHECK(back->list == pod.list);
    CHECK(back->runtime_config.text() == pod.runtime_config.text());
    CHECK(back->result == pod.result);
  }
}

TEST_SUITE_END();

}  // namespace
