// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "plugin/sync/api.h"
#include "plugin/sync/objects.h"

// Keeps up with one object: a list, then a watch from its resource version on, and what to do when either fails. The
// last good state stays whatever happens; only a list or an event that is whole and right changes it.
namespace plugin::sync {

/// How long to wait after the n-th failure in a row: 0.5 s, doubled each time up to a minute, times 0.5 to 1 by chance,
/// so that the nodes of a cluster do not come back to its API server all at once.
class Backoff {
 public:
  explicit Backoff(std::uint32_t seed) : chance_(seed) {}
  [[nodiscard]] std::chrono::milliseconds next();
  void reset() { failures_ = 0; }

 private:
  std::minstd_rand chance_;
  unsigned failures_ = 0;
};

/// When something happens: since boot for what we wait for, since 1970 for what people read. The two are never mixed,
/// so that a clock that jumps neither stops us nor makes us hurry.
struct Moment {
  std::chrono::milliseconds since_boot{0};
  std::int64_t unix_ms = 0;
};

class Follower {
 public:
  Follower(Kind kind, std::string node, std::uint32_t seed) : kind_(kind), node_(std::move(node)), backoff_(seed) {}

  [[nodiscard]] Kind kind() const { return kind_; }
  /// When step() has something to do; nothing while a stream is open.
  [[nodiscard]] std::optional<std::chrono::milliseconds> due() const { return due_; }
  /// Lists or opens the stream, whichever is next.
  void step(Api& api, const Moment& now);
  /// One list, and no stream after it.
  void list(Api& api, const Moment& now);
  /// What came on the stream.
  void take(Api& api, const Piece& piece, const Moment& now);

  /// Whether it was ever heard whether there is such an object.
  [[nodiscard]] bool is_known() const { return heard_ms_ != 0; }
  /// As last heard; nothing: there is none.
  [[nodiscard]] const std::optional<Seen>& object() const { return object_; }
  /// When the API server last confirmed that; 0 for never.
  [[nodiscard]] std::int64_t heard_ms() const { return heard_ms_; }
  /// Why it cannot be heard at the moment; empty if it can.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  enum class Next { kList, kStream };

  void watch(Api& api, const Moment& now);
  void take_lines(Api& api, const std::string& bytes, const Moment& now);
  void take_event(const WatchEvent& event);
  void take_end(const Piece& piece, const Moment& now);
  void heard(const Moment& now);
  void later(Next next, const Moment& now, std::chrono::milliseconds at_least = std::chrono::milliseconds{0});
  void fail(const std::string& problem, Next next, const Moment& now, std::chrono::milliseconds at_least = {});

  Kind kind_;
  std::string node_;
  Backoff backoff_;
  Next next_ = Next::kList;
  std::optional<std::chrono::milliseconds> due_{0};
  std::chrono::milliseconds opened_{0};
  Lines lines_;
  std::optional<Seen> object_;
  std::string resource_version_;
  std::int64_t heard_ms_ = 0;
  std::string problem_;
};

}  // namespace plugin::sync
