// SPDX-License-Identifier: Apache-2.0
#include "integration/runtimes/protobuf.h"

#include <stdexcept>

namespace runtimes {
namespace {

constexpr unsigned kVarint = 0;
constexpr unsigned kFixed64 = 1;
constexpr unsigned kWithLength = 2;
constexpr unsigned kFixed32 = 5;

std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  throw std::runtime_error("protobuf: a varint without an end");
}

std::string_view take(std::string_view& rest, std::uint64_t size) {
  if (size > rest.size()) throw std::runtime_error("protobuf: a message that is cut short");
  const std::string_view taken = rest.substr(0, size);
  rest.remove_prefix(size);
  return taken;
}

}  // namespace

void Message::varint(std::uint64_t value) {
  for (; value > 0x7f; value >>= 7) bytes_.push_back(static_cast<char>((value & 0x7f) | 0x80));
  bytes_.push_back(static_cast<char>(value));
}

Message& Message::number(unsigned field, std::uint64_t value) {
  varint(field << 3 | kVarint);
  varint(value);
  return *this;
}

Message& Message::text(unsigned field, std::string_view value) {
  varint(field << 3 | kWithLength);
  varint(value.size());
  bytes_.append(value);
  return *this;
}

Message& Message::entry(unsigned field, std::string_view key, std::string_view value) {
  return message(field, Message().text(1, key).text(2, value));
}

std::vector<Field> fields_of(std::string_view message) {
  std::vector<Field> fields;
  while (!message.empty()) {
    const std::uint64_t tag = take_varint(message);
    Field field{static_cast<unsigned>(tag >> 3), 0, {}};
    switch (tag & 7) {
      case kVarint:
        field.value = take_varint(message);
        break;
      case kFixed64:
        field.bytes = take(message, 8);
        break;
      case kWithLength:
        field.bytes = take(message, take_varint(message));
        break;
      case kFixed32:
        field.bytes = take(message, 4);
        break;
      default:
        throw std::runtime_error("protobuf: an unknown wire type");
    }
    fields.push_back(field);
  }
  return fields;
}

std::vector<std::string_view> all_of(std::string_view message, unsigned field) {
  std::vector<std::string_view> values;
  for (const Field& each : fields_of(message))
    if (each.number == field) values.push_back(each.bytes);
  return values;
}

std::string_view text_of(std::string_view message, unsigned field) {
  const auto values = all_of(message, field);
  return values.empty() ? std::string_view() : values.back();
}

std::uint64_t number_of(std::string_view message, unsigned field) {
  std::uint64_t value = 0;
  for (const Field& each : fields_of(message))
    if (each.number == field) value = each.value;
  return value;
}

}  // namespace runtimes
