// SPDX-License-Identifier: Apache-2.0
// hostPorts of pods that change sides: Debian's portmap maps for the legacy network, Crossover for the second, which
// has no port plugin. Judged by packets.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "integration/support/namespaces.h"
#include "integration/support/process.h"
#include "integration/support/server.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using support::Finished;
using support::Netns;

constexpr const char* kPlugins = "/usr/lib/cni";
constexpr const char* kNodeAddress = "192.0.2.1";

bool isolate_once() {
  static const bool isolated = [] { return support::isolate({}), true; }();
  return isolated;
}

void write_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

/// A node with both networks, and a client beside it. `iptables`: the flavour that portmap finds.
struct Node {
  explicit Node(const std::string& iptables = "nft") {
    std::string pattern = fs::temp_directory_path() / "crossover-ports-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    dir = pattern;
    for (const std::string name : {"iptables", "ip6tables"}) {
      fs::create_directories(dir + "/sbin");
      fs::create_symlink("/usr/sbin/" + name + '-' + iptables, dir + "/sbin/" + name);
    }
    support::add_veth(host, "up0", client, "eth0");
    host.ip("addr add 192.0.2.1/24 dev up0");
    client.ip_batch({"addr add 192.0.2.2/24 dev eth0", "route add default via 192.0.2.1"});
    host.sysctl("net.ipv4.ip_forward", "1");
    const json routes = json::array({{{"dst", "0.0.0.0/0"}}});
    const json legacy_ipam = {{"type", "host-local"},
                              {"dataDir", dir + "/leases"},
                              {"ranges", {{{{"subnet", "10.88.0.0/24"}}}}},
                              {"routes", routes}};
    const json second_ipam = {
        {"type", "crossover-ipam"}, {"stateDir", dir + "/state"}, {"podCIDRs", {"10.89.0.0/24"}}, {"routes", routes}};
    write_file(dir + "/net.d/10-legacy.conflist",
               json({{"cniVersion", "1.0.0"},
                     {"name", "cbr0"},
                     {"plugins",
                      {{{"type", "bridge"}, {"bridge", "cni0"}, {"isGateway", true}, {"ipam", legacy_ipam}},
                       {{"type", "portmap"}, {"snat", true}, {"capabilities", {{"portMappings", true}}}}}}})
                   .dump());
    write_file(
        dir + "/second.conflist",
        json({{"cniVersion", "1.0.0"}, {"name", "second"}, {"plugins", {{{"type", "ptp"}, {"ipam", second_ipam}}}}})
            .dump());
    write_file(dir + "/00-crossover.conflist",
               json({{"cniVersion", "1.0.0"}, {"name", "crossover"}, {"plugins", {entry()}}}).dump());
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { fs::remove_all(dir); }

  [[nodiscard]] json entry() const {
    return {{"type", "crossover"},
            {"netDir", dir + "/net.d"},
            {"stateDir", dir + "/state"},
            {"cilium", {{"conflist", dir + "/second.conflist"}, {"socket", ""}}},
            {"capabilities", {{"portMappings", true}}}};
  }
  void move_to(const std::string& network) const { write_file(dir + "/state/node-state", network + '\n'); }

  [[nodiscard]] Finished call(const std::string& verb, const std::string& id, const std::string& netns,
                              const json& more = json::object()) const {
    json config = entry();
    config.erase("capabilities");
    config.update({{"cniVersion", "1.0.0"}, {"name", "crossover"}});
    config["runtimeConfig"]["portMappings"] = {{{"hostPort", 8080}, {"containerPort", 80}, {"protocol", "tcp"}}};
    config.update(more);
    return support::run(support::inside(host, nullptr, {BIN_DIR "/crossover"}),
                        {{"CNI_COMMAND", verb},
                         {"CNI_CONTAINERID", id},
                         {"CNI_IFNAME", "eth0"},
                         {"CNI_NETNS", netns},
                         {"CNI_PATH", std::string(kPlugins) + ":" BIN_DIR},
                         {"PATH", dir + "/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}},
                        config.dump());
  }
  [[nodiscard]] Finished command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), BIN_DIR "/crossover");
    arguments.insert(arguments.end(), {"--conf", dir + "/00-crossover.conflist"});
    return support::run(support::inside(host, nullptr, arguments));
  }
  [[nodiscard]] std::string ruleset() const {
    return support::must_run(support::inside(host, nullptr, {"nft", "list", "ruleset"}));
  }
  /// What portmap has for container `id`.
  [[nodiscard]] bool portmap_knows(const std::string& id) const {
    return support::must_run(support::inside(host, nullptr, {dir + "/sbin/iptables", "-t", "nat", "-S"})).find(id) !=
           std::string::npos;
  }

  bool isolated = isolate_once();  // before the first namespace
  std::string dir;
  Netns host{"host"};
  Netns client{"client"};
};

/// A pod that wants the node's port 8080, and answers there.
struct Pod {
  Pod(Node& the_node, std::string the_id) : node(the_node), id(std::move(the_id)), netns(std::in_place, "pod-" + id) {
    const Finished added = node.call("ADD", id, netns->path());
    INFO(added.out << added.err);
    REQUIRE(added.ok());
    result = json::parse(added.out);
    server.emplace(*netns, SOCK_STREAM, "0.0.0.0", std::uint16_t{80});
  }
  [[nodiscard]] bool is_reached() { return server->asked_by(node.client, kNodeAddress, 8080).has_value(); }
  /// Its processes and its namespace are gone; its DEL has not come.
  void die() {
    server.reset();
    netns.reset();
  }
  void del() {
    const Finished done = node.call("DEL", id, netns ? netns->path() : "");
    INFO(done.out << done.err);
    CHECK(done.ok());
  }

  Node& node;
  std::string id;
  std::optional<Netns> netns;
  std::optional<support::Server> server;
  json result;
};

enum class Order { kDelFirst, kAddFirst };

std::unique_ptr<Pod> recycle(Node& node, Pod& old, const std::string& id, Order order) {
  if (order == Order::kDelFirst) {
    old.del();
    return std::make_unique<Pod>(node, id);
  }
  old.die();
  auto next = std::make_unique<Pod>(node, id);
  CHECK(next->is_reached());
  old.del();
  return next;
}

// There and back again, twice over the same port.
void migrate_and_roll_back(const std::string& iptables, Order order) {
  Node node(iptables);
  node.move_to("legacy");
  Pod first(node, "aaaa");
  CHECK(first.is_reached());
  CHECK(node.portmap_knows("aaaa"));

  node.move_to("cilium");
  const std::unique_ptr<Pod> second = recycle(node, first, "bbbb", order);
  CHECK(second->is_reached());
  CHECK_FALSE(node.portmap_knows("aaaa"));
  CHECK(node.ruleset().find("bbbb:eth0") != std::string::npos);

  node.move_to("legacy");
  const std::unique_ptr<Pod> third = recycle(node, *second, "cccc", order);
  CHECK(third->is_reached());
  CHECK(node.ruleset().find("bbbb:eth0") == std::string::npos);

  third->del();
  CHECK_FALSE(third->is_reached());
  CHECK_FALSE(node.portmap_knows("cccc"));
}

TEST_SUITE_BEGIN("integration.host_ports");

TEST_CASE("a port stays reachable over a migration and a rollback, portmap over iptables-nft, DEL first") {
  migrate_and_roll_back("nft", Order::kDelFirst);
}

TEST_CASE("a port stays reachable over a migration and a rollback, portmap over iptables-nft, ADD first") {
  migrate_and_roll_back("nft", Order::kAddFirst);
}

TEST_CASE("a port stays reachable over a migration and a rollback, portmap over iptables-legacy, DEL first") {
  migrate_and_roll_back("legacy", Order::kDelFirst);
}

TEST_CASE("a port stays reachable over a migration and a rollback, portmap over iptables-legacy, ADD first") {
  migrate_and_roll_back("legacy", Order::kAddFirst);
}

TEST_CASE("a port that a living pod has is refused to another, whichever network either joins") {
  Node node;
  node.move_to("cilium");
  Pod holder(node, "aaaa");
  const Netns late("late");
  for (const std::string network : {"legacy", "cilium"}) {
    CAPTURE(network);
    node.move_to(network);
    const Finished refused = node.call("ADD", "bbbb", late.path());
    CHECK_FALSE(refused.ok());
    const json error = json::parse(refused.out);
    CHECK(error.at("code") == 120);
    CHECK(error.at("msg") == "hostPort is taken");
    CHECK(error.at("details").get<std::string>().find("tcp 0.0.0.0:8080 is held by container aaaa eth0") == 0);
    CHECK(holder.is_reached());
    CHECK_FALSE(node.portmap_knows("bbbb"));
    CHECK(late.ip("-o link").find("eth0") == std::string::npos);
    CHECK(node.call("DEL", "bbbb", late.path()).ok());
  }
}

TEST_CASE("reconcile puts ports back that a flush of the ruleset took, and CHECK and status see both") {
  Node node;
  node.move_to("cilium");
  Pod pod(node, "aaaa");
  const json with_result = {{"prevResult", pod.result}};
  CHECK(node.call("CHECK", "aaaa", pod.netns->path(), with_result).ok());
  CHECK(json::parse(node.command({"status", "--json"}).out).at("ports") == 1);

  (void)support::must_run(support::inside(node.host, nullptr, {"nft", "flush", "ruleset"}));
  CHECK_FALSE(pod.is_reached());
  const Finished missing = node.call("CHECK", "aaaa", pod.netns->path(), with_result);
  CHECK_FALSE(missing.ok());
  CHECK(json::parse(missing.out).at("code") == 121);
  CHECK(node.command({"status"}).out.find("`crossover reconcile` puts them back") != std::string::npos);

  const Finished put_back = node.command({"reconcile"});
  CHECK(put_back.ok());
  CHECK(put_back.out == "hostPorts: 1 of 1 pods, put back\ncoexistence: overlay, 0 wanted, 0 in place\n");
  CHECK(pod.is_reached());
  CHECK(node.call("CHECK", "aaaa", pod.netns->path(), with_result).ok());
  CHECK(node.command({"reconcile"}).out ==
        "hostPorts: 1 of 1 pods, all in place\ncoexistence: overlay, 0 wanted, 0 in place\n");
}

TEST_CASE("reconcile on a node without ports makes nothing") {
  Node node;
  node.move_to("legacy");
  CHECK(node.command({"reconcile"}).out ==
        "hostPorts: 0 of 0 pods, all in place\ncoexistence: overlay, 0 wanted, 0 in place\n");
  CHECK(node.ruleset().find("crossover") == std::string::npos);
}

TEST_CASE("gc takes out the ports of a pod whose DEL never came") {
  Node node;
  node.move_to("cilium");
  Pod pod(node, "aaaa");
  pod.die();
  CHECK(node.command({"gc"}).ok());
  CHECK(node.ruleset().find("aaaa:eth0") == std::string::npos);
  CHECK(fs::is_empty(node.dir + "/state/ports"));
  CHECK(fs::is_empty(node.dir + "/state/attachments"));
}

TEST_CASE("hostPorts off maps none, and crossover maps them for a list that has a plugin for them") {
  Node node;
  node.move_to("legacy");
  const Netns off("off");
  const Finished without = node.call("ADD", "aaaa", off.path(), {{"hostPorts", "off"}});
  CHECK(without.ok());
  CHECK_FALSE(node.portmap_knows("aaaa"));
  CHECK(node.ruleset().find("aaaa:eth0") == std::string::npos);

  const Netns ours("ours");
  CHECK(node.call("ADD", "bbbb", ours.path(), {{"hostPorts", "crossover"}}).ok());
  support::Server server(ours, SOCK_STREAM, "0.0.0.0", 80);
  CHECK(server.asked_by(node.client, kNodeAddress, 8080).has_value());
  CHECK_FALSE(node.portmap_knows("bbbb"));
  CHECK(node.ruleset().find("bbbb:eth0") != std::string::npos);
}

TEST_SUITE_END();

}  // namespace
