// SPDX-License-Identifier: Apache-2.0
// What `crossover status` and `crossover gc` see and do of the leases of crossover-ipam.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "conf/byte_lock.h"
#include "ipam/store.h"
#include "plugin/cli.h"
#include "plugin/dispatch.h"
#include "plugin/journal.h"
#include "plugin/lock.h"
#include "tests/fakes/machine.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Node {
  fakes::Machine machine;

  Node() {
    machine.namespaces.add("/a");
    machine.namespaces.add("/b");
    machine.legacy(R"({"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"bridge"}]})");
  }
  std::string ipam(conf::Verb verb, const std::string& id, const std::string& netns) {
    plugin::System system = machine.process();
    return plugin::dispatch(
        system, plugin::Role::kIpam, machine.request(verb, id, netns),
        fmt::format(R"({{"cniVersion":"1.0.0","name":"net","ipam":{{"type":"crossover-ipam","stateDir":"{}",)"
                    R"("podCIDRs":["10.1.0.0/28","fd00::/124"],"exclude":["10.1.0.2"]}}}})",
                    machine.state_dir()));
  }
  void take(const std::string& id, const std::string& netns) { (void)ipam(conf::Verb::kAdd, id, netns); }
  json status() {
    plugin::System system = machine.process();
    return json::parse(plugin::status_report(system, machine.settings, true).text);
  }
  std::string status_text() {
    plugin::System system = machine.process();
    return plugin::status_report(system, machine.settings, false).text;
  }
  json gc(const plugin::GcOptions& options = {}) { return json::parse(machine.gc_command(options).text); }
  json gc_valid(const std::string& list, bool dry_run = false) {
    machine.write(machine.dir() + "/valid", list);
    return gc({.dry_run = dry_run, .valid_file = machine.dir() + "/valid", .forget = {}});
  }
  /// "a b": the owners of all leases.
  std::string owners() {
    std::string out;
    for (const auto& entry : fs::directory_iterator(lease("")))
      out += entry.path().filename().string().substr(0, entry.path().filename().string().find(':')) + ' ';
    return out;
  }
  std::string lease(const std::string& name) const { return machine.state_dir() + "/ipam/leases/" + name; }
  void put_on_record(const std::string& id, const std::string& netns) {
    plugin::Attachment attachment;
    attachment.id = {.container_id = id, .ifname = "eth0"};
    attachment.netns = netns;
    attachment.netns_id = machine.namespaces.look(netns, "lo").value().id;
    attachment.boot_id = machine.boot_id;
    attachment.list = conf::parse_list(R"({"name":"n","plugins":[{"type":"bridge"}]})", "n");
    plugin::Journal journal(machine.disk, machine.state_dir());
    journal.prepare();
    REQUIRE(journal.begin(attachment));
  }
};

json use(const std::string& cidr, int used, int free, int cooling) {
  return {{"cidr", cidr}, {"used", used}, {"free", free}, {"cooling", cooling}};
}

TEST_SUITE_BEGIN("plugin.cli_leases");

TEST_CASE("status shows every block with what is used, free, and cooling, by the configuration that used it") {
  Node node;
  CHECK(node.status()["leases"] == json::array());
  CHECK_FALSE(fs::exists(node.machine.state_dir() + "/ipam"));
  node.take("a", "/a");
  node.take("b", "/b");
  (void)node.ipam(conf::Verb::kDel, "b", "");
  // 13 and 14 with the gateway left out, and 10.1.0.2.
  CHECK(node.status()["leases"] == json({use("10.1.0.0/28", 1, 11, 1), use("fd00::/124", 1, 13, 1)}));
  CHECK_FALSE(node.status().contains("warnings"));
  CHECK(node.status_text().find("leases         used  free  of which cooling\n"
                                "  10.1.0.0/28  1     11    1\n"
                                "  fd00::/124   1     13    1\n") != std::string::npos);
}

TEST_CASE("status goes by the lease files where the tables are of an earlier boot, damaged or gone") {
  Node node;
  node.take("a", "/a");
  node.machine.boot_id = "b002";
  CHECK(node.status()["leases"] == json({use("10.1.0.0/28", 1, 11, 0), use("fd00::/124", 1, 13, 0)}));
  node.machine.write(node.machine.state_dir() + "/ipam/blocks/10.1.0.0_28", "XOVRIPAM");
  CHECK(node.status()["leases"] == json({use("10.1.0.0/28", 1, 13, 0), use("fd00::/124", 1, 13, 0)}));
  fs::remove(node.machine.state_dir() + "/ipam/blocks/10.1.0.0_28");
  CHECK(node.status()["leases"][0] == use("10.1.0.0/28", 1, 13, 0));
}

TEST_CASE("status names damaged leases, counts what they hold, and changes nothing") {
  Node node;
  node.take("a", "/a");
  node.take("b", "/b");
  node.machine.write(node.lease("a:eth0"), "{");
  const auto before = node.machine.snapshot();
  const json status = node.status();
  CHECK(status["warnings"] == json({node.lease("a:eth0") + ": no whole lease"}));
  CHECK(status["leases"][0] == use("10.1.0.0/28", 2, 10, 0));
  CHECK(node.status_text().find("warning: " + node.lease("a:eth0") + ": no whole lease\n") != std::string::npos);
  CHECK(node.machine.snapshot() == before);
}

TEST_CASE("status says so when a call holds the store") {
  Node node;
  node.take("a", "/a");
  const conf::UniqueFd file = conf::open_lock_file(node.machine.state_dir() + "/ipam/lock");
  const auto held = conf::ByteLock::acquire(file.get(), ipam::kStoreLockByte, conf::ByteLock::Kind::kExclusive,
                                            std::chrono::milliseconds(0));
  REQUIRE(held.has_value());
  const json status = node.status();
  CHECK(status["leases"] == json::array());
  REQUIRE(status["warnings"].size() == 1);
  const std::string warning = status["warnings"][0];
  CHECK(warning.starts_with("leases are not shown: address store is locked: process "));
}

TEST_CASE("gc frees leases whose namespace is gone or has another's path, and says so first") {
  Node node;
  node.machine.namespaces.add("/c");
  node.machine.namespaces.add("/d");
  for (const std::string id : {"a", "b", "c", "d"}) node.take(id, "/" + id);
  node.machine.namespaces.remove("/b");
  node.machine.namespaces.add("/c");
  node.machine.namespaces.add_other("/d");
  const json would = node.gc({.dry_run = true, .valid_file = {}, .forget = {}});
  CHECK(node.owners().size() == 8);
  const json did = node.gc();
  CHECK(did["leases"] == would["leases"]);
  CHECK(did["leases"] == json({{"freed",
                                {{{"containerID", "b"},
                                  {"ifname", "eth0"},
                                  {"addresses", {"10.1.0.4/28", "fd00::3/124"}},
                                  {"reason", "its network namespace is gone"}},
                                 {{"containerID", "c"},
                                  {"ifname", "eth0"},
                                  {"addresses", {"10.1.0.5/28", "fd00::4/124"}},
                                  {"reason", "its network namespace is gone, another has its path"}},
                                 {{"containerID", "d"},
                                  {"ifname", "eth0"},
                                  {"addresses", {"10.1.0.6/28", "fd00::5/124"}},
                                  {"reason", "its network namespace is gone, no namespace has its path"}}}},
                               {"kept", 1}}));
  CHECK(did["problems"] == json::array());
  CHECK(node.owners() == "a ");
  CHECK(node.status()["leases"][0] == use("10.1.0.0/28", 1, 11, 3));
}

TEST_CASE("gc frees leases of an earlier boot whatever is under their path") {
  Node node;
  node.take("a", "/a");
  node.machine.boot_id = "b002";
  CHECK(node.gc()["leases"]["freed"][0]["reason"] == "it is of an earlier boot");
  CHECK(node.owners().empty());
}

TEST_CASE("gc keeps leases that are on record, and those of which nothing is known") {
  Node node;
  node.machine.namespaces.add("/c");
  node.take("a", "/a");
  node.take("b", "/missing");
  node.take("c", "/proc/self/ns/net");
  node.put_on_record("a", "/a");
  node.machine.write(node.machine.state_dir() + "/attachments/d:eth0", "nonsense\n");
  node.take("d", "/c");
  node.machine.namespaces.remove("/c");
  node.machine.namespaces.remove("/a");
  node.machine.settings.lock_timeout = std::chrono::milliseconds(1);
  // Another call is at work on a's record.
  const plugin::Locks locks = plugin::Locks::open(node.machine.state_dir(), node.machine.boot_id);
  const auto held = locks.attachment({"a", "eth0"}, std::chrono::milliseconds(0));
  REQUIRE(held.has_value());
  const json did = node.gc();
  CHECK(did["leases"] == json({{"freed", json::array()}, {"kept", 4}}));
  CHECK(node.owners().size() == 8);
}

TEST_CASE("gc keeps a lease that is younger than itself") {
  Node node;
  node.take("a", "/a");
  const std::string path = node.lease("a:eth0");
  ipam::Lease lease = ipam::parse_lease(node.machine.real_disk.read(path, 4096).value()).value();
  lease.taken_ms += 1'000'000;
  node.machine.write(path, ipam::lease_text(lease));
  node.machine.namespaces.remove("/a");
  CHECK(node.gc()["leases"]["kept"] == 1);
  CHECK(node.gc_valid("[]")["leases"]["kept"] == 1);
  lease.taken_ms -= 1'000'000;
  node.machine.write(path, ipam::lease_text(lease));
  CHECK(node.gc()["leases"]["kept"] == 0);
}

TEST_CASE("gc --valid frees what the list does not name, and removes damaged leases that it does not name") {
  Node node;
  node.take("a", "/a");
  node.take("b", "/b");
  node.machine.write(node.lease("x:eth0"), "{");
  node.machine.write(node.lease("y:eth0"), "{");
  const std::string list = R"([{"containerID":"b","ifname":"eth0"},{"containerID":"y","ifname":"eth0"}])";
  CHECK(node.gc_valid(list, true)["notes"] ==
        json({"would remove " + node.lease("x:eth0") + ": no whole lease, and nobody's"}));
  const json did = node.gc_valid(list);
  CHECK(did["leases"]["freed"].size() == 1);
  CHECK(did["leases"]["freed"][0]["containerID"] == "a");
  CHECK(did["leases"]["freed"][0]["reason"] == "it is not in the list");
  CHECK(did["leases"]["kept"] == 1);
  CHECK(did["notes"] == json({"removed " + node.lease("x:eth0") + ": no whole lease, and nobody's"}));
  CHECK(did["problems"] == json({node.lease("y:eth0") +
                                 ": no whole lease; it is removed when a list given with --valid does not name it"}));
}

TEST_CASE("gc without a list only reports damaged leases, and exits with 1") {
  Node node;
  node.take("a", "/a");
  node.machine.write(node.lease("a:eth0"), "{");
  const plugin::Report report = node.machine.gc_command();
  CHECK(report.status == 1);
  CHECK(json::parse(report.text)["problems"].size() == 1);
  CHECK(node.owners() == "a ");
}

TEST_CASE("gc makes no store, and frees a removed damaged lease's addresses") {
  Node node;
  CHECK(node.gc()["leases"] == json({{"freed", json::array()}, {"kept", 0}}));
  CHECK_FALSE(fs::exists(node.machine.state_dir() + "/ipam"));
  node.take("a", "/a");
  node.machine.write(node.lease("a:eth0"), "{");
  (void)node.gc_valid("[]");
  CHECK(node.status()["leases"][0] == use("10.1.0.0/28", 0, 12, 1));
}

TEST_CASE("people read what gc freed line by line") {
  Node node;
  node.take("a", "/a");
  node.machine.namespaces.remove("/a");
  plugin::System system = node.machine.process();
  CHECK(
      plugin::gc_report(system, node.machine.settings, {.dry_run = true, .valid_file = {}, .forget = {}}, false).text ==
      "would free a eth0 10.1.0.3/28,fd00::2/124: its network namespace is gone\n"
      "to clean 0, kept 0, problems 0\nleases: to free 1, kept 0\nhostPorts: to take out 0, kept 0\n"
      "portmap: to take out 0, kept 0\n");
  CHECK(plugin::gc_report(system, node.machine.settings, {}, false).text ==
        "freed a eth0 10.1.0.3/28,fd00::2/124: its network namespace is gone\n"
        "cleaned 0, kept 0, problems 0\nleases: freed 1, kept 0\nhostPorts: took out 0, kept 0\n"
        "portmap: took out 0, kept 0\n");
}

TEST_SUITE_END();

}  // namespace
