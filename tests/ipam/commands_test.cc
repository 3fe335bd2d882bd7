// SPDX-License-Identifier: Apache-2.0
#include "ipam/commands.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/ipam/store_world.h"
#include "tests/support/refusal.h"

namespace ipam {
namespace {

using conf::Verb;
using support::refusal_of;

struct Plugin {
  TempDir dir;
  conf::RealDisk disk;
  Host host{disk, "boot-1", 1'000'000, [](const std::string&) { return std::uint64_t{7}; }};
  std::string version = "1.1.0";
  std::string name = "net";
  std::string netns = "/n";
  std::string section = R"("podCIDRs":["10.1.0.0/29","fd00::/125"])";

  std::string run(Verb verb, std::size_t number, const std::string& rest = "") {
    conf::Request request;
    request.verb = verb;
    request.id = pod(number);
    request.netns = netns;
    request.args = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web";
    return ipam::run(host, request,
                     fmt::format(R"({{"cniVersion":"{}","name":"{}","ipam":{{"type":"x","stateDir":"{}",{}}}{}}})",
                                 version, name, dir.path(), section, rest));
  }
};

TEST_SUITE_BEGIN("ipam.commands");
TEST_CASE("ADD answers in the version asked") {
  Plugin plugin;
  CHECK(plugin.run(Verb::kAdd, 1) == R"({"cniVersion":"1.1.0","ips":[{"address":"10.1.0.2/29","gateway":"10.1.0.1"},)"
                                     R"({"address":"fd00::2/125","gateway":"fd00::1"}],"dns":{}})");
  plugin.version = "0.2.0";
  const std::string old = plugin.run(Verb::kAdd, 2);
  CHECK(old.find(R"("ip4":{"ip":"10.1.0.3/29","gateway":"10.1.0.1")") != std::string::npos);
  CHECK(old.find(R"("ip6":{"ip":"fd00::3/125")") != std::string::npos);
}

TEST_CASE("ADD passes routes on and reads resolvConf before it takes anything") {
  Plugin plugin;
  plugin.section += R"(,"routes":[{"dst":"0.0.0.0/0"}],"resolvConf":")" + plugin.dir.path() + "/resolv\"";
  CHECK(refusal_of([&] { return plugin.run(Verb::kAdd, 1); }).msg() == "resolvConf cannot be read");
  std::ofstream(plugin.dir.path() + "/resolv")
      << "nameserver 10.0.0.10\nsearch a.local b.local\n# x\noptions ndots:5\n";
  const std::string result = plugin.run(Verb::kAdd, 1);
  CHECK(result.find(R"("routes":[{"dst":"0.0.0.0/0"}])") != std::string::npos);
  CHECK(result.find(R"("dns":{"nameservers":["10.0.0.10"],"search":["a.local","b.local"],"options":["ndots:5"]})") !=
        std::string::npos);
}

TEST_CASE("DEL frees, works twice, and works with a configuration that is no longer any good") {
  Plugin plugin;
  CHECK(plugin.run(Verb::kDel, 1).empty());
  CHECK_FALSE(plugin.run(Verb::kAdd, 1).empty());
  plugin.section = R"("podCIDRs":"nonsense")";
  CHECK(plugin.run(Verb::kDel, 1).empty());
  CHECK(plugin.run(Verb::kDel, 1).empty());
  plugin.section = R"("podCIDRs":["10.1.0.0/29","fd00::/125"])";
  CHECK_FALSE(plugin.run(Verb::kAdd, 1).empty());
}

TEST_CASE("CHECK wants a lease, and its addresses in prevResult") {
  Plugin plugin;
  const conf::CniError none = refusal_of([&] { return plugin.run(Verb::kCheck, 1); });
  CHECK(none.code() == 3);
  CHECK(none.details() == "there is no lease of eth0 of container pod1");
  const std::string result = plugin.run(Verb::kAdd, 1);
  CHECK(plugin.run(Verb::kCheck, 1, ",\"prevResult\":" + result).empty());
  const conf::CniError other = refusal_of([&] {
    return plugin.run(
        Verb::kCheck, 1,
        R"(,"prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.2/29"},{"address":"fd00::9/125"}]})");
  });
  CHECK(other.code() == 3);
  CHECK(other.details() == "fd00::2/125 is leased to eth0 of container pod1 and missing from prevResult");
}

TEST_CASE("STATUS is 50 when a family has nothing left, and not while a lease of an earlier boot can make room") {
  Plugin plugin;
  CHECK(plugin.run(Verb::kStatus, 0).empty());
  for (std::size_t i = 1; i <= 5; ++i) (void)plugin.run(Verb::kAdd, i);
  const conf::CniError full = refusal_of([&] { return plugin.run(Verb::kStatus, 0); });
  CHECK(full.code() == 50);
  CHECK(full.details() == "10.1.0.0/29: 5 of 5 in use");
  plugin.host.boot_id = "boot-2";
  CHECK(plugin.run(Verb::kStatus, 0).empty());
}

TEST_CASE("GC frees what its network's list does not name, and nothing without a list or of another network") {
  Plugin plugin;
  for (std::size_t i = 1; i <= 3; ++i) (void)plugin.run(Verb::kAdd, i);
  plugin.name = "other";
  (void)plugin.run(Verb::kAdd, 4);
  plugin.name = "net";
  (void)plugin.run(Verb::kGc, 0);
  CHECK_NOTHROW(plugin.run(Verb::kCheck, 1));
  (void)plugin.run(Verb::kGc, 0, R"(,"cni.dev/valid-attachments":[{"containerID":"pod2","ifname":"eth0"}])");
  CHECK(refusal_of([&] { return plugin.run(Verb::kCheck, 1); }).code() == 3);
  CHECK_NOTHROW(plugin.run(Verb::kCheck, 2));
  CHECK(refusal_of([&] { return plugin.run(Verb::kCheck, 3); }).code() == 3);
  CHECK_NOTHROW(plugin.run(Verb::kCheck, 4));
  plugin.host.boot_id = "boot-2";
  (void)plugin.run(Verb::kGc, 0, R"(,"cni.dev/valid-attachments":[])");
  CHECK(refusal_of([&] { return plugin.run(Verb::kCheck, 4); }).code() == 3);
}

TEST_CASE("the same ADD again gets the same addresses, as long as no link has them") {
  Plugin plugin;
  bool is_live = false;
  std::string asked;
  plugin.host.carries = [&](const std::string& netns, const std::string& ifname,
                            const std::vector<conf::IpPrefix>& addresses) {
    asked = fmt::format("{} {} {} {}", netns, ifname, addresses.at(0).str(), addresses.at(1).str());
    return is_live;
  };
  const std::string first = plugin.run(Verb::kAdd, 1);
  CHECK(asked.empty());
  CHECK(plugin.run(Verb::kAdd, 1) == first);
  CHECK(asked == "/n eth0 10.1.0.2/29 fd00::2/125");
  CHECK(plugin.run(Verb::kAdd, 1, R"(,"runtimeConfig":{"ips":["10.1.0.2"]})") == first);
  is_live = true;
  const conf::CniError live = refusal_of([&] { return plugin.run(Verb::kAdd, 1); });
  CHECK(live.code() == 100);
  CHECK(live.details() == "eth0 of container pod1 has 10.1.0.2; a DEL must come first");
  CHECK(plugin.run(Verb::kAdd, 2).find("10.1.0.3/29") != std::string::npos);
}

TEST_CASE("an ADD again that asks for anything else is refused, and the lease stays") {
  Plugin plugin;
  plugin.host.carries = [](const std::string&, const std::string&, const std::vector<conf::IpPrefix>&) {
    return false;
  };
  const std::string first = plugin.run(Verb::kAdd, 1);
  const auto code = [&](const std::string& rest = "") {
    return refusal_of([&] { return plugin.run(Verb::kAdd, 1, rest); }).code();
  };
  CHECK(code(R"(,"runtimeConfig":{"ips":["10.1.0.3"]})") == 100);
  plugin.name = "other";
  CHECK(code() == 100);
  plugin.name = "net";
  const std::string section = plugin.section;
  for (const std::string changed : {R"("podCIDRs":["10.1.0.0/29"])", R"("podCIDRs":["10.1.0.0/28","fd00::/125"])",
                                    R"("podCIDRs":["10.1.8.0/29","fd00::/125"])",
                                    R"("podCIDRs":["10.1.0.0/29","fd00::/125"],"exclude":["10.1.0.2"])"}) {
    CAPTURE(changed);
    plugin.section = changed;
    CHECK(code() == 100);
  }
  plugin.section = section;
  plugin.host.netns_inode = [](const std::string&) { return std::uint64_t{8}; };
  CHECK(code() == 100);
  plugin.host.netns_inode = [](const std::string&) { return std::uint64_t{0}; };
  CHECK(code() == 100);
  plugin.host.netns_inode = [](const std::string&) { return std::uint64_t{7}; };
  CHECK(plugin.run(Verb::kAdd, 1) == first);
  plugin.host.boot_id = "boot-2";  // nobody lives on, whatever the inode says: the lease is taken anew
  CHECK_NOTHROW(plugin.run(Verb::kAdd, 1));
  std::ifstream file(plugin.dir.path() + "/ipam/leases/pod1:eth0");
  CHECK(parse_lease(std::string{std::istreambuf_iterator<char>(file), {}}).value().boot_id == "boot-2");
}

TEST_CASE("the path of a namespace is kept unless it means another to everybody") {
  Plugin plugin;
  const auto kept = [&](const std::string& netns) {
    plugin.netns = netns;
    (void)plugin.run(Verb::kDel, 1);
    (void)plugin.run(Verb::kAdd, 1);
    std::ifstream file(plugin.dir.path() + "/ipam/leases/pod1:eth0");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return parse_lease(text).value().netns;
  };
  CHECK(kept("/run/netns/a") == "/run/netns/a");
  CHECK(kept("/proc/77/ns/net") == "/proc/77/ns/net");
  CHECK(kept("/proc/self/ns/net").empty());
  CHECK(kept("/proc/thread-self/ns/net").empty());
  CHECK(kept("netns/a").empty());
}

TEST_CASE("addresses that are live in a directory of host-local are not handed out") {
  Plugin plugin;
  std::filesystem::create_directory(plugin.dir.path() + "/hl");
  std::ofstream(plugin.dir.path() + "/hl/10.1.0.2") << "abc\r\neth0";
  plugin.section += R"(,"import":[")" + plugin.dir.path() + "/hl\"]";
  CHECK(plugin.run(Verb::kAdd, 1).find("10.1.0.3/29") != std::string::npos);
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
