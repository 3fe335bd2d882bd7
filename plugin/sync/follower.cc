// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/follower.h"

#include <fmt/format.h>

#include <algorithm>

namespace plugin::sync {
namespace {

using std::chrono::milliseconds;

constexpr int kGood = 200;
constexpr int kUnauthorized = 401;
constexpr int kAbsent = 404;
constexpr int kGone = 410;
constexpr milliseconds kFirstWait{500};
constexpr milliseconds kLongestWait{60'000};
constexpr milliseconds kLongestAsked{300'000};  // a Retry-After beyond it is not honoured
// A stream that lived this long is a good one; one that ends sooner counts as a failure, or a server that hangs up on
// us would be asked again without pause.
constexpr milliseconds kGoodLife{10'000};

}  // namespace

milliseconds Backoff::next() {
  const unsigned doubled = std::min(failures_, 10U);
  ++failures_;
  const milliseconds most = std::min(kFirstWait * (1 << doubled), kLongestWait);
  std::uniform_int_distribution<milliseconds::rep> wait(most.count() / 2, most.count());
  return milliseconds(wait(chance_));
}

void Follower::step(Api& api, const Moment& now) {
  switch (next_) {
    case Next::kList:
      list(api, now);
      return;
    case Next::kStream:
      watch(api, now);
      return;
  }
}

void Follower::list(Api& api, const Moment& now) {
  const std::string target = list_target(kind_, node_);
  Reply reply = api.get(target);
  // The token may have been replaced a moment ago; it is read for every request.
  if (const Answer* answer = std::get_if<Answer>(&reply); answer != nullptr && answer->status == kUnauthorized)
    reply = api.get(target);
  if (api.stopped()) return;
  if (const std::string* problem = std::get_if<std::string>(&reply)) return fail(*problem, Next::kList, now);
  const Answer& answer = std::get<Answer>(reply);
  // Without Cilium its kinds are unknown, which is an answer: there is no CiliumNode. Look again now and then.
  if (answer.status == kAbsent && kind_ == Kind::kCiliumNode) {
    object_.reset();
    heard(now);
    backoff_.reset();
    return later(Next::kList, now, kLongestWait);
  }
  if (answer.status != kGood) return fail(status_sentence(answer.status), Next::kList, now, answer.retry_after);
  const std::variant<Listed, std::string> listed = read_list(kind_, node_, answer.body);
  if (const std::string* problem = std::get_if<std::string>(&listed)) return fail(*problem, Next::kList, now);
  object_ = std::get<Listed>(listed).object;
  resource_version_ = std::get<Listed>(listed).resource_version;
  heard(now);
  next_ = Next::kStream;
  due_ = now.since_boot;
}

void Follower::watch(Api& api, const Moment& now) {
  lines_.clear();
  opened_ = now.since_boot;
  due_.reset();
  api.open(kind_, watch_target(kind_, node_, resource_version_));
}

void Follower::take(Api& api, const Piece& piece, const Moment& now) {
  if (due_) return;  // of a stream that we have given up
  if (piece.status == kGood && !(piece.ended && !piece.problem.empty())) heard(now);
  if (!piece.bytes.empty()) take_lines(api, piece.bytes, now);
  if (piece.ended && !due_) take_end(piece, now);
}

void Follower::take_lines(Api& api, const std::string& bytes, const Moment& now) {
  std::vector<std::string> lines;
  const bool fits = lines_.add(bytes, lines);
  for (const std::string& line : lines) {
    const WatchEvent event = read_event(kind_, node_, line);
    if (event.type == WatchEvent::Type::kExpired || event.type == WatchEvent::Type::kUseless) {
      api.close(kind_);
      if (event.type == WatchEvent::Type::kExpired) return later(Next::kList, now);
      return fail(event.problem, Next::kList, now);
    }
    take_event(event);
  }
  if (fits) return;
  api.close(kind_);
  fail(fmt::format("an event of the {} is longer than {} bytes", kind_name(kind_), kMaxObjectBytes), Next::kList, now);
}

void Follower::take_event(const WatchEvent& event) {
  resource_version_ = event.resource_version;
  if (event.type == WatchEvent::Type::kSeen) object_ = event.object;
  if (event.type == WatchEvent::Type::kGone) object_.reset();
}

// The next stream goes on where this one ended, which an event cut in half does not change.
void Follower::take_end(const Piece& piece, const Moment& now) {
  if (now.since_boot - opened_ >= kGoodLife) backoff_.reset();
  if (piece.status == kGone) return later(Next::kList, now);
  if (piece.status != 0 && piece.status != kGood)
    return fail(status_sentence(piece.status), Next::kList, now, piece.retry_after);
  if (!piece.problem.empty()) return fail(piece.problem, Next::kStream, now);
  if (lines_.is_torn())
    return fail(fmt::format("an event of the {} was cut off", kind_name(kind_)), Next::kStream, now);
  later(Next::kStream, now);
}

void Follower::heard(const Moment& now) {
  heard_ms_ = std::max<std::int64_t>(now.unix_ms, 1);
  problem_.clear();
}

void Follower::later(Next next, const Moment& now, milliseconds at_least) {
  next_ = next;
  due_ = now.since_boot + std::max(backoff_.next(), std::min(at_least, kLongestAsked));
}

void Follower::fail(const std::string& problem, Next next, const Moment& now, milliseconds at_least) {
  problem_ = fmt::format("{}: {}", kind_name(kind_), problem);
  later(next, now, at_least);
}

}  // namespace plugin::sync
