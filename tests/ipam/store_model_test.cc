// SPDX-License-Identifier: Apache-2.0
// The store against a plain model: random steps, and after each the two must agree.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "conf/error.h"
#include "ipam/store.h"
#include "tests/ipam/memory_disk.h"
#include "tests/ipam/store_world.h"

namespace ipam {
namespace {

constexpr std::int64_t kCooldownMs = 30'000;
constexpr std::size_t kPods = 16;  // the blocks are full now and then

struct Model {
  std::map<std::size_t, std::vector<conf::IpAddr>> leases;
  std::map<std::size_t, int> boot_of;
  std::set<conf::IpAddr> held;
  std::map<conf::IpAddr, std::int64_t> freed;  ///< since the last boot
  int boot = 1;
  std::int64_t now_ms = 1'000'000'000;
  std::vector<std::vector<std::string>> cidrs = {{"10.1.0.0/28"}, {"fd00::/124"}};

  bool rests(const conf::IpAddr& address) const {
    const auto found = freed.find(address);
    return found != freed.end() && now_ms / 1000 - found->second / 1000 < kCooldownMs / 1000;
  }
  void forget(std::size_t number) {
    for (const conf::IpAddr& address : leases.at(number)) {
      held.erase(address);
      freed[address] = now_ms;
    }
    leases.erase(number);
    boot_of.erase(number);
  }
};

/// How many addresses of these blocks are free, rested ones or all.
std::size_t count_free(const Model& model, const Want& want, bool rested_only) {
  std::size_t out = 0;
  for (const Block& block : want.blocks)
    for (std::uint32_t i = 0; i < block.offsets(); ++i)
      if (block.may_hand_out(i) && model.held.count(block.at(i)) == 0 && !(rested_only && model.rests(block.at(i))))
        ++out;
  return out;
}

class Play {
 public:
  void step() {
    const auto dice = random_() % 1000;
    model_.now_ms += static_cast<std::int64_t>(random_() % 4'000);
    if (dice < 480) {
      add(random_() % kPods);
    } else if (dice < 940) {
      del(random_() % kPods);
    } else if (dice < 960) {
      collect();
    } else if (dice < 963) {
      reboot();
    } else if (dice < 980) {
      resize(random_() % 2);
    } else {
      store_.reset();  // the next process
    }
    REQUIRE(model_.held.size() == 2 * model_.leases.size());
  }
  void compare() {
    const std::vector<Lease> leases = store().all().leases;
    REQUIRE(leases.size() == model_.leases.size());
    for (const auto& [number, addresses] : model_.leases) {
      const Lease lease = store().find(pod(number)).value();
      REQUIRE(lease.addresses.size() == addresses.size());
      for (std::size_t i = 0; i < addresses.size(); ++i) REQUIRE(lease.addresses[i].addr == addresses[i]);
    }
  }

 private:
  Store& store() {
    if (!store_) store_.emplace(disk_, Store::Options{.dir = dir_.path(), .boot_id = boot_id()});
    return *store_;
  }
  std::string boot_id() const { return fmt::format("boot-{}", model_.boot); }
  std::vector<Want> wants() const {
    std::vector<Want> out;
    for (const std::vector<std::string>& cidrs : model_.cidrs) {
      Want want{.blocks = blocks(cidrs), .address = {}};
      for (Block& block : want.blocks) exclude(block, {3, 4});
      out.push_back(std::move(want));
    }
    return out;
  }

  // A table that is built knows nothing of what was freed before.
  void build_tables(const std::vector<Want>& asked) {
    for (const Want& want : asked) {
      for (const Block& block : want.blocks) {
        if (!built_.insert(block.cidr).second) continue;
        (void)store().use({block}, model_.now_ms);
        std::erase_if(model_.freed, [&](const auto& freed) { return block.cidr.contains(freed.first); });
      }
    }
  }

  // The store may take from leases of an earlier boot when it needs to: the model learns it from the store.
  void learn_reclaimed() {
    std::vector<std::size_t> gone;
    for (const auto& [number, boot] : model_.boot_of)
      if (boot != model_.boot && !store().find(pod(number))) gone.push_back(number);
    for (const std::size_t number : gone) model_.forget(number);
  }
  void add(std::size_t number) {
    const std::vector<Want> asked = wants();
    build_tables(asked);
    if (model_.leases.count(number) != 0 && model_.boot_of.at(number) != model_.boot) model_.forget(number);
    const bool exists = model_.leases.count(number) != 0;
    const auto dead = [this](const Lease& lease) { return lease.boot_id != boot_id(); };
    std::vector<Taken> got;
    unsigned code = 0;
    try {
      got = store().take(asked, taker(number, model_.now_ms), dead);
    } catch (const conf::CniError& error) {
      code = error.code();
    }
    learn_reclaimed();
    if (exists) {
      REQUIRE(code == 100);
      return;
    }
    if (code != 0) {
      REQUIRE(code == kNoAddress);
      REQUIRE((count_free(model_, asked[0], false) == 0 || count_free(model_, asked[1], false) == 0));
      return;
    }
    REQUIRE(got.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) accept(number, asked[i], got[i].address.addr);
    model_.boot_of[number] = model_.boot;
  }
  void accept(std::size_t number, const Want& want, const conf::IpAddr& address) {
    const auto is_there = [&](const Block& block) {
      const std::optional<std::uint32_t> offset = block.offset_of(address);
      return offset && block.may_hand_out(*offset);
    };
    REQUIRE(std::any_of(want.blocks.begin(), want.blocks.end(), is_there));
    if (model_.rests(address)) REQUIRE(count_free(model_, want, true) == 0);
    REQUIRE(model_.held.insert(address).second);
    model_.leases[number].push_back(address);
  }
  void del(std::size_t number) {
    const bool known = model_.leases.count(number) != 0;
    REQUIRE(store().give_back(pod(number), model_.now_ms) == known);
    if (known) model_.forget(number);
  }
  // Frees what a runtime's list does not name, as GC does.
  void collect() {
    for (std::size_t number = random_() % 10; number < kPods; number += 10) del(number);
    store().repair();
  }
  void reboot() {
    ++model_.boot;
    model_.freed.clear();
    built_.clear();
    store_.reset();
  }
  void resize(std::size_t family) {
    static const std::vector<std::vector<std::vector<std::string>>> kShapes = {
        {{"10.1.0.0/28"}, {"10.1.0.0/28", "10.1.1.0/28"}, {"10.1.1.0/28"}, {"10.1.0.0/27"}, {"10.1.0.0/29"}},
        {{"fd00::/124"}, {"fd00::/124", "fd00::100/124"}, {"fd00::100/124"}, {"fd00::/123"}, {"fd00::/125"}}};
    model_.cidrs[family] = kShapes[family][random_() % kShapes[family].size()];
  }

  TempDir dir_;
  MemoryDisk disk_;
  std::mt19937 random_{20'241'121};  // NOLINT: the same steps every time
  Model model_;
  std::set<conf::IpPrefix> built_;
  std::optional<Store> store_;
};

TEST_SUITE_BEGIN("ipam.store");
TEST_CASE("100000 random steps leave what a plain model has") {
  Play play;
  for (int i = 0; i < 100'000; ++i) {
    play.step();
    if (i % 500 == 0) play.compare();
  }
  play.compare();
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
