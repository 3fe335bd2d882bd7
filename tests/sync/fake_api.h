// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "plugin/sync/api.h"
#include "plugin/sync/follower.h"

// An API server that does what a test says, and the time that passes meanwhile.
namespace fakes {

class FakeApi final : public plugin::sync::Api {
 public:
  using Kind = plugin::sync::Kind;

  /// What the next lists of that kind are; the last one goes on being it.
  void will_list(Kind kind, plugin::sync::Reply reply) { lists_[kind].push_back(std::move(reply)); }
  void will_list(Kind kind, const std::string& body) {
    will_list(kind, plugin::sync::Answer{.status = 200, .body = body});
  }
  /// What the next waits do; each may change anything. After the last one it says that we are to end.
  void then(std::function<void()> step) { steps_.push_back(std::move(step)); }
  /// For a step: what comes on a stream.
  void says(Kind kind, const std::string& bytes) {
    pieces_.push_back({.kind = kind, .status = 200, .bytes = bytes, .problem = {}});
  }
  void ends(Kind kind, int status = 200, const std::string& problem = {}) {
    pieces_.push_back({.kind = kind, .status = status, .bytes = {}, .ended = true, .problem = problem});
  }
  void passes(std::chrono::milliseconds time) {
    now_.since_boot += time;
    now_.unix_ms += time.count();
  }
  void set_unix_ms(std::int64_t time) { now_.unix_ms = time; }
  void set_stopped() { stopped_ = true; }

  [[nodiscard]] plugin::sync::Moment now() const { return now_; }
  /// "list Node", "watch Node 100", "close Node", in the order they came.
  [[nodiscard]] const std::vector<std::string>& calls() const { return calls_; }
  /// How long each wait was to be.
  [[nodiscard]] const std::vector<std::chrono::milliseconds>& waits() const { return waits_; }
  void forget() { calls_.clear(); }

  [[nodiscard]] std::string server() const override { return "https://10.96.0.1:443"; }
  [[nodiscard]] plugin::sync::Reply get(const std::string& target) override {
    const Kind kind = target.find("ciliumnodes") == std::string::npos ? Kind::kNode : Kind::kCiliumNode;
    calls_.push_back("list " + std::string(kind_name(kind)));
    std::deque<plugin::sync::Reply>& replies = lists_[kind];
    if (replies.empty()) return std::string("no answer was prepared");
    const plugin::sync::Reply reply = replies.front();
    if (replies.size() > 1) replies.pop_front();
    return reply;
  }
  void open(Kind kind, const std::string& target) override {
    calls_.push_back("watch " + std::string(kind_name(kind)) + ' ' + target.substr(target.rfind('=') + 1));
  }
  void close(Kind kind) override { calls_.push_back("close " + std::string(kind_name(kind))); }
  [[nodiscard]] std::vector<plugin::sync::Piece> wait(std::chrono::milliseconds time) override {
    waits_.push_back(time);
    if (steps_.empty()) {
      stopped_ = true;
      return {};
    }
    const std::function<void()> step = std::move(steps_.front());
    steps_.pop_front();
    step();
    if (pieces_.empty()) passes(time);
    return std::exchange(pieces_, {});
  }
  [[nodiscard]] bool stopped() const override { return stopped_; }

 private:
  plugin::sync::Moment now_{.since_boot = std::chrono::hours{1}, .unix_ms = 1'763'741'000'000};
  std::map<Kind, std::deque<plugin::sync::Reply>> lists_;
  std::deque<std::function<void()>> steps_;
  std::vector<plugin::sync::Piece> pieces_;
  std::vector<std::string> calls_;
  std::vector<std::chrono::milliseconds> waits_;
  bool stopped_ = false;
};

}  // namespace fakes
