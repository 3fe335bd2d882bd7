// SPDX-License-Identifier: Apache-2.0
// What `crossover gc` clears besides records, leases and ports.
#include "plugin/gc.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/fakes/machine.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A file of an hour and two minutes ago, by the machine's clock.
void leave(fakes::Machine& machine, const std::string& path, std::chrono::minutes age = std::chrono::minutes(62)) {
  machine.write(path, "half");
  const std::chrono::system_clock::time_point now{std::chrono::milliseconds(machine.clock.unix_ms())};
  fs::last_write_time(path, std::chrono::file_clock::from_sys(now - age));
}

json gc(fakes::Machine& machine, bool dry_run = false) {
  return json::parse(machine.gc_command({.dry_run = dry_run, .valid_file = {}, .forget = {}}).text);
}

}  // namespace

TEST_SUITE_BEGIN("plugin.gc");

TEST_CASE("gc removes the files that calls were killed in writing, an hour later") {
  fakes::Machine machine;
  const std::string state = machine.state_dir();
  const std::vector<std::string> left = {state + "/.node-state.7.tmp", state + "/networks/.legacy.7.1.tmp",
                                         state + "/ports/.a:eth0.7.tmp"};
  for (const std::string& file : left) leave(machine, file);
  leave(machine, state + "/.node-state.8.tmp", std::chrono::minutes(58));  // may be finished yet
  leave(machine, state + "/.mine.tmp");

  json notes;
  for (const std::string& file : left) notes.push_back("would remove " + file + ": it was never finished");
  CHECK(gc(machine, true)["notes"] == notes);
  for (const std::string& file : left) CHECK(fs::exists(file));

  notes.clear();
  for (const std::string& file : left) notes.push_back("removed " + file + ": it was never finished");
  CHECK(gc(machine)["notes"] == notes);
  for (const std::string& file : left) CHECK_FALSE(fs::exists(file));
  CHECK(fs::exists(state + "/.node-state.8.tmp"));
  CHECK(fs::exists(state + "/.mine.tmp"));
  CHECK(gc(machine)["notes"].empty());
}

TEST_CASE("a temporary file that cannot be removed is a problem, and the rest is cleared") {
  fakes::Machine machine;
  const std::string state = machine.state_dir();
  for (const std::string& file : {state + "/.node-state.7.tmp", state + "/ports/.a:eth0.7.tmp"}) leave(machine, file);
  machine.fate.begin(fakes::Harm::kFail, 2);  // the first makes directories
  const plugin::Report report = machine.gc_command();
  REQUIRE(machine.fate.names().at(1).starts_with("remove "));
  CHECK(report.status == 1);
  CHECK(json::parse(report.text)["problems"].size() == 1);
  CHECK(json::parse(report.text)["problems"][0].get<std::string>().starts_with(state + ": system call failed: remove " +
                                                                               state + "/.node-state.7.tmp: "));
  CHECK(fs::exists(state + "/.node-state.7.tmp"));
  CHECK_FALSE(fs::exists(state + "/ports/.a:eth0.7.tmp"));
}

TEST_SUITE_END();
