// SPDX-License-Identifier: Apache-2.0
#include "plugin/evidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "conf/base64.h"
#include "conf/error.h"
#include "ipam/host_local.h"
#include "plugin/discovery.h"
#include "plugin/habits.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::Object;

constexpr std::size_t kMaxCacheBytes = 4 * conf::kMaxConfigBytes;

// cniArgs is a list of pairs; CNI_ARGS again, in its order.
std::string joined_args(const Object& cache) {
  const std::string* raw = cache.find("cniArgs");
  if (raw == nullptr || conf::kind_of(*raw) != "array") return {};
  std::string out;
  for (const std::string& element : conf::parse_array(*raw, "cniArgs")) {
    const std::vector<std::string> pair = conf::parse_array(element, "cniArgs[]");
    if (pair.size() != 2) continue;
    out +=
        (out.empty() ? "" : ";") + conf::as_string(pair[0]).value_or("") + '=' + conf::as_string(pair[1]).value_or("");
  }
  return out;
}

// The cached configuration is what was loaded: a list, or (cnitool, old runtimes) a single plugin.
conf::NetworkList cached_list(const std::string& text, const std::string& file) {
  return Object::parse(text, file).has("plugins") ? conf::parse_list(text, file) : conf::parse_single(text, file);
}

Attachment adopted(const conf::AttachmentId& id, const conf::NetworkList& list, std::string reason) {
  Attachment out;
  out.id = id;
  out.network = list.runs(kCiliumCni) ? Network::kCilium : Network::kLegacy;
  out.reason = std::move(reason);
  out.list = list;
  return out;
}

// Only for people: a DEL must not fail for arguments it cannot read.
void name_pod(Attachment& attachment) {
  try {
    const conf::CniArgs args = conf::CniArgs::parse(attachment.args);
    attachment.pod_namespace = args.get("K8S_POD_NAMESPACE");
    attachment.pod_name = args.get("K8S_POD_NAME");
    attachment.pod_uid = args.get("K8S_POD_UID");
  } catch (const CniError&) {
    attachment.pod_name.clear();
  }
}

std::optional<Attachment> from_cache(System& system, const conf::AttachmentId& id, std::vector<std::string>& notes) {
  for (const conf::DirEntry& entry : system.disk.list(system.places.libcni_cache)) {
    if (!entry.is_regular || entry.name.find(id.container_id) == std::string::npos) continue;
    const std::string file = system.places.libcni_cache + '/' + entry.name;
    try {
      const std::optional<std::string> text = system.disk.read(file, kMaxCacheBytes);
      if (!text) continue;
      std::optional<Attachment> found = read_libcni_cache(*text, file, id);
      if (found && !is_ours(found->list, system.self)) return found;
    } catch (const CniError& error) {
      if (error.code() == static_cast<unsigned>(conf::Code::kIo)) throw;  // the next DEL may be able to read it
      notes.push_back(fmt::format("{} is of no use as evidence: {}", file, error.what()));
    }
  }
  return std::nullopt;
}

std::string host_local_evidence(System& system, const conf::NetworkList& list, const conf::AttachmentId& id) {
  for (const conf::PluginConf& plugin : list.plugins) {
    const std::string* section = plugin.conf.find("ipam");
    const Object ipam =
        section != nullptr && conf::kind_of(*section) == "object" ? Object::parse(*section, "ipam") : Object();
    for (const std::string& dir : {ipam::host_local_dir(ipam, list.name), system.places.host_local + '/' + list.name}) {
      const auto leases = ipam::host_local_leases_of(system.disk, dir, id);
      if (!leases.empty()) return leases.front().path;
    }
  }
  return {};
}

std::optional<Attachment> from_legacy_files(System& system, const Node& node, const conf::AttachmentId& id) {
  if (!node.lists.legacy) return std::nullopt;
  const conf::NetworkList& list = node.lists.legacy->list;
  const std::string lease = host_local_evidence(system, list, id);
  if (!lease.empty()) return adopted(id, list, fmt::format("no record; {} names the container", lease));
  const std::optional<std::string> flannel = flannel_container_file(list, system.places, id.container_id);
  if (flannel && system.disk.info(*flannel)) return adopted(id, list, fmt::format("no record; {} exists", *flannel));
  return std::nullopt;
}

std::optional<Attachment> from_agent(System& system, const Node& node, const conf::Settings& settings,
                                     const conf::AttachmentId& id, std::vector<std::string>& notes) {
  if (!node.lists.cilium || node.socket.empty()) return std::nullopt;
  switch (system.agent.endpoint(node.socket, id.container_id, id.ifname, settings.agent_timeout)) {
    case Endpoint::kPresent:
      return adopted(id, node.lists.cilium->list, "no record; cilium's agent has its endpoint");
    case Endpoint::kUnknown:
      notes.emplace_back("cilium's agent could not be asked about the endpoint");
      break;
    case Endpoint::kAbsent:
      break;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Attachment> read_any_libcni_cache(std::string_view text, const std::string& file) {
  const Object cache = Object::parse(text, file, kMaxCacheBytes);
  const conf::AttachmentId id = {.container_id = conf::string_member(cache, "containerId", file).value_or(""),
                                 .ifname = conf::string_member(cache, "ifName", file).value_or("")};
  const std::optional<std::string> config = conf::from_base64(conf::string_member(cache, "config", file).value_or(""));
  if (!config || id.container_id.empty()) return std::nullopt;
  Attachment out = adopted(id, cached_list(*config, file), fmt::format("no record; {} holds its ADD", file));
  out.netns = conf::string_member(cache, "netns", file).value_or("");
  out.args = joined_args(cache);
  const std::string* capabilities = cache.find("capabilityArgs");
  if (capabilities != nullptr && conf::kind_of(*capabilities) == "object")
    out.runtime_config = Object::parse(*capabilities, file);
  const std::string* result = cache.find("result");
  if (result != nullptr && conf::kind_of(*result) == "object") out.result = *result;
  out.libcni_cache = file;
  name_pod(out);
  return out;
}

std::optional<Attachment> read_libcni_cache(std::string_view text, const std::string& file,
                                            const conf::AttachmentId& id) {
  // Whose it is comes first: a stranger's configuration need not be one that we can read.
  const Object cache = Object::parse(text, file, kMaxCacheBytes);
  if (conf::string_member(cache, "containerId", file) != id.container_id) return std::nullopt;
  if (conf::string_member(cache, "ifName", file) != id.ifname) return std::nullopt;
  return read_any_libcni_cache(text, file);
}

std::optional<Attachment> find_evidence(System& system, const conf::Settings& settings, const conf::Request& request,
                                        std::vector<std::string>& notes) {
  if (auto found = from_cache(system, request.id, notes)) return found;
  const Node node = look_at_node(system, settings, Copies::kRead, AskAgent::kIfItMatters, settings.agent_timeout);
  std::optional<Attachment> found = from_legacy_files(system, node, request.id);
  if (!found) found = from_agent(system, node, settings, request.id, notes);
  if (!found) return std::nullopt;
  found->args = request.args;
  name_pod(*found);
  return found;
}

}  // namespace plugin
