// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "integration/support/process.h"

// The demo as people run it, only shorter; and with faults, since a check that never fails proves nothing.

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using support::Finished;
using support::run;

struct Output {
  fs::path dir;
  Output() {
    std::string name = (fs::temp_directory_path() / "demo-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    dir = name;
  }
  ~Output() {
    std::error_code ignored;  // nothing depends on it
    fs::remove_all(dir, ignored);
  }
  [[nodiscard]] Finished demo(std::vector<std::string> more = {}) const {
    std::vector<std::string> argv = {BIN_DIR "/demo", "--short", "--out", dir.string()};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv, {}, {}, std::chrono::seconds(110));
  }
  [[nodiscard]] Json json() const {
    std::ifstream in(dir / "demo.json");
    return Json::parse(in);
  }
};

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void check_good(const std::vector<std::string>& arguments) {
  const Output out;
  const Finished finished = out.demo(arguments);
  INFO(finished.out, finished.err);
  REQUIRE(finished.status == 0);
  const Json json = out.json();
  CHECK(json.at("good") == true);
  CHECK(json.at("total").at("lost") == 0);
  CHECK(json.at("leftovers").empty());
  CHECK(json.at("phases").size() == 8);
  for (const auto& phase : json.at("phases")) CHECK(phase.at("sent") > 0);
  CHECK(json.at("total").at("kinds").size() == 7);
  CHECK(fs::file_size(out.dir / "demo.svg") > 1000);
}

}  // namespace

TEST_SUITE("demo") {
  TEST_CASE("a cluster moves to its second network: no probe lost, nothing left over") { check_good({}); }
  TEST_CASE("a cluster of Calico moves to its second network: no probe lost, nothing left over") {
    check_good({"--network", "calico"});
  }
  TEST_CASE("a cluster of Canal moves to its second network: no probe lost, nothing left over") {
    check_good({"--network", "canal"});
  }
  TEST_CASE("a cluster of the AWS VPC CNI moves to its second network: no probe lost, nothing left over") {
    check_good({"--network", "aws"});
  }

  TEST_CASE("a node that is cut off for a moment makes the demo fail, naming the pairs") {
    const Output out;
    const Finished finished = out.demo({"--fault", "loss"});
    INFO(finished.out, finished.err);
    CHECK(finished.status == 1);
    CHECK(contains(finished.err, "FAILED: Crossover installed: n2-a-1 (legacy, node2) to n1-a-1 (legacy, node1): "));
    CHECK_FALSE(contains(finished.err, "n1-a-1 (legacy, node1) to n1-b-1"));
    CHECK(out.json().at("total").at("lost") > 0);
  }

  TEST_CASE("a pod that is gone without a DEL makes the demo fail, naming what it left") {
    const Output out;
    const Finished finished = out.demo({"--fault", "leak"});
    INFO(finished.out, finished.err);
    CHECK(finished.status == 1);
    CHECK(contains(finished.err, "FAILED: left over on node1: file /var/lib/cni/crossover/ipam/leases/"));
    CHECK(contains(finished.err, "FAILED: left over on node1: 1 of 10.245.1.0/24 in use"));
    CHECK(contains(finished.err, "FAILED: left over on node1: iptables -A CNI-HOSTPORT-DNAT"));
    CHECK(contains(finished.err, "FAILED: left over on node1: file /var/lib/cni/crossover/attachments/"));
    CHECK(contains(finished.err, "FAILED: left over on node1: file /var/lib/cni/results/crossover-"));
    CHECK(out.json().at("total").at("lost") == 0);
  }

  TEST_CASE("an interrupted demo ends at once with status 130") {
    const Output out;
    // timeout(1) sends SIGINT after three seconds and passes on our status.
    const Finished finished =
        run({"timeout", "--preserve-status", "--signal=INT", "3", BIN_DIR "/demo", "--out", out.dir.string()});
    CHECK(finished.status == 130);
    CHECK(finished.err == "interrupted; everything is taken down\n");
  }

  TEST_CASE("an argument that is not understood is status 2 and named") {
    const Finished finished = run({BIN_DIR "/demo", "--network"});
    CHECK(finished.status == 2);
    CHECK(finished.err.starts_with("'--network' is not understood\nusage: demo "));
    CHECK(run({BIN_DIR "/demo", "--fault", "all"}).err.starts_with("--fault is loss or leak, not 'all'\n"));
    CHECK(run({BIN_DIR "/demo", "--network", "none"}).err.starts_with("there is no lab 'none'\nusage: demo "));
  }
}
