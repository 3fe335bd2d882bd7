// SPDX-License-Identifier: Apache-2.0
#include "plugin/lock.h"

#include <doctest/doctest.h>

#include <chrono>

#include "tests/support/refusal.h"
#include "tests/support/scratch.h"

namespace {

using plugin::Locks;
using std::chrono::milliseconds;

const conf::AttachmentId kWeb{.container_id = "web", .ifname = "eth0"};
const conf::AttachmentId kDb{.container_id = "db", .ifname = "eth0"};

/// Two processes, as far as these locks can tell: each has an open file description of its own.
struct Two {
  scratch::Folder folder;
  Locks a = Locks::open(folder.file(""), "boot");
  Locks b = Locks::open(folder.file(""), "boot");
};

TEST_SUITE_BEGIN("plugin.lock");

TEST_CASE("an attachment's lock keeps others out until it goes, and only for that attachment") {
  Two two;
  std::optional<Locks::Guard> held = two.a.attachment(kWeb, milliseconds(0));
  REQUIRE(held);
  CHECK_FALSE(two.b.attachment(kWeb, milliseconds(5)));
  CHECK(two.b.attachment(kDb, milliseconds(0)));
  held.reset();
  CHECK(two.b.attachment(kWeb, milliseconds(0)));
}

TEST_CASE("B6.10 garbage collection waits for calls, and calls for it, calls share") {
  Two two;
  std::optional<Locks::Guard> call = two.a.shared(milliseconds(0));
  CHECK(two.b.shared(milliseconds(0)));
  CHECK_FALSE(two.b.exclusive(milliseconds(5)));
  call.reset();
  const std::optional<Locks::Guard> gc = two.b.exclusive(milliseconds(0));
  REQUIRE(gc);
  CHECK_FALSE(two.a.shared(milliseconds(5)));
}

TEST_CASE("one changes the node's rules and routes at a time, whatever else is held") {
  Two two;
  const std::optional<Locks::Guard> call = two.a.shared(milliseconds(0));
  const std::optional<Locks::Guard> own = two.a.attachment(kWeb, milliseconds(0));
  const std::optional<Locks::Guard> log = two.a.housekeeping(milliseconds(0));
  std::optional<Locks::Guard> held = two.b.plumbing(milliseconds(0));
  REQUIRE(held);
  CHECK_FALSE(two.a.plumbing(milliseconds(5)));
  CHECK(two.b.shared(milliseconds(0)));
  held.reset();
  CHECK(two.a.plumbing(milliseconds(0)));
}

TEST_CASE("a DEL is seen by an ADD that began before it, not by a later one") {
  Two two;
  CHECK_FALSE(two.a.deleted_since(kWeb, 0));
  two.b.mark_deletion(kWeb, 1000);
  CHECK(two.a.deleted_since(kWeb, 999));
  CHECK_FALSE(two.a.deleted_since(kWeb, 1000));
  CHECK_FALSE(two.a.deleted_since(kDb, 0));
}

TEST_CASE("a deletion of an earlier boot is nobody's") {
  const scratch::Folder folder;
  Locks::open(folder.file(""), "boot 1").mark_deletion(kWeb, 1000);
  CHECK_FALSE(Locks::open(folder.file(""), "boot 2").deleted_since(kWeb, 0));
}

TEST_CASE("a table of deletions that is damaged tells nothing") {
  const scratch::Folder folder;
  Locks::open(folder.file(""), "boot").mark_deletion(kWeb, 1000);
  folder.write("lock", std::string(1024 * 32, '\x5a'));
  CHECK_FALSE(Locks::open(folder.file(""), "boot").deleted_since(kWeb, 0));
}

TEST_CASE("no lock file can be made: the error names it") {
  const scratch::Folder folder;
  const conf::CniError error = support::refusal_of([&] { return Locks::open(folder.file("missing"), "boot"); });
  CHECK(error.code() == static_cast<unsigned>(conf::Code::kState));
  CHECK(std::string(error.what()).find(folder.file("missing") + "/lock") != std::string::npos);
}

TEST_SUITE_END();

}  // namespace
