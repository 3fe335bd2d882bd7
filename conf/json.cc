// SPDX-License-Identifier: Apache-2.0
#include "conf/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "conf/error.h"

namespace conf {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSpace = " \t\n\r";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Why a document is refused, and where.
struct Fault {
  std::size_t offset = 0;
  std::string reason;
};

/// What nlohmann says is wrong, without what it quotes of the document: "...: syntax error while parsing value -
/// invalid literal; last read: 'secret'" becomes "invalid literal". All before "; last read" is its own fixed text.
std::string reason_of(const nlohmann::detail::exception& error) {
  if (error.id == 406) return "number out of range";
  const std::string_view text = error.what();
  const std::size_t dash = text.find(" - ");
  if (dash == text.npos) return "not JSON";
  return std::string(text.substr(dash + 3, text.find("; last read") - dash - 3));
}

/// Checks a document and builds nothing but the keys of the outermost object.
class Checker final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ <= kMaxDepth; }
  bool start_array(std::size_t) override { return ++depth_ <= kMaxDepth; }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool key(string_t& key) override {
    if (depth_ == 1) keys_.push_back(std::move(key));
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    fault_ = {.offset = position == 0 ? 0 : position - 1, .reason = reason_of(error)};
    return false;
  }

  [[nodiscard]] bool too_deep() const { return depth_ > kMaxDepth; }
  [[nodiscard]] const Fault& fault() const { return fault_; }
  [[nodiscard]] std::vector<std::string>& keys() { return keys_; }

 private:
  bool leave() {
    --depth_;
    return true;
  }

  std::size_t depth_ = 0;
  std::vector<std::string> keys_;
  Fault fault_;
};

// The functions below walk text that the checker has accepted, so every bracket and quote has its partner.

std::size_t skip_space(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(kSpace, at), text.size());
}

std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

/// Walks from the bracket at `at` to behind its partner, or to the bracket that is the `limit`th open one.
std::size_t nested_end(std::string_view text, std::size_t at, std::size_t limit = std::string_view::npos) {
  std::size_t depth = 0;
  for (; at < text.size(); ++at) {
    switch (text[at]) {
      case '"':
        at = string_end(text, at) - 1;
        break;
      case '{':
      case '[':
        if (++depth == limit) return at;
        break;
      case '}':
      case ']':
        if (--depth == 0) return at + 1;
        break;
      default:
        break;
    }
  }
  return text.size();
}

std::size_t value_end(std::string_view text, std::size_t at) {
  if (text[at] == '"') return string_end(text, at);
  if (text[at] == '{' || text[at] == '[') return nested_end(text, at);
  return std::min(text.find_first_of(",]} \t\n\r", at), text.size());
}

/// The value at `at` to the byte, and the position moved behind the comma that may follow it.
std::string take_value(std::string_view text, std::size_t& at) {
  at = skip_space(text, at);
  const std::size_t end = value_end(text, at);
  std::string value{text.substr(at, end - at)};
  at = skip_space(text, end);
  if (text[at] == ',') at = skip_space(text, at + 1);
  return value;
}

[[noreturn]] void refuse(std::string_view what, const Fault& fault) {
  throw CniError(Code::kDecode, "invalid JSON", fmt::format("{}, byte {}: {}", what, fault.offset, fault.reason));
}

/// What nlohmann takes and JSON does not have: it skips a byte order mark, and reads NUL as the end.
void check_bytes(std::string_view text, std::string_view what) {
  if (text.starts_with(kByteOrderMark)) refuse(what, {.offset = 0, .reason = "byte order mark"});
  const std::size_t nul = text.find('\0');
  if (nul != text.npos) refuse(what, {.offset = nul, .reason = "NUL byte"});
}

/// Checks the whole document, whose outermost value must start with `bracket`; its keys if it is an object.
std::vector<std::string> check(std::string_view text, char bracket, std::string_view what, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    throw CniError(Code::kDecode, "JSON too large",
                   fmt::format("{}: {} bytes, at most {} are read", what, text.size(), max_bytes));
  }
  check_bytes(text, what);
  Checker checker;
  if (!Json::sax_parse(text.begin(), text.end(), &checker)) {
    if (!checker.too_deep()) refuse(what, checker.fault());
    const std::size_t offset = nested_end(text, skip_space(text, 0), kMaxDepth + 1);
    refuse(what, {.offset = offset, .reason = fmt::format("nested deeper than {} levels", kMaxDepth)});
  }
  const std::string_view value = text.substr(skip_space(text, 0));
  if (value.front() == bracket) return std::move(checker.keys());
  throw CniError(Code::kInvalidConfig, "unexpected JSON value",
                 fmt::format("{} must be an {}, not {}", what, bracket == '{' ? "object" : "array", kind_of(value)));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_but_for_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

/// The member that `key` means in a vector of members, const or not.
template <typename Members>
auto find_member(Members& members, std::string_view key) {
  const auto exact = std::find_if(members.begin(), members.end(), [key](const Member& m) { return m.key == key; });
  if (exact != members.end()) return exact;
  return std::find_if(members.begin(), members.end(),
                      [key](const Member& m) { return equal_but_for_case(m.key, key); });
}

}  // namespace

Object Object::parse(std::string_view text, std::string_view what, std::size_t max_bytes) {
  const std::vector<std::string> keys = check(text, '{', what, max_bytes);
  Object object;
  std::unordered_map<std::string_view, std::size_t> places;
  std::size_t at = skip_space(text, text.find('{') + 1);
  for (const std::string& key : keys) {
    at = text.find(':', string_end(text, at)) + 1;
    std::string value = take_value(text, at);
    const auto [place, is_new] = places.emplace(key, object.members_.size());
    if (is_new) {
      object.members_.push_back({.key = key, .value = std::move(value)});
    } else {
      object.members_[place->second].value = std::move(value);
    }
  }
  return object;
}

const std::string* Object::find(std::string_view key) const {
  const auto member = find_member(members_, key);
  return member == members_.end() ? nullptr : &member->value;
}

void Object::set(std::string_view key, std::string raw) {
  const auto found = find_member(members_, key);
  const auto place =
      std::count_if(members_.begin(), found, [key](const Member& m) { return !equal_but_for_case(m.key, key); });
  // Go's decoders take the last of keys equal but for case: another spelling left behind this one would win there.
  erase(key);
  members_.insert(members_.begin() + place, Member{.key = std::string(key), .value = std::move(raw)});
}

void Object::erase(std::string_view key) {
  std::erase_if(members_, [key](const Member& m) { return equal_but_for_case(m.key, key); });
}

std::string Object::text() const {
  std::string text = "{";
  for (const Member& member : members_) {
    if (text.size() > 1) text += ',';
    text += quote(member.key) + ':' + member.value;
  }
  return text + "}";
}

std::vector<std::string> parse_array(std::string_view text, std::string_view what, std::size_t max_bytes) {
  (void)check(text, '[', what, max_bytes);
  std::vector<std::string> elements;
  std::size_t at = skip_space(text, text.find('[') + 1);
  while (text[at] != ']') elements.push_back(take_value(text, at));
  return elements;
}

std::string quote(std::string_view text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }

std::optional<std::string> as_string(std::string_view raw) {
  if (!raw.starts_with('"') || raw.find('\0') != raw.npos) return std::nullopt;
  Json value = Json::parse(raw.begin(), raw.end(), nullptr, false);
  if (!value.is_string()) return std::nullopt;
  return std::move(value.get_ref<std::string&>());
}

std::optional<bool> as_bool(std::string_view raw) {
  if (raw == "true") return true;
  if (raw == "false") return false;
  const std::optional<std::string> text = as_string(raw);
  if (text && equal_but_for_case(*text, "true")) return true;
  if (text && equal_but_for_case(*text, "false")) return false;
  return std::nullopt;
}

std::optional<long long> as_integer(std::string_view raw) {
  const std::string_view digits = raw.substr(raw.starts_with('-') ? 1 : 0);
  if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
  long long number = 0;
  const char* const end = raw.data() + raw.size();
  const auto [stop, error] = std::from_chars(raw.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

std::string_view kind_of(std::string_view raw) {
  switch (raw.empty() ? 'n' : raw.front()) {
    case '"':
      return "string";
    case '{':
      return "object";
    case '[':
      return "array";
    case 't':
    case 'f':
      return "boolean";
    case 'n':
      return "null";
    default:
      return "number";
  }
}

std::optional<std::string> string_member(const Object& object, std::string_view key, std::string_view what) {
  const std::string* raw = object.find(key);
  if (raw == nullptr || *raw == "null") return std::nullopt;
  if (std::optional<std::string> text = as_string(*raw)) return text;
  throw CniError(Code::kInvalidConfig, "invalid configuration",
                 fmt::format("`{}.{}` must be a string, not {}", what, key, kind_of(*raw)));
}

}  // namespace conf
