// SPDX-License-Identifier: Apache-2.0
#include "netlink/host_link.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "conf/error.h"
#include "netlink/attribute.h"
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
  header.rtm_family = addr.family == conf::Family::kIpv4 ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<unsigned char>(addr.bits());
  MessageWriter writer;
  writer.begin(RTM_GETROUTE, NLM_F_REQUEST, bytes_of(header));
  writer.bytes(RTA_DST, std::as_bytes(std::span(addr.bytes)).first(addr.bits() / 8));
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
  nlmsghdr header{};
  if (message.size() < NLMSG_SPACE(sizeof(rtmsg))) return std::nullopt;
  std::memcpy(&header, message.data(), sizeof(header));
  if (header.nlmsg_type != RTM_NEWROUTE || header.nlmsg_len < NLMSG_SPACE(sizeof(rtmsg))) return std::nullopt;
  if (header.nlmsg_len > message.size()) return std::nullopt;
  const auto attributes = read_attributes(message.first(header.nlmsg_len).subspan(NLMSG_SPACE(sizeof(rtmsg))));
  if (!attributes) return std::nullopt;
  const Attribute* link = find_attribute(*attributes, RTA_OIF);
  std::uint32_t index = 0;
  if (link == nullptr || link->payload.size() != sizeof(index)) return std::nullopt;
  std::memcpy(&index, link->payload.data(), sizeof(index));
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
