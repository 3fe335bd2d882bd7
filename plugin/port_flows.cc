// SPDX-License-Identifier: Apache-2.0
#include "plugin/port_flows.h"

#include <algorithm>

namespace plugin {
namespace {

using netlink::Flow;

bool keeps_flows(const Redirection& one) { return one.key.protocol != PortProtocol::kTcp; }

// Redirections are in the order of their keys.
const Redirection* find(const PortRecord& record, const PortKey& key) {
  const auto place = std::lower_bound(record.redirections.begin(), record.redirections.end(), key,
                                      [](const Redirection& one, const PortKey& wanted) { return one.key < wanted; });
  return place != record.redirections.end() && place->key == key ? &*place : nullptr;
}

const Redirection* redirection_of(const Flow& flow, const PortRecord& record) {
  PortKey key{.address = flow.original.destination,
              .protocol = static_cast<PortProtocol>(flow.original.protocol),
              .port = flow.original.destination_port};
  if (const Redirection* const by_address = find(record, key)) return by_address;
  key.address = unspecified(key.address.family);
  return find(record, key);
}

bool went_to_pod(const Flow& flow, const PortRecord& record) {
  return std::any_of(record.redirections.begin(), record.redirections.end(), [&flow](const Redirection& one) {
    return static_cast<std::uint8_t>(one.key.protocol) == flow.reply.protocol &&
           one.target.address == flow.reply.source && one.target.port == flow.reply.source_port;
  });
}

}  // namespace

bool is_stale(const Flow& flow, const PortRecord& record, FlowsOf which, const std::set<conf::IpAddr>& local) {
  const std::uint8_t protocol = flow.original.protocol;
  if (protocol != static_cast<std::uint8_t>(PortProtocol::kUdp) &&
      protocol != static_cast<std::uint8_t>(PortProtocol::kSctp))
    return false;
  if (which == FlowsOf::kGonePod && went_to_pod(flow, record)) return true;
  const Redirection* const one = redirection_of(flow, record);
  if (one == nullptr || !netlink::is_local(flow.original.destination, local)) return false;
  const bool goes_there = flow.reply.source == one->target.address && flow.reply.source_port == one->target.port;
  return which == FlowsOf::kGonePod || !goes_there;
}

void flush_flows(netlink::Flows& flows, const PortRecord& record, FlowsOf which) {
  std::set<conf::Family> families;
  for (const Redirection& one : record.redirections)
    if (keeps_flows(one)) families.insert(one.key.family());
  if (families.empty()) return;
  const std::set<conf::IpAddr> local = flows.local_addresses();
  for (const conf::Family family : families)
    (void)flows.flush(family, [&](const Flow& flow) { return is_stale(flow, record, which, local); });
}

}  // namespace plugin
