// SPDX-License-Identifier: Apache-2.0
#include "ipam/source.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "conf/error.h"
#include "tests/ipam/store_world.h"
#include "tests/support/data.h"

namespace ipam {
namespace {

using Reader = Reading (*)(std::string_view);

constexpr const char* kSubnetEnv =
    "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_IPV6_NETWORK=fd00::/48\n"
    "FLANNEL_IPV6_SUBNET=fd00:0:0:1::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";

constexpr const char* kCiliumNode =
    R"({"apiVersion":"cilium.io/v2","kind":"CiliumNode","metadata":{"name":"node2"},"spec":{"addresses":[)"
    R"({"ip":"172.30.0.12","type":"InternalIP"},{"ip":"10.245.1.90","type":"CiliumInternalIP"}],)"
    R"("health":{"ipv4":"10.245.1.115"},"ingress":{"ipv6":"fd00::9"},)"
    R"("ipam":{"podCIDRs":["10.245.1.0/24","fd00::/120"],"pools":{}}},"status":{"ipam":{"operator-status":{}}}})";

constexpr const char* kNode =
    R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"node2"},)"
    R"("spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24","fd00:1::/64"]},"status":{}})";

/// "10.1.0.0/24 fd00::/120 without 10.1.0.9", or the problem.
std::string told(const Reading& reading) {
  if (const auto* const problem = std::get_if<std::string>(&reading)) return *problem;
  std::string out;
  for (const conf::IpPrefix& cidr : std::get<Answer>(reading).cidrs) out += (out.empty() ? "" : " ") + cidr.str();
  for (const conf::IpAddr& ip : std::get<Answer>(reading).taken) out += " without " + ip.str();
  return out;
}

bool is_answer(const Reading& reading) { return std::holds_alternative<Answer>(reading); }

/// A problem is one printable sentence that containerd does not take for success.
void check_problem(const Reading& reading) {
  REQUIRE_FALSE(is_answer(reading));
  const std::string& problem = std::get<std::string>(reading);
  CHECK_FALSE(problem.empty());
  CHECK(problem.size() < 512);
  CHECK(problem.find('\n') == std::string::npos);
  CHECK(conf::without_swallowed_phrases(problem) == problem);
}

/// Every beginning of `text` but those that `read` may take is a problem.
void check_torn(Reader read, const std::string& text, std::size_t may_miss = 0) {
  REQUIRE(is_answer(read(text)));
  for (std::size_t bytes = 0; bytes + may_miss < text.size(); ++bytes) {
    INFO(text.substr(0, bytes));
    check_problem(read(std::string_view(text).substr(0, bytes)));
  }
}

TEST_SUITE_BEGIN("ipam.source");
TEST_CASE("a source is cilium, flannel, or file: and an absolute path") {
  CHECK(parse_source("cilium")->kind == Source::Kind::kCilium);
  CHECK(parse_source("flannel")->kind == Source::Kind::kFlannel);
  const Source file = parse_source("file:/run/node.json").value();
  CHECK(file.kind == Source::Kind::kFile);
  CHECK(file.path == "/run/node.json");
  CHECK(file.text == "file:/run/node.json");
  for (const std::string& text : std::vector<std::string>{
           "", "Cilium", "cilium ", "file", "file:", "file:run/x", "file:/run/../x", "file:/..", "file:/a\nb",
           std::string("file:/a\0b", 9), "http://x", "file:/" + std::string(4096, 'a')}) {
    INFO(text);
    CHECK_FALSE(parse_source(text).has_value());
  }
  CHECK(parse_source("file:/a/..b").has_value());
}

TEST_CASE("the agent says the blocks of the families that are enabled, and its router's address") {
  const Reading recorded = read_agent_config(support::data("agent/config.json"));
  CHECK(told(recorded) == "10.245.1.0/24 without 10.245.1.90");
  CHECK(std::get<Answer>(recorded).notes ==
        std::vector<std::string>{
            "the agent's ipam-mode is \"cluster-pool\": it may give pods addresses of 10.245.1.0/24 itself"});
  const Reading both = read_agent_config(
      R"({"status":{"addressing":{"ipv4":{"enabled":true,"ip":"10.1.0.9","alloc-range":"10.1.0.0/24"},)"
      R"("ipv6":{"enabled":true,"ip":"fd00::9","alloc-range":"fd00::/120"}},"ipam-mode":"delegated-plugin"}})");
  CHECK(told(both) == "10.1.0.0/24 fd00::/120 without 10.1.0.9 without fd00::9");
  CHECK(std::get<Answer>(both).notes.empty());
  CHECK(told(read_agent_config(
            R"({"status":{"addressing":{"ipv4":{"alloc-range":"10.1.0.0/24"},"ipv6":{"enabled":true,"ip":7,)"
            R"("alloc-range":"fd00::/120"}}}})")) == "fd00::/120");
}

TEST_CASE("what the agent says and is no block is a problem") {
  const auto said = [](const std::string& range) {
    return told(read_agent_config(
        fmt::format(R"({{"status":{{"addressing":{{"ipv4":{{"enabled":true,"alloc-range":{}}}}}}}}})", range)));
  };
  CHECK(said(R"("10.1.0.0/24")") == "10.1.0.0/24");
  CHECK(said("null") == R"(status.addressing.ipv4.alloc-range is "": must be a CIDR)");
  CHECK(said(R"("<nil>")") == R"(status.addressing.ipv4.alloc-range is "<nil>": must be a CIDR)");
  CHECK(said(R"("10.1.0.0\n/24")") == R"(status.addressing.ipv4.alloc-range is "10.1.0.0?/24": must be a CIDR)");
  CHECK(said('"' + std::string(1000, '1') + '"') ==
        "status.addressing.ipv4.alloc-range is a text of 1000 bytes: must be a CIDR");
  CHECK(said(R"("10.1.0.1/24")") == "10.1.0.1/24 must be a CIDR without host bits: 10.1.0.0/24");
  CHECK(said(R"("10.1.0.0/31")") == "10.1.0.0/31 must be of at least four addresses, /30 or larger");
  CHECK(said(R"("0.0.0.0/0")") == "0.0.0.0/0 must be a block of a cluster, which /0 is not");
  CHECK(said(R"("fd00::/120")") == "status.addressing.ipv4.alloc-range is fd00::/120: must be of its family");
  CHECK(said(R"("::ffff:10.1.0.0/120")") ==
        "status.addressing.ipv4.alloc-range is ::ffff:10.1.0.0/120: must be of its family");
  for (const char* body : {"", "{}", "[]", "null", "<html>", R"({"status":[]})", R"({"status":{"addressing":null}})"}) {
    INFO(body);
    check_problem(read_agent_config(body));
  }
  check_problem(read_agent_config(std::string(kMaxAgentBytes + 1, ' ')));
  check_problem(read_agent_config(std::string(100'000, '[')));
  check_torn(read_agent_config,
             R"({"status":{"addressing":{"ipv4":{"enabled":true,"alloc-range":"10.1.0.0/24"}},"ipam-mode":""}})");
}

TEST_CASE("the addresses that the agent took for itself are those whose owner is no pod") {
  const auto recorded = read_agent_addresses(support::data("agent/healthz.json"));
  REQUIRE(recorded.has_value());
  CHECK(*recorded == std::vector<conf::IpAddr>{ip("10.245.1.115"), ip("10.245.1.90")});
  CHECK(read_agent_addresses(R"({"ipam":{"allocations":{}}})")->empty());
  CHECK(read_agent_addresses(R"({"ipam":{"allocations":{"x":"router","10.1.0.9":7,"fd00::9":"ingress"}}})").value() ==
        std::vector<conf::IpAddr>{ip("fd00::9")});
  for (const char* body : {"", "{}", "[]", R"({"ipam":{}})", R"({"ipam":7})", "{\"ipam\":{"}) {
    INFO(body);
    CHECK_FALSE(read_agent_addresses(body).has_value());
  }
}

TEST_CASE("flannel's addresses stand for their networks") {
  CHECK(told(read_subnet_env(kSubnetEnv)) == "10.244.1.0/24 fd00:0:0:1::/64");
  CHECK(told(read_subnet_env("FLANNEL_SUBNET=10.244.1.1/24\r\nFLANNEL_IPMASQ=false\r\n")) == "10.244.1.0/24");
  CHECK(told(read_subnet_env("FLANNEL_IPMASQ=true\nFLANNEL_SUBNET=10.1.0.1/24\nFLANNEL_SUBNET=10.2.0.1/24")) ==
        "10.2.0.0/24");
}

TEST_CASE("flannel's networks of the whole cluster are read, and what is none is left out") {
  const auto networks = [](std::string_view text) { return ipam::cidrs_text(ipam::read_flannel_networks(text)); };
  CHECK(networks("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\n") == "10.244.0.0/16");
  CHECK(networks("FLANNEL_NETWORK=10.1.0.0/16, 10.2.0.0/16\r\nFLANNEL_IPV6_NETWORK=fd00::/48") ==
        "10.1.0.0/16, 10.2.0.0/16, fd00::/48");
  for (const char* text : {"", "FLANNEL_NETWORK=", "FLANNEL_NETWORK=,,", "FLANNEL_NETWORK=ten", "NETWORK=10.0.0.0/8"})
    CHECK(networks(text).empty());
}

TEST_CASE("a subnet.env that is torn or holds no subnet is a problem") {
  check_torn(read_subnet_env, kSubnetEnv, 1);  // the last line's end says nothing new
  CHECK(told(read_subnet_env("")) == "it is empty");
  CHECK(told(read_subnet_env("FLANNEL_SUBNET=10.1.0.1/24\nFLANNEL_IPMASQ=tru")) ==
        "it has no FLANNEL_IPMASQ, which flannel writes last: it is torn");
  CHECK(told(read_subnet_env("FLANNEL_IPMASQ=true\n")) == "it has neither FLANNEL_SUBNET nor FLANNEL_IPV6_SUBNET");
  const auto subnet = [](const std::string& value) {
    return told(read_subnet_env(fmt::format("FLANNEL_SUBNET={}\nFLANNEL_IPMASQ=true\n", value)));
  };
  CHECK(subnet("10.244.1.1") == R"(FLANNEL_SUBNET is "10.244.1.1": must be a CIDR)");
  CHECK(subnet("10.244.1.1/24,10.9.0.1/24") == R"(FLANNEL_SUBNET is "10.244.1.1/24,10.9.0.1/24": must be a CIDR)");
  CHECK(subnet("fd00::1/64") == "FLANNEL_SUBNET is fd00::1/64: must be of its family");
  CHECK(subnet("10.244.1.1/31") == "10.244.1.0/31 must be of at least four addresses, /30 or larger");
  check_problem(read_subnet_env(std::string(1 << 20, '\0')));
  check_problem(read_subnet_env(std::string(1 << 20, 'x') + "\nFLANNEL_IPMASQ=true\n"));
}

TEST_CASE("a plain file has one CIDR a line, blank lines and comments") {
  CHECK(told(read_blocks_file("# node 2\n\n10.1.0.0/24\t# first\r\n  fd00::/120\r\n10.2.0.0/24\n10.1.0.0/24\n")) ==
        "10.1.0.0/24 fd00::/120 10.2.0.0/24");
  CHECK(told(read_blocks_file("")) == "it has no CIDR");
  CHECK(told(read_blocks_file("# nothing\n\n")) == "it has no CIDR");
  CHECK(told(read_blocks_file("10.1.0.0/2")) == "its last line has no end: it may be torn");
  CHECK(told(read_blocks_file("\n10.1.0.0/24 10.2.0.0/24\n")) ==
        R"(line 2 is "10.1.0.0/24 10.2.0.0/24": must be a CIDR)");
  CHECK(told(read_blocks_file("10.1.0.1/24\n")) == "10.1.0.1/24 must be a CIDR without host bits: 10.1.0.0/24");
  CHECK(told(read_blocks_file("::ffff:10.1.0.0/120\n")) ==
        "::ffff:10.1.0.0/120 must be written as IPv4: it is an IPv4-mapped IPv6 CIDR");
  CHECK(told(read_blocks_file("10.1.0.0/24\n10.1.0.128/25\n")) ==
        "10.1.0.0/24 and 10.1.0.128/25 overlap: an address must be in one of them");
}

TEST_CASE("a plain file that is torn gives no CIDR that is not in it") {
  const std::string text = "10.1.0.0/24\n# both\nfd00::/120\n";
  for (std::size_t bytes = 0; bytes < text.size(); ++bytes) {
    INFO(bytes);
    const std::string torn = text.substr(0, bytes);
    if (torn == "10.1.0.0/24\n" || torn == "10.1.0.0/24\n# both\n") {
      CHECK(told(read_blocks_file(torn)) == "10.1.0.0/24");
    } else {
      check_problem(read_blocks_file(torn));
    }
  }
}

TEST_CASE("a file of more than 256 blocks or 2 MiB is a problem") {
  std::string many;
  for (int i = 0; i < 256; ++i) many += fmt::format("10.1.{}.0/24\n", i);
  CHECK(is_answer(read_blocks_file(many)));
  CHECK(told(read_blocks_file(many + "10.2.0.0/24\n")) == "there are more than 256 blocks");
  CHECK(told(read_blocks_file(std::string(kMaxSourceBytes + 1, '\n'))) == "it is longer than 2097152 bytes");
  CHECK(told(read_blocks_file('{' + std::string(kMaxSourceBytes, ' '))) == "it is longer than 2097152 bytes");
  check_problem(read_blocks_file(std::string(100'000, '{')));
  check_problem(read_blocks_file(std::string(1000, '\xff') + '\n'));
}

TEST_CASE("a CiliumNode has its blocks in podCIDRs, or in its pools, and its own addresses are taken") {
  CHECK(told(read_blocks_file(kCiliumNode)) ==
        "10.245.1.0/24 fd00::/120 without 10.245.1.115 without fd00::9 without 10.245.1.90");
  const auto node = [](const std::string& ipam) {
    return read_blocks_file(fmt::format("\n {{\"kind\":\"CiliumNode\",\"spec\":{{\"ipam\":{}}}}}", ipam));
  };
  const std::string pools = R"("pools":{"allocated":[{"pool":"default","cidrs":["10.1.0.0/24","10.1.1.0/24"]},)"
                            R"({"pool":"v6","cidrs":["fd00::/120"]},{"pool":"none"}]})";
  CHECK(told(node('{' + pools + '}')) == "10.1.0.0/24 10.1.1.0/24 fd00::/120");
  CHECK(told(node("{\"podCIDRs\":null," + pools + '}')) == "10.1.0.0/24 10.1.1.0/24 fd00::/120");
  const Reading two = node(R"({"podCIDRs":["10.8.0.0/24","10.9.0.0/24"],)" + pools + '}');
  CHECK(told(two) == "10.8.0.0/24 10.9.0.0/24");
  CHECK(std::get<Answer>(two).notes ==
        std::vector<std::string>{"spec.ipam.podCIDRs has more than one block of a family: "
                                 "in the mode cluster-pool Cilium's agent uses the first alone"});
  CHECK(told(node("{}")) == "spec.ipam of the CiliumNode has neither podCIDRs nor allocated pools");
  CHECK(told(node(R"({"podCIDRs":[7]})")) == "an element of `podCIDRs` is 7: must be a CIDR");
  CHECK(told(node(R"({"podCIDRs":"10.1.0.0/24"})")) == R"(`podCIDRs` is "10.1.0.0/24": must be an array)");
  CHECK(told(read_blocks_file(R"({"kind":"CiliumNode","spec":{},"status":{"ipam":{"operator-status":)"
                              R"({"error":"allocator not configured for the requested CIDR"}}}})")) ==
        "spec.ipam of the CiliumNode has neither podCIDRs nor allocated pools; "
        "Cilium's operator says \"allocator not configured for the requested CIDR\"");
  check_torn(read_blocks_file, kCiliumNode);
}

TEST_CASE("a Node has its blocks in podCIDRs, or in podCIDR") {
  CHECK(told(read_blocks_file(kNode)) == "10.244.1.0/24 fd00:1::/64");
  CHECK(told(read_blocks_file(R"({"kind":"Node","spec":{"podCIDR":"10.1.0.0/24"}})")) == "10.1.0.0/24");
  CHECK(told(read_blocks_file(R"({"kind":"Node","spec":{}})")) == "spec of the Node has neither podCIDRs nor podCIDR");
  CHECK(told(read_blocks_file(R"({"kind":"List","items":[]})")) ==
        R"(its `kind` is "List": must be CiliumNode or Node, one object and no list)");
  CHECK(told(read_blocks_file(R"({"spec":{"podCIDR":"10.1.0.0/24"}})")) ==
        R"(its `kind` is "": must be CiliumNode or Node, one object and no list)");
  check_torn(read_blocks_file, kNode);
}

TEST_CASE("what is kept is read back, and nothing else is") {
  const Source source = parse_source("file:/run/node.json").value();
  const Answer answer{
      .cidrs = {prefix("10.1.0.0/24"), prefix("fd00::/120")}, .taken = {ip("10.1.0.9")}, .notes = {"x"}};
  const std::string text = answer_text(source, answer);
  CHECK(text ==
        "crossover-source 1\nfrom file:/run/node.json\ncidr 10.1.0.0/24\ncidr fd00::/120\ntaken 10.1.0.9\n"
        "sum faee4953ddfebca0\n");
  REQUIRE(parse_answer(source, text).has_value());
  CHECK(parse_answer(source, text)->agrees_with(answer));
  CHECK_FALSE(parse_answer(parse_source("cilium").value(), text).has_value());
  for (std::size_t i = 0; i < text.size(); ++i) {
    INFO(i);
    CHECK_FALSE(parse_answer(source, text.substr(0, i)).has_value());
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(parse_answer(source, changed).has_value());
  }
  CHECK_FALSE(parse_answer(source, text + '\n').has_value());
  CHECK_FALSE(parse_answer(source, std::string(1 << 20, '\n')).has_value());
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
