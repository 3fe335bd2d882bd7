// SPDX-License-Identifier: Apache-2.0
// One table of hostPort cases, each sent through crossover-portmap and through Debian's portmap over iptables-nft: was
// the pod reached, and whom did it see? Where the two differ, the difference is a decision, and is written down here.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "conf/fd.h"
#include "integration/fixture/port_node.h"
#include "integration/support/namespaces.h"
#include "integration/support/sctp.h"
#include "integration/support/server.h"

namespace {

namespace fs = std::filesystem;
using fixture::kOurs;
using fixture::kTheirs;
using nlohmann::json;
using Node = fixture::PortNode;
using Pod = fixture::PortPod;
using support::Netns;

const std::string kLost = "-";

/// hostPort 8080 of all addresses to 80, hostPort 8081 of one address per family to 81.
std::string all_mappings() {
  json out = json::array();
  for (const std::string protocol : {"tcp", "udp", "sctp"}) {
    out.push_back({{"hostPort", 8080}, {"containerPort", 80}, {"protocol", protocol}});
    for (const std::string address : {"192.0.2.9", "2001:db8::9"})
      out.push_back({{"hostPort", 8081}, {"containerPort", 81}, {"protocol", protocol}, {"hostIP", address}});
  }
  return out.dump();
}

/// One port of one machine, for a protocol.
class Listener {
 public:
  Listener(const std::string& protocol, const Netns& netns, std::uint16_t port) {
    if (protocol == "sctp") {
      sctp_.emplace(netns, port);
    } else {
      server_.emplace(netns, protocol == "tcp" ? SOCK_STREAM : SOCK_DGRAM, "::", port);
    }
  }
  /// The address seen, an IPv4 one as such; kLost if nobody is.
  std::string asked_by(const Netns& client, const std::string& address, std::uint16_t port) {
    const auto seen = sctp_ ? sctp_->asked_by(client, address, port) : server_->asked_by(client, address, port);
    if (!seen) return kLost;
    return seen->rfind("::ffff:", 0) == 0 ? seen->substr(7) : *seen;
  }

 private:
  std::optional<support::SctpServer> sctp_;
  std::optional<support::Server> server_;
};

enum class From { kClient, kNode, kPod, kNeighbour };
enum class At { kPodAny, kPodOneAddress, kBeyond };  // who listens: the pod at 80, the pod at 81, the machine behind

struct Case {
  const char* name;
  From from;
  const char* address;
  std::uint16_t port;
  At at;
  std::string seen;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"remote to hostIP any", From::kClient, "192.0.2.1", 8080, At::kPodAny, "192.0.2.2"},
      {"remote to hostIP any, v6", From::kClient, "2001:db8::1", 8080, At::kPodAny, "2001:db8::2"},
      {"remote to hostIP any, second address", From::kClient, "192.0.2.9", 8080, At::kPodAny, "192.0.2.2"},
      {"remote to its hostIP", From::kClient, "192.0.2.9", 8081, At::kPodOneAddress, "192.0.2.2"},
      {"remote to its hostIP, v6", From::kClient, "2001:db8::9", 8081, At::kPodOneAddress, "2001:db8::2"},
      {"remote to another hostIP", From::kClient, "192.0.2.1", 8081, At::kPodOneAddress, kLost},
      {"remote to another hostIP, v6", From::kClient, "2001:db8::1", 8081, At::kPodOneAddress, kLost},
      {"node to hostIP any", From::kNode, "192.0.2.1", 8080, At::kPodAny, "192.0.2.1"},
      {"node to hostIP any, v6", From::kNode, "2001:db8::1", 8080, At::kPodAny, "2001:db8::1"},
      {"node to its hostIP", From::kNode, "192.0.2.9", 8081, At::kPodOneAddress, "192.0.2.1"},
      {"node to 127.0.0.1", From::kNode, "127.0.0.1", 8080, At::kPodAny, "10.88.0.1"},
      {"node to ::1", From::kNode, "::1", 8080, At::kPodAny, kLost},
      {"hairpin", From::kPod, "192.0.2.1", 8080, At::kPodAny, "10.88.0.1"},
      {"hairpin, v6", From::kPod, "2001:db8::1", 8080, At::kPodAny, "fd88::1"},
      {"hairpin to its hostIP", From::kPod, "192.0.2.9", 8081, At::kPodOneAddress, "10.88.0.1"},
      {"pod on the same bridge", From::kNeighbour, "192.0.2.1", 8080, At::kPodAny, "10.88.0.1"},
      {"pod on the same bridge, v6", From::kNeighbour, "2001:db8::1", 8080, At::kPodAny, "fd88::1"},
      {"pod on the same bridge to its gateway", From::kNeighbour, "10.88.0.1", 8080, At::kPodAny, "10.88.0.1"},
      {"client through the node", From::kClient, "198.51.100.2", 8080, At::kBeyond, "192.0.2.2"},
      {"client through the node, v6", From::kClient, "2001:db8:1::2", 8080, At::kBeyond, "2001:db8::2"},
      {"node to another machine", From::kNode, "198.51.100.2", 8080, At::kBeyond, "198.51.100.1"},
      {"pod through the node", From::kPod, "198.51.100.2", 8080, At::kBeyond, "10.88.0.2"},
      {"neighbour through the node", From::kNeighbour, "198.51.100.2", 8080, At::kBeyond, "10.88.0.3"},
  };
  return all;
}

/// Where the bridge shows its packets to iptables, so that they can be turned round without a masquerade.
const std::vector<Case>& bridge_cases() {
  static const std::vector<Case> all{
      {"hairpin, bridge calls iptables", From::kPod, "192.0.2.1", 8080, At::kPodAny, "10.88.0.1"},
      {"hairpin, v6, bridge calls iptables", From::kPod, "2001:db8::1", 8080, At::kPodAny, "fd88::1"},
      {"same bridge, bridge calls iptables", From::kNeighbour, "192.0.2.1", 8080, At::kPodAny, "10.88.0.3"},
      {"same bridge, v6, bridge calls iptables", From::kNeighbour, "2001:db8::1", 8080, At::kPodAny, "fd88::3"},
  };
  return all;
}

/// What every case saw with that plugin, in the order of `table`.
std::vector<std::string> outcomes(const std::string& plugin, const std::string& protocol,
                                  const std::vector<Case>& table) {
  Node node(plugin, &table == &bridge_cases());
  Pod pod(node, "aaaa");
  const Pod neighbour(node, "bbbb");
  pod.must_map(all_mappings());
  Listener any(protocol, pod.netns, 80);
  Listener one_address(protocol, pod.netns, 81);
  Listener beyond(protocol, node.beyond, 8080);
  std::vector<std::string> out;
  for (const Case& wanted : table) {
    const Netns& from = wanted.from == From::kClient ? node.client
                        : wanted.from == From::kNode ? node.host
                        : wanted.from == From::kPod  ? pod.netns
                                                     : neighbour.netns;
    Listener& at = wanted.at == At::kPodAny ? any : wanted.at == At::kPodOneAddress ? one_address : beyond;
    out.push_back(at.asked_by(from, wanted.address, wanted.port));
  }
  return out;
}

// The life of a port, step by step.
struct Step {
  const char* name;
  std::string seen;
};

const std::vector<Step>& steps() {
  static const std::vector<Step> all{
      {"a second pod wants the port of a living one", "refused"},
      {"the port of a dead pod, before its DEL", "192.0.2.2"},
      {"the port of a dead pod, after its DEL", "192.0.2.2"},
      {"rules of a pod before DEL", "some"},
      {"rules of a pod after DEL without portMappings", "none"},
      {"rules of a pod after DEL with portMappings", "none"},
      {"the node's own server after DEL", "192.0.2.2"},
      {"a udp flow that outlives the DEL of its pod", "the node"},
  };
  return all;
}

std::string traces(const Node& node, const std::string& id) {
  return node.rules().find(id) == std::string::npos ? "none" : "some";
}

std::string one_port(const std::string& protocol) {
  return json::array({{{"hostPort", 8080}, {"containerPort", 80}, {"protocol", protocol}}}).dump();
}

void take_over(Node& node, std::vector<std::string>& out) {
  std::optional<Pod> first(std::in_place, node, "aaaa");
  first->must_map(one_port("tcp"));
  {
    Pod greedy(node, "cccc");
    out.emplace_back(greedy.map(one_port("tcp")).ok() ? "accepted" : "refused");
    greedy.must_unmap();
  }
  const std::string config = first->config;
  first.reset();
  Pod second(node, "bbbb");
  second.must_map(one_port("tcp"));
  Listener listener("tcp", second.netns, 80);
  out.push_back(listener.asked_by(node.client, "192.0.2.1", 8080));
  CHECK(node.call("DEL", "aaaa", config, "").ok());
  out.push_back(listener.asked_by(node.client, "192.0.2.1", 8080));

  out.push_back(traces(node, "bbbb"));
  json bare = json::parse(second.config);
  bare.erase("runtimeConfig");
  CHECK(node.call("DEL", "bbbb", bare.dump(), "").ok());
  out.push_back(traces(node, "bbbb"));
  second.must_unmap();
  out.push_back(traces(node, "bbbb"));
  Listener own("tcp", node.host, 8080);
  out.push_back(own.asked_by(node.client, "192.0.2.1", 8080));
}

conf::UniqueFd udp_at(const Netns& netns, std::uint16_t port) {
  conf::UniqueFd fd = support::socket_in(netns, AF_INET, SOCK_DGRAM);
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_port = htons(port);
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0);
  return fd;
}

std::string receiver_of(const conf::UniqueFd& flow, const conf::UniqueFd& pod, const conf::UniqueFd& node) {
  (void)::send(flow.get(), "?", 1, 0);
  std::array<pollfd, 2> both{pollfd{pod.get(), POLLIN, 0}, pollfd{node.get(), POLLIN, 0}};
  if (::poll(both.data(), both.size(), 2000) != 1) return kLost;
  const bool is_pod = both[0].revents != 0;
  char byte = 0;
  REQUIRE(::recv(is_pod ? pod.get() : node.get(), &byte, 1, 0) == 1);
  return is_pod ? "the old pod" : "the node";
}

std::string flow_after_del(Node& node) {
  Pod pod(node, "dddd");
  pod.must_map(one_port("udp"));
  const conf::UniqueFd in_pod = udp_at(pod.netns, 80);
  const conf::UniqueFd on_node = udp_at(node.host, 8080);
  const conf::UniqueFd flow = udp_at(node.client, 40000);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(8080);
  REQUIRE(::inet_pton(AF_INET, "192.0.2.1", &to.sin_addr) == 1);
  REQUIRE(::connect(flow.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  CHECK(receiver_of(flow, in_pod, on_node) == "the old pod");
  pod.must_unmap();
  return receiver_of(flow, in_pod, on_node);
}

std::vector<std::string> life(const std::string& plugin) {
  Node node(plugin, false);
  std::vector<std::string> out;
  take_over(node, out);
  out.push_back(flow_after_del(node));
  return out;
}

/// What portmap does otherwise, and why we do not. Anything else that differs is a bug of ours.
struct Difference {
  std::string name;
  std::string theirs;
  std::string reason;
};

const std::vector<Difference>& differences() {
  static const std::string subnet = "portmap masquerades the whole subnet, we only what could not come back otherwise";
  static const std::vector<Difference> all{
      {"same bridge, bridge calls iptables", "10.88.0.1", subnet},
      {"same bridge, v6, bridge calls iptables", "fd88::1", subnet},
      {"a second pod wants the port of a living one", "accepted", "portmap lets it wait behind the first, unreached"},
      {"the port of a dead pod, before its DEL", kLost, "portmap appends: the older rule, to the dead pod, wins"},
      {"rules of a pod after DEL without portMappings", "some",
       "portmap takes its ports from the configuration, we from our record"},
      {"a udp flow that outlives the DEL of its pod", "the old pod", "portmap flushes no conntrack entry on DEL"},
  };
  return all;
}

std::string theirs_in(const std::string& name, const std::string& ours) {
  for (const Difference& one : differences())
    if (one.name == name) return one.theirs;
  return ours;
}

template <typename Row>
void compare(const std::vector<Row>& table, const std::vector<std::string>& ours,
             const std::vector<std::string>& theirs) {
  REQUIRE(ours.size() == table.size());
  REQUIRE(theirs.size() == table.size());
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string name = table[i].name;
    CAPTURE(name);
    CHECK(ours[i] == table[i].seen);
    CHECK(theirs[i] == theirs_in(name, table[i].seen));
  }
}

void compare_packets(const std::string& protocol, const std::vector<Case>& table) {
  compare(table, outcomes(kOurs, protocol, table), outcomes(kTheirs, protocol, table));
}

TEST_SUITE_BEGIN("integration.portmap_matrix");

TEST_CASE("every tcp case ends as with portmap, or as a decision says") { compare_packets("tcp", cases()); }

TEST_CASE("every udp case ends as with portmap, or as a decision says") { compare_packets("udp", cases()); }

TEST_CASE("every sctp case ends as with portmap, or as a decision says") { compare_packets("sctp", cases()); }

TEST_CASE("the same where the bridge shows its packets to iptables: portmap masquerades more") {
  REQUIRE_MESSAGE(fs::exists("/proc/sys/net/bridge"), "this needs the kernel module br_netfilter");
  compare_packets("tcp", bridge_cases());
}

TEST_CASE("a port changes hands and goes as with portmap, or as a decision says") {
  compare(steps(), life(kOurs), life(kTheirs));
}

TEST_CASE("every written difference is one of a case") {
  std::map<std::string, std::string> ours;
  for (const auto* table : {&cases(), &bridge_cases()})
    for (const Case& one : *table) ours[one.name] = one.seen;
  for (const Step& one : steps()) ours[one.name] = one.seen;
  for (const Difference& one : differences()) {
    CAPTURE(one.name);
    REQUIRE(ours.count(one.name) == 1);
    CHECK(ours[one.name] != one.theirs);
    CHECK_FALSE(one.reason.empty());
  }
}

TEST_SUITE_END();

}  // namespace
