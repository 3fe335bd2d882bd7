// SPDX-License-Identifier: Apache-2.0
#include "ipam/heard.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "conf/json.h"
#include "tests/ipam/store_world.h"
#include "tests/support/refusal.h"

namespace ipam {
namespace {

using conf::Verb;
using support::refusal_of;

constexpr const char* kConfig = "/v1/config";
constexpr const char* kHealth = "/v1/healthz";

std::string agent_config(const std::string& cidr, const std::string& router) {
  return fmt::format(R"({{"status":{{"addressing":{{"ipv4":{{"enabled":true,"ip":"{}","alloc-range":"{}"}}}}}}}})",
                     router, cidr);
}

/// A node whose blocks come from a source; by default a file of two families.
struct Node {
  TempDir dir;
  conf::RealDisk disk;
  std::map<std::string, std::string> agent;  ///< what it answers; nothing: it is down
  std::vector<std::string> asked;
  std::vector<std::string> warnings;
  int sleeps = 0;
  std::function<void()> while_asleep = [] {};
  std::string from = "file:" + dir.path() + "/blocks";
  std::string rest;  ///< of the section
  Host host{.disk = disk,
            .boot_id = "boot-1",
            .now_ms = 1'000'000,
            .netns_inode = [](const std::string&) { return std::uint64_t{7}; },
            .ask_agent = [this](std::string_view target) { return answer(std::string(target)); },
            .warn = [this](const std::string& text) { warnings.push_back(text); },
            .sleep = [this](std::chrono::milliseconds) { ++sleeps, while_asleep(); },
            .subnet_env = dir.path() + "/subnet.env"};

  Node() { write("10.1.0.0/24\nfd00::/120\n"); }

  AgentSaid answer(const std::string& target) {
    asked.push_back(target);
    const auto found = agent.find(target);
    if (found == agent.end()) return {.body = {}, .problem = "no answer within 500 ms"};
    return {.body = found->second, .problem = {}};
  }
  void write(const std::string& text, const std::string& name = "blocks") const {
    std::ofstream(dir.path() + '/' + name) << text;
  }
  std::string run(Verb verb, std::size_t number, const std::string& more = "") {
    conf::Request request;
    request.verb = verb;
    request.id = pod(number);
    return ipam::run(
        host, request,
        fmt::format(R"({{"cniVersion":"1.1.0","name":"net","ipam":{{"stateDir":"{}","podCIDRsFrom":"{}"{}}}{}}})",
                    dir.path(), from, rest, more));
  }
  std::vector<std::string> add(std::size_t number) {
    const conf::Object result = conf::Object::parse(run(Verb::kAdd, number), "result");
    std::vector<std::string> out;
    for (const std::string& one : conf::parse_array(*result.find("ips"), "ips"))
      out.push_back(conf::as_string(*conf::Object::parse(one, "ip").find("address")).value());
    return out;
  }
  [[nodiscard]] std::string kept() const {
    for (const auto& entry : std::filesystem::directory_iterator(dir.path() + "/ipam"))
      if (entry.path().filename().string().starts_with("source-")) return entry.path();
    return {};
  }
};

using Words = std::vector<std::string>;

struct Case {
  const char* name;
  std::string from;
  std::function<void(Node&)> good;
  std::function<void(Node&)> bad;
  std::string problem;
};

std::vector<Case> cases() {
  const auto agent_good = [](Node& node) {
    node.agent = {{kConfig, agent_config("10.1.0.0/24", "10.1.0.2")}, {kHealth, "{}"}};
  };
  const auto agent_says = [](const std::string& body) { return [body](Node& node) { node.agent[kConfig] = body; }; };
  const auto env_good = [](Node& node) {
    node.write("FLANNEL_SUBNET=10.1.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", "subnet.env");
  };
  const auto env_says = [](const std::string& text) { return [text](Node& node) { node.write(text, "subnet.env"); }; };
  const auto file_good = [](Node& node) {
    std::filesystem::remove(node.dir.path() + "/blocks");
    node.write("10.1.0.0/24\n");
  };
  const auto file_says = [](const std::string& text) { return [text](Node& node) { node.write(text); }; };
  return {
      {"agent down", "cilium", agent_good, [](Node& node) { node.agent.clear(); }, "no answer within 500 ms"},
      {"agent empty", "cilium", agent_good, agent_says(""), ""},
      {"agent torn", "cilium", agent_good, agent_says(R"({"status":{"addr)"), ""},
      {"agent without blocks", "cilium", agent_good, agent_says("{}"),
       "/v1/config has no family that is enabled in status.addressing"},
      {"agent talks nonsense", "cilium", agent_good, agent_says(agent_config("10.1.0.0/33", "")),
       R"(status.addressing.ipv4.alloc-range is "10.1.0.0/33": must be a CIDR)"},
      {"flannel missing", "flannel", env_good,
       [](Node& node) { std::filesystem::remove(node.dir.path() + "/subnet.env"); }, "there is no {}/subnet.env"},
      {"flannel empty", "flannel", env_good, env_says(""), "{}/subnet.env: it is empty"},
      {"flannel torn", "flannel", env_good, env_says("FLANNEL_SUBNET=10.1.0.1/2"),
       "{}/subnet.env: it has no FLANNEL_IPMASQ, which flannel writes last: it is torn"},
      {"file missing", "file", file_good, [](Node& node) { std::filesystem::remove(node.dir.path() + "/blocks"); },
       "there is no {}/blocks"},
      {"file empty", "file", file_good, file_says(""), "{}/blocks: it has no CIDR"},
      {"file torn", "file", file_good, file_says("10.1.0.0/2"), "{}/blocks: its last line has no end: it may be torn"},
      {"file of nonsense", "file", file_good, file_says("10.1.0.0/31\n"),
       "{}/blocks: 10.1.0.0/31 must be of at least four addresses, /30 or larger"},
      {"file too long", "file", file_good, file_says(std::string(kMaxSourceBytes + 1, '\n')), ""},
      {"a directory", "file", file_good,
       [](Node& node) {
         std::filesystem::remove(node.dir.path() + "/blocks");
         std::filesystem::create_directory(node.dir.path() + "/blocks");
       },
       ""},
  };
}

std::string in_dir(std::string problem, const Node& node) {
  const std::size_t place = problem.find("{}");
  return place == std::string::npos ? problem : problem.replace(place, 2, node.dir.path());
}

TEST_SUITE_BEGIN("ipam.heard");
TEST_CASE("a source that fails is served by its last good answer, and one line says why") {
  for (const Case& one : cases()) {
    INFO(one.name);
    Node node;
    if (one.from != "file") node.from = one.from;
    one.good(node);
    (void)node.add(1);
    CHECK(node.warnings.empty());
    one.bad(node);
    CHECK(node.add(2).front().starts_with("10.1.0."));
    REQUIRE(node.warnings.size() == 1);
    CHECK(node.warnings[0].starts_with("podCIDRsFrom " + node.from + ": " + in_dir(one.problem, node)));
    CHECK(node.warnings[0].ends_with("; its last good answer serves: 10.1.0.0/24"));
    CHECK(node.run(Verb::kStatus, 0).empty());
    CHECK(node.warnings.size() == 2);
    one.good(node);
    (void)node.add(3);
    CHECK(node.warnings.size() == 2);
  }
}

TEST_CASE("without a last good answer ADD is 11 and STATUS is 50, with source, problem and cure") {
  for (const Case& one : cases()) {
    INFO(one.name);
    Node node;
    if (one.from != "file") node.from = one.from;
    one.bad(node);
    const conf::CniError error = refusal_of([&] { return node.run(Verb::kAdd, 1); });
    CHECK(error.code() == 11);
    CHECK(error.msg() == "blocks of this node are not known");
    CHECK(error.details().starts_with("podCIDRsFrom " + node.from + ": "));
    CHECK(error.details().ends_with(", or give `podCIDRs`"));
    const conf::CniError status = refusal_of([&] { return node.run(Verb::kStatus, 0); });
    CHECK(status.code() == 50);
    CHECK(status.details() == error.details());
    CHECK(node.warnings.empty());
  }
  Node node;
  node.from = "cilium";
  CHECK(refusal_of([&] { return node.run(Verb::kAdd, 1); }).details() ==
        fmt::format("podCIDRsFrom cilium: no answer within 500 ms, and {}/ipam/source-cilium holds no earlier answer; "
                    "start Cilium's agent on this node, or give `podCIDRs`",
                    node.dir.path()));
}

TEST_CASE("DEL, CHECK and GC ask no source") {
  Node node;
  node.from = "cilium";
  node.agent = {{kConfig, agent_config("10.1.0.0/24", "10.1.0.9")}};
  (void)node.add(1);
  (void)node.add(2);
  node.agent.clear();
  node.asked.clear();
  std::filesystem::remove(node.kept());
  CHECK(node.run(Verb::kCheck, 1).empty());
  CHECK(node.run(Verb::kDel, 1).empty());
  CHECK(node.run(Verb::kDel, 1).empty());
  CHECK(node.run(Verb::kGc, 0, R"(,"cni.dev/valid-attachments":[])").empty());
  CHECK(refusal_of([&] { return node.run(Verb::kCheck, 2); }).code() == 3);
  CHECK(node.asked.empty());
  CHECK(node.warnings.empty());
}

TEST_CASE("the last good answer is written when it changed, and only then") {
  Node node;
  (void)node.add(1);
  const auto inode = [&] { return node.disk.info(node.kept())->inode; };
  const std::uint64_t first = inode();
  (void)node.add(2);
  CHECK(inode() == first);
  node.write("10.1.0.0/24\n");
  (void)node.add(3);
  CHECK(inode() != first);
  CHECK(node.disk.read(node.kept(), 4096)->find("cidr 10.1.0.0/24\nsum ") != std::string::npos);
}

TEST_CASE("a last good answer that is damaged is none, and is put right by the next good one") {
  Node node;
  (void)node.add(1);
  const std::string path = node.kept();
  const std::string whole = node.disk.read(path, 4096).value();
  std::ofstream(path) << whole.substr(0, whole.size() - 2);
  std::filesystem::remove(node.dir.path() + "/blocks");
  CHECK(refusal_of([&] { return node.run(Verb::kAdd, 2); }).code() == 11);
  node.write("10.1.0.0/24\nfd00::/120\n");
  (void)node.add(2);
  CHECK(node.disk.read(path, 4096) == whole);
}

TEST_CASE("an answer that cannot be kept serves all the same, with a warning") {
  Node node;
  (void)node.add(1);
  const std::string path = node.kept();
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  CHECK(node.add(2) == Words{"10.1.0.3/24", "fd00::3/120"});
  REQUIRE(node.warnings.size() == 1);
  CHECK(node.warnings[0].starts_with("podCIDRsFrom " + node.from + ": its answer could not be kept: "));
}

TEST_CASE("the agent's router and health addresses are not handed out, the latter also while it does not say") {
  Node node;
  node.from = "cilium";
  node.agent = {
      {kConfig, agent_config("10.1.0.0/29", "10.1.0.2")},
      {kHealth, R"({"ipam":{"allocations":{"10.1.0.3":"health","10.1.0.4":"default/web","10.9.0.1":"router"}}})"}};
  CHECK(node.add(1) == Words{"10.1.0.4/29"});
  CHECK(node.asked == Words{kConfig, kHealth});
  CHECK(node.disk.read(node.kept(), 4096)->find("taken 10.1.0.2\ntaken 10.1.0.3\nsum") != std::string::npos);
  node.agent.erase(kHealth);
  CHECK(node.add(2) == Words{"10.1.0.5/29"});
  CHECK(node.add(3) == Words{"10.1.0.6/29"});
  const conf::CniError full = refusal_of([&] { return node.run(Verb::kAdd, 4); });
  CHECK(full.code() == kNoAddress);
  CHECK(node.warnings.empty());
  node.agent[kHealth] = R"({"ipam":{"allocations":{}}})";
  CHECK(node.add(4) == Words{"10.1.0.3/29"});
}

TEST_CASE("what a source said is held against the configuration, and the error names both") {
  const auto refused = [](const std::string& blocks, const std::string& rest) {
    Node node;
    node.write(blocks);
    node.rest = rest;
    const conf::CniError error = refusal_of([&] { return node.run(Verb::kAdd, 1); });
    CHECK(error.code() == 7);
    CHECK(error.msg() == "invalid configuration");
    CHECK_FALSE(std::filesystem::exists(node.dir.path() + "/ipam"));  // and it is not kept
    const std::string start = "podCIDRsFrom " + node.from + " said ";
    REQUIRE(error.details().starts_with(start));
    return error.details().substr(start.size());
  };
  CHECK(refused("10.9.0.0/24\n", R"(,"clusterPool":{"ipv4":{"cidrs":["10.1.0.0/16"],"maskSize":24}})") ==
        "10.9.0.0/24: `ipam.clusterPool.ipv4.cidrs` holds nothing that has the node's 10.9.0.0/24");
  CHECK(refused("10.1.0.0/25\n", R"(,"clusterPool":{"ipv4":{"cidrs":["10.1.0.0/16"],"maskSize":24}})") ==
        "10.1.0.0/25: `ipam.clusterPool.ipv4.maskSize` is 24: must be 25, the length of the node's 10.1.0.0/25");
  CHECK(
      refused("10.9.0.0/24\nfd00::/120\n", R"(,"reservedCIDRs":["10.0.0.0/8"])") ==
      R"(10.9.0.0/24, fd00::/120: `ipam.reservedCIDRs[0]` is "10.0.0.0/8": must be apart from the blocks of pods: it overlaps 10.9.0.0/24)");
  CHECK(refused("10.9.0.0/24\n", R"(,"gateway":"10.8.0.1")") ==
        R"(10.9.0.0/24: `ipam.gateway` is "10.8.0.1": must be an address of one of the node's blocks)");
}

TEST_CASE("what is wrong with the section itself is said before a source is asked") {
  Node node;
  node.from = "cilium";
  for (const char* rest : {R"(,"exclude":["x"])", R"(,"gateway":7)", R"(,"reservedCIDRs":7)", R"(,"clusterPool":[])",
                           R"(,"podCIDRs":["10.1.0.0/24"])", R"(,"subnet":"10.1.0.0/24")",
                           R"(,"ranges":[[{"subnet":"10.1.0.0/24"}]])", R"(,"cooldown":7)"}) {
    INFO(rest);
    node.rest = rest;
    CHECK(refusal_of([&] { return node.run(Verb::kAdd, 1); }).code() == 7);
    CHECK(refusal_of([&] { return node.run(Verb::kCheck, 1); }).code() == 7);
  }
  CHECK(node.asked.empty());
  node.rest = R"(,"subnet":"10.1.0.0/24")";
  CHECK(refusal_of([&] { return node.run(Verb::kAdd, 1); }).details() ==
        R"(`ipam.subnet` is "10.1.0.0/24": must be absent where `ipam.podCIDRsFrom` is given)");
}

TEST_CASE("exclude, gateway and requested addresses work on the blocks of a source") {
  Node node;
  node.rest = R"(,"exclude":["10.1.0.1-10.1.0.2"],"gateway":"10.1.0.3")";
  const std::string result = node.run(Verb::kAdd, 1);
  CHECK(result.find(R"("address":"10.1.0.4/24","gateway":"10.1.0.3")") != std::string::npos);
  CHECK(node.run(Verb::kAdd, 2, R"(,"runtimeConfig":{"ips":["10.1.0.77"]})").find("10.1.0.77/24") != std::string::npos);
  CHECK(refusal_of([&] { return node.run(Verb::kAdd, 3, R"(,"runtimeConfig":{"ips":["10.2.0.77"]})"); }).code() ==
        kAddressTaken);
}

TEST_CASE("leases outlive every change of a source, and no address is handed out twice") {
  Node node;
  std::map<std::size_t, Words> pods;
  std::multiset<std::string> live;
  const auto add = [&](std::size_t number) {
    pods[number] = node.add(number);
    for (const std::string& address : pods[number]) {
      const std::string ip = address.substr(0, address.find('/'));
      CHECK(live.count(ip) == 0);
      live.insert(ip);
    }
  };
  const auto all_there = [&] {
    for (const auto& [number, addresses] : pods) {
      std::string ips;
      for (const std::string& address : addresses)
        ips += fmt::format(R"({}{{"address":"{}"}})", ips.empty() ? "" : ",", address);
      CHECK_NOTHROW(node.run(Verb::kCheck, number, R"(,"prevResult":{"cniVersion":"1.1.0","ips":[)" + ips + "]}"));
    }
  };
  const Words answers = {
      "10.1.0.0/29\nfd00::/125\n",                             // the beginning
      "10.1.0.0/29\n10.2.0.0/29\nfd00::/125\nfd00:1::/125\n",  // two blocks a family
      "10.2.0.0/29\nfd00:1::/125\n",                           // the first is gone
      "10.1.0.0/24\nfd00::/120\n",                             // another size, over what is live
      "10.1.0.0/30\n10.3.0.0/29\nfd00::/126\nfd00:3::/125\n",  // smaller than what is live
      "10.3.0.0/29\n10.1.0.0/29\n10.2.0.0/29\nfd00:3::/125\nfd00:1::/125\nfd00::/125\n",
  };
  std::size_t next = 0;
  for (const std::string& answer : answers) {
    node.write(answer);
    for (int i = 0; i < 3; ++i) add(next++);
    all_there();
  }
  CHECK(pods[0] == Words{"10.1.0.2/29", "fd00::2/125"});
  node.write("10.9.0.0/29\nfd00:9::/125\n");  // nothing of theirs is left
  all_there();
  for (const auto& [number, addresses] : pods) CHECK(node.run(Verb::kDel, number).empty());
  CHECK(Store(node.disk, {.dir = node.dir.path() + "/ipam", .boot_id = "boot-1"}).all().leases.empty());
  pods.clear();
  live.clear();
  node.write(answers.back());
  for (std::size_t i = 0; i < 15; ++i) add(next++);  // three blocks of five: all of them are free again
  CHECK(refusal_of([&] { return node.run(Verb::kAdd, 99); }).code() == kNoAddress);
}

TEST_CASE("a file that is being written is read until it is whole") {
  Node node;
  (void)node.add(1);
  CHECK(node.sleeps == 0);
  const auto modified = node.disk.info(node.dir.path() + "/blocks")->modified.time_since_epoch();
  node.host.now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(modified).count();
  node.write("10.1.0.0/24\nfd0");
  node.while_asleep = [&] {
    if (node.sleeps == 2) node.write("10.2.0.0/24\nfd02::/120\n");
  };
  CHECK(node.add(2) == Words{"10.2.0.2/24", "fd02::2/120"});
  CHECK(node.sleeps == 3);  // torn, torn, whole, the same again
  node.sleeps = 0;
  node.write("10.3.0.0/24\n");  // good, and not all of it
  node.while_asleep = [&] { node.write("10.3.0.0/24\nfd03::/120\n"); };
  CHECK(node.add(3) == Words{"10.3.0.2/24", "fd03::2/120"});
  CHECK(node.warnings.empty());
  node.sleeps = 0;
  node.while_asleep = [&] { node.write(fmt::format("10.{}.0.0/24\n", 10 + node.sleeps)); };
  CHECK(node.add(4) == Words{"10.3.0.3/24", "fd03::3/120"});
  CHECK(node.sleeps == 5);
  CHECK(node.warnings == Words{fmt::format("podCIDRsFrom {0}: {1}/blocks keeps changing; its last good answer serves: "
                                           "10.3.0.0/24, fd03::/120",
                                           node.from, node.dir.path())});
}

TEST_CASE("notes are told once, when the answer is new") {
  Node node;
  node.write(R"({"kind":"CiliumNode","spec":{"ipam":{"podCIDRs":["10.1.0.0/24","10.2.0.0/24"]}}})");
  (void)node.add(1);
  (void)node.add(2);
  REQUIRE(node.warnings.size() == 1);
  CHECK(node.warnings[0].find("more than one block of a family") != std::string::npos);
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
