// SPDX-License-Identifier: Apache-2.0

// For every step k of a call: failing at k and dying at k leave a state from which one call more comes back to the
// state before the ADD. The steps are counted, not listed: what is added to ADD or DEL later is broken here, too.

#include <doctest/doctest.h>

#include <string>

#include "tests/plugin/story.h"

using namespace story;

namespace {

void refused_add(const std::string& type, std::size_t least_steps) {
  for (const bool after_effect : {false, true}) {
    check_story({.name = "ADD refused by " + type + (after_effect ? " after its work" : ""),
                 .least_steps = least_steps,
                 .set_up = legacy_node,
                 .prepare = [=](Machine& machine) { machine.world.refuse(type, "ADD", after_effect); },
                 .act = add,
                 .promised = [](Machine&) { FAIL("success though a plugin refused"); },
                 .repair = [=](Machine& machine) { machine.world.allow(type, "ADD"); },
                 .ways_out = after_add()});
  }
}

}  // namespace

TEST_SUITE_BEGIN("plugin.crash");

TEST_CASE("A4.4 an ADD to the legacy network that fails or dies anywhere leaves nothing after one call more") {
  check_story({.name = "ADD legacy",
               .least_steps = 12,
               .set_up = legacy_node,
               .prepare = nothing,
               .act = add,
               .promised = is_complete(legacy_node),
               .repair = nothing,
               .ways_out = after_add(),
               .undoes_itself = true});
}

TEST_CASE("A4.4 an ADD to cilium that fails or dies anywhere leaves nothing after one call more") {
  check_story({.name = "ADD cilium",
               .least_steps = 12,
               .set_up = cilium_node,
               .prepare = nothing,
               .act = add,
               .promised = is_complete(cilium_node),
               .repair = nothing,
               .ways_out = after_add(),
               .undoes_itself = true});
}

TEST_CASE("A4.4 an ADD that the first plugin refuses is undone even if the undoing fails or dies") {
  refused_add("bridge", 15);
}

TEST_CASE("A4.4 an ADD that a plugin in the middle refuses is undone even if the undoing fails or dies") {
  refused_add("portmap", 17);
}

TEST_CASE("A4.4 an ADD that the last plugin refuses is undone even if the undoing fails or dies") {
  refused_add("bandwidth", 19);
}

TEST_CASE("A5.1 a DEL that fails or dies anywhere is finished by one call more") {
  check_story({.name = "DEL by record",
               .least_steps = 10,
               .set_up = legacy_node,
               .prepare = add,
               .act = del,
               .promised = is_clean(legacy_node),
               .repair = nothing,
               .ways_out = after_del()});
}

TEST_CASE("A5.1 a DEL from cilium that fails or dies anywhere is finished by one call more") {
  check_story({.name = "DEL by record, cilium",
               .least_steps = 8,
               .set_up = cilium_node,
               .prepare = add,
               .act = del,
               .promised = is_clean(cilium_node),
               .repair = nothing,
               .ways_out = after_del()});
}

TEST_CASE("A5.3 a DEL that a plugin refuses, and that fails or dies elsewhere too, is finished by one call more") {
  check_story({.name = "DEL refused by portmap",
               .least_steps = 12,
               .set_up = legacy_node,
               .prepare =
                   [](Machine& machine) {
                     add(machine);
                     machine.world.refuse("portmap", "DEL");
                   },
               .act = del,
               .promised = [](Machine&) { FAIL("success though a plugin refused"); },
               .repair = [](Machine& machine) { machine.world.allow("portmap", "DEL"); },
               .ways_out = after_del()});
}

TEST_CASE("A5.3 a DEL after a failed DEL that fails or dies anywhere is finished by one call more") {
  check_story({.name = "DEL after a failed DEL",
               .least_steps = 10,
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
               .ways_out = after_del()});
}

TEST_CASE("A5.3 a DEL that gives a plugin up and fails or dies anywhere is finished by one call more") {
  check_story({.name = "DEL giving up",
               .least_steps = 10,
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
               .ways_out = after_del()});
}

TEST_CASE("A5.1 a DEL without a record that fails or dies anywhere is finished by the next one") {
  for (const bool refused : {false, true}) {
    check_story({.name = std::string("DEL by libcni's cache") + (refused ? ", refused by portmap" : ""),
                 .least_steps = 14,
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
                 .least_steps = 13,
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
               .least_steps = 16,
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
       .least_steps = 6,
       .set_up = node,
       .prepare = add,
       .act = [](Machine& machine) { (void)machine.gc_command({.dry_run = false, .valid_file = {}, .forget = kId}); },
       .promised = is_clean(node),
       .repair = nothing,
       .ways_out = after_del()});
}

TEST_SUITE_END();
