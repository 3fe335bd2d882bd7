// SPDX-License-Identifier: Apache-2.0
#include "plugin/events.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "plugin/session.h"
#include "tests/fakes/machine.h"

namespace {

using nlohmann::json;
using plugin::Event;

TEST_SUITE_BEGIN("plugin.events");

TEST_CASE("times are UTC with milliseconds") {
  CHECK(plugin::utc_time(0) == "1970-01-01T00:00:00.000Z");
  CHECK(plugin::utc_time(1'763'711'133'241) == "2025-11-21T07:45:33.241Z");
  CHECK(plugin::utc_time(951'782'400'000) == "2000-02-29T00:00:00.000Z");
}

TEST_CASE("a line says what was decided, why, what each plugin took, and how it ended") {
  Event event;
  event.verb = "ADD";
  event.id = {.container_id = "c", .ifname = "eth0"};
  event.pod_namespace = "default";
  event.pod_name = "web-0";
  event.network = plugin::Network::kCilium;
  event.reason = "node-state says cilium";
  event.steps = {{"cilium-cni", "add", 194.2, "ok"}};
  event.ms = 195.0;
  const std::string line = plugin::event_line(event, 0);
  CHECK(line.ends_with("}\n"));
  CHECK(line.find('\n') == line.size() - 1);
  CHECK(json::parse(line) ==
        json::parse(R"({"time":"1970-01-01T00:00:00.000Z","verb":"ADD","containerID":"c","ifname":"eth0",
                       "namespace":"default","pod":"web-0","network":"cilium","reason":"node-state says cilium",
                       "delegates":[{"type":"cilium-cni","verb":"add","ms":194.2,"end":"ok"}],"ms":195.0,"end":"ok"})"));
  event.error = conf::CniError(11U, "not ready", "later");
  CHECK(json::parse(plugin::event_line(event, 0))["end"] == "error");
  CHECK(json::parse(plugin::event_line(event, 0))["code"] == 11);
  CHECK(json::parse(plugin::event_line(event, 0))["error"] == "not ready: later");
}

TEST_CASE("what is no UTF-8 does not lose the line") {
  Event event;
  event.reason = "\xff";
  CHECK(json::accept(plugin::event_line(event, 0)));
}

struct Writer {
  fakes::Machine machine;
  void write(std::size_t times, bool bad = false) {
    plugin::System system = machine.process();
    plugin::Session session(system, machine.settings);
    Event event;
    event.verb = "ADD";
    if (bad) event.error = conf::CniError(11U, "not ready", "");
    for (std::size_t i = 0; i < times; ++i) session.events.write(event);
  }
  std::size_t bytes(const std::string& path) const {
    return std::filesystem::exists(path) ? static_cast<std::size_t>(std::filesystem::file_size(path)) : 0;
  }
};

TEST_CASE("the file is rotated once, at log.maxSize") {
  Writer writer;
  writer.machine.settings.log_max_bytes = 1000;
  writer.write(50);
  const std::string file = writer.machine.state_dir() + "/events.jsonl";
  CHECK(writer.bytes(file) > 0);
  CHECK(writer.bytes(file) <= 1000);
  CHECK(writer.bytes(file + ".1") > 0);
  CHECK(writer.bytes(file + ".1") <= 1000);
  CHECK_FALSE(std::filesystem::exists(file + ".1.1"));
}

TEST_CASE("log.file gets the same lines, as far as log.level lets them") {
  Writer writer;
  writer.machine.settings.log_file = writer.machine.dir() + "/log";
  writer.machine.settings.log_level = conf::LogLevel::kError;
  writer.write(1);
  CHECK(writer.bytes(writer.machine.settings.log_file) == 0);
  writer.write(1, true);
  CHECK(writer.bytes(writer.machine.settings.log_file) > 0);
}

TEST_CASE("an event that cannot be written fails nothing") {
  Writer writer;
  std::filesystem::create_directories(writer.machine.state_dir() + "/events.jsonl");
  writer.write(1);
  CHECK(std::filesystem::is_directory(writer.machine.state_dir() + "/events.jsonl"));
}

TEST_SUITE_END();

}  // namespace
