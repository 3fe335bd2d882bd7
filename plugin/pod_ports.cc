// SPDX-License-Identifier: Apache-2.0
#include "plugin/pod_ports.h"

#include <fmt/format.h>

#include "conf/error.h"
#include "conf/json.h"
#include "plugin/port_switch.h"
#include "plugin/portmap.h"

namespace plugin {
namespace {

void free_key(System& system, PortSwitch& ports, const PortKey& key, const conf::AttachmentId& newcomer) {
  const PortPlace place = place_of(key);
  const std::optional<netlink::NftElement> there = system.firewall.element(crossover_table(), place.set, place.key);
  if (!there || there->comment == owner_name(newcomer)) return;
  const std::optional<PortRecord> holder = ports.records().find(there->comment);
  if (!holder) return ports.unmap_keys(there->comment, {key});
  if (ports.is_alive(*holder))
    throw conf::CniError(kPortTaken, "hostPort is taken",
                         fmt::format("{} is held by container {} {}{}", key.str(), holder->owner.container_id,
                                     holder->owner.ifname, holder->pod.empty() ? "" : " (pod " + holder->pod + ")"));
  ports.unmap(*holder);
}

}  // namespace

PortConfig pod_ports(std::string_view network, const std::string& state_dir, std::string_view mappings) {
  const std::string text =
      fmt::format(R"({{"cniVersion":"1.0.0","name":{},"stateDir":{},"runtimeConfig":{{"portMappings":{}}}}})",
                  conf::quote(network), conf::quote(state_dir), mappings);
  return parse_port_config(text, conf::Verb::kAdd);
}

void make_way(System& system, const PortConfig& config, const conf::AttachmentId& newcomer) {
  PortSwitch ports(system, config.state_dir);
  for (const PortMapping& mapping : config.mappings)
    for (const PortKey& key : possible_keys(mapping)) free_key(system, ports, key, newcomer);
}

void check_ports(System& system, const std::string& state_dir, const Attachment& attachment) {
  if (attachment.host_ports.empty()) return;
  check_mapped(system, pod_ports("crossover", state_dir, attachment.host_ports), attachment.id,
               pod_addresses(attachment.result.value_or("{}"), attachment.list.version(), attachment.id.ifname));
}

}  // namespace plugin
