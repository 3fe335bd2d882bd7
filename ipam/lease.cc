// SPDX-License-Identifier: Apache-2.0
#include "ipam/lease.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "conf/json.h"
#include "conf/stable_hash.h"

namespace ipam {
namespace {

constexpr std::string_view kSumKey = ",\"sum\":\"";

std::string ending(std::string_view text) { return fmt::format("{}{:016x}\"}}\n", kSumKey, conf::stable_hash(text)); }

std::optional<std::vector<conf::IpPrefix>> addresses_of(const std::string* raw) {
  if (raw == nullptr || conf::kind_of(*raw) != "array") return std::nullopt;
  std::vector<conf::IpPrefix> out;
  for (const std::string& element : conf::parse_array(*raw, "addresses")) {
    const std::optional<std::string> text = conf::as_string(element);
    const std::optional<conf::IpPrefix> address = text ? conf::IpPrefix::parse(*text) : std::nullopt;
    if (!address) return std::nullopt;
    out.push_back(*address);
  }
  return out;
}

std::int64_t number(const conf::Object& object, std::string_view key) {
  const std::string* raw = object.find(key);
  return raw == nullptr ? 0 : conf::as_integer(*raw).value_or(0);
}

}  // namespace

std::string lease_text(const Lease& lease) {
  std::string addresses;
  for (const conf::IpPrefix& address : lease.addresses)
    addresses += (addresses.empty() ? "" : ",") + conf::quote(address.str());
  const std::string text = fmt::format(
      R"({{"crossoverLease":1,"containerID":{},"ifname":{},"network":{},"addresses":[{}],"bootID":{},"netns":{},"inode":{},)"
      R"("pod":{},"taken":{})",
      conf::quote(lease.owner.container_id), conf::quote(lease.owner.ifname), conf::quote(lease.network), addresses,
      conf::quote(lease.boot_id), conf::quote(lease.netns), lease.netns_inode, conf::quote(lease.pod), lease.taken_ms);
  return text + ending(text);
}

std::optional<Lease> parse_lease(std::string_view text) {
  const std::size_t sum = text.rfind(kSumKey);
  if (sum == std::string_view::npos || text.substr(sum) != ending(text.substr(0, sum))) return std::nullopt;
  try {
    const conf::Object object = conf::Object::parse(text, "lease", kMaxLeaseFileBytes);
    Lease out;
    out.owner = {.container_id = conf::string_member(object, "containerID", "lease").value_or(""),
                 .ifname = conf::string_member(object, "ifname", "lease").value_or("")};
    std::optional<std::vector<conf::IpPrefix>> addresses = addresses_of(object.find("addresses"));
    const bool whole = number(object, "crossoverLease") == 1 && conf::is_container_id(out.owner.container_id) &&
                       conf::is_ifname(out.owner.ifname) && addresses && !addresses->empty();
    if (!whole) return std::nullopt;
    out.addresses = std::move(*addresses);
    out.network = conf::string_member(object, "network", "lease").value_or("");
    out.boot_id = conf::string_member(object, "bootID", "lease").value_or("");
    out.netns = conf::string_member(object, "netns", "lease").value_or("");
    out.netns_inode = static_cast<std::uint64_t>(std::max<std::int64_t>(0, number(object, "inode")));
    out.pod = conf::string_member(object, "pod", "lease").value_or("");
    out.taken_ms = number(object, "taken");
    return out;
  } catch (const conf::CniError&) {
    return std::nullopt;
  }
}

}  // namespace ipam
