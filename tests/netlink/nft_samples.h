// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "netlink/nft.h"

// Rulesets that several tests look at.
namespace samples {

inline const netlink::NftTable kTable{.family = netlink::NftFamily::kInet, .name = "crossover"};

inline conf::IpAddr ip(std::string_view text) { return *conf::IpAddr::parse(text); }
inline conf::IpPrefix prefix(std::string_view text) { return *conf::IpPrefix::parse(text); }

inline netlink::NftSet set_of(const std::string& name, std::vector<netlink::Field> key,
                              std::vector<netlink::Field> data = {}, bool interval = false) {
  return {.table = kTable, .name = name, .key = std::move(key), .data = std::move(data), .interval = interval};
}

inline netlink::NftSet ports4() {
  using netlink::Field;
  return set_of("ports4", {Field::kInetProto, Field::kInetService}, {Field::kIpv4Addr, Field::kInetService});
}

inline netlink::NftElement mapping(std::uint16_t port, std::string_view pod, const std::string& comment,
                                   std::uint16_t pod_port = 8080) {
  using netlink::concat;
  using netlink::service_field;
  return {.key = concat({netlink::proto_field(6), service_field(port)}),
          .data = concat({netlink::field_of(ip(pod)), service_field(pod_port)}),
          .comment = comment,
          .interval_end = false};
}

inline netlink::NftElement in_set(netlink::Bytes key) {
  return {.key = std::move(key), .data = {}, .comment = {}, .interval_end = false};
}

inline netlink::AddChain plain_chain(const std::string& name) {
  return {.chain = {.table = kTable, .name = name, .base = {}}, .exclusive = false};
}

inline netlink::AddChain base_chain(const std::string& name, netlink::ChainType type, netlink::Hook hook,
                                    std::int32_t priority) {
  return {.chain = {.table = kTable,
                    .name = name,
                    .base = netlink::BaseHook{.type = type, .hook = hook, .priority = priority}},
          .exclusive = false};
}

inline netlink::AddRule rule(const std::string& chain, std::vector<netlink::Expressions> parts,
                             const std::string& comment = {}) {
  netlink::NftRule made{.table = kTable, .chain = chain, .expressions = {}, .comment = comment};
  for (netlink::Expressions& part : parts) netlink::append(made.expressions, std::move(part));
  return {.rule = std::move(made)};
}

inline netlink::Expressions verdict(netlink::VerdictCode code, const std::string& chain = {}) {
  return {netlink::Verdict{.code = code, .chain = chain}};
}

/// A table with ports4 and one mapping in it.
inline netlink::NftBatch small_batch() {
  netlink::NftBatch batch;
  batch.add(netlink::AddTable{.table = kTable});
  batch.add(netlink::AddSet{.set = ports4()});
  batch.add(netlink::AddElements{
      .table = kTable, .set = "ports4", .elements = {mapping(80, "10.0.0.1", "abc")}, .exclusive = true});
  return batch;
}

/// Every kind of set, chain and expression.
[[nodiscard]] netlink::NftBatch whole_batch();

}  // namespace samples
