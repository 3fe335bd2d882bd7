// SPDX-License-Identifier: Apache-2.0
// How crossover-sync follows an API server: what it goes on from, and what makes it list anew.
#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "integration/fixture/api_server.h"
#include "integration/fixture/sync_node.h"

namespace {

using fixture::eventually;
using fixture::kCilium;
using fixture::kLegacy;
using Mood = fixture::ApiServer::Mood;
using Node = fixture::SyncNode;

TEST_SUITE_BEGIN("integration.sync_watch");

/// Both watches are heard, each by an event of its own.
void await_both(const Node& node) {
  REQUIRE(eventually([&] { return node.count("watch Node 200") == 1 && node.count("watch CiliumNode 200") == 1; }));
  node.server->put_node("true");
  node.server->put_cilium_node("10.245.1.0/24");
  REQUIRE(eventually([&] { return node.state() == kCilium; }));
  REQUIRE(eventually([&] { return node.read("state/pod-cidrs").ends_with("10.245.1.0/24\n"); }));
}

TEST_CASE("a bookmark is where the next watch goes on, whatever the API server has forgotten before it") {
  Node node;
  const auto sync = node.start();
  await_both(node);
  node.server->change_others();
  const auto before =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  std::this_thread::sleep_for(std::chrono::milliseconds{2});
  node.server->bookmark();
  REQUIRE(eventually([&] { return node.status()["lastSuccess"] > before.count(); }));  // both have it
  node.server->compact();
  node.server->hang_up();
  REQUIRE(eventually([&] { return node.count("watch Node 200") == 2 && node.count("watch CiliumNode 200") == 2; }));
  node.server->put_node("");
  REQUIRE(eventually([&] { return node.state() == kLegacy; }));
  CHECK(node.count("list Node 200") == 1);
  CHECK(node.count("list CiliumNode 200") == 1);
  CHECK(node.server->complaints().empty());
  CHECK(sync->end() == 0);
}

TEST_CASE("410 as an event of a watch that is 200 makes it list anew, and nothing is missed") {
  Node node;
  const auto sync = node.start();
  await_both(node);
  node.server->change_others();
  node.server->compact();
  node.server->hang_up();
  node.server->put_node("");
  REQUIRE(eventually([&] { return node.state() == kLegacy; }));
  REQUIRE(eventually([&] { return node.count("list Node 200") == 2 && node.count("list CiliumNode 200") == 2; }));
  REQUIRE(eventually([&] { return node.count("watch Node 200") == 3; }));
  CHECK(node.server->complaints().empty());
  CHECK(sync->end() == 0);
}

TEST_CASE("an event that is torn changes nothing, and comes again whole from where the watch was") {
  Node node;
  const auto sync = node.start();
  REQUIRE(eventually([&] { return node.count("watch Node 200") == 1; }));
  node.server->be(Mood::kTear);
  node.server->put_node("true");
  REQUIRE(eventually([&] { return node.count("watch Node 200") >= 2; }));
  CHECK(node.state() == kLegacy);
  REQUIRE(eventually([&] { return node.status()["problem"] == "Node: an event of the Node was cut off"; }));
  const auto from = node.server->watched_from("Node");
  CHECK(from[0] == from[1]);
  node.server->be(Mood::kGood);
  REQUIRE(eventually([&] { return node.state() == kCilium; }));
  CHECK(node.count("list Node 200") == 1);
  CHECK(sync->end() == 0);
}

TEST_CASE("an operator's word stays, however fast the label comes and goes") {
  Node node;
  const auto sync = node.start();
  std::jthread label([&](const std::stop_token& stop) {
    for (bool on = true; !stop.stop_requested(); on = !on) {
      node.server->put_node(on ? "true" : "");
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
  });
  unsigned lost = 0;
  for (int round = 0; round < 10; ++round) {
    const std::string reason = "round " + std::to_string(round);
    node.set("hold", reason);
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    if (node.state() != "hold " + reason + "\n") ++lost;
    node.set("auto");
    if (!eventually([&] { return node.read("state/node-state").find(" label: ") != std::string::npos; })) ++lost;
  }
  label.request_stop();
  label.join();
  CHECK(lost == 0);
  CHECK(sync->end() == 0);
}

TEST_CASE("a CiliumNode that is deleted keeps its podCIDRs, and the one that takes its place is followed") {
  Node node;
  node.server->put_cilium_node("10.245.1.0/24");
  const auto sync = node.start();
  REQUIRE(eventually([&] { return node.read("state/pod-cidrs").ends_with("10.245.1.0/24\n"); }));
  node.server->remove_cilium_node();
  REQUIRE(eventually([&] { return node.status()["kept"].size() == 1; }));
  CHECK(node.read("state/pod-cidrs").ends_with("10.245.1.0/24\n"));
  node.server->put_cilium_node("10.245.2.0/24");
  REQUIRE(eventually([&] { return node.read("state/pod-cidrs").ends_with("10.245.2.0/24\n"); }));
  CHECK(node.server->complaints().empty());
  CHECK(sync->end() == 0);
}

TEST_SUITE_END();

}  // namespace
