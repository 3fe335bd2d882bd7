// SPDX-License-Identifier: Apache-2.0
// What `crossover gc` does about rules of the reference portmap.
#include "plugin/gc_reference_ports.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/fakes/machine.h"

namespace {

using nlohmann::json;

constexpr const char* kLegacy = R"({"cniVersion":"0.3.1","name":"cbr0","plugins":[{"type":"bridge"},)"
                                R"({"type":"portmap","capabilities":{"portMappings":true}}]})";
const std::vector<std::string> kDefault = {"iptables", "ip6tables"};

/// A node whose iptables are lists of (network, container id) for each tool; portmap's DEL takes them out of those
/// that `iptables` is.
struct Node {
  using Rules = std::vector<std::pair<std::string, std::string>>;
  fakes::Machine machine;
  std::map<std::string, Rules> rules;
  unsigned looks = 0;  ///< of iptables-save

  explicit Node(const std::vector<std::string>& tools = kDefault) {
    machine.legacy(kLegacy);
    for (const std::string& tool : tools) install(tool);
    machine.world.on("portmap", "DEL", [this](const fakes::Ask& ask) {
      const std::string network = conf::string_member(ask.config, "name", "stdin").value_or("");
      for (const std::string& tool : kDefault) std::erase(rules[tool], std::pair(network, ask.id.container_id));
      return std::optional(fakes::succeeded());
    });
  }
  void install(const std::string& tool) {
    machine.write(machine.dir() + "/sbin/" + tool, tool);
    machine.world.on(tool + "-save", "", [this, tool](const fakes::Ask&) {
      if (tool == "iptables") ++looks;
      return std::optional(fakes::succeeded(saved(tool)));
    });
  }
  [[nodiscard]] std::string saved(const std::string& tool) {
    std::string out = "*nat\n";
    for (const auto& [network, id] : rules[tool])
      out += fmt::format(
          "-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name: \\\"{}\\\" id: \\\"{}\\\"\" "
          "-m multiport --dports 80 -j CNI-DN-{}\n",
          network, id, id);
    return out + "COMMIT\n";
  }
  json gc(const plugin::GcOptions& options = {}) {
    const plugin::Report report = machine.gc_command(options);
    json out = json::parse(report.text);
    CHECK((report.status == 0) == out["problems"].empty());
    return out;
  }
  json dry_run() { return gc({.dry_run = true, .valid_file = {}, .forget = {}}); }
  /// The DELs of portmap that were asked for.
  [[nodiscard]] std::vector<std::string> dels() const {
    std::vector<std::string> out;
    for (const fakes::Ask& ask : machine.world.asks())
      if (ask.name() == "DEL portmap") out.push_back(ask.id.container_id);
    return out;
  }
  void cache(const std::string& name) { machine.write(machine.cache_dir() + '/' + name, "{}"); }
};

json freed(const std::string& id, const std::string& network, const std::vector<std::string>& where) {
  return {{"containerID", id}, {"network", network}, {"in", where}};
}

netlink::NftTable table(netlink::NftFamily family) { return {.family = family, .name = "cni_hostport"}; }

/// As portmap of plugins 1.6 and newer makes them, expressions aside.
void add_nft(Node& node, netlink::NftFamily family, const std::vector<std::pair<std::string, std::string>>& rules) {
  netlink::NftBatch batch;
  batch.add(netlink::AddTable{.table = table(family), .exclusive = false});
  for (const std::string chain : {"hostports", "hostip_hostports", "masquerading", "prerouting"})
    batch.add(netlink::AddChain{.chain = {.table = table(family), .name = chain, .base = {}}, .exclusive = false});
  for (const auto& [chain, comment] : rules)
    batch.add(
        netlink::AddRule{.rule = {.table = table(family),
                                  .chain = chain,
                                  .expressions = {netlink::Verdict{.code = netlink::VerdictCode::kAccept, .chain = {}}},
                                  .comment = comment}});
  REQUIRE(node.machine.ruleset.commit(batch).done());
}

std::vector<std::string> comments(Node& node, netlink::NftFamily family) {
  std::vector<std::string> out;
  for (const netlink::ListedRule& one : node.machine.ruleset.rules(table(family)))
    out.push_back(one.rule.chain + ' ' + one.rule.comment);
  return out;
}

}  // namespace

TEST_SUITE_BEGIN("plugin.gc_reference_ports");

TEST_CASE("gc has portmap take out what it left for dead containers of our network, and nothing else") {
  Node node;
  node.rules["iptables"] = {{"cbr0", "dead"}, {"podman", "dead"}, {"cbr0", "cached"}, {"cbr0", "two"}};
  node.rules["ip6tables"] = {{"cbr0", "dead"}};
  node.cache("some-net-cached-eth0");

  const json expected = {
      {"freed", {freed("dead", "cbr0", {"ip6tables", "iptables"}), freed("two", "cbr0", {"iptables"})}}, {"kept", 2}};
  const auto before = node.rules;
  CHECK(node.dry_run()["portmap"] == expected);
  CHECK(node.dels().empty());
  CHECK(node.rules == before);

  const json done = node.gc();
  CHECK(done["portmap"] == expected);
  CHECK(done["problems"].empty());
  CHECK(node.dels() == std::vector<std::string>{"dead", "two"});
  CHECK(node.rules["iptables"] == Node::Rules{{"podman", "dead"}, {"cbr0", "cached"}});
  CHECK(node.rules["ip6tables"].empty());
  CHECK(node.gc()["portmap"] == json({{"freed", json::array()}, {"kept", 2}}));
}

TEST_CASE("portmap is asked under the network's own name and version, and finds the iptables that was looked with") {
  Node node;
  node.rules["iptables"] = {{"cbr0", "dead"}};
  (void)node.gc();
  const auto& asks = node.machine.world.asks();
  const auto ask = std::find_if(asks.begin(), asks.end(), [](const auto& one) { return one.name() == "DEL portmap"; });
  REQUIRE(ask != asks.end());
  CHECK(ask->id == conf::AttachmentId{.container_id = "dead", .ifname = "eth0"});
  CHECK(ask->netns.empty());
  CHECK(ask->path == node.machine.bin_dir());
  CHECK(json::parse(ask->input) ==
        json::parse(R"({"cniVersion":"0.3.1","name":"cbr0","type":"portmap","backend":"iptables",)"
                    R"("runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":1,"protocol":"tcp"}]}})"));
  const std::string path = "PATH=" + node.machine.dir() + "/usr:" + node.machine.dir() + "/sbin";
  CHECK(std::count(ask->command.env.begin(), ask->command.env.end(), path) == 1);
  CHECK(asks.front().command.env == std::vector<std::string>{path});
}

TEST_CASE("a container that somebody knows is kept") {
  Node node;
  node.rules["iptables"] = {{"cbr0", "rec"}, {"cbr0", "old"}, {"cbr0", "torn"}, {"cbr0", "named"}, {"cbr0", "dead"}};
  node.machine.namespaces.add("/rec");
  (void)node.machine.add("rec", "/rec");
  node.machine.write(node.machine.dir() + "/cache/results/cbr0-old-eth0", "");  // cri-dockerd's
  node.machine.write(node.machine.state_dir() + "/attachments/torn:eth0", "{}\n");
  node.machine.write(node.machine.dir() + "/valid",
                     R"([{"containerID":"named","ifname":"net1"},{"containerID":"rec","ifname":"eth0"}])");
  const plugin::Report report =
      node.machine.gc_command({.dry_run = true, .valid_file = node.machine.dir() + "/valid", .forget = {}});
  CHECK(json::parse(report.text)["portmap"] == json({{"freed", {freed("dead", "cbr0", {"iptables"})}}, {"kept", 4}}));
}

TEST_CASE("a list of the living does not overrule libcni's cache") {
  Node node;
  node.rules["iptables"] = {{"cbr0", "cached"}};
  node.cache("cbr0-cached-eth0");
  node.machine.write(node.machine.dir() + "/valid", "[]");
  CHECK(node.gc({.dry_run = false, .valid_file = node.machine.dir() + "/valid", .forget = {}})["portmap"]["kept"] == 1);
}

TEST_CASE("a pod that is just being attached around us gets its cache file before the second look, and is kept") {
  Node node;
  node.rules["iptables"] = {{"cbr0", "young"}, {"cbr0", "dead"}};
  node.machine.world.on("iptables-save", "", [&node](const fakes::Ask&) {
    if (++node.looks == 2) node.cache("cbr0-young-eth0");
    return std::optional(fakes::succeeded(node.saved("iptables")));
  });
  CHECK(node.gc()["portmap"] == json({{"freed", {freed("dead", "cbr0", {"iptables"})}}, {"kept", 1}}));
}

TEST_CASE("without anything dead iptables is looked at once, and without iptables nothing is run") {
  Node node;
  node.rules["iptables"] = {{"podman", "x"}};
  CHECK(node.gc()["portmap"] == json({{"freed", json::array()}, {"kept", 1}}));
  CHECK(node.looks == 1);
  Node without(std::vector<std::string>{});
  CHECK(without.gc()["portmap"] == json({{"freed", json::array()}, {"kept", 0}}));
  CHECK(without.machine.world.asks().empty());
}

TEST_CASE("a network is ours by its last good copy, too") {
  Node node;
  node.rules["iptables"] = {{"renamed", "dead"}, {"never", "dead2"}};
  node.machine.write(
      node.machine.state_dir() + "/networks/legacy",
      R"({"file":"/x","list":"{\"cniVersion\":\"1.0.0\",\"name\":\"renamed\",\"plugins\":[{\"type\":\"bridge\"}]}"})");
  node.machine.write(node.machine.state_dir() + "/networks/cilium", "torn");
  CHECK(node.gc()["portmap"] == json({{"freed", {freed("dead", "renamed", {"iptables"})}}, {"kept", 1}}));
}

TEST_CASE("what portmap's DEL does not take out is a problem, with its reason") {
  Node node;
  node.rules["iptables"] = {{"cbr0", "dead"}};
  SUBCASE("it says that it did") {
    node.machine.world.on("portmap", "DEL", [](const fakes::Ask&) { return std::optional(fakes::succeeded()); });
    CHECK(node.gc()["problems"] ==
          json({"portmap's rules of dead of network cbr0 are still there: its DEL succeeded and left them"}));
  }
  SUBCASE("it says why") {
    node.machine.world.refuse("portmap", "DEL");
    CHECK(node.gc()["problems"] == json({"portmap's rules of dead of network cbr0 are still there: "
                                         "portmap: scripted failure: before its work"}));
  }
  SUBCASE("it is gone") {
    node.machine.uninstall("portmap");
    CHECK(node.gc()["problems"] ==
          json({"portmap's rules of dead of network cbr0 are still there: portmap: plugin binary is missing: "
                "no file portmap in CNI_PATH " +
                node.machine.bin_dir() + ": install it there"}));
  }
  CHECK(node.gc()["portmap"] == json({{"freed", json::array()}, {"kept", 0}}));
}

TEST_CASE("iptables that cannot be asked is a problem, said once, and what the other one says is acted on") {
  Node node;
  node.rules["ip6tables"] = {{"cbr0", "dead"}};
  node.machine.world.on("iptables-save", "", [](const fakes::Ask&) {
    plugin::Outcome outcome = fakes::succeeded();
    outcome.status = 1;
    outcome.err = "iptables-save: no permission\nmore";
    return std::optional(outcome);
  });
  const json done = node.gc();
  CHECK(done["problems"] == json({"what portmap left could not be looked for: " + node.machine.dir() +
                                  "/sbin/iptables-save ended with status 1: iptables-save: no permission"}));
  CHECK(done["portmap"]["freed"] == json::array({freed("dead", "cbr0", {"ip6tables"})}));
}

TEST_CASE("rules in the flavour of iptables that portmap would not find are a problem that says what to do") {
  Node node({"iptables", "ip6tables", "iptables-legacy"});
  node.rules["iptables-legacy"] = {{"cbr0", "dead"}, {"podman", "x"}};
  const json expected = {
      "portmap left rules of dead of network cbr0 in iptables-legacy, and would find another "
      "iptables: run this command with that one first in PATH"};
  CHECK(node.dry_run()["problems"] == expected);
  const json done = node.gc();
  CHECK(done["problems"] == expected);
  CHECK(done["portmap"] == json({{"freed", json::array()}, {"kept", 0}}));
  CHECK(node.dels().empty());
}

TEST_CASE("rules of dead containers in portmap's nft tables are taken out, those of others stay") {
  Node node;
  node.cache("cbr0-cached-eth0");
  add_nft(node, netlink::NftFamily::kIpv4,
          {{"hostports", "cached"},
           {"hostports", "dead"},
           {"hostip_hostports", "dead"},
           {"hostports", ""},
           {"hostports", "not an id"},
           {"masquerading", "dead"},
           {"prerouting", "dead"}});
  add_nft(node, netlink::NftFamily::kIpv6, {{"hostports", "dead"}, {"masquerading", "cached"}});
  const json expected = {{"freed", {freed("dead", "", {"nft ip", "nft ip6"})}}, {"kept", 1}};
  node.machine.ruleset.forget_calls();
  CHECK(node.dry_run()["portmap"] == expected);
  CHECK(node.machine.ruleset.commits().empty());

  node.machine.ruleset.disturb(2);  // others are at work: it looks and decides again
  CHECK(node.gc()["portmap"] == expected);
  CHECK(node.machine.ruleset.commits().size() == 3);
  CHECK(comments(node, netlink::NftFamily::kIpv4) ==
        std::vector<std::string>{"hostports cached", "hostports ", "hostports not an id", "prerouting dead"});
  CHECK(comments(node, netlink::NftFamily::kIpv6) == std::vector<std::string>{"masquerading cached"});
}

TEST_CASE("rules of nft are not ours where none of our lists runs portmap") {
  Node node;
  node.machine.legacy(R"({"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"bridge"}]})");
  add_nft(node, netlink::NftFamily::kIpv4, {{"hostports", "dead"}});
  CHECK(node.gc()["portmap"] == json({{"freed", json::array()}, {"kept", 0}}));
  CHECK(comments(node, netlink::NftFamily::kIpv4).size() == 1);
}

TEST_CASE("a kernel that refuses to take rules out, or to be looked into, is a problem") {
  Node node;
  add_nft(node, netlink::NftFamily::kIpv4, {{"hostports", "dead"}});
  SUBCASE("refused") {
    node.machine.ruleset.refuse_next(EPERM);
    const json done = node.gc();
    REQUIRE(done["problems"].size() == 1);
    CHECK(done["problems"][0].get<std::string>().starts_with(
        "portmap's rules of dead are still there: nf_tables request refused by the kernel: "
        "delete rules of table cni_hostport: "));
    CHECK(done["portmap"]["freed"].empty());
  }
  SUBCASE("blind") {
    node.machine.ruleset.fail_looks(conf::CniError(conf::Code::kIo, "refused", "why"));
    CHECK(node.gc()["problems"] == json({"what portmap left could not be looked for: refused: why"}));
    node.machine.ruleset.fail_looks(std::nullopt);
  }
  SUBCASE("restless") {
    node.machine.ruleset.disturb(100);
    CHECK(node.gc()["problems"] == json({"portmap's rules of dead are still there: nf_tables changed while it was "
                                         "read: 10 times in a row; who changes it all the time?"}));
  }
  CHECK(comments(node, netlink::NftFamily::kIpv4).size() == 1);
}

TEST_SUITE_END();
