// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "plugin/sync/objects.h"

// The seam to the API server: one request at a time, and at most one stream for each kind beside it.
namespace plugin::sync {

struct Answer {
  int status = 0;
  std::string body;
  std::chrono::seconds retry_after{0};  ///< what the server asks for; 0 if it does not say
};

/// An answer, or a sentence saying why there is none. It never holds what we sent.
using Reply = std::variant<Answer, std::string>;

/// What happened on a stream.
struct Piece {
  Kind kind = Kind::kNode;
  int status = 0;       ///< 0 as long as there is none
  std::string bytes;    ///< of a 200 only; may be empty: the stream has just begun
  bool ended = false;   ///< nothing follows, and the stream is closed
  std::string problem;  ///< why it ended, if not as it should
  std::chrono::seconds retry_after{0};
};

class Api {
 public:
  virtual ~Api() = default;
  /// Its address, for people.
  [[nodiscard]] virtual std::string server() const = 0;
  [[nodiscard]] virtual Reply get(const std::string& target) = 0;
  /// Begins to follow `target`; a stream of that kind that is open is closed. What cannot begin is a Piece that ended.
  virtual void open(Kind kind, const std::string& target) = 0;
  virtual void close(Kind kind) = 0;
  /// Waits until something happens on a stream, but at most for `time`. Empty if nothing did.
  [[nodiscard]] virtual std::vector<Piece> wait(std::chrono::milliseconds time) = 0;
  /// Whether somebody asked us to end; every call returns at once then.
  [[nodiscard]] virtual bool stopped() const = 0;
};

}  // namespace plugin::sync
