// SPDX-License-Identifier: Apache-2.0

// For every step k of a call: failing at k and dying at k leave a state from which one call more comes back to the
// state before the ADD. The steps are counted, not listed: what is added to ADD or DEL later is broken here, too.

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/error.h"
#include "plugin/attachment.h"
#include "tests/fakes/machine.h"

namespace {

using conf::CniError;
using fakes::Harm;
using fakes::Machine;

const std::string kPod = "/run/netns/a";
const std::string kId = "5fc10b";
const conf::AttachmentId kAttachment{.container_id = kId, .ifname = "eth0"};

using Snapshot = std::map<std::string, std::string>;
using Act = std::function<void(Machine&)>;

/// A way back to the state before the ADD.
struct WayOut {
  const char* name;
  Act act;
};

/// A call that is to be broken at every step, and what leads to it.
struct Story {
  std::string name;
  std::size_t least_steps;  ///< as many as there are today
  Act set_up;               ///< the node, before the state that is to come back
  Act prepare;              ///< what happened to the pod before
  Act act;                  ///< the call
  Act promised;             ///< what holds if the call reported success
  Act repair;               ///< takes away what the story itself broke
  std::vector<WayOut> ways_out;
};

struct Tally {
  std::size_t steps = 0;
  std::size_t runs = 0;
};

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

std::optional<plugin::Attachment> record_in(const Snapshot& snapshot) {
  const auto file = snapshot.find("state/attachments/" + plugin::record_name(kAttachment));
  if (file == snapshot.end()) return std::nullopt;
  return plugin::parse_record(file->second, file->first);
}

std::string names_in(const Snapshot& snapshot) {
  std::string out;
  for (const auto& [name, content] : snapshot) out += '\n' + name;
  return out;
}

void check_same(const Snapshot& now, const Snapshot& before) {
  CHECK(names_in(now) == names_in(before));
  CHECK(now == before);
}

// What a good ADD of each kind of node leaves.
std::string complete_names(const Act& set_up) {
  Machine machine;
  set_up(machine);
  add(machine);
  return names_in(machine.snapshot());
}

void check_complete(Machine& machine, const std::string& expected) {
  const Snapshot now = machine.snapshot();
  CHECK(names_in(now) == expected);
  const std::optional<plugin::Attachment> record = record_in(now);
  REQUIRE(record);
  CHECK(!record->pending());
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

const std::vector<WayOut> kAfterAdd = {{"a DEL", del_twice},
                                       {"a GC", collect},
                                       {"crossover gc, the namespace being gone", command_without_netns},
                                       {"another ADD", add_again}};
const std::vector<WayOut> kAfterDel = {
    {"a DEL", del_twice}, {"a GC", collect}, {"crossover gc, the namespace being gone", command_without_netns}};

enum class End { kSuccess, kError, kDeath };

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

/// How a call is broken: at a step, or at a look.
struct Break {
  const char* name;
  Harm harm;
  bool at_look;
};

constexpr std::array<Break, 4> kBreaks = {{{"failing at", Harm::kFail, false},
                                           {"failing after", Harm::kFailAfter, false},
                                           {"killed at", Harm::kKill, false},
                                           {"failing to look at", Harm::kNone, true}}};

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
  story.repair(machine);
  way_out.act(machine);
  check_same(machine.snapshot(), before);
  return hit;
}

Tally break_everywhere(const Story& story) {
  Tally tally;
  for (const Break& how : kBreaks) {
    for (const WayOut& way_out : story.ways_out) {
      if (how.at_look && &way_out != &story.ways_out.front()) break;  // it changes nothing that the ways out could see
      std::size_t at = 1;
      while (run_once(story, how, at, way_out)) ++at;
      tally.runs += at;
      if (!how.at_look) tally.steps = at - 1;
    }
  }
  return tally;
}

void check_story(const Story& story) {
  const Tally tally = break_everywhere(story);
  (void)std::printf("crash: %s: %zu steps, %zu runs\n", story.name.c_str(), tally.steps, tally.runs);
  CHECK(tally.steps >= story.least_steps);
}

Act is_complete(const Act& set_up) {
  return [names = complete_names(set_up)](Machine& machine) { check_complete(machine, names); };
}

Act is_clean(const Act& set_up) {
  return [set_up](Machine& machine) {
    Machine clean;
    set_up(clean);
    CHECK(names_in(machine.snapshot()) == names_in(clean.snapshot()));
  };
}

// A pod that is older than Crossover: the plugins have it, and no record names it.
void attach_without_us(Machine& machine) {
  const std::string own = machine.settings.state_dir;
  machine.settings.state_dir = machine.dir() + "/elsewhere";
  add(machine);
  machine.settings.state_dir = own;
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

// As libcni writes it (libcni/api.go cachedInfo).
void write_libcni_cache(Machine& machine) {
  machine.write(machine.cache_dir() + "/cbr0-" + kId + "-eth0",
                R"({"kind":"cniCacheV1","containerId":")" + kId + R"(","config":")" +
                    base64(legacy_list(machine, "1.0.0")) + R"(","ifName":"eth0","networkName":"cbr0","netns":")" +
                    kPod + R"(","cniArgs":[["IgnoreUnknown","1"]],"result":{"cniVersion":"1.0.0"}})");
}

using PowerCut = fakes::FaultDisk::PowerCut;

// As runtimes do it after a restart.
void del_without_netns(Machine& machine) {
  CHECK_NOTHROW((void)machine.del(kId, ""));
  CHECK_NOTHROW((void)machine.del(kId, ""));
}

void refused_attachment(Machine& machine) {
  add(machine);
  machine.world.refuse("portmap", "DEL");
}

Story power_story(const std::string& name, const Act& set_up, const Act& prepare, const Act& act) {
  return {.name = name,
          .least_steps = 6,
          .set_up = set_up,
          .prepare = prepare,
          .act = act,
          .promised = nothing,
          .repair = [](Machine& machine) { machine.world.allow("portmap", "DEL"); },
          .ways_out = {}};
}

// False if the call went through without being hit.
bool cut_once(const Story& story, PowerCut kind, std::size_t at) {
  Machine machine;
  story.set_up(machine);
  const Snapshot before = machine.snapshot();
  story.prepare(machine);
  machine.disk.sync_all();
  machine.fate.begin(Harm::kKill, at);
  (void)ended(machine, story.act);
  const bool hit = machine.fate.hit();
  const std::string told = story.name + ", power cut at step " + std::to_string(at) + ": " +
                           (hit ? machine.fate.names().at(at - 1) : "none");
  INFO(told);
  machine.fate.begin();
  machine.cut_power(kind);
  story.repair(machine);
  del_without_netns(machine);
  check_same(machine.snapshot(), before);
  return hit;
}

}  // namespace

TEST_SUITE_BEGIN("plugin.crash");

TEST_CASE("A4.4 an ADD to the legacy network that fails or dies anywhere leaves nothing after one call more") {
  check_story({.name = "ADD legacy",
               .least_steps = 13,
               .set_up = legacy_node,
               .prepare = nothing,
               .act = add,
               .promised = is_complete(legacy_node),
               .repair = nothing,
               .ways_out = kAfterAdd});
}

TEST_CASE("A4.4 an ADD to cilium that fails or dies anywhere leaves nothing after one call more") {
  check_story({.name = "ADD cilium",
               .least_steps = 13,
               .set_up = cilium_node,
               .prepare = nothing,
               .act = add,
               .promised = is_complete(cilium_node),
               .repair = nothing,
               .ways_out = kAfterAdd});
}

TEST_CASE("A4.4 an ADD that a plugin refuses is undone even if the undoing fails or dies") {
  for (const std::string type : {"bridge", "portmap", "bandwidth"}) {
    for (const bool after_effect : {false, true}) {
      check_story({.name = "ADD refused by " + type + (after_effect ? " after its work" : ""),
                   .least_steps = 13,
                   .set_up = legacy_node,
                   .prepare = [=](Machine& machine) { machine.world.refuse(type, "ADD", after_effect); },
                   .act = add,
                   .promised = [](Machine&) { FAIL("success though a plugin refused"); },
                   .repair = [=](Machine& machine) { machine.world.allow(type, "ADD"); },
                   .ways_out = kAfterAdd});
    }
  }
}

TEST_CASE("A5.1 a DEL that fails or dies anywhere is finished by one call more") {
  check_story({.name = "DEL by record",
               .least_steps = 8,
               .set_up = legacy_node,
               .prepare = add,
               .act = del,
               .promised = is_clean(legacy_node),
               .repair = nothing,
               .ways_out = kAfterDel});
}

TEST_CASE("A5.1 a DEL from cilium that fails or dies anywhere is finished by one call more") {
  check_story({.name = "DEL by record, cilium",
               .least_steps = 6,
               .set_up = cilium_node,
               .prepare = add,
               .act = del,
               .promised = is_clean(cilium_node),
               .repair = nothing,
               .ways_out = kAfterDel});
}

TEST_CASE("A5.3 a DEL that a plugin refuses, and that fails or dies elsewhere too, is finished by one call more") {
  check_story({.name = "DEL refused by portmap",
               .least_steps = 8,
               .set_up = legacy_node,
               .prepare =
                   [](Machine& machine) {
                     add(machine);
                     machine.world.refuse("portmap", "DEL");
                   },
               .act = del,
               .promised = [](Machine&) { FAIL("success though a plugin refused"); },
               .repair = [](Machine& machine) { machine.world.allow("portmap", "DEL"); },
               .ways_out = kAfterDel});
}

TEST_CASE("A5.3 a DEL after a failed DEL that fails or dies anywhere is finished by one call more") {
  check_story({.name = "DEL after a failed DEL",
               .least_steps = 8,
               .set_up = legacy_node,
               .prepare =
                   [](Machine& machine) {
                     add(machine);
                     machine.world.refuse("portmap", "DEL");
                     failing_del(machine);
                     machine.world.allow("portmap", "DEL");
                   },
               .act = del,
               .promised = is_clean(legacy_node),
               .repair = nothing,
               .ways_out = kAfterDel});
}

TEST_CASE("A5.3 a DEL that gives a plugin up and fails or dies anywhere is finished by one call more") {
  check_story({.name = "DEL giving up",
               .least_steps = 9,
               .set_up = legacy_node,
               .prepare =
                   [](Machine& machine) {
                     add(machine);
                     machine.uninstall("bridge");
                     for (int tries = 1; tries < 5; ++tries) failing_del(machine);
                   },
               .act = del,
               .promised = is_clean(legacy_node),
               .repair = [](Machine& machine) { machine.install({"bridge"}); },
               .ways_out = kAfterDel});
}

TEST_CASE("A5.1 a DEL without a record that fails or dies anywhere is finished by the next one") {
  for (const bool refused : {false, true}) {
    check_story({.name = std::string("DEL by libcni's cache") + (refused ? ", refused by portmap" : ""),
                 .least_steps = 9,
                 .set_up = legacy_node,
                 .prepare =
                     [=](Machine& machine) {
                       attach_without_us(machine);
                       write_libcni_cache(machine);
                       if (refused) machine.world.refuse("portmap", "DEL");
                     },
                 .act = del,
                 .promised = is_clean(legacy_node),
                 .repair = [](Machine& machine) { machine.world.allow("portmap", "DEL"); },
                 .ways_out = {{"a DEL", del_twice}}});
  }
}

TEST_CASE("A5.1 a DEL by host-local's lease that fails or dies anywhere is finished by the next one") {
  for (const bool refused : {false, true}) {
    check_story({.name = std::string("DEL by lease") + (refused ? ", refused by portmap" : ""),
                 .least_steps = 8,
                 .set_up = legacy_node,
                 .prepare =
                     [=](Machine& machine) {
                       attach_without_us(machine);
                       if (refused) machine.world.refuse("portmap", "DEL");
                     },
                 .act = del,
                 .promised = is_clean(legacy_node),
                 .repair = [](Machine& machine) { machine.world.allow("portmap", "DEL"); },
                 .ways_out = {{"a DEL", del_twice}}});
  }
}

TEST_CASE("A8.1 a GC that fails or dies anywhere is finished by one call more, and spares the living") {
  const conf::AttachmentId alive{.container_id = "a11fe", .ifname = "eth0"};
  const Act node = [](Machine& machine) {
    machine.legacy(legacy_list(machine, "1.1.0"));
    (void)machine.namespaces.add("/run/netns/alive");
    (void)machine.add("a11fe", "/run/netns/alive");
    (void)machine.namespaces.add(kPod);
  };
  const Act spare_the_living = [alive](Machine& machine) { (void)machine.gc({alive}); };
  check_story({.name = "GC",
               .least_steps = 14,
               .set_up = node,
               .prepare = add,
               .act = spare_the_living,
               .promised = is_clean(node),
               .repair = nothing,
               .ways_out = {{"a GC", spare_the_living},
                            {"a DEL", del_twice},
                            {"crossover gc, the namespace being gone", command_without_netns}}});
}

TEST_CASE("A5.3 gc --forget that fails or dies anywhere is finished by one call more") {
  const Act node = [](Machine& machine) {
    machine.legacy(R"({"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"bridge",)" + host_local(machine) + "}]}");
    (void)machine.namespaces.add(kPod);
  };
  check_story(
      {.name = "gc --forget",
       .least_steps = 5,
       .set_up = node,
       .prepare = add,
       .act = [](Machine& machine) { (void)machine.gc_command({.dry_run = false, .valid_file = {}, .forget = kId}); },
       .promised = is_clean(node),
       .repair = nothing,
       .ways_out = kAfterDel});
}

TEST_CASE("A4.4 dying again while what an earlier death left is cleaned changes nothing") {
  std::size_t runs = 0;
  for (const Act& second : {Act(del), Act(add)}) {
    bool first_hit = true;
    for (std::size_t first = 1; first_hit; ++first) {
      bool second_hit = true;
      for (std::size_t at = 1; second_hit; ++at, ++runs) {
        Machine machine;
        legacy_node(machine);
        const Snapshot before = machine.snapshot();
        machine.fate.begin(Harm::kKill, first);
        (void)ended(machine, add);
        first_hit = machine.fate.hit();
        machine.fate.begin(Harm::kKill, at);
        (void)ended(machine, second);
        second_hit = machine.fate.hit();
        machine.fate.begin();
        INFO("killed at step " << first << " of the ADD, then at step " << at << " of the next call");
        del_twice(machine);
        check_same(machine.snapshot(), before);
      }
    }
  }
  (void)std::printf("crash: killed twice: %zu runs\n", runs);
  CHECK(runs >= 200);
}

TEST_CASE("A4.4 a power cut anywhere in an ADD or a DEL leaves what the next DEL can find") {
  for (const Story& story :
       {power_story("ADD legacy", legacy_node, nothing, add), power_story("ADD cilium", cilium_node, nothing, add),
        power_story("DEL legacy", legacy_node, add, del), power_story("DEL cilium", cilium_node, add, del),
        power_story("DEL refused by portmap", legacy_node, refused_attachment, del)}) {
    std::size_t steps = 0;
    for (const PowerCut kind : {PowerCut::kNothingUnsynced, PowerCut::kEmptyFiles}) {
      std::size_t at = 1;
      while (cut_once(story, kind, at)) ++at;
      steps = at - 1;
    }
    (void)std::printf("crash: power cut in %s: %zu steps\n", story.name.c_str(), steps);
    CHECK(steps >= story.least_steps);
  }
}

TEST_CASE("A4.4 what an ADD reported is still on record after a power cut") {
  for (const Act& way_out : {Act(del_without_netns), Act(collect), Act(command_without_netns)}) {
    for (const PowerCut kind : {PowerCut::kNothingUnsynced, PowerCut::kEmptyFiles}) {
      Machine machine;
      legacy_node(machine);
      Snapshot before = machine.snapshot();
      machine.disk.sync_all();
      add(machine);
      machine.cut_power(kind);
      const std::optional<plugin::Attachment> record = record_in(machine.snapshot());
      REQUIRE(record);
      CHECK(!record->pending());
      way_out(machine);
      check_same(machine.snapshot(), before);
    }
  }
}

TEST_SUITE_END();
