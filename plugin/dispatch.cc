// SPDX-License-Identifier: Apache-2.0
#include "plugin/dispatch.h"

#include <fmt/format.h>

#include <array>

#include "conf/error.h"
#include "conf/json.h"
#include "conf/netconf.h"
#include "conf/version.h"
#include "plugin/commands.h"

namespace plugin {
namespace {

using Command = std::string (*)(System&, const conf::Request&, const conf::NetConf&);

struct Entry {
  Role role;
  conf::Verb verb;
  Command command;
};

constexpr std::array<Entry, 5> kTable = {{{Role::kMeta, conf::Verb::kAdd, add},
                                          {Role::kMeta, conf::Verb::kDel, del},
                                          {Role::kMeta, conf::Verb::kCheck, check},
                                          {Role::kMeta, conf::Verb::kStatus, status},
                                          {Role::kMeta, conf::Verb::kGc, gc}}};

// VERSION works with any stdin, or none.
std::string version(std::string_view stdin_text) {
  try {
    const conf::Object config = conf::Object::parse(stdin_text, "stdin");
    return conf::version_json(conf::string_member(config, "cniVersion", "stdin").value_or(""));
  } catch (const conf::CniError&) {
    return conf::version_json("");
  }
}

}  // namespace

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kMeta:
      return "crossover";
    case Role::kIpam:
      return "crossover-ipam";
    case Role::kPortmap:
      return "crossover-portmap";
  }
  return "crossover";
}

std::string dispatch(System& system, Role role, const conf::Request& request, std::string_view stdin_text) {
  if (request.verb == conf::Verb::kVersion) return version(stdin_text);
  for (const Entry& entry : kTable)
    if (entry.role == role && entry.verb == request.verb)
      return entry.command(system, request, conf::parse_netconf(stdin_text, request.verb));
  throw conf::CniError(conf::Code::kInvalidEnvironment, "this release has no such plugin",
                       fmt::format("{} is not part of it", role_name(role)));
}

}  // namespace plugin
