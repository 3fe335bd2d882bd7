// SPDX-License-Identifier: Apache-2.0

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/error.h"
#include "conf/json.h"

// Documents as they come. Breaks if anything but a CniError of code 6 or 7 comes out; if an object or an array that was
// read does not read back from its members to the same; or if nlohmann sees another value in what is written than in
// what was read.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using conf::Object;

void demand(bool holds) {
  if (!holds) std::abort();
}

template <typename Call>
void read_or_refused(Call call) {
  try {
    call();
  } catch (const conf::CniError& error) {
    demand(error.code() == 6 || error.code() == 7);
  }
}

/// A value's text is one JSON text, and at most one of the typed readings fits it.
void check_value(const std::string& raw) {
  demand(nlohmann::json::accept(raw));
  const std::string_view kind = conf::kind_of(raw);
  demand(conf::as_string(raw).has_value() == (kind == "string"));
  demand(!conf::as_integer(raw) || kind == "number");
  demand(!conf::as_bool(raw) || kind == "boolean" || kind == "string");
}

void check_object(const std::string& text) {
  const Object object = Object::parse(text, "input");
  const std::string written = object.text();
  demand(written.size() <= text.size());
  demand(Object::parse(written, "input") == object);
  demand(nlohmann::json::parse(written) == nlohmann::json::parse(text));

  Object changed = object;
  for (const conf::Member& member : object.members()) {
    check_value(member.value);
    demand(*object.find(member.key) == member.value);
    changed.set(member.key, "null");
    demand(*changed.find(member.key) == "null");
    demand(Object::parse(changed.text(), "input") == changed);
    changed.erase(member.key);
    demand(!changed.has(member.key));
  }
  demand(changed.empty());
}

void check_array(const std::string& text) {
  const std::vector<std::string> elements = conf::parse_array(text, "input");
  std::string written;
  for (const std::string& element : elements) {
    check_value(element);
    written += (written.empty() ? "" : ",") + element;
  }
  written = '[' + written + ']';
  demand(conf::parse_array(written, "input") == elements);
  demand(nlohmann::json::parse(written) == nlohmann::json::parse(text));
}

void check_quote(const std::string& text) {
  const std::string quoted = conf::quote(text);
  const std::optional<std::string> read = conf::as_string(quoted);
  demand(read.has_value());
  demand(conf::quote(*read) == quoted);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;  // every member is checked against all others
  const std::string text(reinterpret_cast<const char*>(data), size);
  read_or_refused([&] { check_object(text); });
  read_or_refused([&] { check_array(text); });
  check_quote(text);
  const std::optional<conf::CniError> error = conf::parse_error_json(text);
  if (error) demand(conf::parse_error_json(conf::error_json(*error, "1.1.0"))->code() == error->code());
  return 0;
}
