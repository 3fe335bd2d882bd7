// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "conf/error.h"
#include "plugin/coexistence_add.h"
#include "plugin/commands.h"
#include "plugin/delegate.h"
#include "plugin/pod_ports.h"
#include "plugin/session.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::Code;

Attachment ready_attachment(Session& session, const conf::AttachmentId& id) {
  Found found = session.journal.find(id);
  const std::string name = fmt::format("{} {}", id.container_id, id.ifname);
  if (!found.attachment) throw CniError(Code::kUnknownContainer, "unknown attachment", name + " has no record");
  if (found.attachment->pending())
    throw CniError(Code::kTryAgainLater, "attachment is incomplete", name + ": its ADD did not finish");
  return std::move(*found.attachment);
}

void check_interface(System& system, const Attachment& attachment, const conf::Request& request) {
  const std::optional<PodNetns> pod = system.pods.look(request.netns, request.id.ifname);
  if (!pod) throw CniError(Code::kInvalidNetns, "no such network namespace", request.netns + " does not exist");
  if (!pod->id.same_as(attachment.netns_id))
    throw CniError(
        Code::kInvalidNetns, "another network namespace",
        fmt::format("{} is not the one of the ADD, which had inode {}", request.netns, attachment.netns_id.inode));
  if (!pod->has_link)
    throw CniError(Code::kUnknownContainer, "interface is missing",
                   fmt::format("{} is gone from {}", request.id.ifname, request.netns));
}

}  // namespace

std::string check(System& system, const conf::Request& request, const conf::NetConf& netconf) {
  if (!netconf.prev_result)
    throw CniError(Code::kInvalidConfig, "required key missing", "CHECK needs `prevResult`, the result of the ADD");
  Session session(system, netconf.settings);
  const Session::Held held = session.hold(request.id);
  const Attachment attachment = ready_attachment(session, request.id);
  check_interface(system, attachment, request);
  Call call;
  call.id = attachment.id;
  call.netns = request.netns;
  call.args = attachment.args;
  call.path = request.path;
  call.fallback_path = attachment.path;
  call.runtime_config = attachment.runtime_config;
  call.prev_result = attachment.result;
  call.deadline = netconf.settings.delegate_timeout;
  call.keep_fd = session.locks.fd();
  Delegates(system).check(attachment.list, call);
  check_ports(system, netconf.settings.state_dir, attachment);
  const conf::Settings& settings = netconf.settings;
  check_coexistence(session,
                    look_at_node(system, settings, Copies::kRead, AskAgent::kIfItMatters, settings.agent_timeout),
                    attachment, request.netns);
  return {};
}

}  // namespace plugin
