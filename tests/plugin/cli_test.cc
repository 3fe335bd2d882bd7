// SPDX-License-Identifier: Apache-2.0
#include "plugin/cli.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/fakes/machine.h"
#include "tests/support/refusal.h"

namespace {

using nlohmann::json;

std::string list(const std::string& name, const std::string& type) {
  return R"({"cniVersion":"1.0.0","name":")" + name + R"(","plugins":[{"type":")" + type + R"("}]})";
}

struct Shell {
  fakes::Machine machine;

  Shell() {
    machine.legacy(list("cbr0", "bridge"));
    machine.namespaces.add("/n");
  }
  json status() {
    plugin::System system = machine.process();
    return json::parse(status_report(system, machine.settings, true).text);
  }
  json explain(const plugin::ExplainQuery& query = {}) {
    plugin::System system = machine.process();
    return json::parse(explain_report(system, machine.settings, query, true).text);
  }
  json attachments() {
    plugin::System system = machine.process();
    return json::parse(attachments_report(system, machine.settings, true).text);
  }
  plugin::Report set(const std::string& word, const std::string& reason = {}) {
    plugin::System system = machine.process();
    return set_report(system, machine.settings, word, reason, false);
  }
  int run(std::vector<std::string> words) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    plugin::System system = machine.process();
    return plugin::run_command_line(system, static_cast<int>(argv.size()), argv.data());
  }
};

TEST_SUITE_BEGIN("plugin.cli");

TEST_CASE("status has the contract's keys, all of them and no others") {
  Shell shell;
  (void)shell.machine.add("a", "/n");
  CHECK(shell.status() == json({{"nodeState", "legacy"},
                                {"source", "default"},
                                {"reason", "no node-state, and no list of cilium's is in place"},
                                {"networks",
                                 {{"legacy",
                                   {{"usable", true},
                                    {"name", "cbr0"},
                                    {"file", shell.machine.net_dir() + "/10-legacy.conflist"},
                                    {"problem", ""}}},
                                  {"cilium",
                                   {{"usable", false},
                                    {"name", ""},
                                    {"file", ""},
                                    {"problem", "no list that runs cilium-cni is in " + shell.machine.net_dir() +
                                                    "/crossover.d or " + shell.machine.net_dir()}}}}},
                                {"attachments", {{"legacy", 1}, {"cilium", 0}, {"pending", 0}}},
                                {"leases", json::array()},
                                {"ports", 0},
                                {"coexistence", {{"wanted", json::array()}, {"present", json::array()}}}}));
}

TEST_CASE("set writes node-state, and status and explain follow at once") {
  Shell shell;
  CHECK(shell.set("hold", "firmware").text ==
        "node state hold (firmware); new pods are refused: the node holds new pods: firmware\n");
  CHECK(shell.status()["nodeState"] == "hold");
  CHECK(shell.status()["source"] == "node-state");
  const json nothing_asked = {{"profile", "overlay"},
                              {"reason", "the legacy list does not run aws-cni"},
                              {"asserts", json::array()},
                              {"podRoutes", json::array()},
                              {"advice", json::array()}};
  CHECK(shell.explain() == json({{"network", "none"},
                                 {"reason", "the node holds new pods: firmware"},
                                 {"code", 11},
                                 {"plugins", json::array()},
                                 {"hostPorts", "none"},
                                 {"coexistence", nothing_asked}}));
  (void)shell.set("legacy");
  CHECK(shell.explain() == json({{"network", "legacy"},
                                 {"reason", "node-state says legacy"},
                                 {"code", 0},
                                 {"plugins", {"bridge"}},
                                 {"hostPorts", "crossover"},
                                 {"coexistence", nothing_asked}}));
}

TEST_CASE("status says when crossover-sync last heard from the API server, and warns when that is long ago") {
  Shell shell;
  CHECK_FALSE(shell.status().contains("sync"));
  const auto heard = [&](std::int64_t ago_s, const std::string& problem) {
    const std::int64_t last = shell.machine.clock.unix_ms() - ago_s * 1000;
    shell.machine.write(shell.machine.state_dir() + "/sync-status",
                        json({{"format", 1}, {"lastSuccess", last}, {"problem", problem}}).dump());
    return shell.status();
  };
  CHECK(heard(60, "")["sync"]["ageSeconds"] == 60);
  CHECK_FALSE(heard(60, "").contains("warnings"));
  CHECK(heard(7300, "")["warnings"] ==
        json({"crossover-sync last heard from the API server 2h ago; the last good state stays"}));
  CHECK(heard(60, "401 Unauthorized")["warnings"] ==
        json({"crossover-sync last heard from the API server 60s ago: 401 Unauthorized; the last good state stays"}));
  shell.machine.write(shell.machine.state_dir() + "/sync-status", "{\"lastSuc");
  CHECK_FALSE(shell.status().contains("sync"));
}

TEST_CASE("explain takes the pod's namespace, UID and annotations") {
  Shell shell;
  shell.machine.cilium(list("cilium", "cilium-cni"));
  shell.machine.agent.be_healthy();
  (void)shell.set("legacy");
  shell.machine.settings.canary_namespaces = {"canary"};
  shell.machine.settings.allow_pod_override = true;
  CHECK(shell.explain({.pod_namespace = "canary", .pod = {}, .uid = {}, .annotations = {}})["network"] == "cilium");
  CHECK(shell.explain(
            {.pod_namespace = {}, .pod = {}, .uid = {}, .annotations = {"crossover.cni/network=cilium"}})["network"] ==
        "cilium");
  CHECK(shell.explain()["network"] == "legacy");
}

TEST_CASE("explain changes nothing") {
  Shell shell;
  const auto before = shell.machine.snapshot();
  (void)shell.explain();
  (void)shell.status();
  CHECK(shell.machine.snapshot() == before);
  CHECK(shell.machine.world.asks().empty());
}

TEST_CASE("attachments lists pods with network, addresses, age and state") {
  Shell shell;
  (void)shell.machine.add("a", "/n");
  const json all = shell.attachments();
  REQUIRE(all.size() == 1);
  CHECK(all[0]["namespace"] == "default");
  CHECK(all[0]["pod"] == "pod-a");
  CHECK(all[0]["containerID"] == "a");
  CHECK(all[0]["ifname"] == "eth0");
  CHECK(all[0]["network"] == "legacy");
  CHECK(all[0]["state"] == "ready");
}

TEST_CASE("exit status is 2 for what is used wrongly, 1 for what is bad, 0 for help") {
  Shell shell;
  CHECK(shell.run({"crossover", "fly"}) == 2);
  CHECK(shell.run({"crossover", "set", "calico"}) == 2);
  CHECK(shell.run({"crossover", "set"}) == 2);
  CHECK(shell.run({"crossover", "status", "--nonsense"}) == 2);
  CHECK(shell.run({"crossover", "gc", "--forget", "a", "--valid", "f"}) == 2);
  CHECK(shell.run({"crossover", "status", "--conf", shell.machine.dir() + "/missing"}) == 1);
  CHECK(shell.run({"crossover", "--help"}) == 0);
  CHECK(shell.run({"crossover", "explain", "--help"}) == 0);
  CHECK(shell.run({"crossover", "version", "--json"}) == 0);
}

TEST_CASE("the configuration is our entry of the conflist") {
  Shell shell;
  plugin::System system = shell.machine.process();
  const std::string file = shell.machine.dir() + "/00-crossover.conflist";
  shell.machine.write(file, R"({"name":"crossover","plugins":[{"type":"crossover","stateDir":"/s"}]})");
  CHECK(plugin::load_settings(system, file, true).state_dir == "/s");
  shell.machine.write(file, list("cbr0", "bridge"));
  support::check_refusal(support::refusal_of([&] { return plugin::load_settings(system, file, true); }),
                         conf::Code::kInvalidConfig, "not Crossover's configuration",
                         file + " has no plugin of type crossover");
  CHECK(plugin::load_settings(system, shell.machine.dir() + "/missing", false).net_dir == "/etc/cni/net.d");
}

TEST_CASE("gc cleans what has no namespace, keeps what lives, and says what it would do") {
  Shell shell;
  shell.machine.namespaces.add("/m");
  (void)shell.machine.add("alive", "/n");
  (void)shell.machine.add("dead", "/m");
  shell.machine.namespaces.remove("/m");
  plugin::GcOptions dry;
  dry.dry_run = true;
  const json would = json::parse(shell.machine.gc_command(dry).text);
  CHECK(would["removed"] == json({{{"containerID", "dead"}, {"ifname", "eth0"}}}));
  CHECK(shell.attachments().size() == 2);
  const json did = json::parse(shell.machine.gc_command().text);
  CHECK(did["removed"] == would["removed"]);
  CHECK(did["kept"] == 1);
  CHECK(shell.attachments().size() == 1);
  CHECK_FALSE(shell.machine.world.has("bridge", {"dead", "eth0"}));
}

TEST_CASE("gc --valid cleans all that the list does not name") {
  Shell shell;
  shell.machine.namespaces.add("/m");
  (void)shell.machine.add("a", "/n");
  (void)shell.machine.add("b", "/m");
  shell.machine.write(shell.machine.dir() + "/valid", R"([{"containerID":"b","ifname":"eth0"}])");
  plugin::GcOptions options;
  options.valid_file = shell.machine.dir() + "/valid";
  CHECK(json::parse(shell.machine.gc_command(options).text)["removed"].size() == 1);
  CHECK(shell.attachments()[0]["containerID"] == "b");
}

TEST_CASE("a DEL whose plugin is gone for good ends after five tries, or at once by gc --forget") {
  Shell shell;
  (void)shell.machine.add("a", "/n");
  shell.machine.uninstall("bridge");
  for (int i = 1; i < 5; ++i) {
    const conf::CniError error = support::refusal_of([&] { return shell.machine.del("a", "/n"); });
    CHECK(error.code() == 101);
    CHECK(error.details().find("try " + std::to_string(i) + " of 5") != std::string::npos);
  }
  CHECK(shell.attachments()[0]["state"] == "deleting");
  CHECK(shell.machine.del("a", "/n").empty());
  CHECK(shell.attachments().empty());

  shell.machine.install({"bridge"});
  shell.machine.namespaces.add("/m");
  (void)shell.machine.add("b", "/m");
  shell.machine.uninstall("bridge");
  plugin::GcOptions options;
  options.forget = "b";
  const json did = json::parse(shell.machine.gc_command(options).text);
  CHECK(did["removed"].size() == 1);
  CHECK_FALSE(did["notes"].empty());
  CHECK(shell.attachments().empty());
  CHECK(support::refusal_of([&] { return shell.machine.gc_command(options); }).code() == 3);
}

TEST_CASE("columns are aligned") {
  CHECK(plugin::aligned({{"A", "LONG", "C"}, {"aaa", "b", "c"}}) == "A    LONG  C\naaa  b     c\n");
}

TEST_SUITE_END();

}  // namespace
