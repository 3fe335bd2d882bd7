// SPDX-License-Identifier: Apache-2.0
// crossover-ipam as runtimes and Debian's main plugins see it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "integration/support/namespaces.h"
#include "integration/support/process.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using support::Finished;

constexpr const char* kPlugins = "/usr/lib/cni";

/// A node in namespaces of its own: a host, and pods to attach.
struct Node {
  Node() {
    static const bool isolated = [] { return support::isolate({}), true; }();
    CHECK(isolated);
    std::string pattern = fs::temp_directory_path() / "crossover-ipam-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    dir = pattern;
    host.emplace("host");
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { fs::remove_all(dir); }

  [[nodiscard]] json ipam() const {
    return {{"type", "crossover-ipam"},
            {"stateDir", dir + "/state"},
            {"podCIDRs", {"10.9.0.0/24", "fd09::/120"}},
            {"routes", {{{"dst", "0.0.0.0/0"}}}}};
  }
  Finished call(const std::string& verb, const std::string& id, const json& config, const std::string& netns = "") {
    const std::string program = config.at("type") == "cilium-cni" || config.at("type") == "direct"
                                    ? std::string(BIN_DIR "/crossover-ipam")
                                    : kPlugins + std::string("/") + config.at("type").get<std::string>();
    return support::run(support::inside(*host, nullptr, {program}),
                        {{"CNI_COMMAND", verb},
                         {"CNI_CONTAINERID", id},
                         {"CNI_IFNAME", "eth0"},
                         {"CNI_NETNS", netns},
                         {"CNI_PATH", std::string(kPlugins) + ":" BIN_DIR}},
                        config.dump());
  }
  [[nodiscard]] std::size_t leases() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(dir + "/state/ipam/leases"), fs::directory_iterator{}));
  }

  std::string dir;
  std::optional<support::Netns> host;
};

std::vector<std::string> addresses(const std::string& result) {
  std::vector<std::string> out;
  const json document = json::parse(result);
  for (const json& ip : document.at("ips")) out.push_back(ip.at("address"));
  return out;
}

// ADD, CHECK, traffic's address in the pod, DEL twice.
void live_and_die(Node& node, json config) {
  config["cniVersion"] = "1.0.0";
  config["name"] = "net";
  config["ipam"] = node.ipam();
  const support::Netns pod("pod");
  const Finished added = node.call("ADD", "c1", config, pod.path());
  INFO(added.out << added.err);
  REQUIRE(added.ok());
  CHECK(addresses(added.out) == std::vector<std::string>{"10.9.0.2/24", "fd09::2/120"});
  const std::string shown = pod.ip("-o addr show dev eth0");
  CHECK(shown.find("10.9.0.2/") != std::string::npos);
  CHECK(shown.find("fd09::2/") != std::string::npos);
  CHECK(node.leases() == 1);
  config["prevResult"] = json::parse(added.out);
  const Finished checked = node.call("CHECK", "c1", config, pod.path());
  INFO(checked.out << checked.err);
  CHECK(checked.ok());
  CHECK(node.call("DEL", "c1", config, pod.path()).ok());
  CHECK(node.leases() == 0);
  CHECK(node.call("DEL", "c1", config, pod.path()).ok());
}

TEST_SUITE_BEGIN("integration.ipam");
TEST_CASE("a pod under Debian's bridge gets both families and gives them back") {
  Node node;
  live_and_die(node, {{"type", "bridge"}, {"bridge", "cni0"}, {"isGateway", true}});
}

TEST_CASE("a pod under Debian's ptp gets both families and gives them back") {
  Node node;
  live_and_die(node, {{"type", "ptp"}});
}

TEST_CASE("a pod under Debian's macvlan gets both families and gives them back") {
  Node node;
  const support::Netns peer("peer");
  support::add_veth(*node.host, "up0", peer, "up1");
  live_and_die(node, {{"type", "macvlan"}, {"master", "up0"}});
}

TEST_CASE("called as cilium-cni calls it: its whole configuration, one address a family, then DEL") {
  Node node;
  const json config = {{"cniVersion", "0.3.1"}, {"name", "cilium"}, {"type", "cilium-cni"},
                       {"enable-debug", false}, {"log-file", "/x"}, {"ipam", node.ipam()}};
  const Finished added = node.call("ADD", "c1", config, "/proc/self/ns/net");
  REQUIRE(added.ok());
  const json result = json::parse(added.out);
  CHECK(result.at("cniVersion") == "0.3.1");
  CHECK(addresses(added.out) == std::vector<std::string>{"10.9.0.2/24", "fd09::2/120"});
  CHECK_FALSE(result.contains("interfaces"));
  CHECK(node.call("DEL", "c1", config).ok());
  CHECK(node.leases() == 0);
}

TEST_CASE(
    "of 256 processes at once 253 get an address of each family, each another, and the others learn that none is "
    "left") {
  Node node;
  json config = {{"cniVersion", "1.0.0"}, {"name", "net"}, {"type", "direct"}, {"ipam", node.ipam()}};
  const std::string input = node.dir + "/config";
  std::ofstream(input) << config.dump();
  std::map<pid_t, std::string> children;
  for (int i = 0; i < 256; ++i) {
    const std::string out = node.dir + "/out" + std::to_string(i);
    const std::string id = "c" + std::to_string(i);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::setenv("CNI_COMMAND", "ADD", 1);
      ::setenv("CNI_CONTAINERID", id.c_str(), 1);
      ::setenv("CNI_IFNAME", "eth0", 1);
      ::setenv("CNI_NETNS", "/proc/self/ns/net", 1);
      const bool wired = ::dup2(::open(input.c_str(), O_RDONLY), 0) == 0 &&
                         ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT, 0600), 1) == 1;
      if (wired) ::execl(BIN_DIR "/crossover-ipam", "crossover-ipam", nullptr);
      ::_exit(99);
    }
    children[child] = out;
  }
  std::set<std::string> seen;
  int refused = 0;
  for (const auto& [child, out] : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    std::ifstream file(out);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    INFO(text);
    if (status != 0) {
      CHECK(json::parse(text).at("code") == 110);
      ++refused;
      continue;
    }
    for (const std::string& address : addresses(text)) CHECK(seen.insert(address).second);
  }
  CHECK(refused == 3);  // 10.9.0.0/24 without its first, its last and the gateway
  CHECK(seen.size() == 2 * 253);
  CHECK(node.leases() == 253);
}
TEST_SUITE_END();

}  // namespace
