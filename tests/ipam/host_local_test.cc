// SPDX-License-Identifier: Apache-2.0
#include "ipam/host_local.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "conf/disk.h"

// tests/data/host-local/cbr0 is what Debian's host-local 1.1.1 left after three ADDs on two families, with two files
// added that it no longer writes, or never finished: one of the old format and an empty one.
namespace {

const std::string kRecorded = TEST_DATA "/host-local/cbr0";
const std::string kTwoInterfaces = "1f0e9c4b7a2d4e6f8a1b3c5d7e9f0a2b4c6d8e0f1a3b5c7d9e1f3a5b7c9d1e3f";

class TempDir {
 public:
  TempDir() {
    std::string pattern = std::filesystem::temp_directory_path() / "host-local-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ + "/" + name, std::ios::binary) << bytes;
  }

 private:
  std::string path_;
};

std::vector<std::string> addresses(const std::vector<ipam::HostLocalLease>& leases) {
  std::vector<std::string> found;
  for (const ipam::HostLocalLease& lease : leases) found.push_back(lease.address);
  return found;
}

conf::Object section(const std::string& members) {
  return conf::Object::parse("{\"type\":\"host-local\"," + members + "}", "ipam");
}

// "used/capacity" of each range set.
std::string use(const std::string& members, const std::string& dir) {
  conf::RealDisk disk;
  std::string text;
  for (const ipam::HostLocalUse& set : ipam::host_local_use(disk, section(members), dir)) {
    text += fmt::format("{}{}/{}", text.empty() ? "" : " ", set.used, set.capacity);
  }
  return text;
}

using Addresses = std::vector<std::string>;

}  // namespace

TEST_SUITE("ipam.host_local") {
  TEST_CASE("every lease is read, and neither book-keeping nor a file without an owner") {
    conf::RealDisk disk;
    const auto leases = ipam::host_local_leases(disk, kRecorded);
    CHECK(addresses(leases) == Addresses{"10.244.1.2", "10.244.1.3", "10.244.1.4", "10.244.1.5", "fd00:244:0:1::2",
                                         "fd00:244:0:1::3", "fd00:244:0:1::4"});
    REQUIRE_FALSE(leases.empty());
    CHECK(leases.front().path == kRecorded + "/10.244.1.2");
    CHECK(leases.front().owner == conf::AttachmentId{kTwoInterfaces, "eth0"});
  }

  TEST_CASE("a pod's leases are those of its interface, in both families") {
    conf::RealDisk disk;
    CHECK(addresses(ipam::host_local_leases_of(disk, kRecorded, {kTwoInterfaces, "net1"})) ==
          Addresses{"10.244.1.3", "fd00:244:0:1::3"});
  }

  TEST_CASE("a lease of the old format, without an interface, belongs to every interface of its container") {
    conf::RealDisk disk;
    CHECK(addresses(ipam::host_local_leases_of(disk, kRecorded, {"0ldf0rmat", "eth7"})) == Addresses{"10.244.1.5"});
  }

  TEST_CASE("an id that only begins like another has no leases") {
    conf::RealDisk disk;
    CHECK(ipam::host_local_leases_of(disk, kRecorded, {kTwoInterfaces.substr(0, 63), "eth0"}).empty());
    CHECK(ipam::host_local_leases_of(disk, kRecorded, {"", "eth0"}).empty());
    CHECK(ipam::host_local_leases_of(disk, kRecorded, {kTwoInterfaces, "eth"}).empty());
  }

  TEST_CASE("a directory that does not exist holds no leases") {
    conf::RealDisk disk;
    CHECK(ipam::host_local_leases(disk, kRecorded + "/absent").empty());
  }

  TEST_CASE("space around an owner does not belong to it") {
    const TempDir dir;
    dir.write("10.1.0.2", "c1\r\neth0\n");
    dir.write("10.1.0.3", " c1 \n eth1");
    dir.write("10.1.0.4", "c1\r\n");
    conf::RealDisk disk;
    const auto leases = ipam::host_local_leases(disk, dir.path());
    REQUIRE(leases.size() == 3);
    CHECK(leases[0].owner == conf::AttachmentId{"c1", "eth0"});
    CHECK(leases[1].owner == conf::AttachmentId{"c1", "eth1"});
    CHECK(leases[2].owner == conf::AttachmentId{"c1", ""});
  }

  TEST_CASE("a file that cannot be a lease hides no other") {
    const TempDir dir;
    dir.write("10.1.0.2", std::string(5000, 'x'));  // larger than any lease
    dir.write("10.1.0.3", " \r\n ");
    std::filesystem::create_directory(dir.path() + "/10.1.0.4");
    dir.write("10.1.0.5", "c1\r\neth0");
    dir.write("10.1.0.6.tmp", "c1\r\neth0");
    conf::RealDisk disk;
    CHECK(addresses(ipam::host_local_leases(disk, dir.path())) == Addresses{"10.1.0.5"});
  }

  TEST_CASE("the capacity is the number of addresses that host-local hands out before it says it has none") {
    // Each right side was counted by calling host-local 1.1.1 until it refused; "" is a section it refuses as such.
    struct Case {
      std::string members;
      std::string expected;
    };
    const std::vector<Case> cases = {
        {R"("subnet":"10.1.2.0/29")", "0/5"},
        {R"("subnet":"10.1.2.0/30")", "0/1"},
        {R"("subnet":"10.1.2.0/31")", ""},
        {R"("subnet":"fd00::/125")", "0/6"},
        {R"("subnet":"fd00::/126")", "0/2"},
        {R"("subnet":"10.1.2.0/28","rangeStart":"10.1.2.4","rangeEnd":"10.1.2.9")", "0/6"},
        {R"("subnet":"10.1.2.0/28","rangeStart":"10.1.2.4","rangeEnd":"10.1.2.9","gateway":"10.1.2.5")", "0/5"},
        {R"("subnet":"10.1.2.0/29","rangeStart":"10.1.2.0","rangeEnd":"10.1.2.7")", "0/7"},
        {R"("subnet":"10.1.2.0/29","rangeStart":"")", "0/5"},
        {R"("subnet":"10.1.2.0/29","gateway":"10.9.9.9")", "0/6"},
        {R"("subnet":"10.1.2.0/29","gateway":"fd00::1")", "0/6"},
        {R"("SUBNET":"10.1.2.0/29")", "0/5"},
        {R"("ranges":null,"subnet":"10.1.2.0/29")", "0/5"},
        {R"("ranges":[[{"subnet":"10.1.2.0/30"},{"subnet":"10.1.3.0/30"}]])", "0/2"},
        {R"("ranges":[[{"subnet":"10.1.2.0/30","gateway":"10.1.3.1"},{"subnet":"10.1.3.0/30","gateway":"10.1.2.1"}]])",
         "0/4"},
        {R"("ranges":[[{"subnet":"10.1.2.0/30"}],[{"subnet":"fd00::/120"}]])", "0/1 0/254"},
        {R"("subnet":"10.1.2.0/30","ranges":[[{"subnet":"fd00::/120"}]])", "0/1 0/254"},
        {R"("rangeStart":"10.1.2.2","ranges":[[{"subnet":"10.1.2.0/29"}]])", "0/5"},
        {R"("subnet":"10.1.2.3/24")", ""},
        {R"("subnet":"10.1.2.0/29","rangeStart":"10.1.2.5","rangeEnd":"10.1.2.3")", ""},
        {R"("subnet":"10.1.2.0/29","rangeStart":"10.1.3.1")", ""},
        {R"("subnet":"10.1.2.0/29","rangeEnd":"10.1.3.1")", ""},
        {R"("ranges":[])", ""},
        {R"("ranges":[[]])", ""},
        {R"("ranges":[[{"subnet":"10.1.2.0/29"},{"subnet":"fd00::/125"}]])", ""},
        {R"("ranges":[[{"subnet":"10.1.2.0/29"}],[{"subnet":"10.1.2.0/29"}]])", ""},
    };
    const TempDir dir;
    for (const Case& one : cases) {
      CAPTURE(one.members);
      CHECK(use(one.members, dir.path()) == one.expected);
    }
  }

  TEST_CASE("a section that cannot be read says nothing about addresses") {
    const TempDir dir;
    for (const char* members :
         {R"("subnet":7)", R"("subnet":"10.1.2.0")", R"("ranges":{})", R"("ranges":[{}])", R"("ranges":[[7]])",
          R"("ranges":[[{}]])", R"("subnet":"")", R"("subnet":"10.1.2.0/24","gateway":"first")"}) {
      CAPTURE(members);
      CHECK(use(members, dir.path()).empty());
    }
  }

  TEST_CASE("an IPv6 block is counted across the middle of its addresses, and saturates") {
    const TempDir dir;
    CHECK(use(R"("subnet":"fd00::/65")", dir.path()) == "0/9223372036854775806");  // less network and gateway
    CHECK(use(R"("subnet":"fd00::/63")", dir.path()) == fmt::format("0/{}", std::numeric_limits<std::uint64_t>::max()));
    CHECK(use(R"("subnet":"::/2","rangeStart":"0:0:0:1:ffff:ffff:ffff:fffe","rangeEnd":"0:0:0:2::1")", dir.path()) ==
          "0/4");
  }

  TEST_CASE("the used addresses are the files in each range, whatever is in them") {
    CHECK(use(R"("ranges":[[{"subnet":"10.244.1.0/29"}],[{"subnet":"fd00:244:0:1::/120"}]])", kRecorded) ==
          "5/5 3/254");
    CHECK(use(R"("subnet":"10.244.1.0/29","rangeStart":"10.244.1.3","rangeEnd":"10.244.1.4")", kRecorded) == "2/2");
    CHECK(use(R"("subnet":"10.244.1.0/29","gateway":"10.244.1.2")", kRecorded) == "4/5");
    CHECK(use(R"("subnet":"10.9.0.0/24")", kRecorded) == "0/253");
  }

  TEST_CASE("the directory is dataDir or host-local's own, then the network's name") {
    CHECK(ipam::host_local_dir(section(R"("subnet":"10.1.2.0/24")"), "cbr0") == "/var/lib/cni/networks/cbr0");
    CHECK(ipam::host_local_dir(section(R"("dataDir":"")"), "cbr0") == "/var/lib/cni/networks/cbr0");
    CHECK(ipam::host_local_dir(section(R"("dataDir":"/run/leases")"), "cbr0") == "/run/leases/cbr0");
    CHECK(ipam::host_local_dir(section(R"("dataDir":"/run/leases//")"), "cbr0") == "/run/leases/cbr0");
    CHECK(ipam::host_local_dir(section(R"("dataDir":7)"), "cbr0") == "/var/lib/cni/networks/cbr0");
  }
}
