// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "netlink/rule.h"

// What the kernel lists: rules, routes, links and addresses. A rule or route that we know in full must be written and
// read back the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = std::as_bytes(std::span(data, size));
  (void)netlink::decode_link(message);
  (void)netlink::decode_address(message);
  const auto route = netlink::decode_route(message);
  if (route && route->str().empty()) std::abort();
  if (route && !route->has_more && netlink::decode_route(netlink::encode_route_add(*route)) != route) std::abort();
  const auto rule = netlink::decode_fib_rule(message);
  if (rule && rule->str().empty()) std::abort();
  return 0;
}
