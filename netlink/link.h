// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/socket.h"

namespace netlink {

struct Link {
  std::uint32_t index = 0;
  std::string name;
  std::string kind;  ///< IFLA_INFO_KIND: "veth", "bridge"; empty for physical devices
  bool up = false;
  std::uint32_t mtu = 0;
  std::uint16_t vxlan_port = 0;  ///< UDP, of a link of the kind vxlan; else 0
  bool operator==(const Link&) const = default;
};

/// The link called `name` where `socket` lives, or nothing. One request, no dump. CniError code 5 for other failures.
[[nodiscard]] std::optional<Link> find_link(Socket& socket, std::string_view name);

/// Deletes the link called `name`; false if there was none. CniError code 5 for other failures.
bool delete_link(Socket& socket, std::string_view name);

/// The request for all links, and the link in one RTM_NEWLINK message, header included; nothing if the message is
/// another or is malformed. Pure.
[[nodiscard]] std::vector<std::byte> encode_link_dump();
[[nodiscard]] std::optional<Link> decode_link(std::span<const std::byte> message);

}  // namespace netlink
