// SPDX-License-Identifier: Apache-2.0
#include "tests/plugin/story.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <string_view>

#include "conf/attachment_name.h"
#include "conf/error.h"

namespace story {
namespace {

using conf::CniError;
using fakes::Harm;

std::string names_in(const Snapshot& snapshot) {
  std::string out;
  for (const auto& [name, content] : snapshot) out += '\n' + name;
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0;
  unsigned have = 0;
  for (const char c : bytes) {
    bits = (bits << 8U) | static_cast<unsigned char>(c);
    for (have += 8; have >= 6; have -= 6) out.push_back(kDigits[(bits >> (have - 6)) & 63U]);
  }
  if (have > 0) out.push_back(kDigits[(bits << (6 - have)) & 63U]);
  while (out.size() % 4 != 0) out.push_back('=');
  return out;
}

// The first ADD is undone, or it had finished and the second one is refused.
void add_again(Machine& machine) {
  try {
    add(machine);
  } catch (const CniError& error) {
    CHECK(error.code() == static_cast<unsigned>(conf::Code::kAttachmentExists));
  }
  const std::optional<plugin::Attachment> record = record_in(machine.snapshot());
  REQUIRE(record);
  CHECK(!record->pending());
  del_twice(machine);
}

/// How a call is broken: at a step, or at a look.
struct Break {
  const char* name;
  Harm harm;
  bool at_look;
};

constexpr std::array<Break, 3> kSteps = {{{"failing at", Harm::kFail, false},
                                          {"failing after", Harm::kFailAfter, false},
                                          {"killed at", Harm::kKill, false}}};
constexpr Break kLook = {"failing to look at", Harm::kNone, true};

// One run of the story. False if the call went through without being hit.
bool run_once(const Story& story, const Break& how, std::size_t at, const WayOut& way_out) {
  Machine machine;
  story.set_up(machine);
  const Snapshot before = machine.snapshot();
  story.prepare(machine);
  machine.fate.begin(how.harm, how.at_look ? 0 : at);
  if (how.at_look) machine.fate.fail_look(at);
  const End end = ended(machine, story.act);
  const bool hit = machine.fate.hit();
  const auto& names = how.at_look ? machine.fate.look_names() : machine.fate.names();
  const std::string told = story.name + ", " + how.name + " step " + std::to_string(at) + ": " +
                           (hit ? names.at(at - 1) : "none") + "; then " + way_out.name;
  INFO(told);
  CHECK((end == End::kDeath) == (hit && how.harm == Harm::kKill));
  machine.fate.begin();
  if (end == End::kSuccess) story.promised(machine);
  if (end == End::kError && how.harm != Harm::kFailAfter && story.undoes_itself) check_same(machine.snapshot(), before);
  story.repair(machine);
  way_out.act(machine);
  check_same(machine.snapshot(), before);
  return hit;
}

// A lease that cannot be read is nobody's, by contract: an unreadable one of another pod must not hold this one up.
bool may_hide(const std::string& look) { return look.find("/leases/") != std::string::npos; }

// What the unbroken call looks at.
std::vector<std::string> looks_of(const Story& story) {
  Machine machine;
  story.set_up(machine);
  story.prepare(machine);
  machine.fate.begin();
  (void)ended(machine, story.act);
  return machine.fate.look_names();
}

struct Tally {
  std::size_t steps = 0;
  std::size_t looks = 0;
  std::size_t runs = 0;
};

void break_steps(const Story& story, const Break& how, Tally& tally) {
  for (const WayOut& way_out : story.ways_out) {
    std::size_t at = 1;
    while (run_once(story, how, at, way_out)) ++at;
    tally.runs += at;
    tally.steps = at - 1;
  }
}

// A look that fails changes nothing that the ways out could see: one of them will do.
void break_looks(const Story& story, Tally& tally) {
  const std::vector<std::string> looks = looks_of(story);
  for (std::size_t at = 1; at <= looks.size(); ++at) {
    if (may_hide(looks[at - 1])) continue;
    CHECK(run_once(story, kLook, at, story.ways_out.front()));
    ++tally.runs;
    ++tally.looks;
  }
}

}  // namespace

End ended(Machine& machine, const Act& act) {
  try {
    act(machine);
    return End::kSuccess;
  } catch (const CniError&) {
    return End::kError;
  } catch (const fakes::Killed&) {
    return End::kDeath;
  }
}

void check_story(const Story& story) {
  Tally tally;
  for (const Break& how : kSteps) break_steps(story, how, tally);
  break_looks(story, tally);
  (void)std::printf("crash: %s: %zu steps, %zu looks, %zu runs\n", story.name.c_str(), tally.steps, tally.looks,
                    tally.runs);
  CHECK(tally.steps >= story.least_steps);
}

std::string host_local(const Machine& machine) {
  return R"("ipam":{"type":"host-local","dataDir":")" + machine.lease_dir() + R"(","subnet":"10.244.1.0/24"})";
}

std::string legacy_list(const Machine& machine, const std::string& version) {
  return R"({"cniVersion":")" + version + R"(","name":"cbr0","plugins":[{"type":"bridge",)" + host_local(machine) +
         R"(},{"type":"portmap","capabilities":{"portMappings":true}},{"type":"bandwidth"}]})";
}

void legacy_node(Machine& machine) {
  machine.legacy(legacy_list(machine, "1.0.0"));
  (void)machine.namespaces.add(kPod);
}

void cilium_node(Machine& machine) {
  legacy_node(machine);
  machine.cilium(R"({"cniVersion":"0.3.1","name":"cilium","plugins":[{"type":"cilium-cni"},{"type":"portmap"}]})");
  machine.agent.be_healthy();
  machine.node_state("cilium");
}

void add(Machine& machine) { (void)machine.add(kId, kPod); }
void del(Machine& machine) { (void)machine.del(kId, kPod); }
void nothing(Machine& /*machine*/) {}

void failing_del(Machine& machine) { CHECK_THROWS_AS((void)machine.del(kId, kPod), CniError); }

// A pod that is older than Crossover: the plugins have it, and no record names it.
void attach_without_us(Machine& machine) {
  const std::string own = machine.settings.state_dir;
  machine.settings.state_dir = machine.dir() + "/elsewhere";
  add(machine);
  machine.settings.state_dir = own;
}

// As libcni writes it (libcni/api.go cachedInfo).
void write_libcni_cache(Machine& machine) {
  machine.write(machine.cache_dir() + "/cbr0-" + kId + "-eth0",
                R"({"kind":"cniCacheV1","containerId":")" + kId + R"(","config":")" +
                    base64(legacy_list(machine, "1.0.0")) + R"(","ifName":"eth0","networkName":"cbr0","netns":")" +
                    kPod + R"(","cniArgs":[["IgnoreUnknown","1"]],"result":{"cniVersion":"1.0.0"}})");
}

void del_twice(Machine& machine) {
  CHECK_NOTHROW(del(machine));
  const Snapshot once = machine.snapshot();
  CHECK_NOTHROW(del(machine));
  check_same(machine.snapshot(), once);
}

void collect(Machine& machine) { CHECK_NOTHROW((void)machine.gc({})); }

void command_without_netns(Machine& machine) {
  machine.namespaces.remove(kPod);
  CHECK(machine.gc_command().status == 0);
}

std::vector<WayOut> after_del() {
  return {{"a DEL", del_twice}, {"a GC", collect}, {"crossover gc, the namespace being gone", command_without_netns}};
}

std::vector<WayOut> after_add() {
  std::vector<WayOut> ways = after_del();
  ways.push_back({"another ADD", add_again});
  return ways;
}

// What a good ADD on such a node leaves.
Act is_complete(const Act& set_up) {
  Machine good;
  set_up(good);
  add(good);
  return [expected = names_in(good.snapshot())](Machine& machine) {
    const Snapshot now = machine.snapshot();
    CHECK(names_in(now) == expected);
    const std::optional<plugin::Attachment> record = record_in(now);
    REQUIRE(record);
    CHECK(!record->pending());
  };
}

Act is_clean(const Act& set_up) {
  return [set_up](Machine& machine) {
    Machine clean;
    set_up(clean);
    CHECK(names_in(machine.snapshot()) == names_in(clean.snapshot()));
  };
}

void check_same(const Snapshot& now, const Snapshot& before) {
  CHECK(names_in(now) == names_in(before));
  CHECK(now == before);
}

std::optional<plugin::Attachment> record_in(const Snapshot& snapshot) {
  const std::string name = conf::attachment_name({.container_id = kId, .ifname = "eth0"});
  const auto file = snapshot.find("state/attachments/" + name);
  if (file == snapshot.end()) return std::nullopt;
  return plugin::parse_record(file->second, file->first);
}

}  // namespace story
