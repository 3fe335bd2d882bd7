// SPDX-License-Identifier: Apache-2.0
#include "plugin/port_config.h"

#include <doctest/doctest.h>

#include "tests/support/refusal.h"

namespace plugin {
namespace {

using conf::Code;
using conf::Verb;
using support::check_refusal;
using support::refusal_of;

std::string config(std::string_view more) {
  return R"({"cniVersion":"1.0.0","name":"net","type":"crossover-portmap")" + std::string(more) + "}";
}
std::string mapping(std::string_view entry) {
  return config(R"(,"runtimeConfig":{"portMappings":[)" + std::string(entry) + "]}");
}
PortConfig parse(const std::string& text) { return parse_port_config(text, Verb::kAdd); }
void check_refused(const std::string& text, std::string_view details) {
  check_refusal(refusal_of([&] { return parse(text); }), Code::kInvalidConfig, "invalid configuration", details);
}

TEST_SUITE_BEGIN("plugin.port_config");
TEST_CASE("defaults, and everything that runtimes and lists put beside our keys") {
  const PortConfig out = parse(config(
      R"(,"capabilities":{"portMappings":true},"args":{},"dns":{},"ipam":{},"cni.dev/x":1,"prevResult":null,
          "runtimeConfig":{"ips":[]},"snat":null,"markMasqBit":13,"backend":"nftables","externalSetMarkChain":null)"));
  CHECK(out.snat);
  CHECK_FALSE(out.masq_all);
  CHECK(out.mappings.empty());
  CHECK(out.state_dir == "/var/lib/cni/crossover");
  CHECK_FALSE(out.prev_result.has_value());
}

TEST_CASE("mappings as runtimes write them") {
  const PortConfig out = parse(
      mapping(R"({"hostPort":65535,"containerPort":1,"protocol":"SCTP","hostIP":"::"},{"hostPort":1,"containerPort":2,
                  "protocol":"Udp","hostIP":""})"));
  REQUIRE(out.mappings.size() == 2);
  CHECK(out.mappings[0] == PortMapping{.host_port = 65535,
                                       .container_port = 1,
                                       .protocol = PortProtocol::kSctp,
                                       .host_ip = conf::IpAddr::parse("::")});
  CHECK(out.mappings[1].protocol == PortProtocol::kUdp);
  CHECK_FALSE(out.mappings[1].host_ip.has_value());
}

TEST_CASE("bad mappings are refused with the key, its value and the rule") {
  const std::string_view zero = R"({"hostPort":0,"containerPort":80,"protocol":"tcp"})";
  check_refused(mapping(zero), "`runtimeConfig.portMappings[0].hostPort` is 0: must be a whole number from 1 to 65535");
  check_refused(mapping(R"({"hostPort":65536,"containerPort":80,"protocol":"tcp"})"),
                "`runtimeConfig.portMappings[0].hostPort` is 65536: must be a whole number from 1 to 65535");
  check_refused(mapping(R"({"hostPort":"80","containerPort":80,"protocol":"tcp"})"),
                "`runtimeConfig.portMappings[0].hostPort` is \"80\": must be a whole number from 1 to 65535");
  check_refused(mapping(R"({"hostPort":80,"protocol":"tcp"})"),
                "`runtimeConfig.portMappings[0].containerPort` is missing: must be a whole number from 1 to 65535");
  check_refused(mapping(R"({"hostPort":80,"containerPort":80,"protocol":"icmp"})"),
                "`runtimeConfig.portMappings[0].protocol` is \"icmp\": must be tcp, udp or sctp");
  check_refused(mapping(R"({"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"10.0.0"})"),
                "`runtimeConfig.portMappings[0].hostIP` is \"10.0.0\": must be an IP address");
  check_refused(
      mapping(R"({"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"::ffff:10.0.0.1"})"),
      "`runtimeConfig.portMappings[0].hostIP` is \"::ffff:10.0.0.1\": must be written as IPv4: no packet carries an "
      "IPv4-mapped address");
  CHECK(refusal_of([&] {
          return parse(mapping(R"({"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"::1"})"));
        }).code() == 7);
}

TEST_CASE("4096 mappings are taken, 4097 are not") {
  const auto many = [](int count) {
    std::string out;
    for (int i = 1; i <= count; ++i)
      out += (i == 1 ? "" : ",") + std::string(R"({"containerPort":80,"protocol":"tcp","hostPort":)") +
             std::to_string(i) + "}";
    return mapping(out);
  };
  CHECK(parse(many(4096)).mappings.size() == 4096);
  check_refused(many(4097), "`runtimeConfig.portMappings` has 4097 entries: at most 4096 of one pod are mapped");
}

TEST_CASE("keys that make no sense without iptables are refused with advice") {
  check_refused(config(R"(,"backend":"iptables")"),
                "`backend` is \"iptables\": must be left out, or \"nftables\": this plugin does not use iptables, and "
                "works beside it");
  CHECK(refusal_of([&] { return parse(config(R"(,"externalSetMarkChain":"KUBE-MARK-MASQ")")); })
            .details()
            .find("use masqAll or snat") != std::string::npos);
  check_refused(config(R"(,"markMasqBit":32)"), "`markMasqBit` is 32: must be a whole number from 0 to 31");
  check_refused(config(R"(,"masqall":true)"), "`masqall` is unknown: did you mean `masqAll`?");
}

TEST_CASE("127.0.0.1 without masquerading is refused") {
  check_refused(
      config(R"(,"snat":false,"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":80,"protocol":"tcp",
                "hostIP":"127.0.0.1"}]})"),
      "`runtimeConfig.portMappings[0].hostIP` is 127.0.0.1: needs `snat`, which is false; no pod could answer");
}

TEST_CASE("the pod's addresses are the first of each family that are its own") {
  const std::string_view result =
      R"({"cniVersion":"1.0.0","interfaces":[{"name":"cni0"},{"name":"eth0","sandbox":"/x"},{"name":"net1","sandbox":"/x"}],
          "ips":[{"interface":0,"address":"10.0.0.1/24"},{"interface":2,"address":"10.0.0.9/24"},
                 {"interface":1,"address":"10.0.0.5/24"},{"interface":1,"address":"10.0.0.6/24"},
                 {"address":"fd00::5/64"}]})";
  CHECK(pod_addresses(result, "1.0.0", "eth0") ==
        PodAddresses{.ipv4 = conf::IpAddr::parse("10.0.0.5"), .ipv6 = conf::IpAddr::parse("fd00::5")});
  CHECK(pod_addresses(R"({"ip4":{"ip":"10.0.0.7/24"}})", "0.2.0", "eth0").ipv4 == conf::IpAddr::parse("10.0.0.7"));
}

TEST_CASE("mappings become one redirection for each key and family, equal ones once") {
  const PodAddresses pod{.ipv4 = conf::IpAddr::parse("10.0.0.5"), .ipv6 = conf::IpAddr::parse("fd00::5")};
  const PortMapping web{.host_port = 8080, .container_port = 80, .protocol = PortProtocol::kTcp, .host_ip = {}};
  PortMapping v4 = web;
  v4.host_ip = conf::IpAddr::parse("0.0.0.0");
  const std::vector<Redirection> both = redirections({web, v4, web}, pod);
  REQUIRE(both.size() == 2);
  CHECK(both[0].str() == "tcp 0.0.0.0:8080 10.0.0.5:80");
  CHECK(both[1].str() == "tcp [::]:8080 [fd00::5]:80");
  for (const Redirection& one : both) CHECK(Redirection::parse(one.str()) == one);
  CHECK_FALSE(Redirection::parse("tcp 0.0.0.0:8080 [fd00::5]:80").has_value());
  CHECK_FALSE(Redirection::parse("TCP 0.0.0.0:8080 10.0.0.5:80").has_value());
  v4.container_port = 81;
  check_refusal(refusal_of([&] {
                  return redirections({web, v4}, pod);
                }),
                Code::kInvalidConfig, "invalid configuration",
                "`runtimeConfig.portMappings[1]` sends tcp 0.0.0.0:8080 to port 81, and [0] to port 80");
  check_refusal(refusal_of([&] { return redirections({v4}, {.ipv4 = {}, .ipv6 = pod.ipv6}); }), Code::kInvalidConfig,
                "invalid configuration",
                "`runtimeConfig.portMappings[0]` leads nowhere: the pod has no IPv4 address for hostIP 0.0.0.0");
}
TEST_SUITE_END();

TEST_SUITE_BEGIN("plugin.conditions");
Conditions read(std::string_view array, conf::Family family = conf::Family::kIpv4) {
  return read_conditions({.path = "conditionsV4", .raw = std::string(array)}, family);
}

TEST_CASE("strings and words of nft are one text") {
  CHECK(read(R"(["ip","saddr","!=","10.0.0.0/8"])") == read(R"([" ip saddr  != 10.0.0.0/8"])"));
  CHECK(read("[]").empty());
  CHECK(condition_hash(read(R"(["meta mark 1"])")) != condition_hash(read(R"(["meta mark 2"])")));
}

TEST_CASE("lists and ranges become rules of which one must hold") {
  const auto rules = [](std::string_view text) { return condition_rules(read(text), "conditionsV4").size(); };
  CHECK(rules(R"(["ip saddr { 10.0.0.0/8, 192.0.2.1 } tcp dport 80-90"])") == 2);
  CHECK(rules(R"(["ip saddr != { 10.0.0.0/8, 192.0.2.1 }"])") == 1);
  CHECK(rules(R"(["tcp sport != 1-1023"])") == 2);
  CHECK(rules(R"(["meta l4proto udp iifname \"eth*\" oifname != lo mark and 0xff == 0x10"])") == 1);
  CHECK(rules(R"(["ip daddr 192.0.2.1 meta mark != 7"])") == 1);
}

TEST_CASE("what is not understood is refused with all that is") {
  check_refusal(refusal_of([&] { return read(R"(["!","-d","192.0.2.0/24"])"); }), Code::kInvalidConfig,
                "invalid configuration",
                "`conditionsV4` is in iptables' syntax, and this plugin works with nftables: write it as nft does, "
                "e.g. [\"ip\", \"daddr\", \"!=\", \"192.0.2.0/24\"] for [\"!\", \"-d\", \"192.0.2.0/24\"]");
  for (const std::string_view bad :
       {R"(["ip saddr"])", R"(["ip6 saddr fd00::/8"])", R"(["ip saddr fd00::1"])", R"(["ip saddr 10.0.0.1/8"])",
        R"(["tcp dport 70000"])", R"(["tcp dport 9-8"])", R"(["ct state new"])", R"(["iifname \"a b\""])",
        R"(["ip saddr { 10.0.0.1"])", R"(["meta mark x"])", R"(["accept"])", R"([1])", R"("ip")"}) {
    INFO(bad);
    CHECK(refusal_of([&] { return read(bad); }).code() == 7);
  }
}
TEST_SUITE_END();

}  // namespace
}  // namespace plugin
