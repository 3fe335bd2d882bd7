// SPDX-License-Identifier: Apache-2.0
// Leases whose ADD was cut short, and leases that nobody gives back, under Debian's main plugins.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "integration/support/namespaces.h"
#include "integration/support/process.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using support::Finished;

constexpr const char* kPlugins = "/usr/lib/cni";

struct Node {
  Node() {
    static const bool isolated = [] { return support::isolate({}), true; }();
    CHECK(isolated);
    std::string pattern = fs::temp_directory_path() / "crossover-leases-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    dir = pattern;
    host.emplace("host");
    std::ofstream(dir + "/conflist") << json(
        {{"cniVersion", "1.0.0"},
         {"name", "crossover"},
         {"plugins", {{{"type", "crossover"}, {"stateDir", dir + "/state"}, {"netDir", dir}}}}});
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { fs::remove_all(dir); }

  [[nodiscard]] json config(const std::string& type) const {
    return {{"cniVersion", "1.0.0"},
            {"name", "net"},
            {"type", type},
            {"ipam",
             {{"type", "crossover-ipam"}, {"stateDir", dir + "/state"}, {"podCIDRs", {"10.9.0.0/24", "fd09::/120"}}}}};
  }
  /// `program` with the configuration of `type`: that plugin itself, or its IPAM plugin alone.
  [[nodiscard]] Finished call(const std::string& program, const std::string& type, const std::string& verb,
                              const std::string& id, const support::Netns& pod) const {
    return support::run(support::inside(*host, nullptr, {program}),
                        {{"CNI_COMMAND", verb},
                         {"CNI_CONTAINERID", id},
                         {"CNI_IFNAME", "eth0"},
                         {"CNI_NETNS", pod.path()},
                         {"CNI_PATH", std::string(kPlugins) + ":" BIN_DIR}},
                        config(type).dump());
  }
  [[nodiscard]] Finished main(const std::string& type, const std::string& verb, const std::string& id,
                              const support::Netns& pod) const {
    return call(std::string(kPlugins) + '/' + type, type, verb, id, pod);
  }
  [[nodiscard]] Finished ipam(const std::string& type, const std::string& verb, const std::string& id,
                              const support::Netns& pod) const {
    return call(BIN_DIR "/crossover-ipam", type, verb, id, pod);
  }
  [[nodiscard]] json command(const std::string& words) const {
    std::vector<std::string> argv = {BIN_DIR "/crossover"};
    for (const std::string& word : support::words(words)) argv.push_back(word);
    argv.insert(argv.end(), {"--json", "--conf", dir + "/conflist"});
    const Finished done = support::run(support::inside(*host, nullptr, argv));
    INFO(done.out << done.err);
    REQUIRE(done.ok());
    return json::parse(done.out);
  }
  [[nodiscard]] bool has_lease(const std::string& id) const {
    return fs::exists(dir + "/state/ipam/leases/" + id + ":eth0");
  }

  std::string dir;
  std::optional<support::Netns> host;
};

std::string first_address(const Finished& added) {
  INFO(added.out << added.err);
  REQUIRE(added.ok());
  return json::parse(added.out).at("ips").at(0).at("address");
}

// Killed between the lease and the link, the main plugin leaves what its IPAM plugin alone does.
void cut_short_then_again(const std::string& type) {
  Node node;
  const support::Netns pod("pod");
  CHECK(first_address(node.ipam(type, "ADD", "c1", pod)) == "10.9.0.2/24");
  CHECK(first_address(node.main(type, "ADD", "c1", pod)) == "10.9.0.2/24");
  CHECK(pod.ip("-o addr show dev eth0").find("10.9.0.2/") != std::string::npos);
  const Finished live = node.ipam(type, "ADD", "c1", pod);
  CHECK(live.status == 1);
  CHECK(json::parse(live.out).at("code") == 100);
  CHECK(node.has_lease("c1"));
  CHECK(node.main(type, "DEL", "c1", pod).ok());
  CHECK_FALSE(node.has_lease("c1"));
}

TEST_SUITE_BEGIN("integration.ipam_leases");
TEST_CASE("an ADD of Debian's bridge after one that was cut short gets the same addresses, a live pod none") {
  cut_short_then_again("bridge");
}

TEST_CASE("an ADD of Debian's ptp after one that was cut short gets the same addresses, a live pod none") {
  cut_short_then_again("ptp");
}

TEST_CASE("gc frees the lease of a pod whose namespace is gone, keeps a live one's, and status counts them") {
  Node node;
  const support::Netns alive("alive");
  std::optional<support::Netns> dead("dead");
  CHECK(first_address(node.main("ptp", "ADD", "c1", alive)) == "10.9.0.2/24");
  CHECK(first_address(node.main("ptp", "ADD", "c2", *dead)) == "10.9.0.3/24");
  CHECK(node.command("gc").at("leases") == json({{"freed", json::array()}, {"kept", 2}}));
  dead.reset();
  const json would = node.command("gc --dry-run").at("leases");
  CHECK(would.at("freed").at(0).at("containerID") == "c2");
  CHECK(would.at("freed").at(0).at("addresses") == json({"10.9.0.3/24", "fd09::3/120"}));
  CHECK(would.at("kept") == 1);
  CHECK(node.has_lease("c2"));
  CHECK(node.command("gc").at("leases") == would);
  CHECK_FALSE(node.has_lease("c2"));
  CHECK(node.has_lease("c1"));
  const json leases = node.command("status").at("leases");
  CHECK(leases.at(0) == json({{"cidr", "10.9.0.0/24"}, {"used", 1}, {"free", 252}, {"cooling", 1}}));
  CHECK(leases.at(1) == json({{"cidr", "fd09::/120"}, {"used", 1}, {"free", 253}, {"cooling", 1}}));
}
TEST_SUITE_END();

}  // namespace
