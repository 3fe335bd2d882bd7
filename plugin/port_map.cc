// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "conf/section.h"
#include "plugin/port_flows.h"
#include "plugin/port_switch.h"
#include "plugin/portmap.h"

// What map_ports finds out about the node before anything is changed.
namespace plugin {
namespace {

using conf::CniError;
using conf::Code;
using conf::Family;

void require_local_host_ips(System& system, const PortConfig& config) {
  std::optional<std::set<conf::IpAddr>> local;
  for (std::size_t i = 0; i < config.mappings.size(); ++i) {
    const std::optional<conf::IpAddr>& ip = config.mappings[i].host_ip;
    if (!ip || *ip == unspecified(ip->family)) continue;
    if (!local) local = system.flows.local_addresses();
    if (!netlink::is_local(*ip, *local))
      conf::refuse_configuration(fmt::format(
          "`runtimeConfig.portMappings[{}].hostIP` is {}: no link of this node has that address", i, ip->str()));
  }
}

netlink::NetnsId netns_of(System& system, const PortRequest& request) {
  const std::optional<PodNetns> pod = system.pods.look(request.netns, request.owner.ifname);
  if (!pod) throw CniError(Code::kInvalidNetns, "no such network namespace", request.netns + " does not exist");
  return pod->id;
}

bool is_on(System& system, std::string_view key) {
  const std::optional<std::string> text = system.disk.read(fmt::format("{}/net/{}", system.places.sysctl, key), 64);
  return text && !text->empty() && text->front() != '0';
}

bool accepts_loopback(const Redirection& one) {
  return one.key.family() == Family::kIpv4 && (one.key.any_address() || is_loopback(one.key.address));
}

std::optional<netlink::HostLink> link_to(System& system, const std::optional<conf::IpAddr>& pod) {
  return pod ? system.host_links.towards(*pod) : std::nullopt;
}

// Answers between two ports of a bridge pass the node only if the bridge shows them to iptables.
std::string bridge_to_masquerade(System& system, const std::optional<netlink::HostLink>& link,
                                 std::string_view shown_by) {
  if (!link || link->kind != "bridge" || is_on(system, shown_by)) return {};
  return link->name;
}

void find_links(System& system, PortSwitch& ports, const PodAddresses& pod, PortRecord& record) {
  if (!record.snat) return;
  const std::optional<netlink::HostLink> v4 = link_to(system, pod.ipv4);
  record.bridge_v4 = bridge_to_masquerade(system, v4, "bridge/bridge-nf-call-iptables");
  record.bridge_v6 = bridge_to_masquerade(system, link_to(system, pod.ipv6), "bridge/bridge-nf-call-ip6tables");
  const auto& all = record.redirections;
  if (!v4 || !std::any_of(all.begin(), all.end(), accepts_loopback) || !ports.may_open(v4->name)) return;
  record.localnet = v4->name;
  record.localnet_shared = v4->kind != "veth";  // the host's end of a pod's own pair is nobody else's
}

}  // namespace

void map_ports(System& system, const PortConfig& config, const PortRequest& request) {
  PortRecord record;
  record.redirections = redirections(config.mappings, request.pod);
  require_local_host_ips(system, config);
  record.owner = request.owner;
  record.network = config.name;
  record.pod = conf::CniArgs::parse(request.args).pod();
  record.netns = request.netns;
  record.netns_id = netns_of(system, request);
  record.boot_id = system.boot_id;
  record.made_ms = system.clock.unix_ms();
  record.snat = config.snat;
  record.masq_all = config.masq_all;
  record.conditions_v4 = config.conditions_v4;
  record.conditions_v6 = config.conditions_v6;
  PortSwitch ports(system, config.state_dir);
  find_links(system, ports, request.pod, record);
  ports.map(record);
  try {
    flush_flows(system.flows, record, FlowsOf::kNewPod);
  } catch (const CniError&) {
    ports.unmap(record);
    throw;
  }
}

bool unmap_ports(System& system, const std::string& state_dir, const conf::AttachmentId& owner) {
  PortSwitch ports(system, state_dir);
  const std::string name = owner_name(owner);
  const std::optional<PortRecord> record = ports.records().find(name);
  if (!record) return ports.records().remove(name);  // a damaged one is of an earlier boot
  ports.unmap(*record);
  if (record->boot_id != system.boot_id) return true;
  try {
    flush_flows(system.flows, *record, FlowsOf::kGonePod);
  } catch (const CniError&) {
    // The mapping is gone; a flow that stays ends by its timeout, and is no reason to keep the pod.
  }
  return true;
}

}  // namespace plugin
