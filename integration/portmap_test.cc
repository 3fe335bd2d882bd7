// SPDX-License-Identifier: Apache-2.0
// crossover-portmap behind Debian's bridge, judged by packets.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "integration/support/namespaces.h"
#include "integration/support/process.h"
#include "integration/support/server.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using support::Finished;
using support::Netns;
using support::Server;

constexpr const char* kPlugins = "/usr/lib/cni";

bool isolate_once() {
  static const bool isolated = [] { return support::isolate({}), true; }();
  return isolated;
}

/// A node with pods on a bridge, a client beside it, and a machine behind it.
struct Node {
  Node() {
    std::string pattern = fs::temp_directory_path() / "crossover-portmap-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    dir = pattern;
    for (const Netns* netns : {&host, &client, &beyond}) netns->sysctl("net.ipv6.conf.default.accept_dad", "0");
    support::add_veth(host, "up0", client, "eth0");
    support::add_veth(host, "up1", beyond, "eth0");
    host.ip_batch({"addr add 192.0.2.1/24 dev up0", "addr add 192.0.2.9/24 dev up0", "addr add 2001:db8::1/64 dev up0",
                   "addr add 198.51.100.1/24 dev up1"});
    client.ip_batch({"addr add 192.0.2.2/24 dev eth0", "addr add 2001:db8::2/64 dev eth0",
                     "route add default via 192.0.2.1", "route add ::/0 via 2001:db8::1"});
    beyond.ip_batch({"addr add 198.51.100.2/24 dev eth0", "route add default via 198.51.100.1"});
    host.sysctl("net.ipv4.ip_forward", "1");
    host.sysctl("net.ipv6.conf.all.forwarding", "1");
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { fs::remove_all(dir); }

  Finished call(const std::string& verb, const std::string& id, const json& config, const std::string& netns) {
    const std::string type = config.at("type");
    const std::string program = (type == "bridge" ? kPlugins + std::string("/") : std::string(BIN_DIR "/")) + type;
    return support::run(support::inside(host, nullptr, {program}),
                        {{"CNI_COMMAND", verb},
                         {"CNI_CONTAINERID", id},
                         {"CNI_IFNAME", "eth0"},
                         {"CNI_NETNS", netns},
                         {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-" + id},
                         {"CNI_PATH", std::string(kPlugins) + ":" BIN_DIR}},
                        config.dump());
  }
  [[nodiscard]] json bridge() const {
    return {{"cniVersion", "1.0.0"},
            {"name", "net"},
            {"type", "bridge"},
            {"bridge", "cni0"},
            {"isGateway", true},
            {"hairpinMode", hairpin_mode},
            {"ipam",
             {{"type", "host-local"},
              {"dataDir", dir + "/leases"},
              {"ranges", {{{{"subnet", "10.88.0.0/24"}}}, {{{"subnet", "fd88::/64"}}}}},
              {"routes", {{{"dst", "0.0.0.0/0"}}, {{"dst", "::/0"}}}}}}};
  }
  [[nodiscard]] json portmap(const json& mappings, const json& more = json::object()) const {
    json out = {{"cniVersion", "1.0.0"},
                {"name", "net"},
                {"type", "crossover-portmap"},
                {"capabilities", {{"portMappings", true}}},
                {"runtimeConfig", {{"portMappings", mappings}}},
                {"stateDir", dir + "/state"}};
    out.update(more);
    return out;
  }
  [[nodiscard]] std::string ruleset() const {
    return support::must_run(support::inside(host, nullptr, {"nft", "list", "ruleset"}));
  }
  /// Lines of the ruleset that carry an owner.
  [[nodiscard]] bool mentions(const std::string& id) const { return ruleset().find(id + ":eth0") != std::string::npos; }
  [[nodiscard]] std::size_t records() const {
    const fs::path ports = dir + "/state/ports";
    if (!fs::exists(ports)) return 0;
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(ports), fs::directory_iterator{}));
  }

  std::string dir;
  bool hairpin_mode = false;
  bool isolated = isolate_once();  // before the first namespace
  Netns host{"host"};
  Netns client{"client"};
  Netns beyond{"beyond"};
};

json tcp_and_udp(std::uint16_t host_port, std::uint16_t port) {
  return json::array({{{"hostPort", host_port}, {"containerPort", port}, {"protocol", "tcp"}},
                      {{"hostPort", host_port}, {"containerPort", port}, {"protocol", "udp"}}});
}

/// A pod on the node's bridge, with its mappings.
struct Pod {
  Pod(Node& the_node, std::string the_id) : node(the_node), id(std::move(the_id)), netns("pod-" + id) {
    netns.sysctl("net.ipv6.conf.default.accept_dad", "0");
    const Finished added = node.call("ADD", id, node.bridge(), netns.path());
    INFO(added.out << added.err);
    REQUIRE(added.ok());
    result = json::parse(added.out);
    for (const json& ip : result.at("ips")) {
      const std::string address = ip.at("address");
      addresses.push_back(address.substr(0, address.find('/')));
    }
    REQUIRE(addresses.size() == 2);
  }
  Finished map(const json& config) {
    mapped = config;
    mapped["prevResult"] = result;
    return node.call("ADD", id, mapped, netns.path());
  }
  void must_map(const json& config) {
    const Finished done = map(config);
    INFO(done.out << done.err);
    REQUIRE(done.ok());
    CHECK(json::parse(done.out).at("ips") == result.at("ips"));
  }
  Finished unmap() { return node.call("DEL", id, mapped, netns.path()); }
  Finished check() { return node.call("CHECK", id, mapped, netns.path()); }

  Node& node;
  std::string id;
  Netns netns;
  json result;
  json mapped;
  std::vector<std::string> addresses;
};

using Seen = std::optional<std::string>;

TEST_SUITE_BEGIN("integration.portmap");
TEST_CASE("a client beside the node reaches the pod by hostPort, and the pod sees the client's address") {
  Node node;
  Pod pod(node, "c1");
  pod.must_map(node.portmap(tcp_and_udp(8080, 80)));
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    Server server(pod.netns, type, "::", 80);
    INFO("type " << type << "\n" << node.ruleset());
    CHECK(server.asked_by(node.client, "192.0.2.1", 8080) == Seen("::ffff:192.0.2.2"));
    CHECK(server.asked_by(node.client, "192.0.2.9", 8080) == Seen("::ffff:192.0.2.2"));
    CHECK(server.asked_by(node.client, "2001:db8::1", 8080) == Seen("2001:db8::2"));
    CHECK(server.asked_by(node.client, "192.0.2.1", 8081) == Seen());
  }
  const Finished checked = pod.check();
  INFO(checked.out);
  CHECK(checked.ok());
}

TEST_CASE("the node itself reaches the pod by its addresses and by 127.0.0.1") {
  Node node;
  Pod pod(node, "c1");
  pod.must_map(node.portmap(tcp_and_udp(8080, 80)));
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    Server server(pod.netns, type, "::", 80);
    CHECK(server.asked_by(node.host, "192.0.2.1", 8080).has_value());
    CHECK(server.asked_by(node.host, "2001:db8::1", 8080).has_value());
    CHECK(server.asked_by(node.host, "127.0.0.1", 8080).has_value());
    CHECK(server.asked_by(node.host, "::1", 8080) == Seen());
  }
}

// Where the bridge shows its packets to iptables it turns them round by itself, for which it needs hairpinMode.
void reach_from_the_bridge(bool bridge_calls_iptables) {
  Node node;
  node.hairpin_mode = bridge_calls_iptables;
  const bool may_call = fs::exists("/proc/sys/net/bridge");
  for (const std::string key : {"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"})
    if (may_call) node.host.sysctl(key, bridge_calls_iptables ? "1" : "0");
  Pod pod(node, "c1");
  Pod other(node, "c2");
  pod.must_map(node.portmap(tcp_and_udp(8080, 80)));
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    Server server(pod.netns, type, "::", 80);
    for (const std::string address : {"192.0.2.1", "2001:db8::1"}) {
      INFO("to " << address);
      CHECK(server.asked_by(pod.netns, address, 8080).has_value());
      CHECK(server.asked_by(other.netns, address, 8080).has_value());
    }
  }
}

TEST_CASE("the pod reaches itself by hostPort, and so does a pod beside it on the same bridge") {
  reach_from_the_bridge(false);
}

TEST_CASE("the same where the bridge shows its packets to iptables") {
  REQUIRE_MESSAGE(fs::exists("/proc/sys/net/bridge"), "this needs the kernel module br_netfilter");
  reach_from_the_bridge(true);
}

TEST_CASE("what only passes through the node is never redirected") {
  Node node;
  Pod pod(node, "c1");
  pod.must_map(node.portmap(tcp_and_udp(8080, 80)));
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    Server server(node.beyond, type, "0.0.0.0", 8080);
    CHECK(server.asked_by(node.client, "198.51.100.2", 8080) == Seen("192.0.2.2"));
    CHECK(server.asked_by(node.host, "198.51.100.2", 8080) == Seen("198.51.100.1"));
  }
}

TEST_CASE("a mapping of one hostIP leaves the others alone and goes before one of all addresses") {
  Node node;
  Pod pod(node, "c1");
  Pod all(node, "c2");
  pod.must_map(node.portmap(
      json::array({{{"hostPort", 8080}, {"containerPort", 80}, {"protocol", "TCP"}, {"hostIP", "192.0.2.9"}}})));
  Server server(pod.netns, SOCK_STREAM, "::", 80);
  CHECK(server.asked_by(node.client, "192.0.2.9", 8080).has_value());
  CHECK_FALSE(server.asked_by(node.client, "192.0.2.1", 8080).has_value());
  all.must_map(node.portmap(tcp_and_udp(8080, 81)));
  Server others(all.netns, SOCK_STREAM, "::", 81);
  CHECK(server.asked_by(node.client, "192.0.2.9", 8080).has_value());
  CHECK(others.asked_by(node.client, "192.0.2.1", 8080).has_value());
}

TEST_CASE("DEL takes out all that ADD put in, needs nothing but the record, and succeeds twice") {
  Node node;
  Pod pod(node, "c1");
  pod.must_map(node.portmap(tcp_and_udp(8080, 80)));
  CHECK(node.mentions("c1"));
  CHECK(node.records() == 1);
  const json bare = {
      {"cniVersion", "1.0.0"}, {"name", "other"}, {"type", "crossover-portmap"}, {"stateDir", node.dir + "/state"}};
  CHECK(node.call("DEL", "c1", bare, "").ok());
  INFO(node.ruleset());
  CHECK_FALSE(node.mentions("c1"));
  CHECK(node.records() == 0);
  CHECK(node.call("DEL", "c1", bare, "").ok());
  CHECK(pod.unmap().ok());
  Server server(pod.netns, SOCK_STREAM, "::", 80);
  CHECK_FALSE(server.asked_by(node.client, "192.0.2.1", 8080).has_value());
}

TEST_CASE("a port of a living pod is refused with both names, one of a dead pod is taken over") {
  Node node;
  std::optional<Pod> first(std::in_place, node, "c1");
  first->must_map(node.portmap(tcp_and_udp(8080, 80)));
  const json left_behind = first->mapped;
  Pod second(node, "c2");
  const Finished refused = second.map(node.portmap(tcp_and_udp(8080, 80)));
  REQUIRE_FALSE(refused.ok());
  CHECK(json::parse(refused.out).at("code") == 120);
  CHECK(json::parse(refused.out).at("details") ==
        "tcp 0.0.0.0:8080 is held by container c1 eth0 (pod default/pod-c1), wanted by container c2 eth0 (pod "
        "default/pod-c2)");
  CHECK_FALSE(node.mentions("c2"));
  CHECK(node.records() == 1);
  first.reset();
  second.must_map(node.portmap(tcp_and_udp(8080, 80)));
  Server server(second.netns, SOCK_STREAM, "::", 80);
  CHECK(server.asked_by(node.client, "192.0.2.1", 8080) == Seen("::ffff:192.0.2.2"));
  CHECK(node.call("DEL", "c1", left_behind, "").ok());
  CHECK(server.asked_by(node.client, "192.0.2.1", 8080) == Seen("::ffff:192.0.2.2"));
}

TEST_CASE("the next ADD puts back what a flush of the ruleset took from living pods") {
  Node node;
  Pod first(node, "c1");
  first.must_map(node.portmap(tcp_and_udp(8080, 80)));
  (void)support::must_run(support::inside(node.host, nullptr, {"nft", "flush", "ruleset"}));
  Pod second(node, "c2");
  second.must_map(node.portmap(tcp_and_udp(8081, 80)));
  for (const auto& [pod, port] : {std::pair<Pod*, std::uint16_t>{&first, 8080}, {&second, 8081}}) {
    Server server(pod->netns, SOCK_STREAM, "::", 80);
    CHECK(server.asked_by(node.client, "192.0.2.1", port) == Seen("::ffff:192.0.2.2"));
    CHECK(server.asked_by(node.host, "127.0.0.1", port).has_value());
    CHECK(pod->check().ok());
  }
}

TEST_CASE("conditions choose whose packets are redirected") {
  Node node;
  Pod pod(node, "c1");
  pod.must_map(node.portmap(tcp_and_udp(8080, 80), {{"conditionsV4", {"ip", "saddr", "!=", "192.0.2.2"}}}));
  Server server(pod.netns, SOCK_STREAM, "::", 80);
  CHECK(server.asked_by(node.beyond, "192.0.2.1", 8080) == Seen("::ffff:198.51.100.2"));
  CHECK_FALSE(server.asked_by(node.client, "192.0.2.1", 8080).has_value());
  CHECK(server.asked_by(node.client, "2001:db8::1", 8080) == Seen("2001:db8::2"));
  CHECK(pod.check().ok());
}

TEST_CASE("masqAll hides every client behind the node") {
  Node node;
  Pod pod(node, "c1");
  pod.must_map(node.portmap(tcp_and_udp(8080, 80), {{"masqAll", true}}));
  Server server(pod.netns, SOCK_STREAM, "::", 80);
  CHECK(server.asked_by(node.client, "192.0.2.1", 8080) == Seen("::ffff:10.88.0.1"));
  CHECK(server.asked_by(node.client, "2001:db8::1", 8080) == Seen("fd88::1"));
}

TEST_CASE("without snat 127.0.0.1 is left to whoever listens there") {
  Node node;
  Pod pod(node, "c1");
  pod.must_map(node.portmap(tcp_and_udp(8080, 80), {{"snat", false}}));
  Server on_node(node.host, SOCK_STREAM, "127.0.0.1", 8080);
  CHECK(on_node.asked_by(node.host, "127.0.0.1", 8080) == Seen("127.0.0.1"));
  Server server(pod.netns, SOCK_STREAM, "::", 80);
  CHECK(server.asked_by(node.client, "192.0.2.1", 8080) == Seen("::ffff:192.0.2.2"));
}

TEST_CASE("route_localnet is set for as long as a pod needs it") {
  Node node;
  const auto value = [&node] {
    std::string text;
    node.host.enter([&] { std::getline(std::ifstream("/proc/sys/net/ipv4/conf/cni0/route_localnet"), text); });
    return text;
  };
  Pod first(node, "c1");
  Pod second(node, "c2");
  CHECK(value() == "0");
  first.must_map(node.portmap(tcp_and_udp(8080, 80)));
  second.must_map(node.portmap(tcp_and_udp(8081, 80)));
  CHECK(value() == "1");
  CHECK(first.unmap().ok());
  CHECK(value() == "1");
  Server server(second.netns, SOCK_STREAM, "::", 80);
  CHECK(server.asked_by(node.host, "127.0.0.1", 8081).has_value());
  CHECK(second.unmap().ok());
  CHECK(value() == "0");
  CHECK_FALSE(node.mentions("c1"));
  CHECK_FALSE(node.mentions("c2"));
}
TEST_SUITE_END();

}  // namespace
