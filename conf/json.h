// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// JSON that keeps its bytes. A delegate must get its configuration as it was written (libcni turns every number into
// a float64 and loses digits beyond 2^53), so an object here is a list of members whose values stay text. Everything
// read passes through `Object::parse` or `parse_array`, where size and depth are bounded.
namespace conf {

inline constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;  ///< a configuration, a list, a result: 1 MiB
inline constexpr std::size_t kMaxGcBytes = std::size_t{16} << 20;     ///< a GC request: about 100 bytes an attachment
inline constexpr std::size_t kMaxDepth = 128;                         ///< nested arrays and objects

/// One member of an object: the decoded key and the value's text as it was written, without surrounding space.
struct Member {
  std::string key;
  std::string value;
  bool operator==(const Member&) const = default;
};

class Object {
 public:
  Object() = default;

  /// Parses `text`, which must be one JSON object of valid UTF-8 not deeper than kMaxDepth, at most `max_bytes` long.
  /// Anything else is code 6 (code 7 if it is JSON but no object); `what` names the document in the error, which says
  /// where it broke (byte and reason) and never quotes the document. A key that occurs twice keeps its last value.
  [[nodiscard]] static Object parse(std::string_view text, std::string_view what,
                                    std::size_t max_bytes = kMaxConfigBytes);

  /// The value's text: of the key to the letter, else of the first key equal to it but for case (Go's decoders do the
  /// same, and libcni itself writes "CNIVersion"). Null if there is none.
  [[nodiscard]] const std::string* find(std::string_view key) const;
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }

  /// Sets `key` to `raw`, which must be valid JSON text; keeps the member's place if the key is there (in any case;
  /// the key becomes `key` as given), else appends. No other spelling of the key is left behind.
  void set(std::string_view key, std::string raw);
  /// Removes every member equal to `key` but for case.
  void erase(std::string_view key);

  [[nodiscard]] const std::vector<Member>& members() const { return members_; }
  [[nodiscard]] bool empty() const { return members_.empty(); }
  /// The object as JSON without space between members; values byte for byte.
  [[nodiscard]] std::string text() const;

  bool operator==(const Object&) const = default;

 private:
  std::vector<Member> members_;
};

/// The elements of a JSON array, each as the text it was written in. Errors as for Object::parse.
[[nodiscard]] std::vector<std::string> parse_array(std::string_view text, std::string_view what,
                                                   std::size_t max_bytes = kMaxConfigBytes);

/// `text` as a JSON string with quotes; bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string quote(std::string_view text);

/// The value of a JSON text that is a string; nothing if it is something else.
[[nodiscard]] std::optional<std::string> as_string(std::string_view raw);
/// true or false; also "true"/"false" as strings in any case, as libcni takes them (conf.go:162-198).
[[nodiscard]] std::optional<bool> as_bool(std::string_view raw);
/// A whole number that fits; nothing for fractions, strings and what is out of range.
[[nodiscard]] std::optional<long long> as_integer(std::string_view raw);
/// What kind of value a JSON text is, for errors: "string", "number", "boolean", "object", "array" or "null".
[[nodiscard]] std::string_view kind_of(std::string_view raw);

/// The member `key` of `object` as a string; nothing if absent or null; code 7 "must be a string" naming `what`.`key`
/// if it is something else.
[[nodiscard]] std::optional<std::string> string_member(const Object& object, std::string_view key,
                                                       std::string_view what);

}  // namespace conf
