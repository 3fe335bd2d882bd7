// SPDX-License-Identifier: Apache-2.0
#include "conf/rooted_disk.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/conf/temp_dir.h"
#include "tests/support/refusal.h"

namespace conf {
namespace {

namespace fs = std::filesystem;
using support::check_refusal;
using support::refusal_of;

/// A host below `host`, and what its links must not reach beside it.
struct Mounted {
  TempDir dir;
  RealDisk real;
  RootedDisk disk{real, dir / "host/"};

  Mounted() {
    for (const char* folder : {"host/etc", "host/var/lib", "etc"}) fs::create_directories(dir / folder);
    real.replace(dir / "etc/secret", "the container's", Sync::kNo);
    real.replace(dir / "host/etc/secret", "the host's", Sync::kNo);
  }
  void link(const std::string& name, const std::string& target) const {
    fs::create_symlink(target, dir / ("host/" + name));
  }
  [[nodiscard]] std::string at(const std::string& path) const {
    const std::string out = disk.outside(path);
    REQUIRE(out.starts_with(dir / "host"));
    return out.substr((dir / "host").size());
  }
};

TEST_SUITE_BEGIN("conf.rooted_disk");

TEST_CASE("a path is one below the root, however it is written") {
  const Mounted host;
  CHECK(host.at("/etc/secret") == "/etc/secret");
  CHECK(host.at("etc//./secret/") == "/etc/secret");
  CHECK(host.at("/etc/../../../etc/secret") == "/etc/secret");
  CHECK(host.at("/..") == "");
  CHECK(host.at("/none/x") == "/none/x");
}

TEST_CASE("a link stays below the root: its slash is the root, and nothing is above that") {
  Mounted host;
  host.link("absolute", (host.dir / "etc").c_str());
  host.link("relative", "../../../../../../etc");
  host.link("var/lib/up", "../../../../etc/secret");
  host.link("run", "/var/run/..");
  host.link("var/run", "/etc");
  CHECK_FALSE(host.disk.read("/absolute/secret", kEnough));
  CHECK(host.disk.read("/relative/secret", kEnough) == "the host's");
  CHECK(host.disk.read("/var/lib/up", kEnough) == "the host's");
  CHECK(host.at("/run") == "");
  CHECK(host.at("/var/run/cni/x") == "/etc/cni/x");
}

TEST_CASE("links that go round are an error, and one name in a list that does is neither file nor folder") {
  Mounted host;
  host.link("etc/a", "b");
  host.link("etc/b", "a");
  host.link("etc/file", "/etc/secret");
  host.link("etc/out", (host.dir / "etc/secret").c_str());
  host.link("etc/folder", "/var");
  check_refusal(refusal_of([&] { return host.disk.read("/etc/a", kEnough); }), Code::kIo, "input or output failed",
                "follow /etc/a: more than 40 links below " + host.dir / "host");
  CHECK(host.disk.list("/etc") == std::vector<DirEntry>{{"a", false, false},
                                                        {"b", false, false},
                                                        {"file", true, false},
                                                        {"folder", false, true},
                                                        {"out", false, false},
                                                        {"secret", true, false}});
}

TEST_CASE("what is written goes below the root, and takes the place of a link") {
  Mounted host;
  host.link("opt", "/var");
  host.link("etc/conf", (host.dir / "etc/secret").c_str());
  host.disk.make_dirs("/opt/cni/bin");
  host.disk.replace_program("/opt/cni/bin/p", "program");
  host.disk.replace_link("/opt/cni/bin/q", "p");
  CHECK(host.real.read(host.dir / "host/var/cni/bin/p", kEnough) == "program");
  CHECK(host.disk.link_target("/opt/cni/bin/q") == "p");
  CHECK(host.disk.read("/opt/cni/bin/q", kEnough) == "program");
  host.disk.replace("/etc/conf", "new", Sync::kYes);
  CHECK(host.disk.read("/etc/conf", kEnough) == "new");
  CHECK_FALSE(host.disk.create("/etc/conf", "again"));
  host.disk.append("/etc/conf", "er", Sync::kNo);
  host.disk.write_at("/etc/conf", 0, "N");
  CHECK(host.disk.read_at("/etc/conf", 1, 4) == "ewer");
  host.disk.rename("/etc/conf", "/opt/conf");
  CHECK(host.disk.remove("/opt/conf"));
  CHECK(host.real.read(host.dir / "etc/secret", kEnough) == "the container's");
  CHECK(host.dir.names() == std::vector<std::string>{"etc", "host"});
}

TEST_CASE("one path can be ours") {
  Mounted host;
  RootedDisk disk(host.real, host.dir / "host", host.dir / "etc/secret");
  CHECK(disk.read(host.dir / "etc/secret", kEnough) == "the container's");
  CHECK_FALSE(disk.read(host.dir / "etc/other", kEnough));
}

TEST_SUITE_END();

}  // namespace
}  // namespace conf
