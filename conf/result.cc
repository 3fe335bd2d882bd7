// SPDX-License-Identifier: Apache-2.0
#include "conf/result.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "conf/error.h"
#include "conf/result_model.h"
#include "conf/version.h"

namespace conf {
namespace {

constexpr std::string_view kVersionKey = "cniVersion";

/// The version that the document states; empty if it states none.
std::string stated_version(const Object& document) {
  const std::string* raw = document.find(kVersionKey);
  if (raw == nullptr || kind_of(*raw) == "null") return {};
  const auto text = as_string(*raw);
  if (!text) {
    throw CniError(Code::kDecode, "invalid CNI result",
                   fmt::format("{}: expected a string, got {}", kVersionKey, kind_of(*raw)));
  }
  return *text;
}

bool is_version_key(const Member& member) { return same_key(member.key, kVersionKey); }

/// The members with one cniVersion, at the place of the first that was there.
std::vector<Member> restated(const std::vector<Member>& members, std::string_view version) {
  std::vector<Member> out;
  bool stated = false;
  for (const Member& member : members) {
    if (!is_version_key(member)) {
      out.push_back(member);
    } else if (!std::exchange(stated, true)) {
      out.push_back({std::string(kVersionKey), quote(version)});
    }
  }
  return out;
}

/// `text`, which is `document`, with cniVersion put in; not a byte is changed that need not be.
std::string with_version(std::string_view text, const Object& document, std::string_view version) {
  const auto& members = document.members();
  const auto count = std::count_if(members.begin(), members.end(), is_version_key);
  if (count == 0) {
    const std::string member = fmt::format("{}:{}", quote(kVersionKey), quote(version));
    if (members.empty()) return fmt::format("{{{}}}", member);
    const auto brace = text.find('{') + 1;
    return fmt::format("{}{},{}", text.substr(0, brace), member, text.substr(brace));
  }
  const bool canonical =
      std::any_of(members.begin(), members.end(), [](const Member& m) { return m.key == kVersionKey; });
  if (count == 1 && canonical && stated_version(document) == version) return std::string(text);
  return members_text(restated(members, version));
}

void drop(std::vector<Member>& foreign, std::initializer_list<std::string_view> keys) {
  std::erase_if(foreign, [keys](const Member& member) {
    return std::any_of(keys.begin(), keys.end(), [&member](std::string_view key) { return same_key(key, member.key); });
  });
}

// 0.1.0 and 0.2.0 have another shape: what is foreign to them has no place in the newer ones, nor the other way.
ResultModel without_foreign(ResultModel result) {
  result.foreign.clear();
  result.dns.foreign.clear();
  for (ResultRoute& route : result.routes) route.foreign.clear();
  return result;
}

void append_family(ResultModel& to, ResultFamily family, std::string_view version) {
  ResultAddress address;
  address.version = quote(version);
  address.address = std::move(family.ip);
  address.gateway = std::move(family.gateway);
  to.ips.push_back(std::move(address));
  std::move(family.routes.begin(), family.routes.end(), std::back_inserter(to.routes));
}

ResultModel families_to_versioned(ResultModel from) {
  ResultModel to;
  to.dns = std::move(from.dns);
  if (from.ip4) append_family(to, *std::move(from.ip4), "4");
  if (from.ip6) append_family(to, *std::move(from.ip6), "6");
  return without_foreign(std::move(to));
}

std::optional<ResultFamily> first_of(const std::vector<ResultAddress>& ips, std::string_view version) {
  const auto is_it = [version](const ResultAddress& ip) { return as_string(ip.version) == version; };
  const auto found = std::find_if(ips.begin(), ips.end(), is_it);
  if (found == ips.end()) return std::nullopt;
  ResultFamily family;
  family.ip = found->address;
  family.gateway = found->gateway;
  return family;
}

// A route goes to the family of its destination if that has an address; only its dst and gw are known there.
void distribute(const std::vector<ResultRoute>& routes, ResultModel& to) {
  for (const ResultRoute& route : routes) {
    auto& family = route.dst.is_v4 ? to.ip4 : to.ip6;
    if (!family) continue;
    ResultRoute kept;
    kept.dst = route.dst;
    kept.gw = route.gw;
    family->routes.push_back(std::move(kept));
  }
}

ResultModel versioned_to_families(ResultModel from) {
  ResultModel to;
  to.dns = std::move(from.dns);
  to.ip4 = first_of(from.ips, "4");
  to.ip6 = first_of(from.ips, "6");
  if (!to.ip4 && !to.ip6) {
    throw CniError(
        Code::kDecode, "invalid CNI result",
        "ips: expected at least one address, which CNI versions 0.1.0 and 0.2.0 cannot do without, got none");
  }
  distribute(from.routes, to);
  return without_foreign(std::move(to));
}

// Keys that are foreign on one side and have a meaning on the other are taken out, as the reference takes them out:
// whatever such a key holds was not written for that meaning.
ResultModel versioned_to_current(ResultModel result) {
  for (ResultInterface& interface : result.interfaces) drop(interface.foreign, {"mtu", "socketPath", "pciID"});
  return result;
}

ResultModel current_to_versioned(ResultModel result) {
  for (ResultInterface& interface : result.interfaces) {
    interface.mtu = 0;
    interface.socket_path.clear();
    interface.pci_id.clear();
  }
  for (ResultAddress& ip : result.ips) {
    drop(ip.foreign, {"version"});
    ip.version = quote(ip.address.is_v4 ? "4" : "6");
  }
  return result;
}

ResultModel reshaped(ResultModel result, ResultShape from, ResultShape to) {
  if (from == to) return result;
  // Whatever is no relabelling passes through 0.4.0.
  if (from == ResultShape::kFamilies) result = families_to_versioned(std::move(result));
  if (from == ResultShape::kCurrent) result = current_to_versioned(std::move(result));
  if (to == ResultShape::kFamilies) return versioned_to_families(std::move(result));
  if (to == ResultShape::kCurrent) return versioned_to_current(std::move(result));
  return result;
}

bool is_unsafe_index(const Object& ip, std::size_t interfaces) {
  const std::string* raw = ip.find("interface");
  if (raw == nullptr || kind_of(*raw) == "null") return false;
  const auto index = as_integer(*raw);
  return !index || *index < 0 || static_cast<unsigned long long>(*index) >= interfaces;
}

/// The elements of a list, whatever they are; none for what is no list.
std::vector<std::string> elements_of(const Object& document, std::string_view key) {
  const std::string* raw = document.find(key);
  if (raw == nullptr || kind_of(*raw) != "array") return {};
  return parse_array(*raw, key);
}

void append_address(std::vector<std::string>& addresses, const std::string* raw, std::string_view key) {
  if (raw == nullptr || kind_of(*raw) != "object") return;
  const Object object = Object::parse(*raw, key);
  const std::string* value = object.find(key);
  if (value == nullptr) return;
  const auto prefix = parse_result_prefix(as_string(*value).value_or(""));
  if (prefix) addresses.push_back(prefix->text);
}

}  // namespace

std::string result_version(std::string_view text, std::string_view assumed) {
  std::string stated = stated_version(result_object(text));
  if (stated.empty()) return std::string(assumed);
  if (!is_supported(stated)) {
    throw CniError(Code::kDecode, "invalid CNI result",
                   fmt::format("cniVersion: expected one of {}, got another string", fmt::join(kSpecVersions, ", ")));
  }
  return stated;
}

std::string convert_result(std::string_view text, std::string_view from, std::string_view to) {
  const ResultShape from_shape = shape_of(from);
  const ResultShape to_shape = shape_of(to);
  const Object document = result_object(text);
  ResultModel result = read_result(document, from_shape);
  if (from == to) return with_version(text, document, to);
  return write_result(reshaped(std::move(result), from_shape, to_shape), to_shape, to);
}

std::string with_safe_indexes(std::string_view text) {
  Object document = result_object(text);
  const std::size_t interfaces = elements_of(document, "interfaces").size();
  std::vector<std::string> ips = elements_of(document, "ips");
  bool changed = false;
  for (std::string& raw : ips) {
    if (kind_of(raw) != "object") continue;
    Object ip = Object::parse(raw, "ips");
    if (!is_unsafe_index(ip, interfaces)) continue;
    ip.erase("interface");
    raw = ip.text();
    changed = true;
  }
  if (!changed) return std::string(text);
  document.set("ips", fmt::format("[{}]", fmt::join(ips, ",")));
  return document.text();
}

std::vector<std::string> result_addresses(std::string_view text) try {
  const Object document = result_object(text);
  std::vector<std::string> addresses;
  for (const std::string& ip : elements_of(document, "ips")) append_address(addresses, &ip, "address");
  for (const std::string_view family : {"ip4", "ip6"}) append_address(addresses, document.find(family), "ip");
  return addresses;
} catch (const CniError&) {
  return {};
}

std::string result_sandbox(std::string_view text) try {
  const Object document = result_object(text);
  for (const std::string& element : elements_of(document, "interfaces")) {
    const Object interface = Object::parse(element, "interfaces");
    std::string sandbox = string_member(interface, "sandbox", "interfaces").value_or("");
    if (!sandbox.empty()) return sandbox;
  }
  return {};
} catch (const CniError&) {
  return {};
}

}  // namespace conf
