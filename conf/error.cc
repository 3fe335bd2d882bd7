// SPDX-License-Identifier: Apache-2.0
#include "conf/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <system_error>
#include <utility>

#include "conf/json.h"

namespace conf {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

void replace_ignoring_case(std::string& text, std::string_view phrase, std::string_view by) {
  const auto same = [](char a, char b) { return lower(a) == lower(b); };
  std::string result;
  auto from = text.cbegin();
  for (;;) {
    const auto hit = std::search(from, text.cend(), phrase.begin(), phrase.end(), same);
    result.append(from, hit);
    if (hit == text.cend()) break;
    result += by;
    from = hit + static_cast<std::ptrdiff_t>(phrase.size());
  }
  text = std::move(result);
}

/// The member as text; empty if it is absent or no string, since a code alone is worth passing on.
std::string text_of(const Object& object, std::string_view key) {
  const std::string* raw = object.find(key);
  return raw == nullptr ? std::string{} : as_string(*raw).value_or(std::string{});
}

}  // namespace

CniError::CniError(Code code, std::string msg, std::string details)
    : CniError(static_cast<unsigned>(code), std::move(msg), std::move(details)) {}

CniError::CniError(unsigned code, std::string msg, std::string details)
    : code_(code), msg_(std::move(msg)), details_(std::move(details)) {
  text_ = details_.empty() ? msg_ : fmt::format("{}: {}", msg_, details_);
}

std::string error_json(const CniError& error, std::string_view cni_version) {
  std::string text =
      fmt::format(R"({{"cniVersion":{},"code":{},"msg":{})", quote(cni_version), error.code(), quote(error.msg()));
  if (!error.details().empty()) text += fmt::format(R"(,"details":{})", quote(error.details()));
  return text + "}";
}

std::optional<CniError> parse_error_json(std::string_view text) try {
  const Object object = Object::parse(text, "error");
  const std::string* raw = object.find("code");
  const std::optional<long long> code = raw == nullptr ? std::nullopt : as_integer(*raw);
  if (!code || *code < 0 || *code > std::numeric_limits<unsigned>::max()) return std::nullopt;
  return CniError(static_cast<unsigned>(*code), text_of(object, "msg"), text_of(object, "details"));
} catch (const CniError&) {
  return std::nullopt;  // no object, or too large or deep to be an error
}

CniError system_error(Code code, std::string_view operation, std::string_view object, int error_number) {
  const std::string reason = std::generic_category().message(error_number);
  return {code, "system call failed", without_swallowed_phrases(fmt::format("{} {}: {}", operation, object, reason))};
}

std::string without_swallowed_phrases(std::string_view text) {
  std::string result{text};
  replace_ignoring_case(result, "no such file or directory", "no such path");
  replace_ignoring_case(result, "not found", "absent");
  return result;
}

}  // namespace conf
