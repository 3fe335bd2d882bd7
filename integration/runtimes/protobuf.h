// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// The wire format of protocol buffers, as far as the CRI's messages need it: varints, and everything with a length.
namespace runtimes {

/// A message in the making: Message().text(1, "web-0").message(2, ...).bytes()
class Message {
 public:
  Message& number(unsigned field, std::uint64_t value);
  Message& text(unsigned field, std::string_view value);
  Message& message(unsigned field, const Message& value) { return text(field, value.bytes_); }
  /// One entry of a map<string, string>.
  Message& entry(unsigned field, std::string_view key, std::string_view value);
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value);

  std::string bytes_;
};

struct Field {
  unsigned number = 0;
  std::uint64_t value = 0;  ///< of a varint
  std::string_view bytes;   ///< of all else; points into the message
};

/// Throws std::runtime_error for what is no message.
[[nodiscard]] std::vector<Field> fields_of(std::string_view message);
/// All values of a field, in order.
[[nodiscard]] std::vector<std::string_view> all_of(std::string_view message, unsigned field);
/// The last one counts; empty if there is none.
[[nodiscard]] std::string_view text_of(std::string_view message, unsigned field);
[[nodiscard]] std::uint64_t number_of(std::string_view message, unsigned field);

}  // namespace runtimes
