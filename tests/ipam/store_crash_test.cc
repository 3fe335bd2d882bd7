// SPDX-License-Identifier: Apache-2.0
// A call that is killed, or whose disk fails, at any step: no address twice, none without an owner, both families or
// none.
#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "conf/error.h"
#include "ipam/store.h"
#include "tests/fakes/fault.h"
#include "tests/ipam/store_world.h"

namespace ipam {
namespace {

using fakes::FaultDisk;
using fakes::Harm;

constexpr std::int64_t kNow = 1'000'000;

struct Node {
  TempDir dir;
  conf::RealDisk real;
  fakes::Fate fate;
  FaultDisk disk{real, fate};
  std::string boot = "boot-1";

  Store store() { return Store(disk, {.dir = dir.path(), .boot_id = boot}); }
  bool is_dead(const Lease& lease) const { return lease.boot_id != boot; }
  void take(std::size_t number) {
    (void)store().take(small_dual_stack(), taker(number, kNow), [this](const Lease& lease) { return is_dead(lease); });
  }
};

// What the process that is broken does: one pod comes, one goes, another comes.
struct Done {
  bool came = false;
  bool went = false;
  bool replaced = false;
};

Done work(Node& node) {
  Done done;
  try {
    node.take(2);
    done.came = true;
    done.went = node.store().give_back(pod(1), kNow);
    node.take(3);
    done.replaced = true;
  } catch (const fakes::Killed&) {
  } catch (const conf::CniError&) {
  }
  return done;
}

void check_addresses(const std::vector<Lease>& leases) {
  std::map<conf::IpPrefix, std::string> holders;
  for (const Lease& lease : leases) {
    REQUIRE(lease.addresses.size() == 2);
    for (const conf::IpPrefix& address : lease.addresses)
      CHECK(holders.emplace(address, lease.owner.container_id).second);
  }
}

// After the harm: a node that works, where every address can still be had, and each once.
void check_after(Node& node, const Done& done) {
  node.fate.begin();
  Store store = node.store();
  if (done.came) CHECK(store.find(pod(2)).has_value());
  if (done.replaced) CHECK(store.find(pod(3)).has_value());
  check_addresses(store.all().leases);
  std::size_t next = 100;
  try {
    for (;; ++next) (void)store.take(small_dual_stack(), taker(next, kNow), nobody_is_dead);
  } catch (const conf::CniError& error) {
    CHECK(error.code() == kNoAddress);
  }
  check_addresses(store.all().leases);
  CHECK(store.all().leases.size() == 14);  // all that IPv4 has
  CHECK(node.real.read(node.dir.path() + "/intent", 1000).value().starts_with("----------------\n"));
}

enum class Then { kNextCall, kPowerCut, kPowerCutEmptyFiles };

std::size_t run(Harm harm, std::size_t step, Then then) {
  Node node;
  node.take(1);
  node.disk.sync_all();
  node.fate.begin(harm, step);
  const Done done = work(node);
  const std::size_t steps = node.fate.steps();
  CAPTURE(steps);
  if (then != Then::kNextCall) {
    node.disk.cut_power(then == Then::kPowerCut ? FaultDisk::PowerCut::kNothingUnsynced
                                                : FaultDisk::PowerCut::kEmptyFiles);
    node.boot = "boot-2";
  }
  check_after(node, done);
  return steps;
}

void run_all(Harm harm) {
  const std::size_t steps = run(Harm::kNone, 0, Then::kNextCall);
  REQUIRE(steps > 20);
  for (const Then then : {Then::kNextCall, Then::kPowerCut, Then::kPowerCutEmptyFiles}) {
    for (std::size_t step = 1; step <= steps; ++step) {
      CAPTURE(step);
      CAPTURE(static_cast<int>(then));
      (void)run(harm, step, then);
    }
  }
}

TEST_SUITE_BEGIN("ipam.store");
TEST_CASE("killed at any step, with or without a power cut, no address is handed out twice or lost") {
  run_all(Harm::kKill);
}

TEST_CASE("a disk that is full at any step makes no address be handed out twice or lost") { run_all(Harm::kFail); }

TEST_CASE("a disk that fails after its work makes no address be handed out twice or lost") {
  run_all(Harm::kFailAfter);
}

TEST_CASE("power that is lost when ADD has returned takes no lease with it, and gives no freed one back its address") {
  for (const auto kind : {FaultDisk::PowerCut::kNothingUnsynced, FaultDisk::PowerCut::kEmptyFiles}) {
    Node node;
    node.take(1);
    node.take(2);
    const std::vector<Lease> before = node.store().all().leases;
    node.disk.cut_power(kind);
    CHECK(node.store().all().leases == before);
    CHECK(node.store().all().damaged.empty());
    CHECK(node.store().give_back(pod(1), kNow));
    node.disk.cut_power(kind);  // a DEL is not synced: the lease may be back
    node.boot = "boot-2";
    check_addresses(node.store().all().leases);
    for (std::size_t number = 3; number <= 16; ++number) node.take(number);
    check_addresses(node.store().all().leases);
    CHECK(node.store().all().leases.size() == 14);
  }
}

TEST_CASE("a full disk keeps nothing from being freed") {
  Node node;
  node.take(1);
  node.fate.begin();
  Store store = node.store();
  const std::size_t before = node.fate.steps();
  node.fate.begin(Harm::kFail, 1);  // the intent, which needs room
  CHECK(before > 0);
  CHECK(store.give_back(pod(1), kNow));
  CHECK(node.fate.hit());
  CHECK_FALSE(store.find(pod(1)));
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
