// SPDX-License-Identifier: Apache-2.0
#include "ipam/store.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "tests/ipam/store_world.h"
#include "tests/support/refusal.h"

namespace ipam {
namespace {

namespace fs = std::filesystem;
using support::refusal_of;

/// A node's store, opened anew for every call as processes do.
struct Node {
  TempDir dir;
  conf::RealDisk disk;
  std::string boot = "boot-1";
  std::vector<Want> wants = small_dual_stack();

  Store store() { return Store(disk, {.dir = dir.path(), .boot_id = boot}); }
  std::string take(std::size_t number, std::int64_t now_ms = 1'000'000) {
    return text_of(
        store().take(wants, taker(number, now_ms), [this](const Lease& lease) { return lease.boot_id != boot; }));
  }
  bool give_back(std::size_t number, std::int64_t now_ms = 1'000'000) { return store().give_back(pod(number), now_ms); }
};

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

void check_refused(const conf::CniError& error, unsigned code, std::string_view msg, std::string_view details) {
  CHECK(error.code() == code);
  CHECK(error.msg() == msg);
  CHECK(error.details() == details);
}

TEST_SUITE_BEGIN("ipam.store");
TEST_CASE("an owner gets one address of each family, and the next owner the next ones") {
  Node node;
  CHECK(node.take(1) == "10.1.0.1/28 fd00::1/124");
  CHECK(node.take(2) == "10.1.0.2/28 fd00::2/124");
  const Lease lease = node.store().find(pod(1)).value();
  CHECK(lease.network == "net");
  CHECK(lease.pod == "default/web");
  CHECK(lease.boot_id == "boot-1");
  CHECK(lease.netns_inode == 7);
}

TEST_CASE("an owner that has addresses gets no others") {
  Node node;
  (void)node.take(1);
  check_refused(refusal_of([&] { return node.take(1); }), 100, "attachment has addresses already",
                "eth0 of container pod1 has 10.1.0.1; a DEL must come first");
}

TEST_CASE("a freed address rests, and is not the next to be handed out") {
  Node node;
  (void)node.take(1);
  CHECK(node.give_back(1, 1'000'000));
  CHECK_FALSE(node.give_back(1));
  for (std::size_t i = 2; i <= 14; ++i) (void)node.take(i, 1'001'000);
  CHECK(node.take(15, 1'002'000) == "10.1.0.1/28 fd00::f/124");  // nothing else was left in IPv4
}

TEST_CASE("wrap-around: after the last address of a block comes the first that is free and has rested") {
  Node node;
  node.wants = {{.blocks = blocks({"10.1.0.0/29"}), .address = {}}};
  for (std::size_t i = 1; i <= 6; ++i) (void)node.take(i);
  for (const std::size_t i : {2U, 5U}) CHECK(node.give_back(i, 1'000'000));
  CHECK(node.take(7, 1'031'000) == "10.1.0.2/29");
  CHECK(node.take(8, 1'031'000) == "10.1.0.5/29");
}

TEST_CASE("exhaustion and recovery: one DEL makes room for one ADD, and what nobody gave back a GC finds") {
  Node node;
  for (std::size_t i = 1; i <= 14; ++i) (void)node.take(i);
  CHECK(refusal_of([&] { return node.take(15); }).code() == kNoAddress);
  CHECK(node.give_back(4));
  CHECK(node.take(15).starts_with("10.1.0.4/28 "));
  CHECK(refusal_of([&] { return node.take(16); }).code() == kNoAddress);
  for (const Lease& lease : node.store().all().leases) CHECK(node.store().give_back_if_same(lease, 1'000'000));
  for (std::size_t i = 1; i <= 14; ++i) (void)node.take(i);
}

TEST_CASE("a second block is used when the first is full, and before one where all addresses rest") {
  Node node;
  node.wants = {{.blocks = blocks({"10.1.0.0/29", "10.2.0.0/29"}), .address = {}}};
  for (std::size_t i = 1; i <= 6; ++i) (void)node.take(i);
  CHECK(node.take(7) == "10.2.0.1/29");
  (void)node.give_back(3);
  CHECK(node.take(8) == "10.2.0.2/29");
}

TEST_CASE(
    "when one family has nothing left, no address of the other is taken, and the error says how many are in use") {
  Node node;
  for (std::size_t i = 1; i <= 14; ++i) (void)node.take(i);
  check_refused(refusal_of([&] { return node.take(15); }), 110, "no address is left",
                "10.1.0.0/28: 14 of 14 in use; a GC frees those whose pods are gone");
  const std::vector<BlockUse> use = node.store().use({node.wants[0].blocks[0], node.wants[1].blocks[0]}, 1'000'000);
  CHECK(use[0].used == 14);
  CHECK(use[1].used == 14);
  CHECK(use[1].capacity == 15);
}

TEST_CASE("a given address is honoured, or refused with its holder or the rule it broke") {
  Node node;
  node.wants = {{.blocks = blocks({"10.1.0.0/28"}), .address = ip("10.1.0.9")}};
  CHECK(node.take(1) == "10.1.0.9/28");
  check_refused(refusal_of([&] { return node.take(2); }), kAddressTaken, "requested address cannot be had",
                "10.1.0.9 is held by eth0 of container pod1");
  node.wants[0].address = ip("10.1.0.15");
  check_refused(refusal_of([&] { return node.take(2); }), kAddressTaken, "requested address cannot be had",
                "10.1.0.15 is excluded from 10.1.0.0/28, its gateway, or outside of its range");
  node.wants[0].address = ip("10.7.0.1");
  check_refused(refusal_of([&] { return node.take(2); }), kAddressTaken, "requested address cannot be had",
                "10.7.0.1 is in none of 10.1.0.0/28");
}

TEST_CASE("under pressure the leases of an earlier boot make room, and not before") {
  Node node;
  for (std::size_t i = 1; i <= 13; ++i) (void)node.take(i);
  node.boot = "boot-2";
  CHECK(node.take(14) == "10.1.0.14/28 fd00::e/124");
  CHECK(node.store().all().leases.size() == 14);
  CHECK_FALSE(node.take(15).empty());
  CHECK(node.store().all().leases.size() == 2);
}

TEST_CASE("an address marked in one block is taken in every block that covers it") {
  Node node;
  node.wants = {{.blocks = blocks({"10.1.0.0/28"}), .address = {}}};
  CHECK(node.take(1) == "10.1.0.1/28");
  node.wants = {{.blocks = blocks({"10.1.0.0/24"}), .address = {}}};
  CHECK(node.take(2) == "10.1.0.2/24");
  node.wants = {{.blocks = blocks({"10.1.0.0/28"}), .address = {}}};
  CHECK(node.take(3) == "10.1.0.3/28");
  CHECK(node.give_back(2));
  node.wants[0].address = ip("10.1.0.2");
  CHECK(node.take(4) == "10.1.0.2/28");
}

TEST_CASE("a table that is cut at any byte or gone is built anew, and no address is handed out twice") {
  Node node;
  (void)node.take(1);
  (void)node.take(2);
  const fs::path table = node.dir.path() + "/blocks/10.1.0.0_28";
  const std::string whole = bytes_of(table);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    write(table, whole.substr(0, size));
    const std::string got = node.take(3);
    CHECK(got.find("10.1.0.1/") == std::string::npos);
    CHECK(got.find("10.1.0.2/") == std::string::npos);
    REQUIRE(node.give_back(3));
  }
  fs::remove(table);
  fs::create_directory(table);  // what cannot be replaced is an error, never a guess
  CHECK(refusal_of([&] { return node.take(4); }).code() == 5);
}

TEST_CASE("a table whose bytes are changed one by one hands no address out twice") {
  Node node;
  (void)node.take(1);
  (void)node.take(2);
  const fs::path table = node.dir.path() + "/blocks/10.1.0.0_28";
  const std::string whole = bytes_of(table);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(i);
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 0x55);
    write(table, changed);
    const std::string got = node.take(3);
    CHECK(got.find("10.1.0.1/") == std::string::npos);
    CHECK(got.find("10.1.0.2/") == std::string::npos);
    REQUIRE(node.give_back(3));
  }
}

TEST_CASE("a damaged lease keeps its addresses until its owner is gone") {
  Node node;
  (void)node.take(1);
  const fs::path file = node.dir.path() + "/leases/pod1:eth0";
  const std::string whole = bytes_of(file);
  write(file, whole.substr(0, whole.size() / 2));
  CHECK(node.store().all().damaged == std::vector<std::string>{file});
  node.wants[0].address = ip("10.1.0.1");
  check_refused(refusal_of([&] { return node.take(2); }), kAddressTaken, "requested address cannot be had",
                "10.1.0.1 is held by a lease whose file is damaged");
  CHECK(node.give_back(1));
  CHECK(node.take(2) == "10.1.0.1/28 fd00::2/124");
}

TEST_CASE("repair frees what no lease holds, keeps the rest of freed addresses, and clears what killed calls left") {
  Node node;
  (void)node.take(1);
  (void)node.take(2);
  (void)node.give_back(2, 1'000'000);
  fs::remove(node.dir.path() + "/leases/pod1:eth0");  // behind the store's back
  write(node.dir.path() + "/leases/.pod3:eth0.77.tmp", "half");
  Store store = node.store();
  CHECK(store.use(node.wants[0].blocks, 1'000'000)[0].used == 1);
  store.repair();
  CHECK(store.use(node.wants[0].blocks, 1'000'000)[0].used == 0);
  CHECK(store.use(node.wants[0].blocks, 1'000'000)[0].cooling == 1);
  CHECK_FALSE(fs::exists(node.dir.path() + "/leases/.pod3:eth0.77.tmp"));
}

TEST_CASE("who waits in vain for the lock learns who holds it") {
  Node node;
  const Store held = node.store();
  const conf::CniError error = refusal_of([&] {
    const Store second(node.disk, {.dir = node.dir.path(), .boot_id = "boot-1", .wait = std::chrono::milliseconds(5)});
    return 0;
  });
  check_refused(error, 105, "address store is locked",
                fmt::format("process {} has held {}/lock for 5 ms", ::getpid(), node.dir.path()));
}
TEST_SUITE_END();

}  // namespace
}  // namespace ipam
