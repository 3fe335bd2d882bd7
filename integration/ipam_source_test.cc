// SPDX-License-Identifier: Apache-2.0
// crossover-ipam with podCIDRsFrom: a stand-in for Cilium's agent on its socket, flannel's file, a file that moves.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "integration/fixture/agent.h"
#include "integration/support/namespaces.h"
#include "integration/support/process.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using support::Finished;

constexpr const char* kAgentSocket = "/var/run/cilium/cilium.sock";

/// A node with an empty /run of its own.
struct Node {
  Node() {
    static const bool isolated = [] { return support::isolate({}), true; }();
    CHECK(isolated);
    std::string pattern = fs::temp_directory_path() / "crossover-source-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    dir = pattern;
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { fs::remove_all(dir); }

  Finished call(const std::string& verb, const std::string& id, const json& more = json::object()) const {
    json config = {{"cniVersion", "1.1.0"},
                   {"name", "net"},
                   {"ipam", {{"type", "crossover-ipam"}, {"stateDir", dir + "/state"}, {"podCIDRsFrom", from}}}};
    config.update(more);
    return support::run({BIN_DIR "/crossover-ipam"},
                        {{"CNI_COMMAND", verb},
                         {"CNI_CONTAINERID", id},
                         {"CNI_IFNAME", "eth0"},
                         {"CNI_NETNS", "/proc/self/ns/net"},
                         {"CNI_PATH", BIN_DIR}},
                        config.dump());
  }
  [[nodiscard]] std::vector<std::string> add(const std::string& id) const {
    const Finished added = call("ADD", id);
    INFO(added.out << added.err);
    REQUIRE(added.ok());
    std::vector<std::string> out;
    const json result = json::parse(added.out);
    for (const json& ip : result.at("ips")) out.push_back(ip.at("address"));
    return out;
  }
  /// The notes of the events, in order.
  [[nodiscard]] std::vector<std::string> notes() const {
    std::vector<std::string> out;
    std::ifstream file(dir + "/state/events.jsonl");
    for (std::string line; std::getline(file, line);) {
      const json event = json::parse(line);
      for (const json& note : event.at("notes")) out.push_back(note);
    }
    return out;
  }
  void forget() const { fs::remove_all(dir + "/state"); }

  std::string dir;
  std::string from;
};

void write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
}

std::string data(const std::string& name) {
  std::ifstream file(std::string(TEST_DATA) + '/' + name);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Rewrites a file in place, over and over, with every content half written for a while.
class Writer {
 public:
  Writer(std::string path, std::vector<std::string> contents)
      : path_(std::move(path)), contents_(std::move(contents)), thread_([this] { work(); }) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    stopping_ = true;
    thread_.join();
  }

 private:
  void work() {
    for (std::size_t round = 0; !stopping_; ++round) {
      const std::string& text = contents_[round % contents_.size()];
      std::ofstream file(path_, std::ios::trunc);
      file << text.substr(0, text.size() - 4) << std::flush;  // in the middle of a line, or of an object
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      file << text.substr(text.size() - 4) << std::flush;
      std::this_thread::sleep_for(std::chrono::milliseconds(round % 4 == 0 ? 60 : 5));
    }
  }
  std::string path_;
  std::vector<std::string> contents_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

TEST_SUITE_BEGIN("integration.ipam_source");
TEST_CASE("blocks come from Cilium's agent, and from its last answer while it hangs or is dead") {
  Node node;
  node.from = "cilium";
  std::optional<fixture::Agent> agent(std::in_place, kAgentSocket);
  agent->answer("/v1/config", data("agent/config.json"));
  agent->answer("/v1/healthz", data("agent/healthz.json"));
  CHECK(node.add("c1") == std::vector<std::string>{"10.245.1.2/24"});
  for (const char* own : {"10.245.1.90", "10.245.1.115"}) {  // the router's and the health endpoint's
    const Finished refused = node.call("ADD", "c9", {{"runtimeConfig", {{"ips", {own}}}}});
    CHECK(json::parse(refused.out).at("code") == 111);
  }
  CHECK(agent->requests() == std::vector<std::string>{"/v1/config", "/v1/healthz", "/v1/config", "/v1/healthz",
                                                      "/v1/config", "/v1/healthz"});
  CHECK(node.notes() ==
        std::vector<std::string>{"podCIDRsFrom cilium: the agent's ipam-mode is \"cluster-pool\": it may "
                                 "give pods addresses of 10.245.1.0/24 itself"});

  agent->fall_silent();
  const Finished served = node.call("ADD", "c2");
  REQUIRE(served.ok());
  CHECK(served.err ==
        "crossover-ipam: podCIDRsFrom cilium: no answer within 500 ms; its last good answer serves: 10.245.1.0/24\n");
  REQUIRE(node.notes().size() == 2);
  CHECK(node.notes()[1] == "podCIDRsFrom cilium: no answer within 500 ms; its last good answer serves: 10.245.1.0/24");

  agent.reset();
  CHECK(node.add("c3") == std::vector<std::string>{"10.245.1.4/24"});
  CHECK(node.notes().size() == 3);
  CHECK(node.call("STATUS", "").ok());
  CHECK(node.notes().size() == 3);  // a STATUS comes every few seconds
  const Finished deleted = node.call("DEL", "c1");
  CHECK(deleted.ok());
  CHECK(deleted.err.empty());

  node.forget();
  const Finished unknown = node.call("ADD", "c4");
  CHECK(json::parse(unknown.out).at("code") == 11);
  CHECK(json::parse(unknown.out).at("details") ==
        "podCIDRsFrom cilium: connect " + std::string(kAgentSocket) + ": Connection refused, and " + node.dir +
            "/state/ipam/source-cilium holds no earlier answer; start Cilium's agent on this node, or give `podCIDRs`");
  CHECK(json::parse(node.call("STATUS", "").out).at("code") == 50);
  CHECK(node.call("DEL", "c4").ok());
}

TEST_CASE("blocks come from flannel's subnet.env, and from its last good state when it is gone") {
  Node node;
  node.from = "flannel";
  const std::string file = "/run/flannel/subnet.env";
  CHECK(json::parse(node.call("ADD", "c1").out).at("code") == 11);
  write(file,
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_IPV6_NETWORK=fd00::/48\n"
        "FLANNEL_IPV6_SUBNET=fd00:0:0:1::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n");
  CHECK(node.add("c1") == std::vector<std::string>{"10.244.1.2/24", "fd00:0:0:1::2/64"});
  fs::remove(file);
  CHECK(node.add("c2") == std::vector<std::string>{"10.244.1.3/24", "fd00:0:0:1::3/64"});
  CHECK(node.notes() == std::vector<std::string>{"podCIDRsFrom flannel: there is no /run/flannel/subnet.env; its last "
                                                 "good answer serves: 10.244.1.0/24, fd00:0:0:1::/64"});
}

TEST_CASE("while a file is rewritten in place every ADD gets both families, each another address") {
  const auto node_object = [](const std::string& cidrs) {
    return R"({"kind":"CiliumNode","metadata":{},"spec":{"ipam":{"podCIDRs":[)" + cidrs + R"(]}}, "status":{} })";
  };
  const std::vector<std::vector<std::string>> forms = {
      {"10.9.0.0/24\nfd09::/120\n", "10.9.0.0/24\n10.10.0.0/24\nfd09::/120\n"},
      {node_object(R"("10.9.0.0/24","fd09::/120")"), node_object(R"("10.9.0.0/24","10.10.0.0/24","fd09::/120")")}};
  for (const std::vector<std::string>& contents : forms) {
    Node node;
    const std::string file = node.dir + "/blocks";
    node.from = "file:" + file;
    write(file, contents[0]);
    std::set<std::string> seen;
    CHECK(node.add("first").size() == 2);
    const Writer writer(file, contents);
    for (int i = 0; i < 30; ++i) {
      const std::vector<std::string> got = node.add("c" + std::to_string(i));
      REQUIRE(got.size() == 2);
      CHECK((got[0].starts_with("10.9.0.") || got[0].starts_with("10.10.0.")));
      CHECK(got[1].starts_with("fd09::"));
      for (const std::string& address : got) CHECK(seen.insert(address).second);
    }
  }
}
TEST_SUITE_END();

}  // namespace
