// SPDX-License-Identifier: Apache-2.0

// Worse than one death: a second one while the first is cleaned up, and a power cut, which also takes what was written
// and not synced.

#include <doctest/doctest.h>

#include <cstdio>
#include <string>

#include "tests/plugin/story.h"

using namespace story;
using fakes::Harm;

namespace {

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

Story power_story(const std::string& name, std::size_t least_steps, const Act& set_up, const Act& prepare,
                  const Act& act) {
  return {.name = name,
          .least_steps = least_steps,
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
  CHECK(runs >= 300);
}

TEST_CASE("A4.4 a power cut anywhere in an ADD or a DEL leaves what the next DEL can find") {
  for (const Story& story :
       {power_story("ADD legacy", 12, legacy_node, nothing, add),
        power_story("ADD cilium", 12, cilium_node, nothing, add), power_story("DEL legacy", 10, legacy_node, add, del),
        power_story("DEL cilium", 8, cilium_node, add, del),
        power_story("DEL refused by portmap", 12, legacy_node, refused_attachment, del)}) {
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
      const Snapshot before = machine.snapshot();
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
