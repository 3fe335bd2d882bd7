// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <signal.h>

#include <future>
#include <thread>

#include <nlohmann/json.hpp>

#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// Calls that meet each other, and calls that die. A plugin that waits for a file holds a call where the test wants it.
namespace {

using fixture::error_of;
using fixture::Node;
using Strings = std::vector<std::string>;

constexpr const char* kList =
    R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"},{"type":"portmap"}]})";
const Strings kPlugins = {"bridge", "portmap"};

std::future<support::Finished> in_background(const Node& node, const std::string& verb, const std::string& id,
                                             const std::string& netns) {
  return std::async(std::launch::async, [&node, verb, id, netns] { return node.call(verb, id, netns); });
}

void check_clean(const Node& node) {
  CHECK(node.plugins().leaks().empty());
  CHECK(node.records().empty());
}

// Returns when a DEL has left its mark: the first thing it does, before it waits for the attachment.
void wait_for_mark(const Node& node, const std::string& before) {
  for (int tries = 0; fixture::read_file(node.state_dir() / "lock") == before; ++tries) {
    REQUIRE(tries < 6000);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

TEST_SUITE("verbs.races") {
  TEST_CASE("a DEL that arrives while the ADD runs makes the ADD undo itself, and both end clean") {
    const Node node(kPlugins);
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    node.plugins().script("bridge", R"({"ADD":{"waitFor":"go"}})");
    auto adding = in_background(node, "ADD", "c1", netns);
    (void)node.plugins().wait_for_call("ADD bridge");
    const std::string marks = fixture::read_file(node.state_dir() / "lock");
    auto deleting = in_background(node, "DEL", "c1", netns);
    wait_for_mark(node, marks);
    node.plugins().release("go");
    const auto error = error_of(adding.get());
    CHECK(error.code == 106);
    CHECK(deleting.get().ok());
    // portmap was never added: the ADD stopped before it.
    CHECK(node.plugins().names() == Strings{"ADD bridge", "DEL portmap", "DEL bridge"});
    check_clean(node);
  }

  TEST_CASE("a DEL that arrives while the last plugin runs undoes the ADD too") {
    const Node node(kPlugins);
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    node.plugins().script("portmap", R"({"ADD":{"waitFor":"go"}})");
    auto adding = in_background(node, "ADD", "c1", netns);
    (void)node.plugins().wait_for_call("ADD portmap");
    const std::string marks = fixture::read_file(node.state_dir() / "lock");
    auto deleting = in_background(node, "DEL", "c1", netns);
    wait_for_mark(node, marks);
    node.plugins().release("go");
    CHECK(error_of(adding.get()).code == 106);
    CHECK(deleting.get().ok());
    check_clean(node);
  }

  TEST_CASE("killed while a plugin runs: the DEL waits for the orphan, then cleans what it made") {
    const Node node(kPlugins);
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    node.plugins().script("bridge", R"({"ADD":{"waitFor":"go"}})");
    auto adding = in_background(node, "ADD", "c1", netns);
    const auto call = node.plugins().wait_for_call("ADD bridge");
    REQUIRE(::kill(call.caller, SIGKILL) == 0);
    CHECK(adding.get().status == 128 + SIGKILL);
    auto deleting = in_background(node, "DEL", "c1", netns);
    CHECK(deleting.wait_for(std::chrono::milliseconds(300)) == std::future_status::timeout);
    node.plugins().release("go");
    CHECK(deleting.get().ok());
    const Strings events = node.plugins().events();
    REQUIRE(events.size() == 6);
    CHECK(events[1] == "ADD bridge ends");
    CHECK(events[2] == "DEL portmap begins");
    check_clean(node);
  }

  TEST_CASE("A4.4 killed in the middle of an ADD: one DEL makes it as if it had never been, at each plugin") {
    for (const std::string at : {"bridge", "portmap"}) {
      for (const std::string by : {"DEL", "ADD", "GC"}) {
        CAPTURE(at);
        CAPTURE(by);
        const Node node(kPlugins);
        node.legacy(kList);
        const std::string netns = node.pod("p1");
        node.plugins().script(at, R"({"ADD":{"waitFor":"go"}})");
        auto adding = in_background(node, "ADD", "c1", netns);
        const auto call = node.plugins().wait_for_call("ADD " + at);
        REQUIRE(::kill(call.caller, SIGKILL) == 0);
        (void)adding.get();
        node.plugins().release("go");
        if (by == "GC")
          CHECK(node.call({{"CNI_COMMAND", "GC"}, {"CNI_PATH", node.bin_dir()}},
                          node.request(R"("cni.dev/valid-attachments":[])", "1.1.0"))
                    .ok());
        if (by == "ADD") CHECK(node.call("ADD", "c1", netns).ok());
        if (by != "GC") CHECK(node.call("DEL", "c1", netns).ok());
        check_clean(node);
      }
    }
  }

  TEST_CASE("killed in the middle of a DEL: the next one finishes") {
    const Node node(kPlugins);
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    REQUIRE(node.call("ADD", "c1", netns).ok());
    node.plugins().script("portmap", R"({"DEL":{"waitFor":"go"}})");
    auto deleting = in_background(node, "DEL", "c1", netns);
    const auto call = node.plugins().wait_for_call("DEL portmap");
    REQUIRE(::kill(call.caller, SIGKILL) == 0);
    (void)deleting.get();
    node.plugins().release("go");
    CHECK(node.call("DEL", "c1", netns).ok());
    check_clean(node);
  }

  TEST_CASE("B6.11 two ADDs of one attachment: the second waits, then is refused") {
    const Node node(kPlugins);
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    node.plugins().script("bridge", R"({"ADD":{"waitFor":"go"}})");
    auto first = in_background(node, "ADD", "c1", netns);
    (void)node.plugins().wait_for_call("ADD bridge");
    auto second = in_background(node, "ADD", "c1", netns);
    CHECK(second.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout);
    node.plugins().release("go");
    CHECK(first.get().ok());
    CHECK(error_of(second.get()).code == 100);
    CHECK(node.plugins().names() == Strings{"ADD bridge", "ADD portmap"});
    CHECK(node.call("DEL", "c1", netns).ok());
    check_clean(node);
  }

  TEST_CASE("a call that cannot get its attachment in time says so, and touches nothing") {
    const Node node(kPlugins);
    node.configure(R"("timeouts":{"lock":"200ms"})");
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    node.plugins().script("bridge", R"({"ADD":{"waitFor":"go"}})");
    auto adding = in_background(node, "ADD", "c1", netns);
    (void)node.plugins().wait_for_call("ADD bridge");
    CHECK(error_of(node.call("ADD", "c1", netns)).code == 105);
    CHECK(node.plugins().calls().size() == 1);
    node.plugins().release("go");
    CHECK(adding.get().ok());
    CHECK(node.call("DEL", "c1", netns).ok());
    check_clean(node);
  }

  TEST_CASE("B6.11 an ADD that hangs keeps no other pod waiting, on ADD or on DEL") {
    const Node node(kPlugins);
    node.legacy(kList);
    const std::string slow = node.pod("p1");
    const std::string fast = node.pod("p2");
    node.plugins().script("bridge", R"({"ADD":{"waitFor":"go"}})");
    auto hanging = in_background(node, "ADD", "c1", slow);
    (void)node.plugins().wait_for_call("ADD bridge");
    node.plugins().forget_scripts();
    CHECK(node.call("ADD", "c2", fast).ok());
    CHECK(node.call("DEL", "c2", fast).ok());
    CHECK(hanging.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
    node.plugins().release("go");
    CHECK(hanging.get().ok());
    CHECK(node.call("DEL", "c1", slow).ok());
    check_clean(node);
  }

  TEST_CASE("A4.6 forty pods at once, twice") {
    const Node node(kPlugins);
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    for (const std::string verb : {"ADD", "DEL", "ADD", "DEL"}) {
      std::vector<std::future<support::Finished>> calls;
      for (int i = 0; i < 40; ++i) calls.push_back(in_background(node, verb, "c" + std::to_string(i), netns));
      for (auto& call : calls) CHECK(call.get().ok());
      CHECK(node.records().size() == (verb == "ADD" ? 40 : 0));
    }
    check_clean(node);
  }

  TEST_CASE("B6.10 GC waits for an ADD that runs, and leaves alone what began after it was asked") {
    const Node node(kPlugins);
    node.legacy(kList);
    const std::string netns = node.pod("p1");
    node.plugins().script("bridge", R"({"ADD":{"waitFor":"go"}})");
    auto adding = in_background(node, "ADD", "c1", netns);
    (void)node.plugins().wait_for_call("ADD bridge");
    auto collecting = std::async(std::launch::async, [&node] {
      return node.call({{"CNI_COMMAND", "GC"}, {"CNI_PATH", node.bin_dir()}},
                       node.request(R"("cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}])", "1.1.0"));
    });
    CHECK(collecting.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout);
    node.plugins().release("go");
    CHECK(adding.get().ok());
    CHECK(collecting.get().ok());
    CHECK(node.records() == Strings{"c1:eth0"});
    CHECK(node.call("DEL", "c1", netns).ok());
    check_clean(node);
  }
}
