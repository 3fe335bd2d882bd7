// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/run.h"

#include <doctest/doctest.h>

#include "tests/sync/stage.h"

namespace {

using fakes::kCilium;
using fakes::kLegacy;
using fakes::Stage;
using plugin::sync::Keeper;
using plugin::sync::Kind;

TEST_SUITE_BEGIN("sync.run");

void run(Stage& stage) {
  Keeper keeper = stage.keeper();
  plugin::sync::run(stage.api, keeper, "node1", 1, [&stage] { return stage.api.now(); });
}

TEST_CASE("a label that is set and taken away moves the node there and back") {
  Stage stage;
  std::vector<std::string> states;
  const auto look = [&] { states.push_back(stage.file("node-state")); };
  stage.api.then(look);
  stage.api.then(
      [&] { stage.api.says(Kind::kNode, answers::event("MODIFIED", answers::node("", "10.244.1.0/24", "101"))); });
  stage.api.then(look);
  stage.api.then(
      [&] { stage.api.says(Kind::kNode, answers::event("MODIFIED", answers::node("true", "10.244.1.0/24", "102"))); });
  stage.api.then(look);
  run(stage);
  CHECK(states == std::vector<std::string>{kCilium, kLegacy, kCilium});
}

TEST_CASE("both are followed, each from its own resource version") {
  Stage stage;
  stage.api.then([] {});
  run(stage);
  CHECK(stage.api.calls() ==
        std::vector<std::string>{"list Node", "list CiliumNode", "watch Node 100", "watch CiliumNode 100"});
}

TEST_CASE("new podCIDRs of the CiliumNode are written") {
  Stage stage;
  stage.api.then([] {});  // listed; the streams open now
  stage.api.then([&] {
    stage.api.says(Kind::kCiliumNode, answers::event("MODIFIED", answers::cilium_node("10.245.9.0/24", "101")));
  });
  stage.api.then([] {});
  run(stage);
  CHECK(stage.file("pod-cidrs") == "# crossover-sync: CiliumNode node1\n10.245.9.0/24\n");
}

TEST_CASE("crossover set auto is noticed while the API server says nothing") {
  Stage stage;
  stage.put("node-state", "hold\n");
  stage.api.then([] {});
  stage.api.then([&] { stage.put("node-state", "auto\n"); });
  stage.api.then([] {});
  run(stage);
  CHECK(stage.file("node-state") == kCilium);
  for (const std::chrono::milliseconds wait : stage.api.waits()) CHECK(wait <= std::chrono::seconds{30});
}

TEST_CASE("an API server that is down from the start is asked again, ever more seldom") {
  Stage stage;
  stage.list(Kind::kNode, plugin::sync::Reply(std::string("down")));
  stage.list(Kind::kCiliumNode, plugin::sync::Reply(std::string("down")));
  stage.api.forget();
  for (int count = 0; count < 400; ++count) stage.api.then([] {});
  const auto began = stage.api.now().since_boot;
  run(stage);
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(stage.api.now().since_boot - began).count();
  CHECK(minutes > 60);
  CHECK(stage.api.calls().size() < 2 * (10 + 2 * static_cast<std::size_t>(minutes)));
  CHECK(stage.file("node-state") == "none");
  CHECK(stage.file("sync-status") == stage.status("0", "Node: down; CiliumNode: down"));
}

TEST_CASE("asked to end during a list, nothing is written") {
  Stage stage;
  stage.api.set_stopped();
  run(stage);
  CHECK(stage.api.calls().empty());
  CHECK_FALSE(stage.once());
  CHECK(stage.file("node-state") == "none");
}

TEST_SUITE_END();

}  // namespace
