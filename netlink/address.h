// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "conf/ip.h"
#include "netlink/socket.h"

namespace netlink {

struct LinkAddress {
  std::uint32_t link = 0;  ///< the index of the link that carries it
  conf::IpPrefix address;  ///< the link's own, where it has a peer's too (IFA_LOCAL)
  bool operator==(const LinkAddress&) const = default;
};

/// The addresses of the link with this index where `socket` lives, both families; empty for a link that is not there.
/// CniError code 5 for what the kernel refuses, code 11 if they never stop changing.
[[nodiscard]] std::vector<conf::IpPrefix> addresses_of(Socket& socket, std::uint32_t link);

/// The request for the addresses of all links, and the address in one RTM_NEWADDR message, header included; nothing if
/// the message is another or is malformed. Pure.
[[nodiscard]] std::vector<std::byte> encode_address_dump();
[[nodiscard]] std::optional<LinkAddress> decode_address(std::span<const std::byte> message);

}  // namespace netlink
