// SPDX-License-Identifier: Apache-2.0
#include "ipam/lease.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/ipam/store_world.h"

namespace ipam {
namespace {

Lease example() {
  return {.owner = {"5fc10b", "eth0"},
          .network = "cilium",
          .addresses = {prefix("10.245.1.7/24"), prefix("fd00:10::7/120")},
          .boot_id = "0a1b",
          .netns = "/run/netns/cni-1f8c",
          .netns_inode = 4026532281,
          .pod = "default/web-0",
          .taken_ms = 1763711133241};
}

TEST_SUITE_BEGIN("ipam.lease");
TEST_CASE("a lease is one line of JSON that holds all its addresses, and comes back as it was") {
  const std::string text = lease_text(example());
  CHECK(text.starts_with(
      R"({"crossoverLease":1,"containerID":"5fc10b","ifname":"eth0","network":"cilium",)"
      R"("addresses":["10.245.1.7/24","fd00:10::7/120"],"bootID":"0a1b","netns":"/run/netns/cni-1f8c","inode":4026532281,)"
      R"("pod":"default/web-0","taken":1763711133241,"sum":")"));
  CHECK(parse_lease(text) == example());
}

TEST_CASE("a lease that is cut or changed at any byte is none") {
  const std::string text = lease_text(example());
  for (std::size_t i = 0; i < text.size(); ++i) {
    CAPTURE(i);
    CHECK_FALSE(parse_lease(text.substr(0, i)));
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(parse_lease(changed));
  }
  CHECK_FALSE(parse_lease(text + text));
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
