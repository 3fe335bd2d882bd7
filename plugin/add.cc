// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "conf/error.h"
#include "conf/result.h"
#include "conf/version.h"
#include "plugin/coexistence_add.h"
#include "plugin/commands.h"
#include "plugin/delegate.h"
#include "plugin/detach.h"
#include "plugin/gc.h"
#include "plugin/host_ports.h"
#include "plugin/node.h"
#include "plugin/pod_ports.h"
#include "plugin/portmap.h"
#include "plugin/session.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::Code;

/// One ADD: the steps of `run`, in order.
class Adding {
 public:
  Adding(System& system, const conf::Request& request, const conf::NetConf& netconf)
      : system_(system), request_(request), netconf_(netconf), session_(system, netconf.settings) {
    event_.verb = "ADD";
    event_.id = request.id;
  }

  std::string run() {
    try {
      std::string out = attach();
      finish(std::nullopt);
      return out;
    } catch (const CniError& error) {
      finish(error);
      throw;
    }
  }

 private:
  std::string attach() {
    const Session::Held held = session_.hold(request_.id);
    stop_if_overtaken();
    require_first();
    require_path();
    finish_interrupted();
    const PodNetns pod = look_at_pod();
    const Attachment attachment = decided(pod);
    require_plugins(attachment);
    // Of the node, not of the pod: nothing has to be undone if the pod fails later.
    coexisting_.emplace(session_, *node_);
    coexisting_->prepare_node(event_.notes);
    if (!session_.journal.begin(attachment)) throw exists("it already has a record");
    try {
      return run_delegates(attachment);
    } catch (const CniError& error) {
      undo(attachment);
      throw;
    }
  }

  void stop_if_overtaken() const {
    if (session_.locks.deleted_since(request_.id, system_.started_ns))
      throw CniError(Code::kOvertaken, "overtaken by a DEL", "the pod was deleted while it was being attached");
  }

  // The lists we run make the pod's interface themselves; an earlier plugin's result would be lost.
  void require_first() const {
    if (netconf_.prev_result)
      throw CniError(Code::kInvalidConfig, "invalid configuration",
                     "`prevResult` is there: crossover must be the first plugin of its list");
  }

  // Both before anything is on record: what could not be run could not be undone either.
  void require_plugins(const Attachment& attachment) {
    Call call;
    call.path = attachment.path;
    for (const conf::PluginConf& plugin : attachment.list.plugins)
      (void)delegates_.find(plugin.type, call);  // throws for one that is missing
  }

  void require_path() const {
    if (!conf::plugin_dirs(request_.path).empty()) return;
    throw CniError(Code::kInvalidEnvironment, "required environment variables missing",
                   "CNI_PATH, needed to run the plugins of a list");
  }

  CniError exists(std::string_view why) const {
    return {Code::kAttachmentExists, "attachment exists",
            fmt::format("{} {}: {}; a DEL must come first", request_.id.container_id, request_.id.ifname, why)};
  }

  // The lock is ours, so a record without a result belongs to an ADD that died. A file without a whole intent is the
  // trace of one that died before it had done anything. A record of a namespace that is gone is of an earlier life of
  // the container: podman starts it again after a reboot without ever having sent the DEL.
  void finish_interrupted() {
    const Found found = session_.journal.find(request_.id);
    if (found.torn) session_.journal.forget(request_.id);
    if (!found.attachment) return;
    const bool interrupted = found.attachment->pending();
    if (!interrupted && !is_orphan(system_, *found.attachment))
      throw exists(fmt::format("it joined {} already", network_name(found.attachment->network)));
    event_.notes.push_back(interrupted ? "undid an earlier ADD that was interrupted"
                                       : "finished an earlier ADD, whose namespace is gone and whose DEL never came");
    detach(session_, *found.attachment, {.netns = request_.netns, .path = request_.path}, event_);
  }

  PodNetns look_at_pod() {
    const std::optional<PodNetns> pod = system_.pods.look(request_.netns, request_.id.ifname);
    if (!pod) throw CniError(Code::kInvalidNetns, "no such network namespace", request_.netns + " does not exist");
    if (pod->is_ours && !request_.netns_override)
      throw CniError(Code::kInvalidNetns, "the host's own network namespace",
                     request_.netns + " is the one this plugin runs in; CNI_NETNS_OVERRIDE=1 allows it");
    if (pod->has_link) throw exists("the interface is already in " + request_.netns);
    return *pod;
  }

  PodFacts pod_facts() {
    const conf::CniArgs args = conf::CniArgs::parse(request_.args);
    event_.pod_namespace = args.get("K8S_POD_NAMESPACE");
    event_.pod_name = args.get("K8S_POD_NAME");
    uid_ = args.get("K8S_POD_UID");
    return {.pod_namespace = event_.pod_namespace,
            .uid = uid_,
            .override_to = conf::pod_annotation(netconf_.runtime_config, kOverrideAnnotation)};
  }

  Attachment decided(const PodNetns& pod) {
    const conf::Settings& settings = netconf_.settings;
    const PodFacts facts = pod_facts();
    node_ = look_at_node(system_, settings, Copies::kReadAndWrite, AskAgent::kIfItMatters, settings.agent_timeout);
    const Node& node = *node_;
    event_.notes.insert(event_.notes.end(), node.lists.warnings.begin(), node.lists.warnings.end());
    const Choice choice = decide(node.facts, facts, settings);
    event_.reason = choice.reason;
    event_.network = choice.network;
    if (!choice.network) throw CniError(choice.code, "no network for new pods", choice.reason);
    const conf::NetworkList& list = node.found(*choice.network)->list;
    refuse_second_interface(list);
    mapper_ = mapper_for(node, list);
    if (mapper_ == PortMapper::kCrossover && asks_for_ports(netconf_.runtime_config)) ports_ = ports_asked_for();
    return intent(pod, choice, list);
  }

  // Who maps the pod's ports, if it has any. The agent is asked only if it has not been, and if that can matter.
  PortMapper mapper_for(const Node& node, const conf::NetworkList& list) {
    const conf::Settings& settings = netconf_.settings;
    bool network_maps = !asks_for_ports(netconf_.runtime_config);  // then there is nothing to ask
    if (!network_maps && list.runs(kCiliumCni) && !node.socket.empty() && network_matters(settings.host_ports, list)) {
      const AgentHealth& known = node.facts.agent;
      network_maps = (known.answered ? known : system_.agent.health(node.socket, settings.agent_timeout))
                         .host_ports.value_or(false);
    }
    return port_mapper(settings.host_ports, list, network_maps);
  }

  // cilium-cni's DEL goes by container id alone: the DEL of one interface would destroy the other's endpoint.
  void refuse_second_interface(const conf::NetworkList& list) {
    if (!list.runs(kCiliumCni)) return;
    for (const Attachment& sibling : session_.journal.siblings(request_.id))
      if (sibling.list.runs(kCiliumCni))
        throw CniError(Code::kAttachmentExists, "cilium takes one interface of a container",
                       fmt::format("{} is attached as {} already", request_.id.container_id, sibling.id.ifname));
  }

  Attachment intent(const PodNetns& pod, const Choice& choice, const conf::NetworkList& list) {
    Attachment out;
    out.id = request_.id;
    out.network = *choice.network;
    out.reason = choice.reason;
    out.netns = request_.netns;
    out.netns_id = pod.id;
    out.boot_id = system_.boot_id;
    out.started_ms = system_.clock.unix_ms();
    out.pod_namespace = event_.pod_namespace;
    out.pod_name = event_.pod_name;
    out.pod_uid = uid_;
    out.args = request_.args;
    out.path = request_.path;
    out.list = list;
    if (ports_) out.host_ports = *netconf_.runtime_config.find("portMappings");
    out.runtime_config = offers_for(list, mapper_, netconf_.runtime_config, event_.notes);
    return out;
  }

  std::string run_delegates(const Attachment& attachment) {
    Call call;
    call.id = attachment.id;
    call.netns = attachment.netns;
    call.args = attachment.args;
    call.path = attachment.path;
    call.runtime_config = attachment.runtime_config;
    call.deadline = netconf_.settings.delegate_timeout;
    call.keep_fd = session_.locks.fd();
    if (mapper_ == PortMapper::kDelegate && asks_for_ports(netconf_.runtime_config)) make_way_for(attachment.id);
    const std::string result = delegates_.add(attachment.list, call, [this] { stop_if_overtaken(); });
    if (ports_) open_ports(attachment, result);
    std::string answer = answered(result, attachment.list.version());
    const std::vector<PodRoute> pod_routes = coexisting_->prepare_pod(attachment, result, event_.notes);
    stop_if_overtaken();
    session_.journal.complete(attachment.id, result, system_.clock.unix_ms(), pod_routes);
    return answer;
  }

  PortConfig ports_asked_for() const {
    return pod_ports(netconf_.name, netconf_.settings.state_dir, *netconf_.runtime_config.find("portMappings"));
  }

  // What a plugin of the list makes of its mappings is its own affair: those that we would refuse are none of ours.
  void make_way_for(const conf::AttachmentId& id) {
    std::optional<PortConfig> config;
    try {
      config = ports_asked_for();
    } catch (const CniError&) {
      return;
    }
    make_way(system_, *config, id);
  }

  void open_ports(const Attachment& attachment, const std::string& result) {
    map_ports(system_, *ports_,
              {.owner = attachment.id,
               .netns = attachment.netns,
               .args = attachment.args,
               .pod = pod_addresses(result, attachment.list.version(), attachment.id.ifname)});
    event_.notes.push_back(fmt::format("mapped {} hostPorts", ports_->mappings.size()));
  }

  std::string answered(const std::string& result, const std::string& list_version) const {
    const std::string version = conf::result_version(result, list_version);
    const std::string answer = conf::convert_result(result, version, netconf_.cni_version);
    return conf::at_least(netconf_.cni_version, "0.3.0") ? conf::with_safe_indexes(answer) : answer;
  }

  // The specification wants a failed ADD undone over the whole list, plugins that were never reached included. What
  // cannot be undone now stays on record for the DEL that the runtime sends next.
  void undo(const Attachment& attachment) {
    try {
      detach(session_, attachment, {.netns = request_.netns, .path = request_.path}, event_);
    } catch (const CniError& error) {
      event_.notes.push_back(fmt::format("could not be undone, the next DEL will: {}", error.what()));
    }
  }

  void finish(const std::optional<CniError>& error) {
    event_.error = error;
    event_.steps.insert(event_.steps.begin(), delegates_.steps().begin(), delegates_.steps().end());
    event_.ms = elapsed_ms(system_);
    session_.events.write(event_);
  }

  System& system_;
  const conf::Request& request_;
  const conf::NetConf& netconf_;
  Session session_;
  Delegates delegates_{system_};
  Event event_;
  std::string uid_;
  std::optional<Node> node_;  ///< as the decision saw it
  std::optional<Coexisting> coexisting_;
  PortMapper mapper_ = PortMapper::kNone;
  std::optional<PortConfig> ports_;  ///< the pod's hostPorts, if Crossover maps them
};

}  // namespace

std::string add(System& system, const conf::Request& request, const conf::NetConf& netconf) {
  return Adding(system, request, netconf).run();
}

}  // namespace plugin
