// SPDX-License-Identifier: Apache-2.0
#include "ipam/used_blocks.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/ipam/store_world.h"
#include "tests/support/refusal.h"

namespace ipam {
namespace {

using support::check_refusal;
using support::refusal_of;

std::string read(std::string_view text) {
  std::string out;
  for (const conf::IpPrefix& cidr : parse_used_blocks(text, "used")) out += (out.empty() ? "" : " ") + cidr.str();
  return out;
}

TEST_SUITE_BEGIN("ipam.used_blocks");
TEST_CASE("a list is one CIDR a line, with comments and empty lines, host bits cleared") {
  CHECK(read("# nodes\n10.1.0.0/24\n\n  10.1.1.7/24  # node b\r\nfd00::/120") == "10.1.0.0/24 10.1.1.0/24 fd00::/120");
  CHECK(read("").empty());
}

TEST_CASE("CiliumNodes and Nodes are read as kubectl prints their lists, and one of them alone") {
  CHECK(read(R"({"apiVersion":"v1","items":[{"spec":{"ipam":{"podCIDRs":["10.1.0.0/24","fd00::/120"]}}},
                 {"spec":{"ipam":{}}},{"metadata":{}},{"spec":{"podCIDR":"10.2.0.0/24","podCIDRs":["10.2.0.0/24"]}},
                 {"spec":{"podCIDR":"10.3.0.0/24"}},{"spec":{"podCIDRs":null}}],"kind":"List"})") ==
        "10.1.0.0/24 fd00::/120 10.2.0.0/24 10.3.0.0/24");
  CHECK(read(R"({"kind":"CiliumNode","spec":{"ipam":{"podCIDRs":["10.1.0.0/24"]}}})") == "10.1.0.0/24");
  CHECK(read(R"({"kind":"List","items":[]})").empty());
}

TEST_CASE("what is no CIDR is refused with its place") {
  check_refusal(refusal_of([] { return parse_used_blocks("10.1.0.0/24\n10.1.1.0\n", "used"); }),
                conf::Code::kInvalidConfig, "invalid configuration", "`used line 2` is \"10.1.1.0\": must be a CIDR");
  check_refusal(refusal_of([] { return parse_used_blocks(R"({"items":[{"spec":{"podCIDRs":["x"]}}]})", "used"); }),
                conf::Code::kInvalidConfig, "invalid configuration",
                "`used.items[0].spec.podCIDRs[0]` is \"x\": must be a CIDR");
  CHECK(refusal_of([] { return parse_used_blocks(R"({"items":)", "used"); }).code() == 6);
  CHECK(refusal_of([] { return parse_used_blocks(R"({"items":7})", "used"); }).code() == 7);
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
