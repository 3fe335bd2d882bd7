// SPDX-License-Identifier: Apache-2.0
// crossover-ipam on disks that are full, have no inodes left, or cannot be written.
#include <doctest/doctest.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "integration/fixture/answer.h"
#include "integration/fixture/leases.h"

namespace {

namespace fs = std::filesystem;
using fixture::error_of;
using fixture::LeaseNode;
using Strings = std::vector<std::string>;

constexpr std::size_t kPage = 4096;

/// A file system of its own on stateDir, of 64 pages and as many inodes as `options` say.
class SmallDisk {
 public:
  explicit SmallDisk(const LeaseNode& node, const std::string& options = "size=256k") : where_(node.state_dir()) {
    fs::create_directories(where_);
    REQUIRE(::mount("tmpfs", where_.c_str(), "tmpfs", 0, (options + ",mode=0700").c_str()) == 0);
  }
  ~SmallDisk() { (void)::umount2(where_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  /// All of it but `pages`.
  void fill(std::size_t pages) const {
    std::ofstream file(where_ / "ballast", std::ios::binary);
    while (file << std::string(kPage, 'x') << std::flush) {
    }
    file.close();
    fs::resize_file(where_ / "ballast", fs::file_size(where_ / "ballast") - pages * kPage);
    REQUIRE(fs::space(where_).available == pages * kPage);
  }
  /// All names but `names`.
  void fill_names(std::size_t names) const {
    fs::create_directory(where_ / "ballast");
    std::size_t count = 0;
    while (std::ofstream(where_ / "ballast" / std::to_string(count))) ++count;
    REQUIRE(count > names);
    for (; names > 0; --names) fs::remove(where_ / "ballast" / std::to_string(--count));
  }
  void empty() const { fs::remove_all(where_ / "ballast"); }
  void remount(unsigned long flags) const {
    REQUIRE(::mount("none", where_.c_str(), "tmpfs", MS_REMOUNT | flags, nullptr) == 0);
  }

 private:
  fs::path where_;
};

const Strings kFirst = {"10.9.0.2/29", "fd09::2/125"};

// Says what it could not do, where and why, and took nothing.
void check_refused(const LeaseNode& node, const support::Finished& finished, const std::string& cause) {
  const fixture::Error error = error_of(finished);
  CAPTURE(error.details);
  CHECK((error.code == 5 || error.code == 104));
  CHECK(error.says(node.state_dir() + "/ipam"));
  CHECK(error.says(cause));
  CHECK(node.leases() == std::map<std::string, Strings>{{"c1", kFirst}});
}

// With room again the addresses that were refused are there, each once.
void check_all_can_be_had(const LeaseNode& node) {
  for (const char* id : {"c2", "c3"}) (void)node.add(id);
  CHECK(node.leases().size() == 3);
  CHECK(error_of(node.call("ADD", "c4")).code == 110);
  for (const char* id : {"c1", "c2", "c3"}) node.del(id);
  CHECK(node.leases().empty());
  CHECK(node.traces().empty());
}

TEST_SUITE_BEGIN("ipam.disk");
TEST_CASE("a disk that is full refuses an ADD, naming the file and the cause, and nothing is half taken") {
  int refused = 0;
  int taken = 0;
  for (std::size_t pages = 0; pages < 8; ++pages) {
    CAPTURE(pages);
    const LeaseNode node(3);
    const SmallDisk disk(node);
    REQUIRE(node.add("c1") == kFirst);
    disk.fill(pages);
    const support::Finished added = node.call("ADD", "c2");
    if (added.ok()) {
      ++taken;
      CHECK(node.leases().at("c2") == fixture::addresses_of(added.out));
      node.del("c2");
    } else {
      ++refused;
      check_refused(node, added, "No space left on device");
    }
    disk.empty();
    check_all_can_be_had(node);
  }
  CHECK(refused > 0);
  CHECK(taken > 0);
}

TEST_CASE("a disk without room for the first ADD of all refuses it, and serves when there is room") {
  const LeaseNode node(3);
  const SmallDisk disk(node);
  disk.fill(0);
  CHECK(error_of(node.call("ADD", "c1")).says("No space left on device"));
  CHECK(node.leases().empty());
  CHECK(node.call("DEL", "c1").ok());
  disk.empty();
  REQUIRE(node.add("c1") == kFirst);
  check_all_can_be_had(node);
}

TEST_CASE("a disk without inodes refuses an ADD, naming the file and the cause, and nothing is half taken") {
  int refused = 0;
  int taken = 0;
  for (std::size_t names = 0; names < 6; ++names) {
    CAPTURE(names);
    const LeaseNode node(3);
    const SmallDisk disk(node, "size=1m,nr_inodes=40");
    REQUIRE(node.add("c1") == kFirst);
    disk.fill_names(names);
    const support::Finished added = node.call("ADD", "c2");
    if (added.ok()) {
      ++taken;
      CHECK(node.leases().at("c2") == fixture::addresses_of(added.out));
      node.del("c2");
    } else {
      ++refused;
      check_refused(node, added, "No space left on device");
    }
    disk.empty();
    check_all_can_be_had(node);
  }
  CHECK(refused > 0);
  CHECK(taken > 0);
}

TEST_CASE("A5.3 DEL needs neither space nor inodes") {
  for (const bool is_space : {true, false}) {
    CAPTURE(is_space);
    const LeaseNode node(1);
    const SmallDisk disk(node, is_space ? "size=256k" : "size=1m,nr_inodes=40");
    REQUIRE(node.add("c1") == kFirst);
    is_space ? disk.fill(0) : disk.fill_names(0);
    node.del("c1");
    CHECK(node.leases().empty());
    node.del("c1");
    disk.empty();
    CHECK(node.add("c2") == kFirst);
  }
}

TEST_CASE("on a read-only disk nothing is taken or freed, and every verb says so with the file and the cause") {
  const LeaseNode node(3);
  const SmallDisk disk(node);
  REQUIRE(node.add("c1") == kFirst);
  disk.remount(MS_RDONLY);
  for (const char* verb : {"ADD", "DEL", "CHECK", "STATUS"}) {
    CAPTURE(verb);
    check_refused(node, node.call(verb, std::string(verb) == "ADD" ? "c2" : "c1"), "Read-only file system");
  }
  check_refused(node, node.call("GC", "", R"(,"cni.dev/valid-attachments":[])"), "Read-only file system");
  disk.remount(0);
  CHECK(node.call("CHECK", "c1").ok());
  CHECK(node.call("STATUS", "").ok());
  check_all_can_be_had(node);
}
TEST_SUITE_END();

}  // namespace
