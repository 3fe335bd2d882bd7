// SPDX-License-Identifier: Apache-2.0
#include "netlink/host_link.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cerrno>

#include "conf/error.h"
#include "netlink/attribute.h"
#include "netlink/inet.h"
#include "netlink/link.h"
#include "netlink/message.h"

namespace netlink {
namespace {

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

bool says_unreachable(int error) {
  static constexpr std::array kErrors = {ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, ESRCH, ENODEV};
  for (const int one : kErrors)
    if (error == one) return true;
  return false;
}

conf::CniError refused(const std::string& what, const Ack& ack) {
  return {conf::Code::kIo, "route request refused by the kernel", what + ": " + ack.str()};
}

}  // namespace

std::vector<std::byte> encode_route_request(const conf::IpAddr& addr) {
  rtmsg header{};
  header.rtm_family = family_number(addr.family);
  header.rtm_dst_len = static_cast<unsigned char>(addr.bits());
  MessageWriter writer;
  writer.begin(RTM_GETROUTE, NLM_F_REQUEST, bytes_of(header));
  writer.bytes(RTA_DST, address_bytes(addr));
  return writer.take();
}

std::vector<std::byte> encode_link_request(std::uint32_t index) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index);
  MessageWriter writer;
  writer.begin(RTM_GETLINK, NLM_F_REQUEST, bytes_of(header));
  return writer.take();
}

std::optional<std::uint32_t> decode_route_link(std::span<const std::byte> message) {
  const auto route = read_message<rtmsg>(message, RTM_NEWROUTE);
  if (!route) return std::nullopt;
  const Attribute* link = find_attribute(route->attributes, RTA_OIF);
  const std::uint32_t index = link == nullptr ? 0 : as_u32(*link).value_or(0);
  return index == 0 ? std::nullopt : std::optional<std::uint32_t>(index);
}

std::optional<HostLink> KernelHostLinks::towards(const conf::IpAddr& addr) {
  if (!socket_) socket_.emplace(Socket::open(NETLINK_ROUTE));
  std::optional<std::uint32_t> index;
  std::vector<std::byte> request = encode_route_request(addr);
  const Ack route = socket_->request(request, [&index](std::span<const std::byte> answer) {
    if (const std::optional<std::uint32_t> found = decode_route_link(answer)) index = found;
  });
  if (!route.ok() && !says_unreachable(route.error)) throw refused("ip route get " + addr.str(), route);
  if (!index) return std::nullopt;

  std::optional<Link> link;
  request = encode_link_request(*index);
  const Ack ack = socket_->request(request, [&link](std::span<const std::byte> answer) {
    if (std::optional<Link> found = decode_link(answer)) link = std::move(found);
  });
  if (!ack.ok() && ack.error != ENODEV) throw refused("ip link show", ack);
  if (!link) return std::nullopt;
  return HostLink{.name = link->name, .kind = link->kind};
}

}  // namespace netlink
