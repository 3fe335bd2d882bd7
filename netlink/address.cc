// SPDX-License-Identifier: Apache-2.0
#include "netlink/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <cerrno>

#include "netlink/attribute.h"
#include "netlink/dump.h"
#include "netlink/inet.h"
#include "netlink/message.h"

namespace netlink {
namespace {

// The kernel tells only this link's addresses (0: all) if it checks strictly (4.20), else all.
std::vector<std::byte> dump_request(std::uint32_t link) {
  ifaddrmsg wanted{};
  wanted.ifa_index = link;
  MessageWriter writer;
  writer.begin(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, std::as_bytes(std::span(&wanted, 1)));
  return writer.take();
}

}  // namespace

std::vector<std::byte> encode_address_dump() { return dump_request(0); }

std::optional<LinkAddress> decode_address(std::span<const std::byte> message) {
  const auto read = read_message<ifaddrmsg>(message, RTM_NEWADDR);
  if (!read || read->header.ifa_index == 0) return std::nullopt;
  const Attribute* own = find_attribute(read->attributes, IFA_LOCAL);
  if (own == nullptr) own = find_attribute(read->attributes, IFA_ADDRESS);
  const std::optional<conf::Family> family = family_of(read->header.ifa_family);
  const std::optional<conf::IpAddr> ip = own == nullptr || !family ? std::nullopt : address_in(own->payload, *family);
  const unsigned length = read->header.ifa_prefixlen;
  if (!ip || length > ip->bits()) return std::nullopt;
  return LinkAddress{.link = read->header.ifa_index, .address = {*ip, length}};
}

std::vector<conf::IpPrefix> addresses_of(Socket& socket, std::uint32_t link) {
  const auto decode = [link](std::span<const std::byte> answer) -> std::optional<conf::IpPrefix> {
    const std::optional<LinkAddress> found = decode_address(answer);
    return found && found->link == link ? std::optional(found->address) : std::nullopt;
  };
  return list(socket, dump_request(link), "addresses", decode, ENODEV);
}

}  // namespace netlink
