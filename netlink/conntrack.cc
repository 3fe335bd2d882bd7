// SPDX-License-Identifier: Apache-2.0
#include "netlink/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "conf/error.h"
#include "netlink/address.h"
#include "netlink/attribute.h"
#include "netlink/dump.h"
#include "netlink/inet.h"
#include "netlink/message.h"

namespace netlink {
namespace {

using Attributes = std::vector<Attribute>;

constexpr std::uint8_t kLoopbackNet = 127;

constexpr std::uint16_t ct_type(int message) {
  return static_cast<std::uint16_t>((NFNL_SUBSYS_CTNETLINK << 8U) | static_cast<unsigned>(message));
}

std::array<std::byte, sizeof(nfgenmsg)> family_header(conf::Family family) {
  return {std::byte{family_number(family)}, std::byte{NFNETLINK_V0}, {}, {}};
}

std::optional<Attributes> nested(const Attributes& attributes, std::uint16_t type) {
  const Attribute* found = find_attribute(attributes, type);
  return found == nullptr ? std::nullopt : read_attributes(found->payload);
}

std::optional<conf::IpAddr> address_in(const Attributes& attributes, std::uint16_t type, conf::Family family) {
  const Attribute* found = find_attribute(attributes, type);
  return found == nullptr ? std::nullopt : netlink::address_in(found->payload, family);
}

/// A port that is absent is 0 (ICMP has none); one of another size is malformed.
std::optional<std::uint16_t> port_in(const Attributes& attributes, std::uint16_t type) {
  const Attribute* found = find_attribute(attributes, type);
  return found == nullptr ? std::optional<std::uint16_t>(0) : as_be16(*found);
}

std::optional<FlowTuple> tuple_in(const Attributes& attributes, std::uint16_t type, conf::Family family) {
  const auto tuple = nested(attributes, type);
  if (!tuple) return std::nullopt;
  const auto ip = nested(*tuple, CTA_TUPLE_IP);
  const auto proto = nested(*tuple, CTA_TUPLE_PROTO);
  if (!ip || !proto) return std::nullopt;
  const bool v4 = family == conf::Family::kIpv4;
  const auto source = address_in(*ip, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, family);
  const auto destination = address_in(*ip, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, family);
  const Attribute* number = find_attribute(*proto, CTA_PROTO_NUM);
  const auto source_port = port_in(*proto, CTA_PROTO_SRC_PORT);
  const auto destination_port = port_in(*proto, CTA_PROTO_DST_PORT);
  if (!source || !destination || number == nullptr || number->payload.size() != 1) return std::nullopt;
  if (!source_port || !destination_port) return std::nullopt;
  return FlowTuple{.source = *source,
                   .destination = *destination,
                   .protocol = std::to_integer<std::uint8_t>(number->payload[0]),
                   .source_port = *source_port,
                   .destination_port = *destination_port};
}

void write_tuple(MessageWriter& writer, const FlowTuple& tuple) {
  const bool v4 = tuple.source.family == conf::Family::kIpv4;
  writer.nest(CTA_TUPLE_ORIG, [&] {
    writer.nest(CTA_TUPLE_IP, [&] {
      writer.bytes(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, address_bytes(tuple.source));
      writer.bytes(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, address_bytes(tuple.destination));
    });
    writer.nest(CTA_TUPLE_PROTO, [&] {
      writer.u8(CTA_PROTO_NUM, tuple.protocol);
      writer.be16(CTA_PROTO_SRC_PORT, tuple.source_port);
      writer.be16(CTA_PROTO_DST_PORT, tuple.destination_port);
    });
  });
}

conf::CniError refused(std::string_view what, const Ack& ack) {
  return conf::CniError(conf::Code::kIo, "conntrack request refused by the kernel",
                        std::string(what) + ": " + ack.str());
}

/// A subsystem of netfilter that is not there is EINVAL to its requests; some kernels say it more clearly.
bool says_absent(const Ack& ack) {
  return ack.error == EINVAL || ack.error == EOPNOTSUPP || ack.error == EPROTONOSUPPORT || ack.error == ENOENT;
}

/// Those with ports: only they are redirected, and the deletion of others would need more of their tuple.
bool has_ports(const Flow& flow) {
  constexpr std::uint8_t kTcp = 6;
  constexpr std::uint8_t kUdp = 17;
  constexpr std::uint8_t kSctp = 132;
  const std::uint8_t protocol = flow.original.protocol;
  return protocol == kTcp || protocol == kUdp || protocol == kSctp;
}

}  // namespace

bool is_local(const conf::IpAddr& addr, const std::set<conf::IpAddr>& local) {
  if (addr.family == conf::Family::kIpv4 && addr.bytes[0] == kLoopbackNet) return true;
  return local.count(addr) != 0;
}

std::optional<Flow> decode_flow(std::span<const std::byte> message) {
  const auto flow = read_message<nfgenmsg>(message, ct_type(IPCTNL_MSG_CT_NEW));
  if (!flow) return std::nullopt;
  const std::optional<conf::Family> family = family_of(flow->header.nfgen_family);
  if (!family) return std::nullopt;
  const auto original = tuple_in(flow->attributes, CTA_TUPLE_ORIG, *family);
  const auto reply = tuple_in(flow->attributes, CTA_TUPLE_REPLY, *family);
  const auto zone = port_in(flow->attributes, CTA_ZONE);
  const Attribute* id = find_attribute(flow->attributes, CTA_ID);
  const auto id_number = id == nullptr ? std::optional<std::uint32_t>(0) : as_be32(*id);
  if (!original || !reply || !zone || !id_number) return std::nullopt;
  return Flow{.original = *original, .reply = *reply, .zone = *zone, .id = *id_number};
}

std::vector<std::byte> encode_flow_dump(conf::Family family) {
  MessageWriter writer;
  writer.begin(ct_type(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP, family_header(family));
  return writer.take();
}

std::vector<std::byte> encode_flow_delete(const Flow& flow) {
  MessageWriter writer;
  writer.begin(ct_type(IPCTNL_MSG_CT_DELETE), NLM_F_REQUEST, family_header(flow.original.source.family));
  write_tuple(writer, flow.original);
  if (flow.zone != 0) writer.be16(CTA_ZONE, flow.zone);
  if (flow.id != 0) writer.be32(CTA_ID, flow.id);
  return writer.take();
}

Flushed KernelFlows::flush(conf::Family family, const Matches& matches) {
  if (!netfilter_) netfilter_ = Socket::open_if_supported(NETLINK_NETFILTER);
  if (!netfilter_) return {.deleted = 0, .available = false};
  std::vector<Flow> found;
  const Ack listed = dump(
      *netfilter_, encode_flow_dump(family), "tracked flows", [&found] { found.clear(); },
      [&](std::span<const std::byte> answer) {
        auto flow = decode_flow(answer);
        if (flow && has_ports(*flow) && matches(*flow)) found.push_back(*flow);
      });
  if (says_absent(listed)) return {.deleted = 0, .available = false};
  if (!listed.ok()) throw refused("list flows", listed);
  Flushed flushed;
  for (const Flow& flow : found) {
    std::vector<std::byte> request = encode_flow_delete(flow);
    const Ack deleted = netfilter_->request(request);
    if (!deleted.ok() && deleted.error != ENOENT) throw refused("delete a flow", deleted);
    flushed.deleted += deleted.ok() ? 1U : 0U;
  }
  return flushed;
}

std::set<conf::IpAddr> KernelFlows::local_addresses() {
  if (!route_) route_ = Socket::open(NETLINK_ROUTE);
  std::set<conf::IpAddr> found;
  for (const LinkAddress& one : list(*route_, encode_address_dump(), "addresses", decode_address))
    found.insert(one.address.addr);
  return found;
}

}  // namespace netlink
