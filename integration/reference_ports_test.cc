// SPDX-License-Identifier: Apache-2.0
// `crossover gc` and what the reference portmap left: Debian's over both flavours of iptables, and the tables that
// newer ones make in nft.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "integration/support/namespaces.h"
#include "integration/support/process.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using support::Finished;
using support::Netns;
using Lines = std::vector<std::string>;

constexpr const char* kPlugins = "/usr/lib/cni";

bool isolate_once() {
  static const bool isolated = [] { return support::isolate({"/var/lib/cni"}), true; }();
  return isolated;
}

void write_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

json port_mapping(int host_port) {
  return json::array({{{"hostPort", host_port}, {"containerPort", 80}, {"protocol", "tcp"}}});
}

/// A node whose legacy network, cbr0, maps ports with Debian's portmap.
struct Node {
  explicit Node(const std::string& flavour = "nft") {
    std::string pattern = fs::temp_directory_path() / "crossover-reference-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    dir = pattern;
    for (const std::string one : {"nft", "legacy"})
      for (const std::string tool : {"iptables", "ip6tables"})
        for (const std::string part : {"", "-save"}) {
          fs::create_directories(dir + '/' + one);
          fs::create_symlink("/usr/sbin/" + tool + '-' + one + part, dir + '/' + one + '/' + tool + part);
        }
    use(flavour);
    const json ipam = {
        {"type", "host-local"}, {"dataDir", dir + "/leases"}, {"ranges", {{{{"subnet", "10.88.0.0/24"}}}}}};
    write_file(dir + "/net.d/10-legacy.conflist",
               json({{"cniVersion", "1.0.0"},
                     {"name", "cbr0"},
                     {"plugins",
                      {{{"type", "bridge"}, {"bridge", "cni0"}, {"isGateway", true}, {"ipam", ipam}},
                       {{"type", "portmap"}, {"snat", true}, {"capabilities", {{"portMappings", true}}}}}}})
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
            {"capabilities", {{"portMappings", true}}}};
  }
  /// `iptables` is of that flavour from here on.
  void use(const std::string& flavour) { path = dir + '/' + flavour + ":/usr/sbin:/usr/bin:/sbin:/bin"; }

  [[nodiscard]] Finished run(const std::vector<std::string>& argv, const std::string& verb, const std::string& id,
                             const std::string& netns, const json& config) const {
    return support::run(support::inside(host, &view, argv),
                        {{"CNI_COMMAND", verb},
                         {"CNI_CONTAINERID", id},
                         {"CNI_IFNAME", "eth0"},
                         {"CNI_NETNS", netns},
                         {"CNI_PATH", kPlugins},
                         {"PATH", path}},
                        config.dump());
  }
  /// Through Crossover.
  void attach(const std::string& id, const Netns& pod, int host_port) const {
    json config = entry();
    config.erase("capabilities");
    config.update({{"cniVersion", "1.0.0"}, {"name", "crossover"}});
    config["runtimeConfig"]["portMappings"] = port_mapping(host_port);
    const Finished added = run({BIN_DIR "/crossover"}, "ADD", id, pod.path(), config);
    INFO(added.out << added.err);
    REQUIRE(added.ok());
  }
  /// As any other that uses portmap.
  void map(const std::string& network, const std::string& id, int host_port) const {
    const json result = {
        {"cniVersion", "1.0.0"},
        {"interfaces", {{{"name", "eth0"}, {"sandbox", "/x"}}}},
        {"ips", {{{"interface", 0}, {"address", "10.88.0.77/24"}}, {{"interface", 0}, {"address", "fd00::77/64"}}}}};
    const Finished added = run({std::string(kPlugins) + "/portmap"}, "ADD", id, "/x",
                               {{"cniVersion", "1.0.0"},
                                {"name", network},
                                {"type", "portmap"},
                                {"runtimeConfig", {{"portMappings", port_mapping(host_port)}}},
                                {"prevResult", result}});
    INFO(added.out << added.err);
    REQUIRE(added.ok());
  }
  /// What an administrator who sees nothing else would say of it.
  void lose_record(const std::string& id) const { CHECK(fs::remove(dir + "/state/attachments/" + id + ":eth0")); }
  void cache(const std::string& name) const { write_file(view.file("/var/lib/cni/results/" + name), "{}"); }

  [[nodiscard]] Finished command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), BIN_DIR "/crossover");
    arguments.insert(arguments.end(), {"--conf", dir + "/00-crossover.conflist"});
    return support::run(support::inside(host, &view, arguments), {{"PATH", path}});
  }
  [[nodiscard]] json gc(std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"gc", "--json"});
    const Finished done = command(options);
    INFO(done.out << done.err);
    json out = json::parse(done.out);
    CHECK(done.ok() == out.at("problems").empty());
    return out;
  }
  /// What both families have in that flavour, without remarks and counters.
  [[nodiscard]] Lines rules(const std::string& flavour) const {
    Lines out;
    for (const std::string tool : {"iptables-", "ip6tables-"}) {
      std::istringstream saved(support::must_run(support::inside(host, nullptr, {tool + flavour + "-save"})));
      for (std::string line; std::getline(saved, line);)
        if (!line.starts_with('#')) out.push_back(tool + line.substr(0, line.find(" [")));
    }
    return out;
  }

  bool isolated = isolate_once();  // before the first namespace
  std::string dir;
  std::string path;
  Netns host{"host"};
  support::MountView view;
};

/// Without those that name `id`, and without the chains that these jump to.
Lines without(const Lines& lines, const std::string& id) {
  Lines chains;
  for (const std::string& line : lines)
    if (line.find('"' + id + "\\\"") != std::string::npos) chains.push_back(line.substr(line.rfind(' ') + 1));
  REQUIRE_FALSE(chains.empty());
  Lines out;
  std::copy_if(lines.begin(), lines.end(), std::back_inserter(out), [&](const std::string& line) {
    return std::none_of(chains.begin(), chains.end(),
                        [&](const std::string& chain) { return line.find(chain) != std::string::npos; });
  });
  return out;
}

json freed(const std::string& id, const std::string& network, const std::vector<std::string>& where) {
  return {{"containerID", id}, {"network", network}, {"in", where}};
}

const json kNone = json::array();

void takes_out_the_dead_alone(const std::string& flavour) {
  Node node(flavour);
  const Netns living("living");
  std::optional<Netns> dying(std::in_place, "dying");
  node.attach("live0001", living, 8080);
  node.attach("dead0001", *dying, 8081);
  dying.reset();
  node.lose_record("dead0001");
  node.map("cbr0", "dead0002", 8082);
  node.map("cbr0", "cached01", 8083);  // a pod older than Crossover
  node.cache("cbr0-cached01-eth0");
  node.map("podman", "neigh001", 8084);
  const Lines before = node.rules(flavour);
  const json expected = {
      {"freed", {freed("dead0001", "cbr0", {"iptables"}), freed("dead0002", "cbr0", {"ip6tables", "iptables"})}},
      {"kept", 3}};

  CHECK(node.gc({"--dry-run"}).at("portmap") == expected);
  CHECK(node.rules(flavour) == before);

  const json done = node.gc();
  CHECK(done.at("portmap") == expected);
  CHECK(done.at("problems") == kNone);
  CHECK(node.rules(flavour) == without(without(before, "dead0001"), "dead0002"));
  CHECK(node.gc().at("portmap") == json({{"freed", kNone}, {"kept", 3}}));
  CHECK(node.command({"gc"}).out.ends_with("portmap: took out 0, kept 3\n"));
}

}  // namespace

TEST_SUITE_BEGIN("integration.reference_ports");

TEST_CASE("gc takes out what portmap left for dead containers over iptables-nft, and nothing of others") {
  takes_out_the_dead_alone("nft");
}

TEST_CASE("gc takes out what portmap left for dead containers over iptables-legacy, and nothing of others") {
  takes_out_the_dead_alone("legacy");
}

TEST_CASE("what portmap left in the other flavour of iptables is named, and goes when that one is first in PATH") {
  Node node("legacy");
  node.map("cbr0", "dead0001", 8080);
  const Lines before = node.rules("legacy");
  node.use("nft");
  const json done = node.gc();
  CHECK(done.at("problems") == json({"portmap left rules of dead0001 of network cbr0 in ip6tables-legacy, "
                                     "iptables-legacy, and would find another iptables: run this command with that "
                                     "one first in PATH"}));
  CHECK(done.at("portmap").at("freed") == kNone);
  CHECK(node.rules("legacy") == before);
  node.use("legacy");
  CHECK(node.gc().at("portmap").at("freed") == json::array({freed("dead0001", "cbr0", {"ip6tables", "iptables"})}));
  CHECK(node.rules("legacy") == without(before, "dead0001"));
}

TEST_CASE("gc finds iptables, and lets portmap find it, with a PATH as poor as cron's") {
  Node node;
  node.path = "/usr/sbin:/usr/bin:/bin";  // the system's own flavour
  node.map("podman", "neigh001", 8080);
  node.map("cbr0", "dead0001", 8081);
  node.path = "/usr/bin:/bin";
  CHECK(node.gc().at("portmap") ==
        json({{"freed", {freed("dead0001", "cbr0", {"ip6tables", "iptables"})}}, {"kept", 1}}));
}

TEST_CASE("gc makes no table where there was none") {
  Node node;
  for (const std::string flavour : {"nft", "legacy"}) {
    node.use(flavour);
    CHECK(node.gc().at("portmap") == json({{"freed", kNone}, {"kept", 0}}));
  }
  CHECK(support::must_run(support::inside(node.host, nullptr, {"nft", "list", "tables"})).empty());
  // A kernel without iptables has no such file.
  CHECK(support::run(support::inside(node.host, nullptr, {"cat", "/proc/net/ip_tables_names"})).out.empty());
}

TEST_CASE("gc takes out rules of dead containers from the tables that portmap 1.6 and newer make in nft") {
  Node node;
  const Netns living("living");
  node.attach("live0001", living, 8080);
  node.cache("cbr0-cached01-eth0");
  std::ifstream recorded(TEST_DATA "/nft/portmap.nft");
  const std::string ruleset{std::istreambuf_iterator<char>(recorded), {}};
  REQUIRE_FALSE(ruleset.empty());
  (void)support::must_run(support::inside(node.host, nullptr, {"nft", "-f", "-"}), {}, ruleset);
  const auto tables = [&node] {
    std::string out;
    for (const std::string family : {"ip", "ip6"})
      out += support::must_run(support::inside(node.host, nullptr, {"nft", "list", "table", family, "cni_hostport"}));
    return out;
  };
  const std::string before = tables();
  REQUIRE(before.find("dead0001") != std::string::npos);
  const json expected = {{"freed", {freed("dead0001", "", {"nft ip", "nft ip6"})}}, {"kept", 3}};

  CHECK(node.gc({"--dry-run"}).at("portmap") == expected);
  CHECK(tables() == before);
  CHECK(node.gc().at("portmap") == expected);
  std::istringstream lines(before);
  std::string left;
  for (std::string line; std::getline(lines, line);)
    if (line.find("dead0001") == std::string::npos) left += line + '\n';
  CHECK(tables() == left);
}

TEST_SUITE_END();
