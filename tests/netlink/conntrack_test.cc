// SPDX-License-Identifier: Apache-2.0
#include "netlink/conntrack.h"

#include <doctest/doctest.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "netlink/address.h"
#include "netlink/message.h"
#include "tests/support/scratch.h"
#include "tests/support/seccomp.h"

using netlink::decode_address;
using netlink::decode_flow;
using netlink::Flow;
using netlink::FlowTuple;
using netlink::Flushed;
using netlink::KernelFlows;
using netlink::MessageWriter;

namespace {

constexpr std::uint8_t kUdp = 17;
constexpr std::uint16_t kNewFlow = (NFNL_SUBSYS_CTNETLINK << 8U) | IPCTNL_MSG_CT_NEW;

conf::IpAddr ip(std::string_view text) { return *conf::IpAddr::parse(text); }

/// A flow from 192.0.2.9 to `to`:`port` that was redirected to `pod`:8080; with the pod's own address, one that was
/// not.
Flow udp_flow(std::string_view from, std::string_view to, std::uint16_t port, std::string_view pod) {
  return {.original = {.source = ip(from),
                       .destination = ip(to),
                       .protocol = kUdp,
                       .source_port = static_cast<std::uint16_t>(port + 10000),
                       .destination_port = port},
          .reply = {.source = ip(pod),
                    .destination = ip(from),
                    .protocol = kUdp,
                    .source_port = 8080,
                    .destination_port = static_cast<std::uint16_t>(port + 10000)},
          .zone = 0,
          .id = 0};
}

void write_tuple(MessageWriter& writer, std::uint16_t type, const FlowTuple& tuple) {
  const bool v4 = tuple.source.family == conf::Family::kIpv4;
  const auto bytes = [](const conf::IpAddr& addr) {
    return std::as_bytes(std::span(addr.bytes)).first(addr.bits() / 8);
  };
  writer.nest(type, [&] {
    writer.nest(CTA_TUPLE_IP, [&] {
      writer.bytes(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, bytes(tuple.source));
      writer.bytes(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, bytes(tuple.destination));
    });
    writer.nest(CTA_TUPLE_PROTO, [&] {
      writer.u8(CTA_PROTO_NUM, tuple.protocol);
      writer.be16(CTA_PROTO_SRC_PORT, tuple.source_port);
      writer.be16(CTA_PROTO_DST_PORT, tuple.destination_port);
    });
  });
}

/// As the kernel lists it, and as it takes a new one.
std::vector<std::byte> flow_message(const Flow& flow, int flags = 0) {
  const bool v4 = flow.original.source.family == conf::Family::kIpv4;
  const std::array<std::byte, 4> header = {std::byte{v4 ? std::uint8_t{2} : std::uint8_t{10}}, {}, {}, {}};
  MessageWriter writer;
  writer.begin(kNewFlow, NLM_F_REQUEST | flags, header);
  write_tuple(writer, CTA_TUPLE_ORIG, flow.original);
  write_tuple(writer, CTA_TUPLE_REPLY, flow.reply);
  writer.be32(CTA_STATUS, IPS_CONFIRMED | IPS_SEEN_REPLY);
  writer.be32(CTA_TIMEOUT, 600);
  if (flow.zone != 0) writer.be16(CTA_ZONE, flow.zone);
  if (flow.id != 0) writer.be32(CTA_ID, flow.id);
  return writer.take();
}

void insert(const Flow& flow) {
  netlink::Socket socket = netlink::Socket::open(NETLINK_NETFILTER);
  std::vector<std::byte> message = flow_message(flow, NLM_F_CREATE | NLM_F_EXCL);
  const netlink::Ack ack = socket.request(message);
  REQUIRE(ack.str() == "ok");
}

std::size_t count(conf::Family family) {
  std::size_t seen = 0;
  const auto look = [&seen](const Flow&) { return ++seen, false; };
  (void)KernelFlows().flush(family, look);
  return seen;
}

void set_length(std::vector<std::byte>& message) {
  const auto length = static_cast<std::uint32_t>(message.size());
  std::memcpy(message.data(), &length, sizeof(length));
}

}  // namespace

TEST_SUITE("netlink.conntrack") {
  TEST_CASE("a flow is read from its message") {
    Flow flow = udp_flow("192.0.2.9", "192.0.2.1", 53, "10.0.0.5");
    flow.zone = 7;
    flow.id = 99;
    CHECK(decode_flow(flow_message(flow)) == flow);
    const Flow v6 = udp_flow("2001:db8::9", "2001:db8::1", 53, "fd00::5");
    CHECK(decode_flow(flow_message(v6)) == v6);
  }

  TEST_CASE("a flow cut short anywhere is refused") {
    const std::vector<std::byte> whole = flow_message(udp_flow("192.0.2.9", "192.0.2.1", 53, "10.0.0.5"));
    const std::size_t tuples = NLMSG_HDRLEN + 4 + 2 * 52;  // from here on nothing is needed
    for (std::size_t length = 0; length < whole.size(); ++length) {
      CAPTURE(length);
      std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      CHECK_FALSE(decode_flow(cut).has_value());
      if (length < 4) continue;
      set_length(cut);
      if (length < tuples) CHECK_FALSE(decode_flow(cut).has_value());
      (void)decode_flow(cut);
    }
  }

  TEST_CASE("what is no flow of ours is refused") {
    std::vector<std::byte> message = flow_message(udp_flow("192.0.2.9", "192.0.2.1", 53, "10.0.0.5"));
    SUBCASE("another message") { message[4] = std::byte{IPCTNL_MSG_CT_DELETE}; }
    SUBCASE("another family") { message[NLMSG_HDRLEN] = std::byte{7}; }
    SUBCASE("addresses of the other family") { message[NLMSG_HDRLEN] = std::byte{10}; }
    CHECK_FALSE(decode_flow(message).has_value());
  }

  TEST_CASE("what matches is deleted, the rest stays") {
    const scratch::Host host;
    for (const std::uint16_t port : {std::uint16_t{53}, std::uint16_t{54}, std::uint16_t{55}}) {
      insert(udp_flow("192.0.2.9", "192.0.2.1", port, "10.0.0.5"));
    }
    insert(udp_flow("2001:db8::9", "2001:db8::1", 53, "fd00::5"));
    KernelFlows flows;
    const auto is_53 = [](const Flow& flow) { return flow.original.destination_port == 53; };
    CHECK(flows.flush(conf::Family::kIpv4, is_53) == Flushed{.deleted = 1, .available = true});
    CHECK(flows.flush(conf::Family::kIpv4, is_53) == Flushed{.deleted = 0, .available = true});
    CHECK(count(conf::Family::kIpv4) == 2);
    CHECK(count(conf::Family::kIpv6) == 1);
    const auto to_pod = [](const Flow& flow) { return flow.reply.source == ip("fd00::5"); };
    CHECK(flows.flush(conf::Family::kIpv6, to_pod).deleted == 1);
  }

  TEST_CASE("a flow that ended meanwhile is no failure") {
    const scratch::Host host;
    insert(udp_flow("192.0.2.9", "192.0.2.1", 53, "10.0.0.5"));
    KernelFlows flows;
    const auto gone_before = [](const Flow& flow) {
      return KernelFlows().flush(conf::Family::kIpv4, [&flow](const Flow& same) { return same == flow; }).deleted == 1;
    };
    CHECK(flows.flush(conf::Family::kIpv4, gone_before) == Flushed{.deleted = 0, .available = true});
  }

  TEST_CASE("many flows are one dump") {
    const scratch::Host host;
    for (std::uint16_t port = 1; port <= 2000; ++port) insert(udp_flow("192.0.2.9", "192.0.2.1", port, "10.0.0.5"));
    KernelFlows flows;
    CHECK(flows.flush(conf::Family::kIpv4, [](const Flow&) { return true; }).deleted == 2000);
    CHECK(count(conf::Family::kIpv4) == 0);
  }

  TEST_CASE("a kernel without netfilter has nothing to flush") {
    const scratch::Host host;
    const int status = scratch::in_child([] {
      if (!scratch::deny(SYS_socket, EPROTONOSUPPORT)) return 1;
      KernelFlows flows;
      return flows.flush(conf::Family::kIpv4, [](const Flow&) { return true; }).available ? 2 : 0;
    });
    CHECK(status == 0);
  }

  TEST_CASE("a flush that is not allowed is code 5") {
    const scratch::Host host;
    const int status = scratch::in_child([] {
      if (::setresuid(65534, 65534, 65534) != 0) return 1;
      const conf::CniError error =
          scratch::error_of([] { (void)KernelFlows().flush(conf::Family::kIpv4, [](const Flow&) { return true; }); });
      return error.code() == 5 && error.details() == "list flows: Operation not permitted" ? 0 : 2;
    });
    CHECK(status == 0);
  }

  TEST_CASE("the host's addresses are those of its links, and all of 127.0.0.0/8") {
    const scratch::Host host;
    scratch::sh(
        "ip link set lo up && ip link add d0 type veth peer name d1 && ip addr add 192.0.2.1/24 dev d0 && "
        "ip addr add 10.0.0.1 peer 10.0.0.2 dev d0 && ip addr add 2001:db8::1/64 dev d0 nodad");
    const std::set<conf::IpAddr> local = KernelFlows().local_addresses();
    CHECK(local.count(ip("192.0.2.1")) == 1);
    CHECK(local.count(ip("10.0.0.1")) == 1);
    CHECK(local.count(ip("10.0.0.2")) == 0);
    CHECK(local.count(ip("2001:db8::1")) == 1);
    CHECK(local.count(ip("::1")) == 1);
    CHECK(netlink::is_local(ip("127.3.2.1"), local));
    CHECK(netlink::is_local(ip("192.0.2.1"), local));
    CHECK_FALSE(netlink::is_local(ip("192.0.2.2"), local));
    CHECK_FALSE(netlink::is_local(ip("7f00::1"), local));
  }

  TEST_CASE("an address message cut short anywhere is refused") {
    const std::array<std::byte, 8> header = {std::byte{2}, std::byte{24}, {}, {}, std::byte{1}, {}, {}, {}};
    MessageWriter writer;
    writer.begin(RTM_NEWADDR, 0, header);
    writer.u32(IFA_LOCAL, 0x010200C0);
    const std::vector<std::byte> whole = writer.take();
    REQUIRE(decode_address(whole));
    CHECK(decode_address(whole)->address.addr == ip("192.0.2.1"));
    for (std::size_t length = 0; length < whole.size(); ++length) {
      CHECK_FALSE(decode_address(std::span(whole).first(length)).has_value());
    }
  }
}
