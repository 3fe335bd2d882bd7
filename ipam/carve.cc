// SPDX-License-Identifier: Apache-2.0
#include "ipam/carve.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace ipam {
namespace {

using conf::IpAddr;
using conf::IpPrefix;

constexpr unsigned kMostIpv6Bits = 16;  // clusterSubnetMaxDiff of pkg/ipam/cidrset

std::size_t byte_of(unsigned bit) { return bit / 8; }
unsigned place_of(unsigned bit) { return 7U - bit % 8U; }

// The blocks of one CIDR by number: the bits of an address between the two lengths, which are 31 at the most.
class Numbered {
 public:
  Numbered(const IpPrefix& cidr, unsigned mask_size) : cidr_(cidr), mask_size_(mask_size) {}

  [[nodiscard]] std::uint64_t total() const { return std::uint64_t{1} << (mask_size_ - cidr_.prefix_len); }
  [[nodiscard]] IpPrefix block(std::uint64_t number) const {
    IpAddr out = cidr_.addr;
    for (unsigned bit = mask_size_; bit > cidr_.prefix_len; --bit, number >>= 1U)
      if ((number & 1U) != 0) out.bytes.at(byte_of(bit - 1)) |= static_cast<std::uint8_t>(1U << place_of(bit - 1));
    return {out, mask_size_};
  }
  [[nodiscard]] std::uint64_t number(const IpAddr& ip) const {
    std::uint64_t out = 0;
    for (unsigned bit = cidr_.prefix_len; bit < mask_size_; ++bit)
      out = out << 1U | (unsigned{ip.bytes.at(byte_of(bit))} >> place_of(bit) & 1U);
    return out;
  }
  /// First and last of those that `other`, which overlaps the CIDR, touches.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> touched(const IpPrefix& other) const {
    if (other.prefix_len <= cidr_.prefix_len) return {0, total() - 1};
    const std::uint64_t first = number(other.masked().addr);
    if (other.prefix_len >= mask_size_) return {first, first};
    return {first, first + (std::uint64_t{1} << (mask_size_ - other.prefix_len)) - 1};
  }

 private:
  IpPrefix cidr_;
  unsigned mask_size_;
};

// Numbers in use, as ranges that neither overlap nor touch: a pool of a million blocks costs no more than its nodes.
class Occupied {
 public:
  /// How many of the range were not in it before.
  std::uint64_t add(std::uint64_t first, std::uint64_t last) {
    std::uint64_t fresh = last - first + 1;
    auto next = ranges_.upper_bound(first);
    if (next != ranges_.begin() && std::prev(next)->second + 1 >= first) --next;
    while (next != ranges_.end() && next->first <= last + 1) {
      const std::uint64_t from = std::max(first, next->first);
      const std::uint64_t to = std::min(last, next->second);
      if (from <= to) fresh -= to - from + 1;  // it may only touch
      first = std::min(first, next->first);
      last = std::max(last, next->second);
      next = ranges_.erase(next);
    }
    ranges_.emplace(first, last);
    count_ += fresh;
    return fresh;
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] const std::map<std::uint64_t, std::uint64_t>& ranges() const { return ranges_; }

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;
  std::uint64_t count_ = 0;
};

struct Element {
  Numbered blocks;
  Occupied used;
};

// Where it is not what the operator would have given, in words.
std::string problem_of(const IpPrefix& cidr, unsigned mask_size, std::uint64_t touched, std::uint64_t fresh) {
  if (touched == 0)
    return "outside of the pool; the operator writes \"allocator not configured for the requested CIDR\" to its node";
  if (fresh == 0)
    return "in use more than once; the operator writes \"requested CIDR is already allocated\" to the second node";
  if (fresh < touched) return "overlaps blocks in use, which the operator does not notice";
  if (cidr.prefix_len < mask_size)
    return fmt::format("larger than a /{}; all {} blocks that it covers count as used", mask_size, touched);
  if (cidr.prefix_len > mask_size)
    return fmt::format("smaller than a /{}; the whole block around it counts as used", mask_size);
  return {};
}

void occupy(std::vector<Element>& elements, const ClusterPool& pool, const IpPrefix& cidr, Carved& out) {
  std::uint64_t touched = 0;
  std::uint64_t fresh = 0;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (!pool.cidrs[i].overlaps(cidr)) continue;
    const auto [first, last] = elements[i].blocks.touched(cidr);
    touched += last - first + 1;
    fresh += elements[i].used.add(first, last);
  }
  const std::string problem = problem_of(cidr, pool.mask_size, touched, fresh);
  if (!problem.empty()) out.misfits.push_back({cidr, problem});
}

void add_free(const Element& element, std::size_t wanted, std::vector<IpPrefix>& out) {
  std::uint64_t number = 0;
  const auto add_up_to = [&](std::uint64_t end) {
    for (; number < end && out.size() < wanted; ++number) out.push_back(element.blocks.block(number));
  };
  for (const auto& [first, last] : element.used.ranges()) {
    add_up_to(first);
    number = std::max(number, last + 1);
  }
  add_up_to(element.blocks.total());
}

std::optional<std::string> cidr_problem(const IpPrefix& cidr, unsigned mask_size) {
  const unsigned bits = cidr.addr.bits();
  if (cidr.has_host_bits()) return fmt::format("{} has host bits: must be {}", cidr.str(), cidr.masked().str());
  if (cidr.addr.is_v4_mapped()) return cidr.str() + " is an IPv4-mapped IPv6 CIDR: must be written as IPv4";
  if (cidr.prefix_len == 0) return cidr.str() + " is all there is: must be a CIDR of the cluster";
  if (mask_size < cidr.prefix_len)
    return fmt::format("mask size {} makes blocks larger than {}: must be at least {}", mask_size, cidr.str(),
                       cidr.prefix_len);
  if (mask_size > bits - 2)
    return fmt::format("mask size {} leaves a node no addresses: must be at most {}", mask_size, bits - 2);
  if (cidr.addr.family == conf::Family::kIpv6 && mask_size - cidr.prefix_len > kMostIpv6Bits)
    return fmt::format("mask size {} makes more than 2^{} blocks of {}: must be at most {}", mask_size, kMostIpv6Bits,
                       cidr.str(), cidr.prefix_len + kMostIpv6Bits);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> pool_problem(const ClusterPool& pool) {
  if (pool.cidrs.empty()) return "a pool must have at least one CIDR";
  for (std::size_t i = 0; i < pool.cidrs.size(); ++i) {
    if (pool.cidrs[i].addr.family != pool.cidrs[0].addr.family)
      return fmt::format("{} and {} are of two families: each has a pool of its own", pool.cidrs[0].str(),
                         pool.cidrs[i].str());
    if (std::optional<std::string> problem = cidr_problem(pool.cidrs[i], pool.mask_size)) return problem;
    for (std::size_t j = 0; j < i; ++j)
      if (pool.cidrs[i].overlaps(pool.cidrs[j]))
        return fmt::format("{} and {} overlap: the CIDRs of a pool must not", pool.cidrs[j].str(), pool.cidrs[i].str());
  }
  return std::nullopt;
}

Carved carve(const ClusterPool& pool, const std::vector<IpPrefix>& used, std::size_t wanted) {
  Carved out;
  std::vector<Element> elements;
  for (const IpPrefix& cidr : pool.cidrs) elements.push_back({Numbered(cidr, pool.mask_size), {}});
  for (const IpPrefix& cidr : used)
    if (cidr.addr.family == pool.cidrs.at(0).addr.family) occupy(elements, pool, cidr, out);
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const std::uint64_t total = elements[i].blocks.total();
    out.cidrs.push_back({pool.cidrs[i], total, total - elements[i].used.count()});
    add_free(elements[i], wanted, out.next);
  }
  return out;
}

}  // namespace ipam
