// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/mount.h>

#include <nlohmann/json.hpp>

#include "integration/fixture/agent.h"
#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// Where the two lists are found, seen by the plugin that is run.
namespace {

using fixture::Node;
using Strings = std::vector<std::string>;
namespace fs = std::filesystem;

std::string list(const std::string& type) {
  return R"({"name":"net-)" + type + R"(","cniVersion":"1.0.0","plugins":[{"type":")" + type + R"("}]})";
}
std::string single(const std::string& type) {
  return R"({"name":"net-)" + type + R"(","cniVersion":"1.0.0","type":")" + type + R"("})";
}

/// What an ADD runs, undone again.
std::string run_by_add(const Node& node) {
  static int pods = 0;
  const std::string name = "p" + std::to_string(++pods);
  node.plugins().clear_log();
  (void)node.call("ADD", name, node.pod(name));  // judged by what ran
  const Strings names = node.plugins().names();
  CHECK(node.call("DEL", name, "").ok());
  return names.size() == 1 ? names.front() : std::to_string(names.size()) + " plugins";
}

}  // namespace

TEST_SUITE("verbs.discovery") {
  TEST_CASE("B1.1 the legacy list is the first valid file in byte order that is not ours and not cilium's") {
    const Node node({"a", "b", "c", "d", "cilium-cni"});
    node.configure(R"("cilium":{"socket":""})");
    node.legacy(single("d"), "9-d.json");
    CHECK(run_by_add(node) == "ADD d");
    node.legacy(single("c"), "5-c.conf");
    CHECK(run_by_add(node) == "ADD c");
    node.legacy(list("b"), "10-b.conflist");
    CHECK(run_by_add(node) == "ADD b");
    node.legacy(list("cilium-cni"), "05-cilium.conflist");
    node.legacy(list("crossover"), "01-again.conflist");
    node.legacy(list("a"), "02-a.conflist.tmp");
    node.legacy(list("a"), "02-a.bak");
    fs::create_directories(node.net_dir() / "03-dir.conflist");
    CHECK(run_by_add(node) == "ADD b");
  }

  TEST_CASE("B1.2 a broken file, a list in a .conf and a single in a .conflist do not hide what follows") {
    const Node node({"a", "b"});
    node.legacy(list("b"), "20-b.conflist");
    for (const std::string& text :
         {std::string("{"), std::string(), single("a"), std::string(R"({"name":"x","plugins":[]})")}) {
      CAPTURE(text);
      node.legacy(text, "10-a.conflist");
      CHECK(run_by_add(node) == "ADD b");
    }
    fs::remove(node.net_dir() / "10-a.conflist");
    node.legacy(list("a"), "10-a.conf");
    CHECK(run_by_add(node) == "ADD b");
  }

  TEST_CASE("B1.4 a list that cilium renamed serves if there is no other") {
    const Node node({"a", "b", "cilium-cni"});
    node.legacy(list("a"), "10-a.conflist.cilium_bak");
    node.legacy(single("b"), "20-b.conf.cilium_bak");
    CHECK(run_by_add(node) == "ADD a");
    node.legacy(list("b"), "30-b.conflist");
    CHECK(run_by_add(node) == "ADD b");
  }

  TEST_CASE("a legacy list that was named is taken, wherever it is, and no other") {
    const Node node({"a", "b"});
    node.legacy(list("a"), "10-a.conflist");
    fixture::write_file(node.dir() / "elsewhere" / "b.conflist", list("b"));
    node.configure(R"("legacy":{"conflist":")" + (node.dir() / "elsewhere" / "b.conflist").string() + R"("})");
    CHECK(run_by_add(node) == "ADD b");
    fs::remove_all(node.dir() / "elsewhere");
    fs::remove_all(node.state_dir() / "networks");
    CHECK(run_by_add(node) == "0 plugins");
  }

  TEST_CASE("cilium's list is found in crossover.d, and in net.d itself") {
    const Node node({"a", "cilium-cni"});
    fixture::Agent agent("/var/run/cilium/cilium.sock");
    node.legacy(list("a"));
    node.legacy(list("cilium-cni"), "05-cilium.conflist");
    CHECK(run_by_add(node) == "ADD cilium-cni");
    fs::remove(node.net_dir() / "05-cilium.conflist");
    node.cilium(list("cilium-cni"));
    CHECK(run_by_add(node) == "ADD cilium-cni");
  }

  TEST_CASE("an empty net.d stops new pods with a reason, and never a DEL") {
    const Node node({"a"});
    const auto error = fixture::error_of(node.call("ADD", "c1", node.pod("c1")));
    CHECK(error.code == 11);
    CHECK(error.says(node.net_dir()));
    CHECK(node.call("DEL", "c1", "").ok());
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("the smallest useful file works as it stands, in the default places, under a real libcni") {
    const Node node({"bridge", "portmap"});
    for (const char* place : {"/etc", "/opt"}) REQUIRE(::mount("tmpfs", place, "tmpfs", 0, "mode=0755") == 0);
    for (const char* name : {"crossover", "bridge", "portmap"}) {
      fs::create_directories("/opt/cni/bin");
      fs::copy_symlink(node.bin_dir() / name, fs::path("/opt/cni/bin") / name);
    }
    const char* smallest =
        R"({"cniVersion":"1.0.0","cniVersions":["0.3.1","0.4.0","1.0.0","1.1.0"],"name":"crossover","loadOnlyInlinedPlugins":true,)"
        "\n"
        R"( "plugins":[{"type":"crossover","capabilities":{"portMappings":true,"bandwidth":true,"ips":true,"ipRanges":true,"mac":true,)"
        "\n"
        R"(   "dns":true,"aliases":true,"cgroupPath":true,"infinibandGUID":true,"deviceID":true,"io.kubernetes.cri.pod-annotations":true}}]})";
    fixture::write_file("/etc/cni/net.d/00-crossover.conflist", smallest);
    fixture::write_file("/etc/cni/net.d/10-flannel.conflist",
                        R"({"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"bridge"},)"
                        R"({"type":"portmap","capabilities":{"portMappings":true}}]})");
    const Strings options = {"--id",    "c1",
                             "--netns", node.pod("p1"),
                             "--path",  "/opt/cni/bin",
                             "--caps",  R"({"portMappings":[{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]})"};
    const auto added = node.libcni("add", "/etc/cni/net.d/00-crossover.conflist", options);
    CAPTURE(added.out);
    CHECK(added.ok());
    CHECK(fs::exists("/var/lib/cni/crossover/attachments/c1:eth0"));
    CHECK(nlohmann::json::parse(node.plugins().calls().back().input).contains("runtimeConfig"));
    CHECK(node.libcni("del", "/etc/cni/net.d/00-crossover.conflist", options).ok());
    CHECK(node.plugins().leaks().empty());
    for (const char* place : {"/etc", "/opt"}) CHECK(::umount2(place, MNT_DETACH) == 0);
  }
}
