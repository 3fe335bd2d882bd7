// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "conf/error.h"
#include "plugin/port_switch.h"

// 127.0.0.1 of the node reaches a pod only over a link with route_localnet. See port_switch.h for whose it is, when.
namespace plugin {

using netlink::NftBatch;
using netlink::NftElement;

std::string PortSwitch::localnet_path(const std::string& link) const {
  return fmt::format("{}/net/ipv4/conf/{}/route_localnet", system_.places.sysctl, link);
}

// Nothing if there is no such link.
std::optional<bool> PortSwitch::is_open(const std::string& link) {
  if (!conf::is_ifname(link)) return std::nullopt;
  const std::optional<std::string> text = system_.disk.read(localnet_path(link), 64);
  if (!text) return std::nullopt;
  return !text->empty() && text->front() != '0';
}

void PortSwitch::set_open(const std::string& link, bool open) {
  system_.disk.write_at(localnet_path(link), 0, open ? "1\n" : "0\n");
}

bool PortSwitch::may_open(const std::string& link) {
  const std::optional<bool> open = is_open(link);
  if (!open) return false;
  if (!*open) return true;
  const netlink::Bytes key = localnet_element(link, {}).key;
  return system_.firewall.element(crossover_table(), std::string(kLocalnetSet), key).has_value();
}

// Another attachment that needs the link open. The last by name: ids are random, so that it seldom is the next to go.
std::optional<std::string> PortSwitch::successor(const PortRecord& leaving) {
  if (!leaving.localnet_shared) return std::nullopt;
  const std::vector<std::string> names = records_.names();
  const std::string own = owner_name(leaving.owner);
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (*name == own) continue;
    const std::optional<PortRecord> other = records_.find(*name);
    if (other && other->localnet == leaving.localnet && is_alive(*other)) return *name;
  }
  return std::nullopt;
}

void PortSwitch::close_link(const PortRecord& record, NftBatch& batch) {
  const std::string& link = record.localnet;
  const std::string set(kLocalnetSet);
  const NftElement ours = localnet_element(link, owner_name(record.owner));
  const std::optional<NftElement> there = system_.firewall.element(crossover_table(), set, ours.key);
  if (!there || there->comment != ours.comment) return;
  const std::optional<std::string> heir = successor(record);
  const std::optional<bool> open = is_open(link);
  if (open && *open != heir.has_value()) set_open(link, heir.has_value());
  batch.add(netlink::DeleteElements{.table = crossover_table(), .set = set, .elements = {*there}});
  if (heir)
    batch.add(netlink::AddElements{
        .table = crossover_table(), .set = set, .elements = {localnet_element(link, *heir)}, .exclusive = true});
}

}  // namespace plugin
