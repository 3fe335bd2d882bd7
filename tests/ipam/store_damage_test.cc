// SPDX-License-Identifier: Apache-2.0
// Files of the store cut short at every length and changed at every byte: no crash, no address twice, and DEL frees.
#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "conf/error.h"
#include "conf/stable_hash.h"
#include "ipam/store.h"
#include "tests/ipam/memory_disk.h"
#include "tests/ipam/store_world.h"
#include "tests/support/refusal.h"

namespace ipam {
namespace {

constexpr std::int64_t kNow = 1'000'000;
using Files = std::map<std::string, std::string>;

/// Room for six pods.
std::vector<Want> wants() {
  std::vector<Want> out = {{.blocks = blocks({"10.1.0.0/29"}), .address = {}},
                           {.blocks = blocks({"fd00::/125"}), .address = {}}};
  exclude(out[1].blocks[0], ip("fd00::7"));
  return out;
}
constexpr std::size_t kRoom = 6;

struct Node {
  TempDir dir;  // for the lock
  MemoryDisk disk;

  Store store() { return Store(disk, {.dir = dir.path(), .boot_id = "boot-1"}); }
  std::vector<Taken> take(std::size_t number) { return store().take(wants(), taker(number, kNow), nobody_is_dead); }
  std::string path(const std::string& name) const { return dir.path() + '/' + name; }
  std::string lease(std::size_t number) const { return path("leases/" + pod(number).container_id + ":eth0"); }
};

using Visit = std::function<void(const std::string& damaged)>;

void each_damage(const std::string& whole, const Visit& visit) {
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    visit(whole.substr(0, size));
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int bits : {0x01, 0x80, 0xff}) {
      CAPTURE(at);
      CAPTURE(bits);
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ bits);
      visit(changed);
    }
  }
}

// Pods from `first` on, as many as get addresses; none that `held` has, none twice. Returns how many.
std::size_t fill(Node& node, std::size_t first, std::set<conf::IpPrefix> held) {
  for (std::size_t number = first;; ++number) {
    try {
      for (const Taken& taken : node.take(number)) REQUIRE(held.insert(taken.address).second);
    } catch (const conf::CniError& error) {
      REQUIRE(error.code() == kNoAddress);
      return number - first;
    }
  }
}

std::set<conf::IpPrefix> held_by(Node& node, const std::vector<std::size_t>& pods) {
  std::set<conf::IpPrefix> out;
  for (const std::size_t number : pods) {
    const Lease lease = node.store().find(pod(number)).value();
    out.insert(lease.addresses.begin(), lease.addresses.end());
  }
  return out;
}

void give_all_back(Node& node) {
  for (std::size_t number = 1; number <= 3 + kRoom; ++number) (void)node.store().give_back(pod(number), kNow);
  REQUIRE(fill(node, 1, {}) == kRoom);  // every address is free again
}

TEST_SUITE_BEGIN("ipam.damage");
TEST_CASE("a lease that is cut or changed anywhere keeps its addresses until its owner's DEL, a GC in between or not") {
  Node node;
  (void)node.take(1);
  (void)node.take(2);
  const std::set<conf::IpPrefix> held = held_by(node, {1, 2});
  const Files before = node.disk.files();
  for (const bool is_repaired : {false, true}) {
    CAPTURE(is_repaired);
    each_damage(before.at(node.lease(1)), [&](const std::string& damaged) {
      node.disk.files() = before;
      node.disk.files()[node.lease(1)] = damaged;
      if (is_repaired) node.store().repair();
      REQUIRE(fill(node, 3, held) == kRoom - 2);
      REQUIRE(node.store().give_back(pod(1), kNow));
      REQUIRE(fill(node, 100, held_by(node, {2, 3})) == 1);
    });
  }
}

TEST_CASE("a table that is cut or changed anywhere hands out no address twice, and DEL frees") {
  Node node;
  (void)node.take(1);
  (void)node.take(2);
  const std::set<conf::IpPrefix> held = held_by(node, {1, 2});
  const Files before = node.disk.files();
  for (const char* table : {"blocks/10.1.0.0_29", "blocks/fd00--_125"}) {
    CAPTURE(table);
    each_damage(before.at(node.path(table)), [&](const std::string& damaged) {
      node.disk.files() = before;
      node.disk.files()[node.path(table)] = damaged;
      (void)fill(node, 3, held);
      REQUIRE(node.store().give_back(pod(1), kNow));
      REQUIRE_FALSE(node.store().find(pod(1)));
      node.store().repair();
      give_all_back(node);
    });
  }
}

/// What a killed call left, and which of the pods 1, 2 and 3 have a lease in it.
struct Torn {
  std::string what;
  Files files;
  std::vector<std::size_t> pods;
};

// The states between begin and end of an ADD of pod 3 and of a DEL of pod 2, as the files stand on the way.
std::vector<Torn> torn_states(Node& node) {
  (void)node.take(1);
  (void)node.take(2);
  const Files without = node.disk.files();
  (void)node.take(3);
  const Files with = node.disk.files();
  const auto tables = [&](Files files, const Files& from) {
    for (const char* table : {"blocks/10.1.0.0_29", "blocks/fd00--_125"})
      files[node.path(table)] = from.at(node.path(table));
    return files;
  };
  const auto intent = [&](Files files, const Files& of_call) {
    files[node.path("intent")] = of_call.at(node.path("intent"));
    return files;
  };
  const auto caught = [&](const Files& start, const std::function<void(Store&)>& call) {
    node.disk.files() = start;
    Store store = node.store();
    call(store);
    Files out = node.disk.files();
    out[node.path("intent")].replace(0, 16, fmt::format("{:016x}", conf::stable_hash("boot-1")));  // not done yet
    return out;
  };
  const Files adding = caught(without, [](Store& store) { (void)store.take(wants(), taker(3, kNow), nobody_is_dead); });
  const Files deleting = caught(with, [](Store& store) { (void)store.give_back(pod(3), kNow); });
  return {{"ADD: no lease yet", intent(without, adding), {1, 2}},
          {"ADD: the tables do not have it yet", tables(intent(with, adding), without), {1, 2, 3}},
          {"ADD: all but the intent is done", intent(with, adding), {1, 2, 3}},
          {"DEL: the lease is there still", intent(with, deleting), {1, 2, 3}},
          {"DEL: the tables have it still", tables(intent(without, deleting), with), {1, 2}},
          {"DEL: all but the intent is done", deleting, {1, 2}}};
}

TEST_CASE("an intent that is cut or changed anywhere hands out no address twice and loses none") {
  Node node;
  for (const Torn& torn : torn_states(node)) {
    CAPTURE(torn.what);
    each_damage(torn.files.at(node.path("intent")), [&](const std::string& damaged) {
      node.disk.files() = torn.files;
      node.disk.files()[node.path("intent")] = damaged;
      const std::set<conf::IpPrefix> held = held_by(node, torn.pods);
      REQUIRE(held.size() == 2 * torn.pods.size());
      REQUIRE(fill(node, 4, held) == kRoom - torn.pods.size());
      REQUIRE(node.disk.files().at(node.path("intent")).starts_with("----------------\n"));
      for (const std::size_t number : torn.pods) REQUIRE(node.store().give_back(pod(number), kNow));
      give_all_back(node);
    });
  }
}

TEST_CASE("an intent that is whole is finished: no address is lost or twice") {
  Node node;
  for (const Torn& torn : torn_states(node)) {
    CAPTURE(torn.what);
    node.disk.files() = torn.files;
    CHECK(fill(node, 4, held_by(node, torn.pods)) == kRoom - torn.pods.size());
  }
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
