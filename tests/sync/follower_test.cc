// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/follower.h"

#include <doctest/doctest.h>

#include "tests/sync/answers.h"
#include "tests/sync/fake_api.h"

namespace {

using plugin::sync::Answer;
using plugin::sync::Backoff;
using plugin::sync::Follower;
using plugin::sync::Kind;
using plugin::sync::Piece;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_SUITE_BEGIN("sync.follower");

struct Stage {
  fakes::FakeApi api;
  Follower follower{Kind::kNode, "node1", 1};

  Stage() { api.will_list(Kind::kNode, answers::list(Kind::kNode, answers::node("true"))); }
  void step() { follower.step(api, api.now()); }
  /// Listed, and its stream open.
  void follow() {
    step();
    step();
    REQUIRE_FALSE(follower.due());
    api.forget();
  }
  void hears(const std::string& bytes) { take({.kind = Kind::kNode, .status = 200, .bytes = bytes, .problem = {}}); }
  void take(const Piece& piece) { follower.take(api, piece, api.now()); }
  void ends(int status = 200, const std::string& problem = {}) {
    take({.kind = Kind::kNode, .status = status, .bytes = {}, .ended = true, .problem = problem});
  }
  [[nodiscard]] milliseconds pause() const { return follower.due().value() - api.now().since_boot; }
  [[nodiscard]] std::string label() const {
    return follower.object() ? follower.object()->label.value_or("absent") : "no object";
  }
};

using Calls = std::vector<std::string>;

TEST_CASE("a list, then a watch from its resource version on") {
  Stage stage;
  CHECK(stage.follower.due() == milliseconds{0});
  CHECK_FALSE(stage.follower.is_known());
  stage.step();
  CHECK(stage.label() == "true");
  CHECK(stage.pause() == milliseconds{0});
  stage.step();
  CHECK(stage.api.calls() == Calls{"list Node", "watch Node 100"});
}

TEST_CASE("events change the object, bookmarks and others only the resource version") {
  Stage stage;
  stage.follow();
  stage.hears(answers::event("MODIFIED", answers::node("", "10.244.1.0/24", "101")));
  CHECK(stage.label() == "absent");
  stage.hears(answers::event("DELETED", answers::node("", "10.244.1.0/24", "102")));
  CHECK(stage.label() == "no object");
  stage.hears(answers::event("ADDED", answers::node("true", "10.244.1.0/24", "103")));
  stage.hears(answers::event("DELETED", answers::node("", "10.244.1.0/24", "104", "node2")));
  stage.hears(answers::bookmark(Kind::kNode, "200"));
  CHECK(stage.label() == "true");
  stage.api.passes(seconds{240});
  stage.ends();
  stage.step();
  CHECK(stage.api.calls() == Calls{"watch Node 200"});
  CHECK(stage.follower.problem().empty());
}

TEST_CASE("a watch cut at every byte ends in the same state") {
  const std::string stream = answers::event("MODIFIED", answers::node("false", "10.244.1.0/24", "101")) +
                             answers::event("MODIFIED", answers::node("true", "10.244.2.0/24", "102"));
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    Stage stage;
    stage.follow();
    stage.hears(stream.substr(0, first));
    stage.hears(stream.substr(first));
    CHECK(stage.label() == "true");
    stage.ends();
    stage.step();
    CHECK(stage.api.calls() == Calls{"watch Node 102"});
  }
}

TEST_CASE("an event that was cut off at any byte changes nothing, and is asked for again") {
  const std::string event = answers::event("MODIFIED", answers::node("false", "10.244.1.0/24", "101"));
  for (std::size_t size = 1; size < event.size(); ++size) {
    Stage stage;
    stage.follow();
    stage.hears(event.substr(0, size));
    stage.ends();
    CHECK(stage.label() == "true");
    CHECK(stage.follower.problem() == "Node: an event of the Node was cut off");
    stage.step();
    CHECK(stage.api.calls() == Calls{"watch Node 100"});
    stage.hears(event);
    CHECK(stage.label() == "false");
    CHECK(stage.follower.problem().empty());
  }
}

TEST_CASE("410 as a status and as an event mean that it is listed again") {
  for (const bool as_event : {false, true}) {
    Stage stage;
    stage.follow();
    if (as_event)
      stage.hears(answers::error(410));
    else
      stage.ends(410);
    CHECK(stage.follower.problem().empty());
    CHECK(stage.label() == "true");
    stage.step();
    CHECK(stage.api.calls().back() == "list Node");
  }
}

TEST_CASE("401 is tried once more at once, since the token is read again, and then it waits") {
  Stage stage;
  stage.follow();
  stage.ends(401);
  CHECK(stage.follower.problem() == "Node: 401: the API server does not accept the credentials");
  stage.api.will_list(Kind::kNode, Answer{.status = 401, .body = {}});
  stage.api.will_list(Kind::kNode, answers::list(Kind::kNode, answers::node(), "300"));
  (void)stage.api.get("nodes");  // the list of the beginning
  stage.api.forget();
  stage.step();
  CHECK(stage.api.calls() == Calls{"list Node", "list Node"});
  CHECK(stage.label() == "absent");

  Stage refused;
  refused.follow();
  refused.ends(200);
  refused.api.will_list(Kind::kNode, Answer{.status = 401, .body = "secret"});
  (void)refused.api.get("nodes");
  refused.follower.list(refused.api, refused.api.now());
  CHECK(refused.follower.problem() == "Node: 401: the API server does not accept the credentials");
  CHECK(refused.label() == "true");
  CHECK(refused.pause() > milliseconds{0});
}

TEST_CASE("whatever goes wrong with a list, the last good state stays and it waits longer each time") {
  const std::vector<plugin::sync::Reply> troubles = {
      std::string("Failed to connect to 10.96.0.1 port 443"),
      std::string("Operation timed out after 30000 milliseconds"),
      Answer{.status = 200, .body = "{"},
      Answer{.status = 200, .body = ""},
      Answer{.status = 200, .body = "<html>"},
      Answer{.status = 200, .body = answers::list(Kind::kCiliumNode)},
      Answer{.status = 302, .body = ""},
      Answer{.status = 403, .body = "{}"},
      Answer{.status = 404, .body = "{}"},
      Answer{.status = 429, .body = ""},
      Answer{.status = 500, .body = ""},
  };
  for (const plugin::sync::Reply& trouble : troubles) {
    Stage stage;
    stage.step();
    const std::int64_t heard = stage.follower.heard_ms();
    stage.api.will_list(Kind::kNode, trouble);
    (void)stage.api.get("nodes");
    milliseconds least{0};
    for (const int most : {500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000}) {
      stage.api.passes(seconds{60});
      stage.follower.list(stage.api, stage.api.now());
      CHECK_FALSE(stage.follower.problem().empty());
      CHECK(stage.label() == "true");
      CHECK(stage.follower.heard_ms() == heard);
      CHECK(stage.pause() <= milliseconds{most});
      CHECK(stage.pause() >= milliseconds{most / 2});
      CHECK(stage.pause() >= least);
      least = milliseconds{most / 2};
    }
  }
}

TEST_CASE("a server that says how long to wait is heard, within reason") {
  Stage stage;
  stage.api.will_list(Kind::kNode, Answer{.status = 429, .body = {}, .retry_after = seconds{20}});
  stage.api.will_list(Kind::kNode, Answer{.status = 503, .body = {}, .retry_after = seconds{3600}});
  (void)stage.api.get("nodes");
  stage.step();
  CHECK(stage.pause() == seconds{20});
  stage.follower.list(stage.api, stage.api.now());
  (void)stage.api.get("nodes");
  stage.follower.list(stage.api, stage.api.now());
  CHECK(stage.pause() == seconds{300});
}

TEST_CASE("a kind that the server does not know is an answer for CiliumNodes, looked at again after a minute") {
  fakes::FakeApi api;
  Follower follower(Kind::kCiliumNode, "node1", 1);
  api.will_list(Kind::kCiliumNode, Answer{.status = 404, .body = "404 page"});
  follower.step(api, api.now());
  CHECK(follower.is_known());
  CHECK_FALSE(follower.object());
  CHECK(follower.problem().empty());
  CHECK(follower.due().value() - api.now().since_boot == seconds{60});
}

TEST_CASE("no right to see CiliumNodes is no answer") {
  fakes::FakeApi api;
  Follower follower(Kind::kCiliumNode, "node1", 1);
  api.will_list(Kind::kCiliumNode, Answer{.status = 403, .body = "{}"});
  follower.step(api, api.now());
  CHECK_FALSE(follower.is_known());
  CHECK(follower.problem() ==
        "CiliumNode: 403: the account may not list and watch this; see deploy/ for the rights it needs");
}

TEST_CASE("a stream that breaks goes on where it was, one that cannot begin lists again") {
  Stage stage;
  stage.follow();
  stage.hears(answers::bookmark(Kind::kNode, "150"));
  stage.ends(200, "Recv failure: Connection reset by peer");
  CHECK(stage.follower.problem() == "Node: Recv failure: Connection reset by peer");
  stage.step();
  stage.ends(0, "Failed to connect");
  stage.step();
  CHECK(stage.api.calls() == Calls{"watch Node 150", "watch Node 150"});
  stage.ends(503);
  stage.step();
  CHECK(stage.api.calls().back() == "list Node");
}

TEST_CASE("a stream that is open again clears the problem before anything is said on it") {
  Stage stage;
  stage.follow();
  stage.ends(200, "Connection reset");
  stage.step();
  stage.hears("");
  CHECK(stage.follower.problem().empty());
}

TEST_CASE("a server that hangs up on us is not asked without pause") {
  Stage stage;
  stage.follow();
  milliseconds total{0};
  for (int count = 0; count < 12; ++count) {
    stage.hears(answers::bookmark(Kind::kNode, "150"));
    stage.ends();
    total += stage.pause();
    stage.api.passes(stage.pause());
    stage.step();
  }
  CHECK(total > seconds{120});
  stage.api.passes(seconds{240});
  stage.ends();
  CHECK(stage.pause() <= milliseconds{500});
}

TEST_CASE("nonsense and endless lines end the stream") {
  Stage stage;
  stage.follow();
  stage.hears("nonsense\n");
  CHECK(stage.api.calls() == Calls{"close Node"});
  CHECK_FALSE(stage.follower.problem().empty());
  CHECK(stage.label() == "true");

  Stage endless;
  endless.follow();
  for (int count = 0; count < 5; ++count) endless.hears(std::string(std::size_t{1} << 20, ' '));
  CHECK(endless.api.calls() == Calls{"close Node"});
  CHECK(endless.follower.problem() == "Node: an event of the Node is longer than 4194304 bytes");
}

TEST_CASE("what a stream says after it was given up is not heard") {
  Stage stage;
  stage.follow();
  stage.hears("nonsense\n" + answers::event("MODIFIED", answers::node("false")));
  stage.hears(answers::event("MODIFIED", answers::node("false")));
  CHECK(stage.label() == "true");
}

TEST_CASE("clocks that jump change only what people read") {
  Stage stage;
  stage.api.set_unix_ms(-5);
  stage.step();
  CHECK(stage.follower.is_known());
  stage.api.set_unix_ms(4'000'000'000'000);
  stage.step();
  stage.hears(answers::bookmark(Kind::kNode, "150"));
  stage.api.set_unix_ms(1000);
  stage.ends();
  CHECK(stage.pause() <= milliseconds{500});
}

TEST_CASE("nodes do not come back in step") {
  Backoff one(1);
  Backoff other(2);
  for (int count = 0; count < 6; ++count) {
    (void)one.next();
    (void)other.next();
  }
  CHECK(one.next() != other.next());
  one.reset();
  CHECK(one.next() <= milliseconds{500});
}

TEST_SUITE_END();

}  // namespace
