// SPDX-License-Identifier: Apache-2.0
// crossover-portmap, broken at every step.
#include <doctest/doctest.h>

#include "conf/error.h"
#include "tests/plugin/port_world.h"

namespace plugin {
namespace {

using fakes::Harm;

constexpr std::string_view kBoth = R"([{"hostPort":8080,"containerPort":80,"protocol":"tcp"},
                                        {"hostPort":53,"containerPort":5353,"protocol":"udp"}])";

/// Runs `act` with one thing broken; true if it ended well.
template <typename Act>
bool survives(PortWorld& world, Harm harm, std::size_t at, Act act) {
  world.machine.fate.begin(harm, at);
  bool good = false;
  try {
    act();
    good = true;
  } catch (const conf::CniError&) {
  } catch (const fakes::Killed&) {
  }
  world.machine.fate.begin();
  return good;
}

void check_clean(PortWorld& world, unsigned n) {
  CHECK(world.elements(n) == 0);
  CHECK(world.localnet() == "0\n");
  for (const conf::DirEntry& entry : world.machine.real_disk.list(world.machine.state_dir() + "/ports"))
    CHECK(entry.name.starts_with('.'));
}

template <typename Act>
std::size_t steps_of(PortWorld& world, Act act) {
  world.machine.fate.begin();
  act();
  return world.machine.fate.steps();
}

TEST_SUITE_BEGIN("plugin.port_crash");
TEST_CASE("an ADD killed at any step leaves nothing that DEL does not find") {
  PortWorld counted;
  const std::size_t steps = steps_of(counted, [&] { (void)counted.add(1, kBoth); });
  REQUIRE(steps >= 4);
  for (std::size_t at = 1; at <= steps; ++at) {
    INFO("step " << at << ": " << counted.machine.fate.names().at(at - 1));
    PortWorld world;
    CHECK_FALSE(survives(world, Harm::kKill, at, [&] { (void)world.add(1, kBoth); }));
    CHECK(world.del(1).empty());
    check_clean(world, 1);
  }
}

TEST_CASE("an ADD that fails at any step has undone itself, and one that does not has done it all") {
  PortWorld counted;
  const std::size_t steps = steps_of(counted, [&] { (void)counted.add(1, kBoth); });
  for (const Harm harm : {Harm::kFail, Harm::kFailAfter}) {
    for (std::size_t at = 1; at <= steps; ++at) {
      INFO("step " << at << ": " << counted.machine.fate.names().at(at - 1));
      PortWorld world;
      if (survives(world, harm, at, [&] { (void)world.add(1, kBoth); })) {
        CHECK_NOTHROW(world.check(1, kBoth));
      } else {
        check_clean(world, 1);
      }
    }
  }
}

TEST_CASE("a DEL that is broken at any step is finished by the next one") {
  PortWorld counted;
  (void)counted.add(1, kBoth);
  const std::size_t steps = steps_of(counted, [&] { (void)counted.del(1); });
  REQUIRE(steps >= 3);
  for (const Harm harm : {Harm::kFail, Harm::kFailAfter, Harm::kKill}) {
    for (std::size_t at = 1; at <= steps; ++at) {
      INFO("step " << at << ": " << counted.machine.fate.names().at(at - 1));
      PortWorld world;
      (void)world.add(1, kBoth);
      (void)survives(world, harm, at, [&] { (void)world.del(1); });
      CHECK(world.del(1).empty());
      check_clean(world, 1);
    }
  }
}

TEST_CASE("no look that fails makes an ADD leave anything behind") {
  PortWorld counted;
  counted.machine.fate.begin();
  (void)counted.add(1, kBoth);
  const std::size_t looks = counted.machine.fate.looks();
  REQUIRE(looks >= 5);
  for (std::size_t at = 1; at <= looks; ++at) {
    INFO("look " << at << ": " << counted.machine.fate.look_names().at(at - 1));
    PortWorld world;
    world.machine.fate.begin();
    world.machine.fate.fail_look(at);
    try {
      (void)world.add(1, kBoth);
    } catch (const conf::CniError&) {
    }
    world.machine.fate.begin();
    if (world.records() == 0) {
      check_clean(world, 1);
    } else {
      CHECK_NOTHROW(world.check(1, kBoth));
    }
  }
}

TEST_CASE("records of an earlier boot are removed without a word to the kernel") {
  PortWorld world;
  (void)world.add(1, kBoth);
  world.machine.boot_id = "b002";
  world.machine.ruleset.flush_ruleset();
  world.machine.ruleset.forget_calls();
  CHECK(world.del(1).empty());
  CHECK(world.machine.ruleset.looks() == 0);
  CHECK(world.records() == 0);
}
TEST_SUITE_END();

}  // namespace
}  // namespace plugin
