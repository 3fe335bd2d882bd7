// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ipam/source.h"

// What the API server says of one node: lists, and the events of a watch. Pure. What it sends is bounded in size and
// depth and never quoted in a sentence: whoever can answer in its place could make it say what we sent.
namespace plugin::sync {

inline constexpr std::size_t kMaxObjectBytes = std::size_t{4} << 20;  ///< of a list or an event; etcd takes 1.5 MiB
inline constexpr std::string_view kLabel = "io.cilium.migration/cilium-default";

enum class Kind { kNode, kCiliumNode };
[[nodiscard]] std::string_view kind_name(Kind kind);  ///< "Node", "CiliumNode"

/// A name that an object of Kubernetes can have; so it needs no escaping in a target, a path or a comment.
[[nodiscard]] bool is_node_name(std::string_view text);

/// What to ask for, below the server's address: the one object as a list, and what happens to it afterwards.
[[nodiscard]] std::string list_target(Kind kind, std::string_view node);
[[nodiscard]] std::string watch_target(Kind kind, std::string_view node, std::string_view resource_version);

/// An object, as far as it matters here.
struct Seen {
  std::optional<std::string> label;  ///< the value of kLabel
  ipam::Reading blocks;              ///< its podCIDRs, or why it has none that can be used
};

struct Listed {
  std::optional<Seen> object;  ///< nothing: there is no such object
  std::string resource_version;
};

/// The list, or one sentence on what is wrong with the answer.
[[nodiscard]] std::variant<Listed, std::string> read_list(Kind kind, std::string_view node, std::string_view body);

struct WatchEvent {
  enum class Type {
    kSeen,      ///< ADDED or MODIFIED: `object`
    kGone,      ///< DELETED
    kBookmark,  ///< only a newer resource version
    kOther,     ///< of an object of another name
    kExpired,   ///< the server has forgotten our resource version: list again
    kUseless,   ///< `problem`: list again, later
  };
  Type type = Type::kUseless;
  std::optional<Seen> object;
  std::string resource_version;
  std::string problem;
};

[[nodiscard]] WatchEvent read_event(Kind kind, std::string_view node, std::string_view line);

/// What a status other than 200 means, for people: "401: the API server does not accept the credentials".
[[nodiscard]] std::string status_sentence(int status);

/// Cuts a watch into its lines, one event each, however the bytes come.
class Lines {
 public:
  /// The lines that `bytes` complete, without their ends. False if one is longer than kMaxObjectBytes.
  [[nodiscard]] bool add(std::string_view bytes, std::vector<std::string>& lines);
  void clear() { rest_.clear(); }
  /// Whether a line has begun and not ended.
  [[nodiscard]] bool is_torn() const { return !rest_.empty(); }

 private:
  std::string rest_;
};

}  // namespace plugin::sync
