// SPDX-License-Identifier: Apache-2.0
#include "plugin/agent_answers.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

using plugin::AgentConfig;
using plugin::AgentHealth;
using plugin::AskedBy;
using plugin::Endpoint;
using plugin::parse_agent_config;
using plugin::parse_endpoint;
using plugin::parse_health;

namespace {

using Strings = std::vector<std::string>;

std::string recorded(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(TEST_DATA "/agent/" + name).rdbuf();
  REQUIRE_FALSE(text.str().empty());
  return text.str();
}

template <typename Value>
Strings texts(const std::vector<Value>& values) {
  Strings out;
  for (const Value& value : values) out.push_back(value.str());
  return out;
}

template <typename Value>
std::string joined(const std::vector<Value>& values) {
  return fmt::format("{}", fmt::join(texts(values), " "));
}

/// All that is read of /v1/healthz.
std::string told(const AgentHealth& health) {
  std::string services;
  if (health.host_ports.value_or(false)) services += " hostPorts";
  if (health.node_ports) services += " nodePorts";
  if (health.socket_lb) services += health.socket_lb_host_only ? " socketLB of the host" : " socketLB";
  return fmt::format("{} {}{}, list {}{}; services {}{}; {}-{} {}; masquerading {}; health {}", health.version,
                     health.state, health.problem, health.cni_file_state, health.cni_file_message.empty() ? "" : "+",
                     health.kube_proxy_replacement, services, health.routing, health.tunnel_protocol,
                     health.host_routing, health.masquerading, joined(health.health_addresses));
}

/// And of /v1/config.
std::string told(const AgentConfig& config) {
  const auto flag = [](std::optional<bool> one) { return !one ? "?" : *one ? "yes" : "no"; };
  return fmt::format("{} {}, router {}; {}-{} {}; legacy routing {}, socketLB of the host only {}; MTU {} {}",
                     config.ipam_mode, joined(config.pod_cidrs), joined(config.routers), config.routing,
                     config.tunnel_protocol, config.tunnel_port, flag(config.legacy_host_routing),
                     flag(config.socket_lb_host_only), config.device_mtu, config.route_mtu);
}

/// What tests/data/agent says of one node.
struct Expected {
  std::string dir;  ///< ends with a slash, but for the recorded ones
  std::string health;
  std::string config;
};

std::vector<Expected> versions() {
  return {
      {"1.13/",
       "1.13.18 Ok, list ; services Strict hostPorts nodePorts socketLB; - BPF; masquerading BPF; health 10.0.1.9",
       "cluster-pool 10.0.1.0/24, router 10.0.1.77; tunnel-vxlan 8472; legacy routing no, socketLB of the host only ?; "
       "MTU 1500 1450"},
      {"1.14/",
       "1.14.14 Ok, list Disabled+; services False; - Legacy; masquerading iptables; health 10.245.1.115 fd00:245:1::c",
       "cluster-pool 10.245.1.0/24 fd00:245:1::/120, router 10.245.1.90 fd00:245:1::8; tunnel-geneve 6081; "
       "legacy routing yes, socketLB of the host only no; MTU 1500 1430"},
      {"1.15/",
       "1.15.19 Ok, list Ok+; services True hostPorts nodePorts socketLB of the host; - BPF; masquerading off; health "
       "10.244.1.9",
       "kubernetes 10.244.1.0/24, router 10.244.1.77; native- 0; legacy routing no, socketLB of the host only yes; "
       "MTU 1500 1500"},
      {"1.16/",
       "1.16.19 Ok, list Disabled+; services False; Tunnel-vxlan Legacy; masquerading iptables; health 10.245.1.115",
       "cluster-pool 10.245.1.0/24, router 10.245.1.90; tunnel- 0; legacy routing yes, socketLB of the host only no; "
       "MTU 1500 1450"},
      {"1.17/",
       "1.17.14 Ok, list Failure+; services False; Native-vxlan Legacy; masquerading iptables; health 10.0.9.7",
       "eni 10.5.0.0/16, router 10.0.9.4; native- 0; legacy routing yes, socketLB of the host only no; MTU 9001 9001"},
      {"1.18/",
       "1.18.6 Ok, list Disabled+; services True hostPorts nodePorts socketLB; Tunnel-vxlan BPF; masquerading BPF; "
       "health 10.245.1.115",
       "cluster-pool 10.245.1.0/24, router 10.245.1.90; tunnel- 0; legacy routing no, socketLB of the host only no; "
       "MTU 1500 1450"},
      {"", " Ok, list Ok+; services False; Tunnel-vxlan Legacy; masquerading iptables; health 10.245.1.115",
       "cluster-pool 10.245.1.0/24, router 10.245.1.90; tunnel- 0; legacy routing yes, socketLB of the host only no; "
       "MTU 1450 1400"},
  };
}

/// As `key` alone has it, in an answer that is well otherwise.
AgentHealth with(const std::string& key, const std::string& value) {
  return parse_health(R"({"cilium":{"state":"Ok"},")" + key + "\":" + value + "}");
}

Endpoint endpoint(const std::string& body, const std::string& ifname = "eth0", AskedBy by = AskedBy::kContainer) {
  return parse_endpoint(body, ifname, by);
}

}  // namespace

TEST_SUITE("plugin.agent_answers") {
  TEST_CASE("the answers of agents from 1.13 to 1.19 are read") {
    for (const Expected& expected : versions()) {
      CAPTURE(expected.dir);
      CHECK(told(parse_health(recorded(expected.dir + "healthz.json"))) == expected.health);
      CHECK(told(parse_agent_config(recorded(expected.dir + "config.json"))) == expected.config);
    }
  }

  TEST_CASE("since 1.16 health says the routing between hosts too") {
    for (const std::string dir : {"1.13/", "1.14/", "1.15/"}) {
      CAPTURE(dir);
      CHECK(parse_health(recorded(dir + "healthz.json")).routing.empty());
    }
    CHECK(parse_health(recorded("1.16/healthz.json")).routing == "Tunnel");
    CHECK(parse_health(recorded("1.16/healthz.json")).tunnel_protocol == "vxlan");
    CHECK(parse_health(recorded("1.17/healthz.json")).routing == "Native");
  }

  TEST_CASE("the brief answer lacks what a decision needs") {
    const AgentHealth brief = parse_health(recorded("healthz-brief.json"));
    CHECK(brief.healthy());
    CHECK(brief.cni_file_state.empty());
    CHECK_FALSE(brief.host_ports.has_value());
    CHECK(brief.host_routing.empty());
    CHECK(brief.masquerading.empty());
  }

  TEST_CASE("a stale status keeps its version") {
    const AgentHealth stale =
        parse_health(R"({"cilium":{"state":"Warning","msg":"1.15.6 (v1.15.6-a09e05e6)    Stale status data"}})");
    CHECK(stale.healthy());
    CHECK(stale.version == "1.15.6");
    CHECK(parse_health(R"x({"cilium":{"state":"Ok","msg":" (v-)"}})x").version.empty());
  }

  TEST_CASE("wrong kinds and nesting without end are nothing, and break nothing else") {
    const std::string deep = std::string(100, '[') + std::string(100, ']');
    for (const std::string& odd : Strings{"null", "[]", "7", "\"x\"", "true", "{}", R"({"mode":7,"features":[]})",
                                          R"({"mode":null,"allocations":[1]})", deep}) {
      CAPTURE(odd);
      for (const char* key :
           {"cni-file", "kube-proxy-replacement", "routing", "host-routing", "masquerading", "ipam"}) {
        CAPTURE(key);
        const AgentHealth health = with(key, odd);
        CHECK(health.healthy());
        CHECK(health.cni_file_state.empty());
        CHECK_FALSE(health.node_ports);
        CHECK_FALSE(health.socket_lb);
        CHECK(health.host_routing.empty());
        CHECK(health.health_addresses.empty());
      }
      for (const char* key : {"addressing", "daemonConfigurationMap"}) {
        const AgentConfig config =
            parse_agent_config(R"({"status":{"ipam-mode":"eni",")" + std::string(key) + "\":" + odd + "}}");
        CHECK(config.ipam_mode == "eni");
        CHECK(config.pod_cidrs.empty());
        CHECK(config.tunnel_port == 0);
      }
    }
    const std::string bottomless(100'000, '[');
    CHECK_FALSE(with("x", bottomless).answered);
    CHECK(with("x", std::string(200, '[') + std::string(200, ']')).problem.find("/v1/healthz") != std::string::npos);
    CHECK(parse_agent_config("{\"status\":" + bottomless).ipam_mode.empty());
  }

  TEST_CASE("addresses and ports that are none are left out") {
    const auto config = [](const std::string& family) {
      return parse_agent_config(R"({"status":{"addressing":{"ipv4":)" + family + "}}}");
    };
    CHECK(config(R"({"enabled":false,"alloc-range":"10.0.0.0/24","ip":"10.0.0.1"})").pod_cidrs.empty());
    CHECK(config(R"({"enabled":"true","alloc-range":"10.0.0.0/24"})").pod_cidrs.empty());
    const AgentConfig odd = config(R"({"enabled":true,"alloc-range":"10.0.0.0","ip":"router"})");
    CHECK(odd.pod_cidrs.empty());
    CHECK(odd.routers.empty());
    CHECK(texts(config(R"({"enabled":true,"alloc-range":"10.0.0.7/24"})").pod_cidrs) == Strings{"10.0.0.0/24"});
    for (const std::string port : {"0", "-1", "65536", "8472.5", "\"8472\"", "null"}) {
      CAPTURE(port);
      CHECK(parse_agent_config(R"({"status":{"daemonConfigurationMap":{"Tunnel":"vxlan","TunnelPort":)" + port + "}}}")
                .tunnel_port == 0);
    }
    CHECK(with("ipam", R"({"allocations":{"ten":"health","10.0.0.9":"health","10.0.0.8":"default/health"}})")
              .health_addresses.size() == 1);
  }

  TEST_CASE("1.13 without a tunnel routes natively") {
    const AgentConfig config =
        parse_agent_config(R"({"status":{"daemonConfigurationMap":{"Tunnel":"disabled","TunnelPort":8472}}})");
    CHECK(config.routing == "native");
    CHECK(config.tunnel_port == 0);
    CHECK(config.tunnel_protocol.empty());
  }

  TEST_CASE("an endpoint of a container is the interface's that it names, else eth0's and no other's") {
    const auto naming = [](const std::string& name) {
      return R"({"id":7,"status":{"networking":{"container-interface-name":")" + name + R"("}}})";
    };
    CHECK(endpoint(naming("eth0")) == Endpoint::kPresent);
    CHECK(endpoint(naming("net1"), "net1") == Endpoint::kPresent);
    CHECK(endpoint(naming("eth0"), "net1") == Endpoint::kAbsent);
    CHECK(endpoint(R"({"id":7})") == Endpoint::kPresent);
    CHECK(endpoint(R"({"id":7,"status":[]})") == Endpoint::kPresent);
    CHECK(endpoint(R"({"id":7})", "net1") == Endpoint::kUnknown);
    CHECK(endpoint(R"({"id":7})", "net1", AskedBy::kAttachment) == Endpoint::kPresent);
    CHECK(endpoint(naming("eth0"), "net1", AskedBy::kAttachment) == Endpoint::kAbsent);
  }

  TEST_CASE("what is no endpoint is no evidence of one") {
    for (const std::string odd : {"", "[]", "null", "{}", "{\"id\":", "<html>", R"({"id":"7"})", R"({"cilium":{}})"}) {
      CAPTURE(odd);
      CHECK(endpoint(odd) == Endpoint::kUnknown);
      CHECK(endpoint(odd, "eth0", AskedBy::kAttachment) == Endpoint::kUnknown);
    }
  }
}
