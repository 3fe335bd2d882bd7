// SPDX-License-Identifier: Apache-2.0
#include "ipam/host_local.h"

#include <algorithm>
#include <compare>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "conf/error.h"
#include "conf/ip.h"

namespace ipam {
namespace {

constexpr std::size_t kMaxLeaseBytes = 4096;  // an id and an interface name; the runtimes' ids have 64 bytes

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

conf::AttachmentId parse_owner(std::string_view text) {
  text = trimmed(text);
  const std::size_t end = std::min(text.find('\n'), text.size());
  return {.container_id = std::string(trimmed(text.substr(0, end))), .ifname = std::string(trimmed(text.substr(end)))};
}

// A file that cannot be read says nothing about any pod, and must not hide what the others say.
std::string read_or_nothing(conf::Disk& disk, const std::string& path) {
  try {
    return disk.read(path, kMaxLeaseBytes).value_or("");
  } catch (const conf::CniError&) {
    return {};
  }
}

// An address as a number, whatever its family.
struct Number {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Number&) const = default;
};

Number number_of(const conf::IpAddr& ip) {
  Number number;
  for (std::size_t i = 0; i < ip.bits() / 8; ++i) {
    number.high = (number.high << 8U) | (number.low >> 56U);
    number.low = (number.low << 8U) | ip.bytes.at(i);
  }
  return number;
}

Number plus_one(Number number) {
  ++number.low;
  if (number.low == 0) ++number.high;
  return number;
}

Number minus_one(Number number) {
  if (number.low == 0) --number.high;
  --number.low;
  return number;
}

// The host part of a subnet set to ones. `host_bits` is 2 to 128.
Number with_ones(Number number, unsigned host_bits) {
  constexpr std::uint64_t kOnes = std::numeric_limits<std::uint64_t>::max();
  number.low |= host_bits >= 64 ? kOnes : kOnes >> (64U - host_bits);
  if (host_bits > 64) number.high |= kOnes >> (128U - host_bits);
  return number;
}

// How many from `first` to `last`; saturates.
std::uint64_t count(const Number& first, const Number& last) {
  constexpr std::uint64_t kMany = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t borrow = last.low < first.low ? 1 : 0;
  if (last.high - first.high - borrow != 0) return kMany;
  const std::uint64_t difference = last.low - first.low;
  return difference == kMany ? kMany : difference + 1;
}

struct Range {
  conf::Family family = conf::Family::kIpv4;
  Number first;
  Number last;
  std::optional<Number> gateway;  // only if between them: it is never handed out

  [[nodiscard]] bool spans(conf::Family ip_family, const Number& ip) const {
    return ip_family == family && first <= ip && ip <= last;
  }
  [[nodiscard]] bool hands_out(const conf::IpAddr& ip) const {
    return spans(ip.family, number_of(ip)) && gateway != number_of(ip);
  }
  [[nodiscard]] bool overlaps(const Range& other) const {
    return family == other.family && first <= other.last && other.first <= last;
  }
  [[nodiscard]] std::uint64_t capacity() const {
    const std::uint64_t all = count(first, last);
    return gateway && all != std::numeric_limits<std::uint64_t>::max() ? all - 1 : all;
  }
};
using RangeSet = std::vector<Range>;

// What host-local itself refuses: a section with such a range makes it hand out nothing.
conf::CniError unusable(std::string_view key) {
  return {conf::Code::kInvalidConfig, "invalid configuration", "ipam." + std::string(key) + ": host-local refuses it"};
}

// host-local takes an empty text for an absent one.
std::optional<conf::IpAddr> address_member(const conf::Object& range, std::string_view key) {
  const std::optional<std::string> text = conf::string_member(range, key, "ipam");
  if (!text || text->empty()) return std::nullopt;
  const std::optional<conf::IpAddr> ip = conf::IpAddr::parse(*text);
  if (!ip) throw unusable(key);
  return ip;
}

conf::IpPrefix subnet_member(const conf::Object& range) {
  const std::optional<std::string> text = conf::string_member(range, "subnet", "ipam");
  const std::optional<conf::IpPrefix> subnet = conf::IpPrefix::parse(text.value_or(""));
  if (!subnet || subnet->has_host_bits() || subnet->prefix_len + 2 > subnet->addr.bits()) throw unusable("subnet");
  return *subnet;
}

// The end of a range that the section gives, or its default.
Number bound(const conf::Object& range, std::string_view key, const conf::IpPrefix& subnet, const Number& otherwise) {
  const std::optional<conf::IpAddr> ip = address_member(range, key);
  if (!ip) return otherwise;
  if (!subnet.contains(*ip)) throw unusable(key);
  return number_of(*ip);
}

// As plugins: ipam/host-local/backend/allocator/range.go: all but the network address and, in IPv4, the broadcast
// address, unless rangeStart or rangeEnd name just those; without the gateway, which is the first unless named.
Range parse_range(const conf::Object& text) {
  const conf::IpPrefix subnet = subnet_member(text);
  const Number network = number_of(subnet.addr);
  const Number highest = with_ones(network, subnet.addr.bits() - subnet.prefix_len);
  const bool has_broadcast = subnet.addr.family == conf::Family::kIpv4;
  Range range{.family = subnet.addr.family,
              .first = bound(text, "rangeStart", subnet, plus_one(network)),
              .last = bound(text, "rangeEnd", subnet, has_broadcast ? minus_one(highest) : highest),
              .gateway = std::nullopt};
  if (range.last < range.first) throw unusable("rangeEnd");

  const std::optional<conf::IpAddr> named = address_member(text, "gateway");
  const conf::Family family = named ? named->family : range.family;
  const Number gateway = named ? number_of(*named) : plus_one(network);
  if (range.spans(family, gateway)) range.gateway = gateway;
  return range;
}

RangeSet parse_set(const std::string& text) {
  RangeSet set;
  for (const std::string& range : conf::parse_array(text, "ipam.ranges")) {
    set.push_back(parse_range(conf::Object::parse(range, "ipam.ranges")));
    if (set.back().family != set.front().family) throw unusable("ranges");
  }
  if (set.empty()) throw unusable("ranges");
  return set;
}

bool is_given(const conf::Object& object, std::string_view key) {
  const std::string* value = object.find(key);
  return value != nullptr && conf::kind_of(*value) != "null";
}

void refuse_overlaps(const std::vector<RangeSet>& sets) {
  RangeSet seen;
  for (const RangeSet& set : sets) {
    for (const Range& range : set) {
      if (std::any_of(seen.begin(), seen.end(), [&](const Range& other) { return range.overlaps(other); })) {
        throw unusable("ranges");
      }
      seen.push_back(range);
    }
  }
}

// The older single range comes first when both are given.
std::vector<RangeSet> parse_sets(const conf::Object& ipam) {
  std::vector<RangeSet> sets;
  if (is_given(ipam, "subnet")) sets.push_back({parse_range(ipam)});
  if (is_given(ipam, "ranges")) {
    for (const std::string& set : conf::parse_array(*ipam.find("ranges"), "ipam.ranges"))
      sets.push_back(parse_set(set));
  }
  refuse_overlaps(sets);
  return sets;
}

std::vector<RangeSet> sets_or_nothing(const conf::Object& ipam) {
  try {
    return parse_sets(ipam);
  } catch (const conf::CniError&) {
    return {};
  }
}

// By the files' names alone: host-local takes an address for used whatever is in its file.
std::vector<conf::IpAddr> used_addresses(conf::Disk& disk, const std::string& dir) {
  std::vector<conf::IpAddr> used;
  for (const conf::DirEntry& entry : disk.list(dir)) {
    if (const std::optional<conf::IpAddr> ip = conf::IpAddr::parse(entry.name)) used.push_back(*ip);
  }
  return used;
}

HostLocalUse use_of(const RangeSet& set, const std::vector<conf::IpAddr>& used) {
  HostLocalUse use;
  for (const Range& range : set) {
    const std::uint64_t capacity = range.capacity();
    use.capacity += std::min(capacity, std::numeric_limits<std::uint64_t>::max() - use.capacity);
  }
  use.used = static_cast<std::uint64_t>(std::count_if(used.begin(), used.end(), [&](const conf::IpAddr& ip) {
    return std::any_of(set.begin(), set.end(), [&](const Range& range) { return range.hands_out(ip); });
  }));
  return use;
}

}  // namespace

std::vector<HostLocalLease> host_local_leases(conf::Disk& disk, const std::string& dir) {
  std::vector<HostLocalLease> leases;
  for (const conf::DirEntry& entry : disk.list(dir)) {
    if (!entry.is_regular || !conf::IpAddr::parse(entry.name)) continue;
    HostLocalLease lease{.path = dir + "/" + entry.name, .address = entry.name, .owner = {}};
    lease.owner = parse_owner(read_or_nothing(disk, lease.path));
    if (!lease.owner.container_id.empty()) leases.push_back(std::move(lease));
  }
  return leases;
}

std::vector<HostLocalLease> host_local_leases_of(conf::Disk& disk, const std::string& dir,
                                                 const conf::AttachmentId& id) {
  std::vector<HostLocalLease> leases = host_local_leases(disk, dir);
  std::erase_if(leases, [&](const HostLocalLease& lease) {
    const bool same_interface = lease.owner.ifname.empty() || lease.owner.ifname == id.ifname;
    return lease.owner.container_id != id.container_id || !same_interface;
  });
  return leases;
}

std::vector<HostLocalUse> host_local_use(conf::Disk& disk, const conf::Object& ipam, const std::string& dir) {
  const std::vector<RangeSet> sets = sets_or_nothing(ipam);
  if (sets.empty()) return {};
  const std::vector<conf::IpAddr> used = used_addresses(disk, dir);
  std::vector<HostLocalUse> uses;
  for (const RangeSet& set : sets) uses.push_back(use_of(set, used));
  return uses;
}

std::string host_local_dir(const conf::Object& ipam, const std::string& name) {
  const std::string* raw = ipam.find("dataDir");
  std::string dir = raw == nullptr ? std::string() : conf::as_string(*raw).value_or("");
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  return (dir.empty() ? kHostLocalDir : dir) + "/" + name;
}

}  // namespace ipam
