// SPDX-License-Identifier: Apache-2.0
#include "ipam/carve.h"

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/ipam/store_world.h"

namespace ipam {
namespace {

ClusterPool pool_of(const std::vector<std::string>& cidrs, unsigned mask_size) {
  ClusterPool out{.cidrs = {}, .mask_size = mask_size};
  for (const std::string& cidr : cidrs) out.cidrs.push_back(prefix(cidr));
  return out;
}

std::vector<conf::IpPrefix> prefixes(const std::vector<std::string>& texts) {
  std::vector<conf::IpPrefix> out;
  for (const std::string& one : texts) out.push_back(prefix(one));
  return out;
}

std::string joined(const std::vector<conf::IpPrefix>& cidrs) {
  std::string out;
  for (const conf::IpPrefix& cidr : cidrs) out += (out.empty() ? "" : " ") + cidr.str();
  return out;
}

std::string next(const ClusterPool& pool, const std::vector<std::string>& used, std::size_t wanted) {
  return joined(carve(pool, prefixes(used), wanted).next);
}

// What the operator is, slowly: a flag for every block. Returns the blocks in order of their CIDRs with their use.
struct Naive {
  explicit Naive(const ClusterPool& pool) {
    for (const conf::IpPrefix& cidr : pool.cidrs) {
      const Block whole = make_block(cidr);
      for (std::uint32_t at = 0; at < whole.offsets(); at += 1U << (cidr.addr.bits() - pool.mask_size))
        blocks.push_back({whole.at(at), pool.mask_size});
    }
  }
  void occupy(const conf::IpPrefix& cidr) {
    for (std::size_t i = 0; i < blocks.size(); ++i)
      if (blocks[i].overlaps(cidr)) used.insert(i);
  }
  [[nodiscard]] std::string next(std::size_t wanted) const {
    std::vector<conf::IpPrefix> out;
    for (std::size_t i = 0; i < blocks.size() && out.size() < wanted; ++i)
      if (used.count(i) == 0) out.push_back(blocks[i]);
    return joined(out);
  }
  std::vector<conf::IpPrefix> blocks;
  std::set<std::size_t> used;
};

TEST_SUITE_BEGIN("ipam.carve");
TEST_CASE("the next blocks are the lowest free ones of the first CIDR that is not full") {
  const ClusterPool pool = pool_of({"10.1.0.0/22", "10.0.8.0/23"}, 24);
  CHECK(next(pool, {}, 2) == "10.1.0.0/24 10.1.1.0/24");
  CHECK(next(pool, {"10.1.0.0/24", "10.1.2.0/24"}, 9) == "10.1.1.0/24 10.1.3.0/24 10.0.8.0/24 10.0.9.0/24");
  CHECK(next(pool, {"10.1.0.0/22", "10.0.8.0/23"}, 1).empty());
  CHECK(next(pool, {}, 0).empty());
}

TEST_CASE("each CIDR tells how many blocks it has and how many are free") {
  const Carved carved = carve(pool_of({"10.1.0.0/22", "10.0.8.0/23"}, 24), prefixes({"10.0.8.0/24"}), 1);
  REQUIRE(carved.cidrs.size() == 2);
  CHECK(carved.cidrs[0].total == 4);
  CHECK(carved.cidrs[0].free == 4);
  CHECK(carved.cidrs[1].cidr == prefix("10.0.8.0/23"));
  CHECK(carved.cidrs[1].total == 2);
  CHECK(carved.cidrs[1].free == 1);
}

TEST_CASE("IPv6 blocks are cut wherever the two lengths lie") {
  CHECK(next(pool_of({"fd00::/104"}, 120), {"fd00::/120", "fd00::ff00/120"}, 2) == "fd00::100/120 fd00::200/120");
  CHECK(next(pool_of({"fd00::/48"}, 64), {"fd00::/64"}, 1) == "fd00:0:0:1::/64");
  CHECK(next(pool_of({"fd00::/60"}, 68), {"fd00::/61", "fd00:0:0:8::/62"}, 2) ==
        "fd00:0:0:c::/68 fd00:0:0:c:1000::/68");
  CHECK(carve(pool_of({"fd00::/104"}, 120), {}, 0).cidrs[0].total == 65'536);
}

TEST_CASE("blocks in use that the operator would not have given are told, and what becomes of them") {
  const Carved carved = carve(pool_of({"10.1.0.0/21"}, 24),
                              prefixes({"10.9.0.0/24", "10.1.2.0/23", "10.1.4.128/25", "10.1.3.0/24", "10.1.4.0/23",
                                        "10.1.1.0/24", "fd00::/120"}),
                              9);
  REQUIRE(carved.misfits.size() == 5);
  CHECK(carved.misfits[0].cidr == prefix("10.9.0.0/24"));
  CHECK(carved.misfits[0].problem ==
        "outside of the pool; the operator writes \"allocator not configured for the requested CIDR\" to its node");
  CHECK(carved.misfits[1].problem == "larger than a /24; all 2 blocks that it covers count as used");
  CHECK(carved.misfits[2].problem == "smaller than a /24; the whole block around it counts as used");
  CHECK(carved.misfits[3].problem ==
        "in use more than once; the operator writes \"requested CIDR is already allocated\" to the second node");
  CHECK(carved.misfits[4].problem == "overlaps blocks in use, which the operator does not notice");
  CHECK(joined(carved.next) == "10.1.0.0/24 10.1.6.0/24 10.1.7.0/24");
  CHECK(carved.cidrs[0].free == 3);
}

TEST_CASE("a block in use that covers several CIDRs of the pool takes them all") {
  CHECK(next(pool_of({"10.0.0.0/23", "10.0.2.0/23", "10.1.0.0/23"}, 24), {"10.0.0.0/22"}, 1) == "10.1.0.0/24");
}

TEST_CASE("a pool that breaks a rule is told which") {
  CHECK_FALSE(pool_problem(pool_of({"10.0.0.0/8"}, 24)));
  CHECK_FALSE(pool_problem(pool_of({"fd00::/104"}, 120)));
  CHECK_FALSE(pool_problem(pool_of({"10.0.0.0/24"}, 24)));
  CHECK(pool_problem(pool_of({}, 24)) == "a pool must have at least one CIDR");
  CHECK(pool_problem(pool_of({"10.0.0.0/8", "10.9.0.0/16"}, 24)) ==
        "10.0.0.0/8 and 10.9.0.0/16 overlap: the CIDRs of a pool must not");
  CHECK(pool_problem(pool_of({"10.0.0.0/8", "fd00::/104"}, 24)) ==
        "10.0.0.0/8 and fd00::/104 are of two families: each has a pool of its own");
  CHECK(pool_problem(pool_of({"10.0.0.1/8"}, 24)) == "10.0.0.1/8 has host bits: must be 10.0.0.0/8");
  CHECK(pool_problem(pool_of({"10.0.0.0/16"}, 15)) ==
        "mask size 15 makes blocks larger than 10.0.0.0/16: must be at least 16");
  CHECK(pool_problem(pool_of({"10.0.0.0/16"}, 31)) == "mask size 31 leaves a node no addresses: must be at most 30");
  CHECK(pool_problem(pool_of({"fd00::/103"}, 120)) ==
        "mask size 120 makes more than 2^16 blocks of fd00::/103: must be at most 119");
  CHECK(pool_problem(pool_of({"0.0.0.0/0"}, 24)) == "0.0.0.0/0 is all there is: must be a CIDR of the cluster");
  CHECK(pool_problem(pool_of({"::ffff:10.0.0.0/104"}, 120)) ==
        "::ffff:10.0.0.0/104 is an IPv4-mapped IPv6 CIDR: must be written as IPv4");
}

TEST_CASE("a pool of half a thousand million blocks costs no more than what is asked of it") {
  const Carved carved = carve(pool_of({"10.0.0.0/8", "128.0.0.0/1"}, 30), prefixes({"10.0.0.0/8"}), 2);
  CHECK(joined(carved.next) == "128.0.0.0/30 128.0.0.4/30");
  CHECK(carved.cidrs[1].total == 536'870'912);
}

TEST_CASE("carving agrees with a flag for every block, whatever is in use") {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const bool v4 = round % 2 == 0;
    const ClusterPool pool =
        v4 ? pool_of({"10.1.0.0/25", "10.3.0.0/27", "10.2.0.0/26"}, 27 + static_cast<unsigned>(random() % 4))
           : pool_of({"fd00::/121", "fd02::/123", "fd01::/122"}, 123 + static_cast<unsigned>(random() % 4));
    Naive model(pool);
    std::vector<conf::IpPrefix> used;
    for (auto left = random() % 24; left > 0; --left) {
      const conf::IpPrefix& cidr = pool.cidrs[random() % 3];
      const Block whole = make_block(cidr);
      const unsigned bits = cidr.addr.bits();
      const auto length = static_cast<unsigned>(bits - 8 + random() % 9);
      used.push_back(conf::IpPrefix{whole.at(static_cast<std::uint32_t>(random()) % whole.offsets()), length}.masked());
      if (random() % 16 == 0) used.back() = prefix(v4 ? "10.9.0.0/24" : "fd09::/120");
      model.occupy(used.back());
    }
    const std::size_t wanted = random() % 40;
    const Carved carved = carve(pool, used, wanted);
    REQUIRE(joined(carved.next) == model.next(wanted));
    std::uint64_t free = 0;
    for (const PoolCidr& cidr : carved.cidrs) free += cidr.free;
    REQUIRE(free == model.blocks.size() - model.used.size());
  }
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
