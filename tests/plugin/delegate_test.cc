// SPDX-License-Identifier: Apache-2.0
#include "plugin/delegate.h"

#include <doctest/doctest.h>

#include <cerrno>

#include "tests/fakes/machine.h"
#include "tests/support/refusal.h"

namespace {

using conf::Code;
using conf::Verb;
using plugin::Outcome;
using support::check_refusal;
using support::refusal_of;
using End = Outcome::End;

Outcome outcome(End end, int status, std::string out = {}, std::string err = {}) {
  return {.end = end, .status = status, .out = std::move(out), .err = std::move(err), .took = {}};
}

std::string read(const Outcome& what, Verb verb = Verb::kAdd) { return plugin::read_outcome("calico", verb, what); }

TEST_SUITE_BEGIN("plugin.delegate");

TEST_CASE("A10.3 a plugin's own error keeps code, message and details, with its type in front") {
  const Outcome failed = outcome(End::kExited, 1, R"({"code":11,"msg":"not ready","details":"later"})", "log line\n");
  const conf::CniError error = refusal_of([&] { return read(failed); });
  CHECK(error.code() == 11);
  CHECK(error.msg() == "calico: not ready");
  CHECK(error.details() == "later; stderr: log line");
}

TEST_CASE("B5.6 failures without a CNI error are ours, with the plugin's name and last words") {
  check_refusal(refusal_of([] { return read(outcome(End::kExited, 2, "", "panic: nil\ngoroutine 1")); }),
                Code::kDelegateBroken, "calico: exit status 2 without a CNI error", "stderr: panic: nil goroutine 1");
  check_refusal(refusal_of([] { return read(outcome(End::kExited, 1, "oops")); }), Code::kDelegateBroken,
                "calico: exit status 1 without a CNI error", "stdout: oops");
  check_refusal(refusal_of([] { return read(outcome(End::kExited, 1)); }), Code::kDelegateBroken,
                "calico: exit status 1 without a CNI error", "it printed nothing");
  check_refusal(refusal_of([] { return read(outcome(End::kSignalled, 11)); }), Code::kDelegateBroken,
                "calico: ended by signal 11", "it printed nothing");
  check_refusal(refusal_of([] { return read(outcome(End::kTooMuchOutput, 9, "12345")); }), Code::kDelegateBroken,
                "calico: it printed too much, so it was stopped", "more than 5 bytes");
  CHECK(refusal_of([] { return read(outcome(End::kTimedOut, 9)); }).code() ==
        static_cast<unsigned>(Code::kDelegateTimeout));
}

TEST_CASE("A10.4 a program that cannot be started says so without the words that containerd swallows") {
  const conf::CniError error = refusal_of([] { return read(outcome(End::kNotStarted, ENOENT)); });
  CHECK(error.msg() == "calico: could not be started");
  CHECK(error.details().find("o such file") == std::string::npos);
}

TEST_CASE("a plugin's words are cut and made one line") {
  const conf::CniError error = refusal_of([] { return read(outcome(End::kExited, 1, std::string(9000, 'x'))); });
  CHECK(error.details().size() < 300);
}

TEST_CASE("B5.5 success without a result is an error on ADD, and fine on every other verb") {
  CHECK(refusal_of([] { return read(outcome(End::kExited, 0, " \n")); }).msg() == "calico: success without a result");
  CHECK(read(outcome(End::kExited, 0, ""), Verb::kDel).empty());
  CHECK(read(outcome(End::kExited, 0, "OK\n"), Verb::kCheck) == "OK\n");
}

TEST_CASE("B5.2 A1.13 the environment is ours with the call's variables replaced, each once") {
  plugin::Call call;
  call.id = {.container_id = "c", .ifname = "eth0"};
  call.netns = "/n";
  call.args = "A=b=c";
  call.path = "/bin";
  const std::vector<std::string> env = plugin::delegate_environment(
      {"CNI_COMMAND=X", "TRACEPARENT=00-1", "CNI_ARGS=old", "CNI_NETNS_OVERRIDE=1", "HOME=/root"}, Verb::kDel, call);
  CHECK(env == std::vector<std::string>{"TRACEPARENT=00-1", "CNI_NETNS_OVERRIDE=1", "HOME=/root", "CNI_COMMAND=DEL",
                                        "CNI_CONTAINERID=c", "CNI_NETNS=/n", "CNI_IFNAME=eth0", "CNI_ARGS=A=b=c",
                                        "CNI_PATH=/bin"});
}

/// A node with a list of two and the means to run it.
struct Lab {
  fakes::Machine machine;
  plugin::System system = machine.process();
  plugin::Delegates delegates{system};
  plugin::Call call;
  conf::NetworkList list = conf::parse_list(
      R"({"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"type":"portmap","capabilities":{"portMappings":true}}]})",
      "x");

  Lab() {
    machine.install({"bridge", "portmap"});
    machine.namespaces.add("/n");
    call.id = {.container_id = "c", .ifname = "eth0"};
    call.netns = "/n";
    call.path = machine.bin_dir();
  }
  std::string add() {
    return delegates.add(list, call, [] {});
  }
};

TEST_CASE("B4.3 B6.1 ADD runs in order, each plugin with the result of the one before") {
  Lab lab;
  (void)lab.add();
  REQUIRE(lab.machine.world.names() == std::vector<std::string>{"ADD bridge", "ADD portmap"});
  CHECK_FALSE(lab.machine.world.asks()[0].config.has("prevResult"));
  CHECK(lab.machine.world.asks()[1].config.has("prevResult"));
  CHECK(lab.delegates.steps().size() == 2);
}

TEST_CASE("B6.1 ADD stops at the first error") {
  Lab lab;
  lab.machine.world.refuse("bridge", "ADD");
  CHECK(refusal_of([&] { return lab.add(); }).msg().starts_with("bridge: "));
  CHECK(lab.machine.world.names() == std::vector<std::string>{"ADD bridge"});
}

TEST_CASE("B5.7 a result without cniVersion is one of the list's version, null is an empty one") {
  Lab lab;
  lab.machine.world.on("portmap", "ADD", [](const fakes::Ask&) { return fakes::succeeded("null"); });
  const std::string empty = lab.add();
  CHECK(empty.find("\"1.0.0\"") != std::string::npos);
  Lab other;
  other.machine.world.on("portmap", "ADD", [](const fakes::Ask&) { return fakes::succeeded(R"({"ips":[]})"); });
  CHECK(other.add().find("\"1.0.0\"") != std::string::npos);
}

TEST_CASE("a result that is none, or of a version nobody knows, is the plugin's fault") {
  for (const char* result : {"[]", "{", R"({"cniVersion":"9.9.9"})"}) {
    Lab lab;
    lab.machine.world.on("bridge", "ADD", [result](const fakes::Ask&) { return fakes::succeeded(result); });
    const conf::CniError error = refusal_of([&] { return lab.add(); });
    CHECK(error.code() == static_cast<unsigned>(Code::kDelegateBroken));
    CHECK(error.msg() == "bridge: its result cannot be read");
  }
}

TEST_CASE("B6.4 B6.5 DEL runs in reverse and goes on after a failure") {
  Lab lab;
  lab.machine.world.refuse("portmap", "DEL");
  const std::vector<plugin::Failure> failures = lab.delegates.del(lab.list, lab.call);
  CHECK(lab.machine.world.names() == std::vector<std::string>{"DEL portmap", "DEL bridge"});
  REQUIRE(failures.size() == 1);
  CHECK(failures[0].type == "portmap");
  CHECK_FALSE(failures[0].gone_for_good);
}

TEST_CASE("A5.2 a list below 0.4.0 gets no prevResult on DEL") {
  Lab lab;
  lab.call.prev_result = "{}";
  (void)lab.delegates.del(lab.list, lab.call);
  CHECK(lab.machine.world.asks()[0].config.has("prevResult"));
  lab.list.cni_version = "0.3.1";
  lab.machine.world.clear_asks();
  (void)lab.delegates.del(lab.list, lab.call);
  CHECK_FALSE(lab.machine.world.asks()[0].config.has("prevResult"));
}

TEST_CASE("B5.9 a missing binary and refused credentials are gone for good, an agent that is down is not") {
  Lab lab;
  lab.machine.uninstall("bridge");
  lab.machine.world.on("portmap", "DEL", [](const fakes::Ask&) {
    return fakes::failed(999, "connection is unauthorized: Unauthorized");
  });
  std::vector<plugin::Failure> failures = lab.delegates.del(lab.list, lab.call);
  REQUIRE(failures.size() == 2);
  CHECK(failures[0].gone_for_good);
  CHECK(failures[1].gone_for_good);
  CHECK(failures[1].error.code() == static_cast<unsigned>(Code::kDelegateMissing));
  CHECK(failures[1].error.details() == "no file bridge in CNI_PATH " + lab.machine.bin_dir() + ": install it there");
}

TEST_CASE("B6.6 CHECK is nothing for a list below 0.4.0 or with disableCheck") {
  Lab lab;
  lab.list.cni_version = "0.3.1";
  lab.delegates.check(lab.list, lab.call);
  lab.list.cni_version = "1.0.0";
  lab.list.disable_check = true;
  lab.delegates.check(lab.list, lab.call);
  CHECK(lab.machine.world.asks().empty());
}

TEST_CASE("B6.9 STATUS goes to lists of 1.1.0, keeps the code, and passes over a plugin that is late") {
  Lab lab;
  std::vector<std::string> late;
  lab.delegates.status(lab.list, lab.call, late);
  CHECK(lab.machine.world.asks().empty());
  lab.list.cni_version = "1.1.0";
  lab.machine.world.on("bridge", "STATUS", [](const fakes::Ask&) { return outcome(End::kTimedOut, 9); });
  lab.machine.world.on("portmap", "STATUS", [](const fakes::Ask&) { return fakes::failed(50, "down"); });
  CHECK(refusal_of([&] {
          lab.delegates.status(lab.list, lab.call, late);
          return 0;
        }).code() == 50);
  CHECK(late == std::vector<std::string>{"bridge"});
}

TEST_CASE("B4.8 B6.7 GC goes to lists of 1.1.0 that allow it, with both keys, and goes on after a failure") {
  Lab lab;
  lab.call.valid_attachments = "[]";
  (void)lab.delegates.gc(lab.list, lab.call);
  CHECK(lab.machine.world.asks().empty());
  lab.list.cni_version = "1.1.0";
  lab.machine.world.refuse("bridge", "GC");
  CHECK(lab.delegates.gc(lab.list, lab.call).size() == 1);
  REQUIRE(lab.machine.world.asks().size() == 2);
  CHECK(lab.machine.world.asks()[1].config.has("cni.dev/valid-attachments"));
  CHECK(lab.machine.world.asks()[1].config.has("cni.dev/attachments"));
  lab.list.disable_gc = true;
  lab.machine.world.clear_asks();
  CHECK(lab.delegates.gc(lab.list, lab.call).empty());
  CHECK(lab.machine.world.asks().empty());
}

TEST_CASE("B5.1 plugins are found in the directories in order, then in those of the ADD") {
  Lab lab;
  lab.call.path = "/nowhere:" + lab.machine.bin_dir();
  CHECK(lab.delegates.find("bridge", lab.call) == lab.machine.bin_dir() + "/bridge");
  lab.call.fallback_path = lab.machine.bin_dir();
  lab.call.path = "/nowhere";
  CHECK(lab.delegates.find("bridge", lab.call) == lab.machine.bin_dir() + "/bridge");
  lab.call.path.clear();
  lab.call.fallback_path.clear();
  check_refusal(refusal_of([&] { return lab.delegates.find("bridge", lab.call); }), Code::kInvalidEnvironment,
                "required environment variables missing", "CNI_PATH, needed to run bridge");
}

TEST_CASE("a list may not run us, under whatever name we are installed") {
  Lab lab;
  lab.system.self.file = lab.machine.real_disk.info(lab.machine.bin_dir() + "/bridge");
  check_refusal(refusal_of([&] { return lab.delegates.find("bridge", lab.call); }), Code::kInvalidConfig,
                "a list may not run this plugin itself", lab.machine.bin_dir() + "/bridge");
}

TEST_SUITE_END();

}  // namespace
