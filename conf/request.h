// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What the environment asks of us, checked before anything happens (CNI specification 1.1.0, section 2).
namespace conf {

enum class Verb { kAdd, kDel, kCheck, kStatus, kGc, kVersion };
[[nodiscard]] std::string_view verb_name(Verb verb);  ///< "ADD", "DEL", ...

/// One interface of one container: the key of everything that is remembered.
struct AttachmentId {
  std::string container_id;
  std::string ifname;
  auto operator<=>(const AttachmentId&) const = default;
};

/// The pairs of CNI_ARGS. Unknown keys are kept; a value may hold '='; the last of equal keys wins.
class CniArgs {
 public:
  CniArgs() = default;
  /// Code 4 for a pair without '=' or without a key; an empty text, and an empty pair (a trailing ';'), are fine.
  [[nodiscard]] static CniArgs parse(std::string_view text);
  /// Empty if absent. Keys are compared to the letter.
  [[nodiscard]] std::string get(std::string_view key) const;
  /// "namespace/name" of the pod; empty if the runtime did not say.
  [[nodiscard]] std::string pod() const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

struct Request {
  Verb verb = Verb::kVersion;
  AttachmentId id;              ///< set for ADD, DEL, CHECK
  std::string netns;            ///< CNI_NETNS; may be empty on DEL
  std::string args;             ///< CNI_ARGS to the byte
  std::string path;             ///< CNI_PATH to the byte
  bool netns_override = false;  ///< CNI_NETNS_OVERRIDE is 1 or true: the host's own netns is allowed
};

/// Looks a variable up; null or "" both mean that it is not set (libcni exports empty ones).
using Environment = std::function<const char*(const char*)>;

/// Throws code 4 with every missing variable in one message, or with the variable, its value and the rule it broke
/// (container id: ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$; interface: 1-15 bytes, not "." or "..", no '/', ':' or white space,
/// Unicode's included). Only what the verb needs is checked: ADD and CHECK need CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME,
/// DEL needs CNI_CONTAINERID and CNI_IFNAME; CNI_PATH may be absent until a delegate must be found (the reference
/// demands it; the specification calls it optional). CNI_COMMAND must be set.
[[nodiscard]] Request parse_request(const Environment& env);

[[nodiscard]] bool is_container_id(std::string_view text);  ///< also the rule for a network's name
[[nodiscard]] bool is_ifname(std::string_view text);

/// The directories of a CNI_PATH, in order; empty ones left out.
[[nodiscard]] std::vector<std::string> plugin_dirs(std::string_view path);

}  // namespace conf
