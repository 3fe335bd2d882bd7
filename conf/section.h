// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/ip.h"
#include "conf/json.h"

// Reads a strict part of a configuration: every key known, every value of its type and range. A refusal is code 7,
// "invalid configuration", and its details are one sentence: the key's path, what is there and what must be there
// ("`canary.percent` is 101: must be a whole number from 0 to 100").
namespace conf {

/// A value as it was written, and the path of its key ("coexistence.rules[1].to").
struct Value {
  std::string path;
  std::string raw;
};

/// The value of `key` of an object whose own path is `path`, empty at the top; nothing for null, which is what Go
/// writes for "not set".
[[nodiscard]] std::optional<Value> value_in(const Object& object, std::string_view key, std::string_view path = {});

/// What stands in a JSON text, for an error: as written if it is short, else only what kind it is and how long.
[[nodiscard]] std::string describe(std::string_view raw);

/// "`path` is 101: must be `expected`".
[[nodiscard]] std::string complaint(const Value& value, std::string_view expected);

/// Code 7 with a sentence that is already whole.
[[noreturn]] void refuse_configuration(const std::string& details);
/// Code 7 with complaint(value, expected).
[[noreturn]] void refuse(const Value& value, std::string_view expected);

/// One object of the configuration. Each read names a key, and so makes it known; finish() refuses the others.
class Section {
 public:
  /// `path` is that of the object, empty at the top.
  Section(Object object, std::string path);
  /// Refuses a value that is no object.
  explicit Section(const Value& value);

  /// Parses the value into `out`; false, and `out` untouched, if the key is absent. Keys are taken to the letter.
  template <typename T, typename Parse>
  bool read(std::string_view key, T& out, Parse parse) {
    const std::optional<Value> value = take(key);
    if (value) out = parse(*value);
    return value.has_value();
  }
  /// The same for a key that must be there.
  template <typename T, typename Parse>
  void require(std::string_view key, T& out, Parse parse) {
    if (!read(key, out, parse)) refuse_missing(key);
  }
  /// The value of a key that the caller reads itself.
  [[nodiscard]] std::optional<Value> take(std::string_view key);
  /// Leaves a key alone, however it is spelled.
  void ignore(std::string_view key);
  void ignore_prefix(std::string_view prefix);

  /// Refuses what no read has named, with the closest known key if it looks like a slip.
  void finish() const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  [[nodiscard]] std::string path_of(std::string_view key) const;
  [[noreturn]] void refuse_missing(std::string_view key) const;
  [[noreturn]] void refuse_unknown(const std::string& key) const;

  Object object_;
  std::string path_;
  std::vector<std::string> known_;
};

/// The elements of a value that must be an array, each with its own path.
[[nodiscard]] std::vector<Value> elements(const Value& value, std::string_view expected);

[[nodiscard]] std::string string_value(const Value& value, std::string_view expected);
[[nodiscard]] bool boolean(const Value& value);
[[nodiscard]] std::uint64_t whole_number(const Value& value, std::uint64_t min, std::uint64_t max);
[[nodiscard]] std::string absolute_path(const Value& value);  ///< and without ".."
[[nodiscard]] IpPrefix network_prefix(const Value& value);    ///< a CIDR without host bits
[[nodiscard]] std::vector<IpPrefix> network_prefixes(const Value& value);
[[nodiscard]] IpAddr address(const Value& value);
[[nodiscard]] std::string interface_name(const Value& value);

}  // namespace conf
