// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conf/ip.h"
#include "netlink/socket.h"

// By which link of this host a pod is reached.
namespace netlink {

struct HostLink {
  std::string name;
  std::string kind;  ///< "veth", "bridge"; empty for physical devices
  bool operator==(const HostLink&) const = default;
};

/// The seam: KernelHostLinks, and a fake for tests.
class HostLinks {
 public:
  virtual ~HostLinks() = default;
  /// The link that a packet of this host to `addr` would leave by; nothing if there is no route, or the link is gone by
  /// the time that it is asked for. CniError code 5 for what the kernel refuses otherwise.
  [[nodiscard]] virtual std::optional<HostLink> towards(const conf::IpAddr& addr) = 0;
};

/// In the namespace of the process. The socket is opened when first needed.
class KernelHostLinks final : public HostLinks {
 public:
  [[nodiscard]] std::optional<HostLink> towards(const conf::IpAddr& addr) override;

 private:
  std::optional<Socket> socket_;
};

/// The request for the route to `addr`, and for a link by its index. Pure.
[[nodiscard]] std::vector<std::byte> encode_route_request(const conf::IpAddr& addr);
[[nodiscard]] std::vector<std::byte> encode_link_request(std::uint32_t index);
/// The index of the link in one RTM_NEWROUTE message, header included; nothing if it is another message, is malformed
/// or names none. Pure.
[[nodiscard]] std::optional<std::uint32_t> decode_route_link(std::span<const std::byte> message);

}  // namespace netlink
