// SPDX-License-Identifier: Apache-2.0
#include "plugin/libcni_cache.h"

#include <fmt/format.h>

#include "conf/base64.h"
#include "conf/json.h"

namespace plugin {
namespace {

std::string args_json(std::string_view args) {
  std::string out;
  while (!args.empty()) {
    const std::size_t end = std::min(args.find(';'), args.size());
    const std::string_view pair = args.substr(0, end);
    args.remove_prefix(std::min(end + 1, args.size()));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    out += fmt::format("{}[{},{}]", out.empty() ? "" : ",", conf::quote(pair.substr(0, equals)),
                       conf::quote(pair.substr(equals + 1)));
  }
  return '[' + out + ']';
}

}  // namespace

std::string libcni_cache_name(std::string_view network, const conf::AttachmentId& id) {
  return fmt::format("{}-{}-{}", network, id.container_id, id.ifname);
}

std::string libcni_cache_text(const Attachment& attachment) {
  conf::Object out;
  out.set("kind", conf::quote("cniCacheV1"));
  out.set("containerId", conf::quote(attachment.id.container_id));
  out.set("config", conf::quote(conf::to_base64(attachment.list.text())));
  out.set("ifName", conf::quote(attachment.id.ifname));
  out.set("networkName", conf::quote(attachment.list.name));
  if (!attachment.netns.empty()) out.set("netns", conf::quote(attachment.netns));
  if (!attachment.args.empty()) out.set("cniArgs", args_json(attachment.args));
  if (!attachment.runtime_config.empty()) out.set("capabilityArgs", attachment.runtime_config.text());
  if (attachment.result) out.set("result", *attachment.result);
  return out.text();
}

}  // namespace plugin
