// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/ip.h"

// hostPorts as they are asked for, and what they come to: one redirection for each key and family. Pure.
namespace plugin {

/// The numbers are IPPROTO_*.
enum class PortProtocol : std::uint8_t { kTcp = 6, kUdp = 17, kSctp = 132 };
[[nodiscard]] std::string_view protocol_name(PortProtocol protocol);              ///< "tcp"
[[nodiscard]] std::optional<PortProtocol> parse_protocol(std::string_view text);  ///< in any case
[[nodiscard]] bool is_loopback(const conf::IpAddr& addr);                         ///< 127.0.0.0/8 or ::1
[[nodiscard]] conf::IpAddr unspecified(conf::Family family);                      ///< 0.0.0.0 or ::

/// One entry of runtimeConfig.portMappings.
struct PortMapping {
  std::uint16_t host_port = 0;
  std::uint16_t container_port = 0;
  PortProtocol protocol = PortProtocol::kTcp;
  /// Absent: every address of the node, of each family that the pod has. 0.0.0.0, ::: every address of that family.
  std::optional<conf::IpAddr> host_ip;
  bool operator==(const PortMapping&) const = default;
};

/// What of a node is taken by a hostPort. No two pods have the same.
struct PortKey {
  conf::IpAddr address;  ///< 0.0.0.0 or :: for every address of that family
  PortProtocol protocol = PortProtocol::kTcp;
  std::uint16_t port = 0;
  [[nodiscard]] conf::Family family() const { return address.family; }
  [[nodiscard]] bool any_address() const { return address == unspecified(address.family); }
  [[nodiscard]] std::string str() const;  ///< "tcp 0.0.0.0:8080", "udp [fd00::1]:53"
  auto operator<=>(const PortKey&) const = default;
};

/// The keys that a mapping may come to, whatever families the pod has.
[[nodiscard]] std::vector<PortKey> possible_keys(const PortMapping& mapping);

struct PortTarget {
  conf::IpAddr address;
  std::uint16_t port = 0;
  [[nodiscard]] std::string str() const;  ///< "10.244.1.5:80"
  auto operator<=>(const PortTarget&) const = default;
};

/// Written "tcp 0.0.0.0:8080 10.244.1.5:80".
struct Redirection {
  PortKey key;
  PortTarget target;
  [[nodiscard]] std::string str() const { return key.str() + ' ' + target.str(); }
  /// Nothing for what str() does not write.
  [[nodiscard]] static std::optional<Redirection> parse(std::string_view text);
  auto operator<=>(const Redirection&) const = default;
};

/// The pod's addresses to which traffic can be sent.
struct PodAddresses {
  std::optional<conf::IpAddr> ipv4;
  std::optional<conf::IpAddr> ipv6;
  bool operator==(const PodAddresses&) const = default;
};

/// In the order of their keys; equal ones once. Code 7 for two mappings that send one key to different ports, and for
/// one that leads to no address of the pod (it is of a family that the pod does not have).
[[nodiscard]] std::vector<Redirection> redirections(const std::vector<PortMapping>& mappings, const PodAddresses& pod);

}  // namespace plugin
