// SPDX-License-Identifier: Apache-2.0
#include "plugin/dispatch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <variant>

#include "conf/error.h"
#include "conf/json.h"
#include "conf/netconf.h"
#include "conf/version.h"
#include "ipam/commands.h"
#include "ipam/config.h"
#include "plugin/commands.h"
#include "plugin/events.h"
#include "plugin/http.h"
#include "plugin/lock.h"
#include "plugin/portmap.h"

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

bool carries(System& system, const std::string& netns, const std::string& ifname,
             const std::vector<conf::IpPrefix>& addresses) {
  const std::vector<conf::IpPrefix> there = system.pods.addresses(netns, ifname);
  return std::any_of(there.begin(), there.end(), [&](const conf::IpPrefix& one) {
    return std::any_of(addresses.begin(), addresses.end(),
                       [&](const conf::IpPrefix& leased) { return leased.addr == one.addr; });
  });
}

/// Asks Cilium's agent; from the first question on there are 500 ms for all of them.
class Questions {
 public:
  explicit Questions(System& system) : system_(system) {}

  ipam::AgentSaid ask(std::string_view target) {
    const std::uint64_t now = system_.clock.boot_ns();
    if (until_ns_ == 0) until_ns_ = now + kAgentNs;
    if (now >= until_ns_) return {.body = {}, .problem = "no time is left to ask Cilium's agent"};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(until_ns_ - now));
    const auto said = http_get(system_.places.cilium_socket, target, left, ipam::kMaxAgentBytes);
    if (const auto* problem = std::get_if<std::string>(&said)) return {.body = {}, .problem = *problem};
    const auto& answer = std::get<HttpAnswer>(said);
    if (answer.status == 200) return {.body = answer.body, .problem = {}};
    return {.body = {}, .problem = fmt::format("GET {}: HTTP status {}", target, answer.status)};
  }

 private:
  static constexpr std::uint64_t kAgentNs = 500'000'000;
  System& system_;
  std::uint64_t until_ns_ = 0;
};

// On stderr, and for an ADD as an event; a STATUS comes every few seconds, and would drown the others.
void warn(System& system, const conf::Request& request, std::string_view stdin_text, const std::string& text) {
  (void)std::fprintf(stderr, "%s: %s\n", std::string(role_name(Role::kIpam)).c_str(), text.c_str());
  if (request.verb != conf::Verb::kAdd) return;
  try {
    conf::Settings settings;
    settings.state_dir = ipam::state_dir_of(stdin_text);
    const Locks locks = Locks::open(settings.state_dir, system.boot_id);
    Event event;
    event.verb = conf::verb_name(request.verb);
    event.id = request.id;
    event.reason = "crossover-ipam";
    event.notes = {text};
    event.ms = static_cast<double>(system.clock.boot_ns() - system.started_ns) / 1e6;
    Events(system, settings, locks).write(event);
  } catch (const conf::CniError&) {
    // it is on stderr, and no reason to refuse the pod
  }
}

std::string run_ipam(System& system, const conf::Request& request, std::string_view stdin_text) {
  Questions questions(system);
  const ipam::Host host{
      .disk = system.disk,
      .boot_id = system.boot_id,
      .now_ms = system.clock.unix_ms(),
      .netns_inode = [&system](const std::string& path) { return netns_inode(system, path); },
      .carries =
          [&system](const std::string& netns, const std::string& ifname, const std::vector<conf::IpPrefix>& addresses) {
            return carries(system, netns, ifname, addresses);
          },
      .ask_agent = [&](std::string_view target) { return questions.ask(target); },
      .warn = [&](const std::string& text) { warn(system, request, stdin_text, text); },
      .sleep = [&system](std::chrono::milliseconds time) { system.clock.sleep(time); }};
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
  if (role == Role::kPortmap) return run_portmap(system, request, stdin_text);
  for (const Entry& entry : kTable)
    if (entry.role == role && entry.verb == request.verb)
      return entry.command(system, request, conf::parse_netconf(stdin_text, request.verb));
  throw conf::CniError(conf::Code::kInvalidEnvironment, "this release has no such plugin",
                       fmt::format("{} is not part of it", role_name(role)));
}

}  // namespace plugin
