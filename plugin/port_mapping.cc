// SPDX-License-Identifier: Apache-2.0
#include "plugin/port_mapping.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

#include "conf/letter_case.h"
#include "conf/section.h"

namespace plugin {
namespace {

using conf::Family;
using conf::IpAddr;

constexpr std::array<std::pair<std::string_view, PortProtocol>, 3> kProtocols = {
    {{"tcp", PortProtocol::kTcp}, {"udp", PortProtocol::kUdp}, {"sctp", PortProtocol::kSctp}}};

std::string with_port(const IpAddr& address, std::uint16_t port) {
  return address.family == Family::kIpv4 ? fmt::format("{}:{}", address.str(), port)
                                         : fmt::format("[{}]:{}", address.str(), port);
}

// The word up to the next space, which goes too.
std::string_view take_word(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::optional<PortTarget> parse_target(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const std::optional<IpAddr> address = IpAddr::parse(host);
  const std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
  if (!address || !port) return std::nullopt;
  return PortTarget{.address = *address, .port = *port};
}

std::vector<IpAddr> host_addresses(const PortMapping& mapping) {
  if (mapping.host_ip) return {*mapping.host_ip};
  return {unspecified(Family::kIpv4), unspecified(Family::kIpv6)};
}

const std::optional<IpAddr>& of_family(const PodAddresses& pod, Family family) {
  return family == Family::kIpv4 ? pod.ipv4 : pod.ipv6;
}

[[noreturn]] void refuse_unreachable(std::size_t index, const PortMapping& mapping) {
  const std::string_view family = mapping.host_ip && mapping.host_ip->family == Family::kIpv6 ? "IPv6" : "IPv4";
  conf::refuse_configuration(fmt::format("`runtimeConfig.portMappings[{}]` leads nowhere: the pod has no {} address{}",
                                         index, mapping.host_ip ? family : "IP",
                                         mapping.host_ip ? fmt::format(" for hostIP {}", mapping.host_ip->str()) : ""));
}

}  // namespace

std::string_view protocol_name(PortProtocol protocol) {
  for (const auto& [name, value] : kProtocols)
    if (value == protocol) return name;
  return "unknown";
}

std::optional<PortProtocol> parse_protocol(std::string_view text) {
  for (const auto& [name, value] : kProtocols)
    if (conf::equal_but_for_case(name, text)) return value;
  return std::nullopt;
}

bool is_loopback(const IpAddr& addr) {
  if (addr.family == Family::kIpv4) return addr.bytes[0] == 127;
  static const IpAddr loopback = *IpAddr::parse("::1");
  return addr == loopback;
}

IpAddr unspecified(Family family) {
  IpAddr out;
  out.family = family;
  return out;
}

std::string PortKey::str() const { return fmt::format("{} {}", protocol_name(protocol), with_port(address, port)); }

std::vector<PortKey> possible_keys(const PortMapping& mapping) {
  std::vector<PortKey> out;
  for (const conf::Family family : {conf::Family::kIpv4, conf::Family::kIpv6}) {
    const conf::IpAddr address = mapping.host_ip.value_or(unspecified(family));
    if (address.family == family)
      out.push_back({.address = address, .protocol = mapping.protocol, .port = mapping.host_port});
  }
  return out;
}

std::string PortTarget::str() const { return with_port(address, port); }

std::optional<Redirection> Redirection::parse(std::string_view text) {
  const std::string_view whole = text;
  const std::optional<PortProtocol> protocol = parse_protocol(take_word(text));
  const std::optional<PortTarget> from = parse_target(take_word(text));
  const std::optional<PortTarget> to = parse_target(text);
  if (!protocol || !from || !to) return std::nullopt;
  Redirection out{.key = {.address = from->address, .protocol = *protocol, .port = from->port}, .target = *to};
  if (out.str() != whole || out.key.family() != to->address.family) return std::nullopt;
  return out;
}

std::vector<Redirection> redirections(const std::vector<PortMapping>& mappings, const PodAddresses& pod) {
  std::map<PortKey, std::pair<PortTarget, std::size_t>> by_key;
  for (std::size_t index = 0; index < mappings.size(); ++index) {
    const PortMapping& mapping = mappings[index];
    bool leads_somewhere = false;
    for (const IpAddr& host : host_addresses(mapping)) {
      const std::optional<IpAddr>& address = of_family(pod, host.family);
      if (!address) continue;
      leads_somewhere = true;
      const PortKey key{.address = host, .protocol = mapping.protocol, .port = mapping.host_port};
      const PortTarget target{.address = *address, .port = mapping.container_port};
      const auto [place, is_new] = by_key.try_emplace(key, target, index);
      if (!is_new && place->second.first != target)
        conf::refuse_configuration(
            fmt::format("`runtimeConfig.portMappings[{}]` sends {} to port {}, and [{}] to port {}", index, key.str(),
                        target.port, place->second.second, place->second.first.port));
    }
    if (!leads_somewhere) refuse_unreachable(index, mapping);
  }
  std::vector<Redirection> out;
  out.reserve(by_key.size());
  for (const auto& [key, target] : by_key) out.push_back({.key = key, .target = target.first});
  return out;
}

}  // namespace plugin
