// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "ipam/host_local.h"
#include "plugin/commands.h"
#include "plugin/delegate.h"
#include "plugin/habits.h"
#include "plugin/node.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::Code;

// The kubelet asks every few seconds and a hanging answer makes the node NotReady (containerd#11186), so all of STATUS
// stays below 200 ms: 100 for the agent, 80 for the plugins.
constexpr conf::Millis kAgentShare{100};
constexpr conf::Millis kPluginsShare{80};

CniError not_available(const std::string& details) {
  return {Code::kNotAvailable, "network is not available", details};
}

void require_addresses(System& system, const conf::NetworkList& list) {
  for (const conf::PluginConf& plugin : list.plugins) {
    const std::string* section = plugin.conf.find("ipam");
    if (section == nullptr || conf::kind_of(*section) != "object") continue;
    const conf::Object ipam = conf::Object::parse(*section, "ipam");
    if (conf::string_member(ipam, "type", "ipam") != "host-local") continue;
    for (const ipam::HostLocalUse& use : ipam::host_local_use(system.disk, ipam, ipam::host_local_dir(ipam, list.name)))
      if (use.capacity > 0 && use.used >= use.capacity)
        throw not_available(fmt::format("{}: all {} addresses of a range are taken", list.name, use.capacity));
  }
}

// flannel's own STATUS always succeeds, while its ADD fails from a reboot until flanneld has started.
void require_subnet(System& system, const conf::NetworkList& list) {
  const std::optional<std::string> file = flannel_subnet_file(list, system.places);
  if (file && !system.disk.info(*file))
    throw not_available(fmt::format("{}: {} is missing; {}", list.name, *file, cure_for(kFlannel, "subnet.env")));
}

void require_binaries(System& system, const conf::NetworkList& list, const Call& call) {
  Delegates delegates(system);
  for (const conf::PluginConf& plugin : list.plugins) {
    try {
      (void)delegates.find(plugin.type, call);  // only whether it is there
    } catch (const CniError& error) {
      throw not_available(error.what());
    }
  }
}

}  // namespace

std::string status(System& system, const conf::Request& request, const conf::NetConf& netconf) {
  const conf::Settings& settings = netconf.settings;
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kIfItMatters,
                                 std::min(settings.agent_timeout, kAgentShare));
  // A node on hold refuses new pods on purpose: it must stay Ready.
  if (node_state(node.facts).state == State::kHold) return {};
  const Choice choice = decide(node.facts, {}, settings);
  if (!choice.network) throw not_available(choice.reason);
  const conf::NetworkList& list = node.found(*choice.network)->list;
  Call call;
  call.path = request.path;
  call.deadline = std::min(settings.delegate_timeout, kPluginsShare / static_cast<int>(list.plugins.size()));
  if (!call.path.empty()) require_binaries(system, list, call);
  require_addresses(system, list);
  require_subnet(system, list);
  std::vector<std::string> late;  // a slow answer is no bad one: the node does not flap for it
  Delegates(system).status(list, call, late);
  return {};
}

}  // namespace plugin
