// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "integration/fixture/node.h"
#include "integration/fixture/recording.h"

// Calls of real runtimes on real plugins (tests/data/runtime), made again with Crossover in between: the environment is
// the recorded one, a stand-in answers what the plugin answered, and must have received what the plugin received.
namespace {

using fixture::Call;
using fixture::Env;
using fixture::Node;
using fixture::Recording;
using Json = nlohmann::json;

std::vector<Recording> recordings(const std::string& verb) {
  std::vector<Recording> result;
  for (const auto& entry : std::filesystem::directory_iterator(TEST_DATA "/runtime")) {
    if (entry.path().extension() != ".txt") continue;
    Recording recording = fixture::read_recording(entry.path());
    if (recording.verb() == verb) result.push_back(std::move(recording));
  }
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.file < b.file; });
  REQUIRE(!result.empty());
  return result;
}

/// A node with the list of the recording, the stand-in in place of its plugin, and the pod's namespace under its name.
class Replay {
 public:
  explicit Replay(const Recording& recording) : recording_(recording), node_({recording.type(), "previous"}) {
    if (recording.type() == "flannel") fixture::write_file("/run/flannel/subnet.env", "FLANNEL_SUBNET=10.244.0.1/24\n");
    if (recording.type() == "cilium-cni") {
      node_.configure(R"("cilium":{"socket":""})");
      node_.cilium(fixture::list_of(recording));
      node_.node_state("cilium");
    } else {
      node_.legacy(fixture::list_of(recording));
    }
    if (!recording.env.at("CNI_NETNS").empty()) (void)node_.pod(pod());
    scripts({{recording.verb(), recording.out, recording.status}});
    if (recording.verb() == "ADD" && recording.has_prev())
      node_.plugins().script("previous", Json{{"ADD", {{"stdout", recording.input.at("prevResult").dump()}}}}.dump());
  }

  [[nodiscard]] const Node& node() const { return node_; }
  [[nodiscard]] std::string pod() const { return std::filesystem::path(recording_.env.at("CNI_NETNS")).filename(); }

  /// The recorded call; what the runtime put into stdin is in ours too.
  [[nodiscard]] support::Finished call() const { return call(recording_.verb(), recording_.env.at("CNI_NETNS")); }

  /// The same with another verb.
  [[nodiscard]] support::Finished call(const std::string& verb, const std::string& netns) const {
    Env env = recording_.env;
    env["CNI_COMMAND"] = verb;
    env["CNI_NETNS"] = netns;
    env["CNI_PATH"] = node_.bin_dir();
    std::string more;
    for (const char* key : {"runtimeConfig", "prevResult", "cni.dev/attachments", "cni.dev/valid-attachments"})
      if (recording_.input.contains(key) && (verb != "ADD" || std::string(key) != "prevResult"))
        more += (more.empty() ? "\"" : ",\"") + std::string(key) + "\":" + recording_.input.at(key).dump();
    return node_.call(env, node_.request(more, recording_.version()));
  }

  /// Whether the last call of a plugin came to its end.
  [[nodiscard]] bool answered() const {
    const std::vector<Call> calls = node_.plugins().calls();
    return !calls.empty() && calls.back().done;
  }

  /// What the plugin must have got, but for `capabilities`, which the specification wants taken out.
  [[nodiscard]] Json expected_input() const {
    Json input = recording_.input;
    input.erase("capabilities");
    return input;
  }

  /// Checks the last call of `verb` on the stand-in against the recording.
  void check_received(const std::string& verb) const {
    const std::vector<Call> calls = node_.plugins().calls();
    const auto last = std::find_if(calls.rbegin(), calls.rend(), [&](const Call& call) {
      return call.type == recording_.type() && call.verb == verb;
    });
    REQUIRE(last != calls.rend());
    CHECK(Json::parse(last->input) == expected_input());
    Env expected = recording_.env;
    expected["CNI_PATH"] = node_.bin_dir();
    CHECK(Json(last->env) == Json(expected));
  }

  /// An ADD whose result is the prevResult of the recording. If that has none and its version would, the ADD fails and
  /// cannot be undone either, so that the DEL is left with a record without a result. Where the recorded call came
  /// without a namespace, that of the ADD is gone afterwards.
  void attach_before() const {
    const std::string own = recording_.env.at("CNI_NETNS");
    const bool fails = !recording_.has_prev() && recording_.version() != "0.3.1";
    if (recording_.has_prev()) {
      scripts({{"ADD", recording_.input.at("prevResult").dump(), 0}});
    } else if (fails) {
      const std::string error = R"({"code":999,"msg":"no"})";
      scripts({{"ADD", error, 1}, {"DEL", error, 1}});
    }
    const auto added = call("ADD", own.empty() ? node_.pod("gone") : own);
    CAPTURE(added.out);
    CHECK(added.ok() == !fails);
    if (own.empty()) node_.remove_pod("gone");
    node_.plugins().clear_log();
    scripts({{recording_.verb(), recording_.out, recording_.status}});
  }

 private:
  struct Answer {
    std::string verb;
    std::string out;
    int status;
  };
  void scripts(const std::vector<Answer>& answers) const {
    Json all = Json::object();
    for (const Answer& answer : answers) all[answer.verb] = {{"stdout", answer.out}, {"exit", answer.status}};
    node_.plugins().script(recording_.type(), all.dump());
  }

  const Recording& recording_;
  Node node_;
};

}  // namespace

TEST_SUITE("recorded") {
  TEST_CASE("A12.4 every recorded ADD reaches its plugin as recorded and its answer comes back") {
    for (const Recording& recording : recordings("ADD")) {
      CAPTURE(recording.file);
      const Replay replay(recording);
      const auto answer = replay.call();
      CAPTURE(answer.out);
      CHECK(answer.status == recording.status);
      replay.check_received("ADD");
      const Json expected = Json::parse(recording.out);
      const Json got = Json::parse(answer.out);
      if (recording.status == 0) {
        CHECK(got == expected);
        continue;
      }
      CHECK(got.at("code") == expected.at("code"));
      CHECK(got.at("msg").get<std::string>().find(expected.at("msg").get<std::string>()) != std::string::npos);
      CHECK(replay.node().plugins().leaks().empty());
    }
  }

  // Recorded without prevResult: lists of 0.3.1, which never get one, and DELs after an ADD that failed.
  TEST_CASE("A5.2 every recorded DEL reaches its plugin as recorded") {
    for (const Recording& recording : recordings("DEL")) {
      CAPTURE(recording.file);
      const Replay replay(recording);
      replay.attach_before();
      const auto answer = replay.call();
      CAPTURE(answer.out);
      CHECK(answer.status == 0);
      CHECK(answer.out.empty());
      replay.check_received("DEL");
      CHECK(replay.node().plugins().leaks().empty());
      CHECK(replay.node().records().empty());
    }
  }

  TEST_CASE("A6.4 every recorded CHECK, sent right after the ADD, reaches its plugin as recorded") {
    for (const Recording& recording : recordings("CHECK")) {
      CAPTURE(recording.file);
      const Replay replay(recording);
      replay.attach_before();
      replay.node().add_link(replay.pod(), "eth0");
      const auto answer = replay.call();
      CAPTURE(answer.out);
      CHECK(answer.status == recording.status);
      CHECK(answer.out.empty());  // whatever the plugin says: Calico's prints OK
      replay.check_received("CHECK");
    }
  }

  TEST_CASE("A7.3 every recorded STATUS, with its empty variables, reaches its plugin and its code comes back") {
    for (const Recording& recording : recordings("STATUS")) {
      CAPTURE(recording.file);
      const Replay replay(recording);
      // A plugin that a busy machine makes late is passed over: a runtime asks every few seconds.
      auto answer = replay.call();
      for (int again = 0; again < 300 && (answer.status != recording.status || !replay.answered()); ++again)
        answer = replay.call();
      CAPTURE(answer.out);
      CHECK(answer.status == recording.status);
      replay.check_received("STATUS");
      if (recording.status != 0) CHECK(Json::parse(answer.out).at("code") == Json::parse(recording.out).at("code"));
    }
  }

  TEST_CASE("A8.4 every recorded GC reaches its plugin with both names of the list") {
    for (const Recording& recording : recordings("GC")) {
      CAPTURE(recording.file);
      const Replay replay(recording);
      const auto answer = replay.call();
      CAPTURE(answer.out);
      CHECK(answer.status == 0);
      replay.check_received("GC");
    }
  }

  TEST_CASE("A1.12 every recorded VERSION, with its dummy variables, is answered without asking anybody") {
    for (const Recording& recording : recordings("VERSION")) {
      CAPTURE(recording.file);
      const Node node({"flannel", "portmap"});
      const auto answer = node.call(recording.env, recording.input.dump());
      CHECK(answer.status == 0);
      CHECK(Json::parse(answer.out) == Json::parse(recording.out));
      CHECK(node.plugins().calls().empty());
    }
  }
}
