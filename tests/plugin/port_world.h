// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugin/dispatch.h"
#include "tests/fakes/machine.h"

// A node in memory on which crossover-portmap is called. Pods are behind the bridge cni0, whose packets iptables does
// not see.
namespace plugin {

struct PortWorld {
  PortWorld() {
    machine.write(localnet_file(), "0\n");
    machine.flows.addresses = {*conf::IpAddr::parse("192.0.2.1"), *conf::IpAddr::parse("2001:db8::1")};
  }

  /// A pod's namespace, 10.1.0.<n> and fd01::<n>.
  std::string pod(unsigned n) {
    std::string path = "/run/netns/" + std::to_string(n);
    if (!machine.namespaces.has(path)) machine.namespaces.add(path);
    for (const std::string& address : {v4(n), v6(n)})
      machine.host_links.links[*conf::IpAddr::parse(address)] = {.name = "cni0", .kind = "bridge"};
    return path;
  }
  [[nodiscard]] static std::string v4(unsigned n) { return "10.1.0." + std::to_string(n); }
  [[nodiscard]] static std::string v6(unsigned n) { return "fd01::" + std::to_string(n); }

  [[nodiscard]] std::string config(unsigned n, std::string_view mappings, std::string_view more = {}) const {
    return R"({"cniVersion":"1.1.0","name":"net","type":"crossover-portmap","stateDir":")" + machine.state_dir() +
           R"(","runtimeConfig":{"portMappings":)" + std::string(mappings) + "}" + std::string(more) +
           R"(,"prevResult":)" + result(n) + "}";
  }
  [[nodiscard]] static std::string result(unsigned n) {
    return R"({"cniVersion":"1.1.0","interfaces":[{"name":"cni0"},{"name":"eth0","sandbox":"/run/netns/)" +
           std::to_string(n) + R"("}],"ips":[{"interface":1,"address":")" + v4(n) +
           R"(/24"},{"interface":1,"address":")" + v6(n) + R"(/64"}]})";
  }

  /// One process of its own.
  std::string call(conf::Verb verb, unsigned n, const std::string& text) {
    System system = machine.process();
    const conf::Request request = machine.request(verb, "c" + std::to_string(n), pod(n));
    return dispatch(system, Role::kPortmap, request, text);
  }
  std::string add(unsigned n, std::string_view mappings, std::string_view more = {}) {
    return call(conf::Verb::kAdd, n, config(n, mappings, more));
  }
  std::string check(unsigned n, std::string_view mappings, std::string_view more = {}) {
    return call(conf::Verb::kCheck, n, config(n, mappings, more));
  }
  /// With a configuration that says no more than where the state is.
  std::string del(unsigned n) {
    return call(conf::Verb::kDel, n, R"({"cniVersion":"1.1.0","stateDir":")" + machine.state_dir() + R"("})");
  }

  [[nodiscard]] std::string localnet_file() const { return machine.dir() + "/sys/net/ipv4/conf/cni0/route_localnet"; }
  [[nodiscard]] std::string localnet() { return machine.real_disk.read(localnet_file(), 8).value_or(""); }
  [[nodiscard]] std::size_t records() { return machine.real_disk.list(machine.state_dir() + "/ports").size(); }
  /// How many elements of the ruleset are `n`'s.
  [[nodiscard]] std::size_t elements(unsigned n) {
    const std::string owner = "c" + std::to_string(n) + ":eth0";
    std::size_t count = 0;
    for (const netlink::NftSet& set : machine.ruleset.sets(crossover())) {
      const std::optional<std::vector<netlink::NftElement>> all = machine.ruleset.elements(crossover(), set.name);
      for (const netlink::NftElement& one : all.value()) count += one.comment == owner ? 1U : 0U;
    }
    return count;
  }
  [[nodiscard]] static netlink::NftTable crossover() {
    return {.family = netlink::NftFamily::kInet, .name = "crossover"};
  }

  fakes::Machine machine;
};

inline constexpr std::string_view kWeb = R"([{"hostPort":8080,"containerPort":80,"protocol":"tcp"}])";
inline constexpr std::string_view kDns = R"([{"hostPort":53,"containerPort":5353,"protocol":"udp"}])";

}  // namespace plugin
