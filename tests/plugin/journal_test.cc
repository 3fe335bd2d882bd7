// SPDX-License-Identifier: Apache-2.0
#include "plugin/journal.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/fakes/machine.h"
#include "tests/support/refusal.h"

namespace {

using plugin::Attachment;
using plugin::Journal;

Attachment attachment(const std::string& id, const std::string& ifname = "eth0") {
  Attachment out;
  out.id = {.container_id = id, .ifname = ifname};
  out.list = conf::parse_list(R"({"name":"a","plugins":[{"type":"ptp"}]})", "x");
  return out;
}

struct Desk {
  fakes::Machine machine;
  Journal journal{machine.disk, machine.state_dir()};
  Desk() { journal.prepare(); }
  std::string file(const std::string& name) const { return machine.state_dir() + "/attachments/" + name; }
};

TEST_SUITE_BEGIN("plugin.journal");

TEST_CASE("an intent is published once, completed, and forgotten") {
  Desk desk;
  CHECK(desk.journal.begin(attachment("a")));
  CHECK_FALSE(desk.journal.begin(attachment("a")));
  CHECK(desk.journal.find({"a", "eth0"}).attachment->pending());
  desk.journal.complete({"a", "eth0"}, "{}", 5);
  CHECK(desk.journal.find({"a", "eth0"}).attachment->result == "{}");
  desk.journal.forget({"a", "eth0"});
  CHECK_FALSE(desk.journal.find({"a", "eth0"}).attachment);
}

TEST_CASE("files are 0600 and directories 0700") {
  Desk desk;
  REQUIRE(desk.journal.begin(attachment("a")));
  namespace fs = std::filesystem;
  CHECK(fs::status(desk.file("a:eth0")).permissions() == fs::perms(0600));
  CHECK(fs::status(desk.file("")).permissions() == fs::perms(0700));
}

TEST_CASE("a failed DEL keeps the result") {
  Desk desk;
  REQUIRE(desk.journal.begin(attachment("a")));
  desk.journal.complete({"a", "eth0"}, "{}", 5);
  Attachment failed = *desk.journal.find({"a", "eth0"}).attachment;
  failed.failed_deletes = 2;
  failed.last_failure = "why";
  desk.journal.note_failure(failed, 9);
  const Attachment read = *desk.journal.find({"a", "eth0"}).attachment;
  CHECK(read.result == "{}");
  CHECK(read.failed_deletes == 2);
}

TEST_CASE("a torn file is told from a missing one and from another attachment's") {
  Desk desk;
  CHECK_FALSE(desk.journal.find({"a", "eth0"}).torn);
  desk.machine.write(desk.file("a:eth0"), "{\"cross");
  CHECK(desk.journal.find({"a", "eth0"}).torn);
  desk.machine.write(desk.file("a:eth0"), intent_line(attachment("b")));
  support::check_refusal(support::refusal_of([&] {
                           return desk.journal.find({"a", "eth0"});
                         }),
                         conf::Code::kState, "record cannot be read",
                         desk.file("a:eth0") + ": it is another attachment's");
}

TEST_CASE("all lists what can be read, and names what cannot") {
  Desk desk;
  REQUIRE(desk.journal.begin(attachment("a")));
  REQUIRE(desk.journal.begin(attachment("b", "net1")));
  desk.machine.write(desk.file("c:eth0"), "[]\n");
  desk.machine.write(desk.file("d:eth0"), "");
  desk.machine.write(desk.file(".e:eth0.12.tmp"), "x");
  desk.journal.set_aside({"c", "eth0"});
  std::vector<plugin::BrokenRecord> broken;
  CHECK(desk.journal.all(&broken).size() == 2);
  REQUIRE(broken.size() == 3);
  CHECK(broken[0].file == desk.file(".e:eth0.12.tmp"));
  CHECK(broken[0].kind == plugin::BrokenRecord::Kind::kUnfinished);
  CHECK(broken[1].file == desk.file("c:eth0.broken"));
  CHECK(broken[1].kind == plugin::BrokenRecord::Kind::kSetAside);
  CHECK(broken[2].file == desk.file("d:eth0"));
  CHECK(broken[2].kind == plugin::BrokenRecord::Kind::kUnfinished);
}

TEST_CASE("siblings are the container's other interfaces") {
  Desk desk;
  REQUIRE(desk.journal.begin(attachment("a")));
  REQUIRE(desk.journal.begin(attachment("a", "net1")));
  REQUIRE(desk.journal.begin(attachment("a-b")));
  const std::vector<Attachment> siblings = desk.journal.siblings({"a", "eth0"});
  REQUIRE(siblings.size() == 1);
  CHECK(siblings[0].id.ifname == "net1");
}

TEST_SUITE_END();

}  // namespace
