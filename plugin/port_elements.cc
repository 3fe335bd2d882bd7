// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <set>
#include <utility>

#include "plugin/port_table.h"

namespace plugin {
namespace {

using conf::Family;
using netlink::Bytes;

std::string named(std::string_view what, Family family) {
  return fmt::format("{}_{}", what, family == Family::kIpv4 ? "v4" : "v6");
}

/// Collects the elements of one record.
class Collector {
 public:
  explicit Collector(const PortRecord& record) : record_(record), owner_(owner_name(record.owner)) {}

  void add(const Redirection& redirection) {
    const PortKey& key = redirection.key;
    const PortTarget& target = redirection.target;
    PortPlace place = place_of(key);
    const Bytes data = netlink::concat({netlink::field_of(target.address), netlink::service_field(target.port)});
    out.push_back(
        {.set = std::move(place.set), .element = {.key = place.key, .data = data, .comment = owner_}, .is_key = true});
    const Conditions& conditions = record_.conditions(key.family());
    if (!conditions.empty())
      put((key.any_address() ? "ports_if_" : "ports_addr_if_") + condition_hash(conditions), place.key);
    const bool loopback_is_lost = key.family() == Family::kIpv4 && key.any_address() && !record_.snat;
    if (loopback_is_lost) put("ports_unmasked", place.key);
    add_masquerading(redirection);
  }

  std::vector<PortElement> out;

 private:
  void add_masquerading(const Redirection& redirection) {
    const PortTarget& target = redirection.target;
    const Family family = redirection.key.family();
    const Bytes addr = netlink::field_of(target.address);
    const Bytes proto = netlink::proto_field(static_cast<std::uint8_t>(redirection.key.protocol));
    const Bytes port = netlink::service_field(target.port);
    if (!record_.snat) return;
    if (record_.masq_all) return put(named("ports_masq_all", family), netlink::concat({addr, proto, port}));
    if (family == Family::kIpv4) put("ports_loopback", netlink::concat({addr, proto, port}));
    put(named("ports_hairpin", family), netlink::concat({addr, addr, proto, port}));
    if (const std::string& bridge = record_.bridge(family); !bridge.empty())
      put(named("ports_same_link", family), netlink::concat({netlink::ifname_field(bridge), addr, proto, port}));
  }

  // Two hostPorts may lead to one port of the pod, which is then to be said once.
  void put(std::string set, Bytes key) {
    PortElement one{.set = std::move(set), .element = {.key = std::move(key), .data = {}, .comment = owner_}};
    if (!seen_.emplace(one.set, one.element.key).second) return;
    out.push_back(std::move(one));
  }

  const PortRecord& record_;
  std::string owner_;
  std::set<std::pair<std::string, Bytes>> seen_;
};

}  // namespace

PortPlace place_of(const PortKey& key) {
  const Bytes proto = netlink::proto_field(static_cast<std::uint8_t>(key.protocol));
  const Bytes port = netlink::service_field(key.port);
  if (key.any_address()) return {.set = named("ports", key.family()), .key = netlink::concat({proto, port})};
  return {.set = named("ports_addr", key.family()),
          .key = netlink::concat({netlink::field_of(key.address), proto, port})};
}

std::optional<PortTarget> target_in(const netlink::NftElement& element) {
  for (const netlink::Field addr : {netlink::Field::kIpv4Addr, netlink::Field::kIpv6Addr}) {
    const auto fields = netlink::split(element.data, {addr, netlink::Field::kInetService});
    if (!fields) continue;
    const std::optional<conf::IpAddr> address = netlink::addr_in(fields->front());
    const std::optional<std::uint16_t> port = netlink::service_in(fields->back());
    if (address && port) return PortTarget{.address = *address, .port = *port};
  }
  return std::nullopt;
}

std::vector<PortElement> port_elements(const PortRecord& record) {
  Collector collector(record);
  for (const Redirection& one : record.redirections) collector.add(one);
  return std::move(collector.out);
}

netlink::NftElement localnet_element(std::string_view link, const std::string& owner) {
  return {.key = netlink::ifname_field(link), .data = {}, .comment = owner};
}

}  // namespace plugin
