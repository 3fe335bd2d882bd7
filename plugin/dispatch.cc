// SPDX-License-Identifier: Apache-2.0
#include "plugin/dispatch.h"

#include <fmt/format.h>

#include <array>

#include "conf/error.h"
#include "conf/json.h"
#include "conf/netconf.h"
#include "conf/version.h"
#include "ipam/commands.h"
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

// The owner's namespace goes into its lease for people who look for it: no reason to refuse the ADD.
std::uint64_t netns_inode(System& system, const std::string& path) {
  try {
    const std::optional<PodNetns> found = system.pods.look(path, "lo");
    return found ? found->id.inode : 0;
  } catch (const conf::CniError&) {
    return 0;
  }
}

std::string run_ipam(System& system, const conf::Request& request, std::string_view stdin_text) {
  const ipam::Host host{.disk = system.disk,
                        .boot_id = system.boot_id,
                        .now_ms = system.clock.unix_ms(),
                        .netns_inode = [&system](const std::string& path) { return netns_inode(system, path); }};
  return ipam::run(host, request, stdin_text);
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
  if (role == Role::kIpam) return run_ipam(system, request, stdin_text);
  for (const Entry& entry : kTable)
    if (entry.role == role && entry.verb == request.verb)
      return entry.command(system, request, conf::parse_netconf(stdin_text, request.verb));
  throw conf::CniError(conf::Code::kInvalidEnvironment, "this release has no such plugin",
                       fmt::format("{} is not part of it", role_name(role)));
}

}  // namespace plugin
