// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

#include <fmt/format.h>

#include "conf/error.h"
#include "conf/ip.h"
#include "conf/result_model.h"
#include "conf/version.h"

namespace conf {
namespace {

constexpr std::string_view kPrefixExpected = "an address with its prefix length such as \"10.1.0.5/24\"";
constexpr std::string_view kAddressExpected = "an address without prefix length such as \"10.1.0.1\"";
constexpr std::string_view kIntegerExpected = "a whole number of at most 64 bits";

[[noreturn]] void refuse(std::string_view path, std::string_view expected, std::string_view got) {
  throw CniError(Code::kDecode, "invalid CNI result", fmt::format("{}: expected {}, got {}", path, expected, got));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// Go's dtoi: digits only, leading zeros allowed.
std::optional<unsigned> parse_length(std::string_view text) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// Go holds IPv4 in the same 16 bytes as v4-mapped IPv6 and prints both as IPv4 (net.IP.To4).
std::string unmapped(const IpAddr& ip) {
  if (!ip.is_v4_mapped()) return ip.str();
  IpAddr v4;
  std::copy(ip.bytes.begin() + 12, ip.bytes.end(), v4.bytes.begin());
  return v4.str();
}

bool is_v4_to_go(const IpAddr& ip) { return ip.family == Family::kIpv4 || ip.is_v4_mapped(); }

/// One object of a result and where it is, so that every complaint names its place.
class Fields {
 public:
  Fields(Object object, std::string path) : object_(std::move(object)), path_(std::move(path)) {}
  Fields(const std::string& raw, std::string path) : path_(std::move(path)) {
    if (kind_of(raw) != "object") refuse(path_, "an object", kind_of(raw));
    object_ = Object::parse(raw, path_);
  }

  std::string path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

  /// The value's text; nothing if the key is absent or null, which Go does not tell apart.
  const std::string* value(std::string_view key) const {
    const std::string* raw = object_.find(key);
    return raw != nullptr && kind_of(*raw) != "null" ? raw : nullptr;
  }

  /// A string as JSON text; empty if it is absent, null or empty.
  std::string string(std::string_view key) const {
    const std::string* raw = value(key);
    if (raw == nullptr) return {};
    const auto text = as_string(*raw);
    if (!text) refuse(path_of(key), "a string", kind_of(*raw));
    return text->empty() ? std::string{} : *raw;
  }

  // Go refuses 1.0 and 1e3 for an int, as as_integer does.
  std::optional<long long> optional_integer(std::string_view key) const {
    const std::string* raw = value(key);
    if (raw == nullptr) return std::nullopt;
    const auto number = as_integer(*raw);
    if (!number) refuse(path_of(key), kIntegerExpected, kind_of(*raw) == "number" ? "another number" : kind_of(*raw));
    return number;
  }

  long long integer(std::string_view key) const { return optional_integer(key).value_or(0); }

  ResultPrefix prefix(std::string_view key) const {
    const std::string* raw = object_.find(key);
    if (raw == nullptr) refuse(path_of(key), kPrefixExpected, "nothing");
    const auto text = as_string(*raw);
    if (!text) refuse(path_of(key), kPrefixExpected, kind_of(*raw));
    auto prefix = parse_result_prefix(*text);
    if (!prefix) refuse(path_of(key), kPrefixExpected, "another string");
    return *std::move(prefix);
  }

  std::string address(std::string_view key) const {
    const std::string* raw = value(key);
    if (raw == nullptr) return {};
    const auto text = as_string(*raw);
    if (!text) refuse(path_of(key), kAddressExpected, kind_of(*raw));
    if (text->empty()) return {};
    const auto ip = IpAddr::parse(*text);
    if (!ip) refuse(path_of(key), kAddressExpected, "another string");
    return unmapped(*ip);
  }

  /// The elements of a list with their paths; none if it is absent or null.
  std::vector<std::pair<std::string, std::string>> list(std::string_view key) const {
    const std::string* raw = value(key);
    if (raw == nullptr) return {};
    if (kind_of(*raw) != "array") refuse(path_of(key), "an array", kind_of(*raw));
    std::vector<std::pair<std::string, std::string>> elements;
    for (std::string& element : parse_array(*raw, path_of(key))) {
      elements.emplace_back(std::move(element), fmt::format("{}[{}]", path_of(key), elements.size()));
    }
    return elements;
  }

  // To Go a null among strings is an empty string.
  std::vector<std::string> strings(std::string_view key) const {
    std::vector<std::string> texts;
    for (const auto& [raw, path] : list(key)) {
      const bool is_null = kind_of(raw) == "null";
      if (!is_null && !as_string(raw)) refuse(path, "a string", kind_of(raw));
      texts.push_back(is_null ? "\"\"" : raw);
    }
    return texts;
  }

  template <typename Read>
  auto objects(std::string_view key, Read read) const {
    std::vector<decltype(read(std::declval<const Fields&>()))> values;
    for (const auto& [raw, path] : list(key)) values.push_back(read(Fields(raw, path)));
    return values;
  }

  std::vector<Member> foreign(std::initializer_list<std::string_view> known) const {
    std::vector<Member> rest;
    for (const Member& member : object_.members()) {
      const auto is_it = [&member](std::string_view key) { return same_key(key, member.key); };
      if (std::none_of(known.begin(), known.end(), is_it)) rest.push_back(member);
    }
    return rest;
  }

 private:
  Object object_;
  std::string path_;
};

ResultRoute read_route(const Fields& fields) {
  return {.dst = fields.prefix("dst"),
          .gw = fields.address("gw"),
          .mtu = fields.integer("mtu"),
          .advmss = fields.integer("advmss"),
          .priority = fields.integer("priority"),
          .table = fields.optional_integer("table"),
          .scope = fields.optional_integer("scope"),
          .foreign = fields.foreign({"dst", "gw", "mtu", "advmss", "priority", "table", "scope"})};
}

ResultInterface read_interface(const Fields& fields, ResultShape shape) {
  ResultInterface interface;
  interface.name = fields.string("name");
  interface.mac = fields.string("mac");
  interface.sandbox = fields.string("sandbox");
  if (shape != ResultShape::kCurrent) {
    interface.foreign = fields.foreign({"name", "mac", "sandbox"});
    return interface;
  }
  interface.mtu = fields.integer("mtu");
  interface.socket_path = fields.string("socketPath");
  interface.pci_id = fields.string("pciID");
  interface.foreign = fields.foreign({"name", "mac", "sandbox", "mtu", "socketPath", "pciID"});
  return interface;
}

ResultAddress read_address(const Fields& fields, ResultShape shape) {
  ResultAddress address;
  address.interface = fields.optional_integer("interface");
  address.address = fields.prefix("address");
  address.gateway = fields.address("gateway");
  if (shape == ResultShape::kCurrent) {
    address.foreign = fields.foreign({"interface", "address", "gateway"});
    return address;
  }
  address.version = fields.string("version");
  address.foreign = fields.foreign({"version", "interface", "address", "gateway"});
  return address;
}

std::optional<ResultFamily> read_family(const Fields& result, std::string_view key) {
  const std::string* raw = result.value(key);
  if (raw == nullptr) return std::nullopt;
  const Fields fields(*raw, std::string(key));
  return ResultFamily{.ip = fields.prefix("ip"),
                      .gateway = fields.address("gateway"),
                      .routes = fields.objects("routes", read_route),
                      .foreign = fields.foreign({"ip", "gateway", "routes"})};
}

ResultDns read_dns(const Fields& result) {
  const std::string* raw = result.value("dns");
  if (raw == nullptr) return {};
  const Fields fields(*raw, "dns");
  return {.nameservers = fields.strings("nameservers"),
          .domain = fields.string("domain"),
          .search = fields.strings("search"),
          .options = fields.strings("options"),
          .foreign = fields.foreign({"nameservers", "domain", "search", "options"})};
}

}  // namespace

ResultShape shape_of(std::string_view version) {
  if (!is_supported(version)) {
    throw CniError(Code::kIncompatibleVersion, "incompatible CNI versions",
                   fmt::format("a result of version \"{}\" cannot be read or written", version));
  }
  if (!at_least(version, "0.3.0")) return ResultShape::kFamilies;
  return at_least(version, "1.0.0") ? ResultShape::kCurrent : ResultShape::kVersioned;
}

bool same_key(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

Object result_object(std::string_view text) {
  const std::string_view document = trimmed(text);
  if (document == "null") return {};
  if (document.empty()) refuse("result", "an object", "nothing");
  // Told apart by its first byte: anything that starts otherwise is no object, whether or not it is JSON.
  if (document.front() != '{') refuse("result", "an object", "something else");
  return Object::parse(text, "result");
}

std::optional<ResultPrefix> parse_result_prefix(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto ip = IpAddr::parse(text.substr(0, slash));
  const auto length = parse_length(text.substr(slash + 1));
  if (!ip || !length || *length > ip->bits()) return std::nullopt;
  // Of a v4-mapped address Go prints the last 32 bits, and what the mask says about them.
  const unsigned shown = !ip->is_v4_mapped() ? *length : *length - std::min(*length, 96U);
  return ResultPrefix{.text = fmt::format("{}/{}", unmapped(*ip), shown), .is_v4 = is_v4_to_go(*ip)};
}

ResultModel read_result(const Object& document, ResultShape shape) {
  const Fields fields(document, "");
  ResultModel result;
  result.dns = read_dns(fields);
  if (shape == ResultShape::kFamilies) {
    result.ip4 = read_family(fields, "ip4");
    result.ip6 = read_family(fields, "ip6");
    result.foreign = fields.foreign({"cniVersion", "ip4", "ip6", "dns"});
    return result;
  }
  result.interfaces = fields.objects("interfaces", [shape](const Fields& one) { return read_interface(one, shape); });
  result.ips = fields.objects("ips", [shape](const Fields& one) { return read_address(one, shape); });
  result.routes = fields.objects("routes", read_route);
  result.foreign = fields.foreign({"cniVersion", "interfaces", "ips", "routes", "dns"});
  return result;
}

}  // namespace conf
