// SPDX-License-Identifier: Apache-2.0
#include "plugin/node_state.h"

#include <doctest/doctest.h>

#include "tests/support/refusal.h"

namespace {

using plugin::FileWord;
using plugin::parse_node_state;

TEST_SUITE_BEGIN("plugin.node_state");

TEST_CASE("no file and auto have no opinion") {
  CHECK(parse_node_state(std::nullopt).word == FileWord::kNone);
  CHECK(parse_node_state("auto\n").word == FileWord::kNone);
  CHECK(parse_node_state("auto until Monday").word == FileWord::kNone);
}

TEST_CASE("the three words, with and without a reason and a line end") {
  CHECK(parse_node_state("legacy").word == FileWord::kLegacy);
  CHECK(parse_node_state("cilium\r\n").word == FileWord::kCilium);
  const plugin::NodeStateFile moved = parse_node_state("cilium moved by the rollout\n");
  CHECK(moved.word == FileWord::kCilium);
  CHECK(moved.reason == "moved by the rollout");
  CHECK(parse_node_state("hold\n").reason == "node-state says hold");
  CHECK(parse_node_state("hold firmware update\n").reason == "firmware update");
}

TEST_CASE("anything else is hold, and the reason says what is wrong") {
  const auto reason_of = [](const std::string& text) {
    const plugin::NodeStateFile file = parse_node_state(text);
    CHECK(file.word == FileWord::kHold);
    return file.reason;
  };
  CHECK(reason_of("") == "node-state is empty; write legacy, cilium, hold or auto");
  CHECK(reason_of("\n") == "node-state is empty; write legacy, cilium, hold or auto");
  CHECK(reason_of("Cilium\n") == "node-state says `Cilium`, which is none of legacy, cilium, hold, auto");
  CHECK(reason_of("cilium\nlegacy\n") == "node-state has more than one line");
  CHECK(reason_of("cilium \x01") == "node-state is not one line of text");
  CHECK(reason_of(" cilium") == "node-state is empty; write legacy, cilium, hold or auto");
  CHECK(reason_of(std::string(4000, 'a')) == "node-state is not one line of text");
}

TEST_CASE("what is written is read back") {
  for (const char* word : {"legacy", "cilium", "hold", "auto"}) {
    CHECK(plugin::node_state_text(word, "") == std::string(word) + "\n");
    CHECK(parse_node_state(plugin::node_state_text(word, "why not")).reason == "why not");
  }
}

TEST_CASE("other words and reasons of several lines are refused") {
  support::check_refusal(support::refusal_of([] { return plugin::node_state_text("calico", ""); }),
                         conf::Code::kInvalidConfig, "no such node state",
                         "`calico` is none of legacy, cilium, hold, auto");
  support::check_refusal(support::refusal_of([] { return plugin::node_state_text("hold", "a\nb"); }),
                         conf::Code::kInvalidConfig, "unusable reason", "a reason is one line of at most 512 bytes");
}

TEST_SUITE_END();

}  // namespace
