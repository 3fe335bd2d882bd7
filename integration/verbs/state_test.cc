// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/mount.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// What Crossover keeps, and a machine that fails it: no space, a reboot, places that are not there.
namespace {

using fixture::error_of;
using fixture::Node;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;
namespace fs = std::filesystem;

constexpr const char* kList = R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]})";

/// A file system of 64 pages on stateDir.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path where) : where_(std::move(where)) {
    fs::create_directories(where_);
    REQUIRE(::mount("tmpfs", where_.c_str(), "tmpfs", 0, "size=256k,mode=0700") == 0);
  }
  ~SmallDisk() { (void)::umount2(where_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  void fill() const {
    std::ofstream file(where_ / "ballast", std::ios::binary);
    while (file << std::string(4096, 'x') << std::flush) {
    }
    REQUIRE(fs::space(where_).available == 0);
  }
  void empty() const { fs::remove(where_ / "ballast"); }

 private:
  fs::path where_;
};

}  // namespace

TEST_SUITE("verbs.state") {
  TEST_CASE("B6.3 without space for the record no plugin runs, and with space again the same pod is attached") {
    const Node node({"bridge"});
    node.legacy(kList);
    const SmallDisk disk(node.state_dir());
    const std::string netns = node.pod("p1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    disk.fill();
    node.plugins().clear_log();
    CHECK(error_of(node.call("ADD", "c2", netns)).code == 5);
    CHECK(node.plugins().calls().empty());
    disk.empty();
    CHECK(node.call("ADD", "c2", netns).ok());
    CHECK(node.call("DEL", "c2", netns).ok());
    CHECK(node.call("DEL", "c1", netns).ok());
    CHECK(node.plugins().leaks().empty());
    CHECK(node.records().empty());
  }

  TEST_CASE("A5.3 DEL needs no space") {
    const Node node({"bridge"});
    node.legacy(kList);
    const SmallDisk disk(node.state_dir());
    const std::string netns = node.pod("p1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    disk.fill();
    const auto deleted = node.call("DEL", "c1", netns);
    CAPTURE(deleted.out);
    CHECK(deleted.ok());
    CHECK(node.plugins().leaks().empty());
    CHECK(node.records().empty());
  }

  TEST_CASE("space that runs out while the plugins run undoes the ADD") {
    const Node node({"bridge"});
    node.legacy(kList);
    const SmallDisk disk(node.state_dir());
    const std::string netns = node.pod("p1");
    // A result longer than what is left in the record's last page.
    const std::string result = R"({"cniVersion":"1.0.0","x":")" + std::string(300000, 'x') + "\"}";
    node.plugins().script("bridge", Json{{"ADD", {{"stdout", result}}}}.dump());
    const auto added = node.call("ADD", "c1", netns);
    CHECK(error_of(added).code == 5);
    CHECK(node.plugins().leaks().empty());
    CHECK(node.call("DEL", "c1", netns).ok());
    CHECK(node.records().empty());
  }

  TEST_CASE("a state directory that cannot be made is an error that names it, and nothing runs") {
    const Node node({"bridge"});
    node.legacy(kList);
    fixture::write_file(node.state_dir(), "a file");
    for (const char* verb : {"ADD", "DEL"}) {
      const auto error = error_of(node.call(verb, "c1", node.pod(verb)));
      CHECK(error.code == 5);
      CHECK(error.says(node.state_dir()));
    }
    CHECK(node.plugins().calls().empty());
  }

  TEST_CASE("after a reboot DEL runs the recorded plugins without a namespace, whatever lies under its path") {
    const Node node({"bridge"});
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    const fs::path record = node.state_dir() / "attachments" / "c1:eth0";
    std::string text = fixture::read_file(record);
    const std::size_t at = text.find(R"("bootID":")") + 10;
    text.replace(at, 8, "00000000");
    fixture::write_file(record, text);
    node.plugins().clear_log();
    CHECK(node.call("DEL", "c1", netns).ok());
    REQUIRE(node.plugins().names() == Strings{"DEL bridge"});
    CHECK(node.plugins().calls().front().env.at("CNI_NETNS").empty());
    CHECK(node.records().empty());
  }

  TEST_CASE("A1.2 CNI_PATH may be absent until a plugin must be found, DEL knows that of the ADD") {
    const Node node({"bridge"});
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    const fixture::Env none = {{"CNI_PATH", ""}};
    const auto error = error_of(node.call("ADD", "c1", netns, none));
    CHECK(error.code == 4);
    CHECK(error.says("CNI_PATH"));
    CHECK(node.records().empty());
    CHECK(node.call("DEL", "stranger", netns, none).ok());
    CHECK(node.call("DEL", "c1", netns, none).ok());
    REQUIRE(node.call("ADD", "c1", netns).ok());
    CHECK(node.call("DEL", "c1", netns, none).ok());
    CHECK(node.plugins().leaks().empty());
    CHECK(node.records().empty());
  }

  TEST_CASE("A10.6 a child that a plugin left behind at ADD does not keep the DEL waiting") {
    const Node node({"bridge"});
    node.configure(R"("timeouts":{"lock":"5s"})");
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    node.plugins().script("bridge", R"({"ADD":{"leaveChildMs":30000}})");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    CHECK(node.call("DEL", "c1", netns).ok());
    CHECK(node.records().empty());
  }

  TEST_CASE("A11.1 an answer that cannot be told in the version that was asked is an error, and undone") {
    const Node node({"bridge"});
    node.legacy(kList);
    node.plugins().script("bridge", R"({"ADD":{"stdout":"{\"cniVersion\":\"1.0.0\"}"}})");
    const fixture::Env env = {{"CNI_COMMAND", "ADD"},
                              {"CNI_CONTAINERID", "c1"},
                              {"CNI_IFNAME", "eth0"},
                              {"CNI_NETNS", node.pod("p1")},
                              {"CNI_PATH", node.bin_dir()}};
    CHECK(error_of(node.call(env, node.request("", "0.2.0"))).code == 6);
    CHECK(node.plugins().leaks().empty());
    CHECK(node.records().empty());
  }
}
