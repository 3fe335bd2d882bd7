// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "conf/fd.h"
#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// ADD: what it refuses, what it records, which programs it runs and how long it listens to them.
namespace {

using fixture::error_of;
using fixture::Node;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr const char* kOne = R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]})";
constexpr const char* kTwo = R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"},{"type":"portmap"}]})";
constexpr const char* kCilium = R"({"name":"cilium","cniVersion":"0.3.1","plugins":[{"type":"cilium-cni"}]})";

}  // namespace

TEST_SUITE("verbs.add") {
  TEST_CASE("A4.3 ADD is refused if the interface is there, before anything runs") {
    const Node node({"bridge"});
    node.legacy(kOne);
    const std::string netns = node.pod("p1");
    node.add_link("p1", "eth0");
    const auto error = error_of(node.call("ADD", "c1", netns));
    CHECK(error.code == 100);
    CHECK(error.msg == "attachment exists");
    CHECK(node.plugins().calls().empty());
    CHECK(node.records().empty());
    CHECK(node.has_link("p1", "eth0"));
  }

  TEST_CASE("A4.5 a second ADD is refused before anything runs, and the first keeps its record") {
    const Node node({"bridge"});
    node.legacy(kOne);
    const std::string netns = node.pod("p1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    const Strings records = node.records();
    const std::string record = fixture::read_file(node.state_dir() / "attachments" / records.front());
    node.plugins().clear_log();
    CHECK(error_of(node.call("ADD", "c1", netns)).code == 100);
    CHECK(node.plugins().calls().empty());
    CHECK(node.records() == records);
    CHECK(fixture::read_file(node.state_dir() / "attachments" / records.front()) == record);
    CHECK(node.call("DEL", "c1", netns).ok());
    CHECK(node.plugins().leaks().empty());
  }

  TEST_CASE("a record of a namespace that is gone is an earlier life's, which ADD ends first") {
    const Node node({"bridge"});
    node.legacy(kOne);
    REQUIRE(node.call("ADD", "c1", node.pod("p1")).ok());
    node.remove_pod("p1");
    node.plugins().clear_log();
    CHECK(node.call("ADD", "c1", node.pod("p1")).ok());  // under the same path
    CHECK(node.plugins().names() == Strings{"DEL bridge", "ADD bridge"});
    CHECK(node.records().size() == 1);
    CHECK(node.plugins().leaks() == Strings{"bridge,c1,eth0"});
  }

  TEST_CASE("a second interface of one container joins legacy, and is refused on cilium") {
    const Node node({"bridge", "cilium-cni"});
    node.configure(R"("cilium":{"socket":""})");
    node.legacy(kOne);
    node.cilium(kCilium);
    const std::string netns = node.pod("p1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    CHECK(node.call("ADD", "c1", netns, {{"CNI_IFNAME", "net1"}}).ok());
    node.node_state("cilium");
    REQUIRE(node.call("ADD", "c2", netns).ok());
    node.plugins().clear_log();
    const auto error = error_of(node.call("ADD", "c2", netns, {{"CNI_IFNAME", "net1"}}));
    CHECK(error.code == 100);
    CHECK(error.says("eth0"));
    CHECK(node.plugins().calls().empty());
    // Its DEL would destroy eth0's endpoint.
    CHECK(node.call("DEL", "c2", netns, {{"CNI_IFNAME", "net1"}}).ok());
    CHECK(node.plugins().calls().empty());
    CHECK(node.plugins().leaks() == Strings{"bridge,c1,eth0", "bridge,c1,net1", "cilium-cni,c2,eth0"});
  }

  TEST_CASE("A4.7 an interface index that would make a runtime panic does not reach it") {
    const Node node({"bridge"});
    node.legacy(kOne);
    const std::string netns = node.pod("p1");
    for (const char* index : {"-1", "1", "7"}) {
      CAPTURE(index);
      const std::string result = std::string(R"({"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],"ips":[)") +
                                 R"({"address":"10.1.0.5/16","interface":)" + index + R"(},)" +
                                 R"({"address":"10.1.0.6/16","interface":0}],"vendor":{"x":1}})";
      node.plugins().script("bridge", Json{{"ADD", {{"stdout", result}}}}.dump());
      const auto added = node.call("ADD", "c1", netns);
      REQUIRE(added.ok());
      const Json got = Json::parse(added.out);
      CHECK_FALSE(got.at("ips").at(0).contains("interface"));
      CHECK(got.at("ips").at(1).at("interface") == 0);
      CHECK(got.at("vendor") == Json{{"x", 1}});
      CHECK(node.call("DEL", "c1", netns).ok());
    }
  }

  TEST_CASE("B6.3 the record is there before the first plugin runs, and complete when ADD has answered") {
    const Node node({"bridge", "portmap"});
    node.legacy(kTwo);
    // The plugin is its own witness: it runs until it sees what must be there.
    const std::string netns = node.pod("p1");
    node.plugins().script("bridge", R"({"ADD":{"waitFor":"../state/attachments/c1:eth0"}})");
    const auto added = node.call("ADD", "c1", netns);
    REQUIRE(added.ok());
    const std::string record = fixture::read_file(node.state_dir() / "attachments" / "c1:eth0");
    const std::size_t end = record.find('\n');
    CHECK(Json::parse(record.substr(0, end)).at("network") == "legacy");
    CHECK(Json::parse(Json::parse(record.substr(end + 1)).at("result").get<std::string>()) == Json::parse(added.out));
    namespace fs = std::filesystem;
    const auto mode = [](const fs::path& path) { return static_cast<unsigned>(fs::status(path).permissions()); };
    CHECK(mode(node.state_dir() / "attachments" / "c1:eth0") == 0600);
    CHECK(mode(node.state_dir()) == 0700);
  }

  TEST_CASE("B3.1 plugins of the sub-folder follow the list's own, and DEL runs them when the folder is gone") {
    const Node node({"bridge", "istio-cni", "tuning"});
    node.legacy(kOne);
    fixture::write_file(node.net_dir() / "cbr0" / "20-b.conf", R"({"type":"tuning"})");
    fixture::write_file(node.net_dir() / "cbr0" / "10-a.conf", R"({"type":"istio-cni","name":"other"})");
    fixture::write_file(node.net_dir() / "cbr0" / "README", "not a plugin");
    const std::string netns = node.pod("p1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    CHECK(node.plugins().names() == Strings{"ADD bridge", "ADD istio-cni", "ADD tuning"});
    CHECK(Json::parse(node.plugins().calls().at(1).input).at("name") == "cbr0");
    std::filesystem::remove_all(node.net_dir() / "cbr0");
    node.plugins().clear_log();
    CHECK(node.call("DEL", "c1", netns).ok());
    CHECK(node.plugins().names() == Strings{"DEL tuning", "DEL istio-cni", "DEL bridge"});
  }

  TEST_CASE("B3.1 loadOnlyInlinedPlugins leaves the sub-folder alone") {
    const Node node({"bridge", "tuning"});
    node.legacy(R"({"name":"cbr0","cniVersion":"1.0.0","loadOnlyInlinedPlugins":true,"plugins":[{"type":"bridge"}]})");
    fixture::write_file(node.net_dir() / "cbr0" / "20-b.conf", R"({"type":"tuning"})");
    CHECK(node.call("ADD", "c1", node.pod("p1")).ok());
    CHECK(node.plugins().names() == Strings{"ADD bridge"});
  }

  TEST_CASE("B5.1 the first regular file in CNI_PATH is run") {
    const Node node({"bridge"});
    node.legacy(kOne);
    const std::filesystem::path first = node.dir() / "first";
    std::filesystem::create_directories(first / "bridge");  // a directory of that name is passed over
    const std::string path = first.string() + ":" + (node.dir() / "absent").string() + "::" + node.bin_dir().string();
    CHECK(node.call("ADD", "c1", node.pod("p1"), {{"CNI_PATH", path}}).ok());
    CHECK(node.plugins().calls().front().env.at("CNI_PATH") == path);
  }

  TEST_CASE("B5.9 a plugin that is missing is an error with its name, and what ran before it is undone") {
    const Node node({"bridge"});
    node.legacy(kTwo);
    const std::string netns = node.pod("p1");
    const auto error = error_of(node.call("ADD", "c1", netns));
    CHECK(error.code == 101);
    CHECK(error.says("portmap"));
    CHECK(node.plugins().leaks().empty());
  }

  TEST_CASE("B2.6 a list that would run this plugin again, or a path, is not run") {
    const Node node({"bridge"});
    const std::string netns = node.pod("p1");
    node.legacy(R"({"name":"a","cniVersion":"1.0.0","plugins":[{"type":"../bin/bridge"}]})");
    (void)error_of(node.call("ADD", "c1", netns));
    std::filesystem::create_symlink(std::filesystem::path(BIN_DIR) / "crossover", node.bin_dir() / "alias");
    node.legacy(R"({"name":"a","cniVersion":"1.0.0","plugins":[{"type":"alias"}]})");
    const auto error = error_of(node.call("ADD", "c1", netns));
    CHECK(error.code == 7);
    CHECK(error.says("alias"));
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("B5.3 what a plugin wrote to stderr is forwarded, and kept beside its error") {
    const Node node({"bridge"});
    node.legacy(kOne);
    const std::string netns = node.pod("p1");
    node.plugins().script("bridge", R"({"ADD":{"stderr":"a warning\n"}})");
    const auto added = node.call("ADD", "c1", netns);
    CHECK(added.ok());
    CHECK(added.err.find("a warning") != std::string::npos);
    node.plugins().script("bridge",
                          R"({"ADD":{"stdout":"{\"code\":7,\"msg\":\"bad\"}","stderr":"the reason","exit":1}})");
    const auto error = error_of(node.call("ADD", "c2", netns));
    CHECK(error.code == 7);
    CHECK(error.says("bad"));
    CHECK(error.says("the reason"));
  }

  TEST_CASE("B5.4 a plugin that somebody is writing is an error, not a success without an answer") {
    const Node node({});
    node.legacy(kOne);
    std::filesystem::copy_file(std::filesystem::path(BIN_DIR) / "recorder", node.bin_dir() / "bridge");
    const conf::UniqueFd writer(::open((node.bin_dir() / "bridge").c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(writer);
    const auto error = error_of(node.call("ADD", "c1", node.pod("p1")));
    CHECK(error.code == 102);
    CHECK(error.says("bridge"));
  }

  TEST_CASE("B5.8 a plugin that does not end is stopped with all it started, and named") {
    const Node node({"bridge"});
    node.configure(R"("timeouts":{"delegate":"5s"})");
    node.legacy(kOne);
    node.plugins().script("bridge", R"({"ADD":{"waitFor":"never"}})");
    const auto error = error_of(node.call("ADD", "c1", node.pod("p1")));
    CHECK(error.code == 103);
    CHECK(error.says("bridge"));
    const auto calls = node.plugins().calls();
    REQUIRE(node.plugins().names() == Strings{"ADD bridge", "DEL bridge"});
    CHECK_FALSE(std::filesystem::exists("/proc/" + std::to_string(calls.front().pid)));
    CHECK(node.plugins().leaks().empty());
  }

  TEST_CASE("B5.8 a plugin that prints without end is stopped, and named") {
    const Node node({"bridge"});
    node.legacy(kOne);
    node.plugins().script("bridge", R"({"ADD":{"fill":10485760}})");
    const auto error = error_of(node.call("ADD", "c1", node.pod("p1")));
    CHECK(error.code == 102);
    CHECK(error.says("bridge"));
    CHECK(node.plugins().leaks().empty());
  }

  TEST_CASE("A10.6 a child that a plugin leaves behind, with our pipe open, does not hold the pod") {
    const Node node({"bridge"});
    node.legacy(kOne);
    node.plugins().script("bridge", R"({"ADD":{"leaveChildMs":20000}})");
    fixture::Env env = {{"CNI_COMMAND", "ADD"},
                        {"CNI_CONTAINERID", "c1"},
                        {"CNI_IFNAME", "eth0"},
                        {"CNI_NETNS", node.pod("p1")},
                        {"CNI_PATH", node.bin_dir()}};
    CHECK(node.call(env, node.request(), std::chrono::seconds(15)).ok());
  }
}
