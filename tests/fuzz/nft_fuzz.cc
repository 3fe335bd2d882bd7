// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "netlink/address.h"
#include "netlink/conntrack.h"
#include "netlink/nft_codec.h"

// What the kernel lists: messages of nf_tables and conntrack. Expressions that are read must be written and read back
// the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = std::as_bytes(std::span(data, size));
  (void)netlink::decode_generation(message);
  (void)netlink::decode_table(message);
  (void)netlink::decode_chain(message);
  (void)netlink::decode_set(message);
  (void)netlink::decode_elements(message);
  (void)netlink::decode_flow(message);
  (void)netlink::decode_address(message);
  (void)netlink::decode_comment(message);
  const auto rule = netlink::decode_rule(message);
  const auto expressions = rule ? std::optional(rule->rule.expressions) : netlink::decode_expressions(message);
  if (!expressions) return 0;
  if (netlink::decode_expressions(netlink::encode_expressions(*expressions)) != expressions) std::abort();
  return 0;
}
