// SPDX-License-Identifier: Apache-2.0
#include "netlink/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "conf/error.h"
#include "netlink/attribute.h"
#include "netlink/message.h"

namespace netlink {
namespace {

constexpr unsigned kTries = 10;  // each fails only if an address changes just then
constexpr unsigned char kInet = 2;
constexpr unsigned char kInet6 = 10;

// The kernel tells only this link's addresses if it checks strictly (4.20), else all.
std::vector<std::byte> dump_request(std::uint32_t link) {
  ifaddrmsg wanted{};
  wanted.ifa_index = link;
  MessageWriter writer;
  writer.begin(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, std::as_bytes(std::span(&wanted, 1)));
  return writer.take();
}

std::optional<conf::IpAddr> address_in(const Attribute& attribute, unsigned char family) {
  conf::IpAddr out;
  if (family != kInet && family != kInet6) return std::nullopt;
  out.family = family == kInet ? conf::Family::kIpv4 : conf::Family::kIpv6;
  if (attribute.payload.size() != out.bits() / 8) return std::nullopt;
  std::memcpy(out.bytes.data(), attribute.payload.data(), attribute.payload.size());
  return out;
}

conf::CniError dump_error(std::uint32_t link, const Ack& ack) {
  return {conf::Code::kIo, "address request refused by the kernel",
          "ip address show, link " + std::to_string(link) + ": " + ack.str()};
}

}  // namespace

std::optional<LinkAddress> decode_address(std::span<const std::byte> message) {
  nlmsghdr header{};
  ifaddrmsg info{};
  if (message.size() < NLMSG_SPACE(sizeof(info))) return std::nullopt;
  std::memcpy(&header, message.data(), sizeof(header));
  if (header.nlmsg_type != RTM_NEWADDR || header.nlmsg_len < NLMSG_SPACE(sizeof(info))) return std::nullopt;
  if (header.nlmsg_len > message.size()) return std::nullopt;
  std::memcpy(&info, message.data() + NLMSG_HDRLEN, sizeof(info));

  const auto attributes = read_attributes(message.first(header.nlmsg_len).subspan(NLMSG_SPACE(sizeof(info))));
  if (!attributes || info.ifa_index == 0) return std::nullopt;
  const Attribute* own = find_attribute(*attributes, IFA_LOCAL);
  if (own == nullptr) own = find_attribute(*attributes, IFA_ADDRESS);
  const std::optional<conf::IpAddr> ip = own == nullptr ? std::nullopt : address_in(*own, info.ifa_family);
  if (!ip || info.ifa_prefixlen > ip->bits()) return std::nullopt;
  return LinkAddress{.link = info.ifa_index, .address = {*ip, info.ifa_prefixlen}};
}

std::vector<conf::IpPrefix> addresses_of(Socket& socket, std::uint32_t link) {
  Ack ack;
  for (unsigned i = 0; i < kTries; ++i) {
    std::vector<conf::IpPrefix> out;
    std::vector<std::byte> message = dump_request(link);
    ack = socket.request(message, [&](std::span<const std::byte> answer) {
      const std::optional<LinkAddress> found = decode_address(answer);
      if (found && found->link == link) out.push_back(found->address);
    });
    if (ack.ok() || ack.error == ENODEV) return out;
    if (ack.error != EINTR) break;
  }
  throw dump_error(link, ack);
}

}  // namespace netlink
