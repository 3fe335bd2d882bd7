// SPDX-License-Identifier: Apache-2.0
#include "plugin/events.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace plugin {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double ms) { return std::round(ms * 1000.0) / 1000.0; }

Json steps_json(const std::vector<Step>& steps) {
  Json out = Json::array();
  for (const Step& step : steps)
    out.push_back({{"type", step.type}, {"verb", step.verb}, {"ms", rounded(step.ms)}, {"end", step.end}});
  return out;
}

void set_unless_empty(Json& json, const char* key, std::string_view value) {
  if (!value.empty()) json[key] = value;
}

conf::LogLevel level_of(const Event& event) {
  if (event.error) return conf::LogLevel::kError;
  return event.notes.empty() ? conf::LogLevel::kInfo : conf::LogLevel::kWarn;
}

}  // namespace

void Event::about(const Attachment& attachment) {
  id = attachment.id;
  pod_namespace = attachment.pod_namespace;
  pod_name = attachment.pod_name;
  network = attachment.network;
  reason = attachment.reason;
}

// Not gmtime: it reads /etc/localtime, for nothing.
std::string utc_time(std::int64_t unix_ms) {
  using std::chrono::days;
  const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(unix_ms)};
  const std::chrono::sys_days day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

std::string event_line(const Event& event, std::int64_t unix_ms) {
  Json json = {{"time", utc_time(unix_ms)}, {"verb", event.verb}};
  set_unless_empty(json, "containerID", event.id.container_id);
  set_unless_empty(json, "ifname", event.id.ifname);
  set_unless_empty(json, "namespace", event.pod_namespace);
  set_unless_empty(json, "pod", event.pod_name);
  if (event.network) json["network"] = network_name(*event.network);
  set_unless_empty(json, "reason", event.reason);
  json["delegates"] = steps_json(event.steps);
  if (!event.notes.empty()) json["notes"] = event.notes;
  json["ms"] = rounded(event.ms);
  json["end"] = event.error ? "error" : "ok";
  if (event.error) {
    json["code"] = event.error->code();
    json["error"] = event.error->what();
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

void Events::write(const Event& event) {
  const std::string line = event_line(event, system_.clock.unix_ms());
  append(settings_.state_dir + "/events.jsonl", line);
  if (!settings_.log_file.empty() && level_of(event) <= settings_.log_level) append(settings_.log_file, line);
}

// Two calls must not both rotate: the second would move the fresh file over the full one.
void Events::append(const std::string& file, const std::string& line) {
  try {
    std::optional<conf::FileInfo> info = system_.disk.info(file);
    if (info && info->bytes + line.size() > settings_.log_max_bytes) {
      const std::optional<Locks::Guard> guard = locks_.housekeeping(std::chrono::milliseconds(100));
      info = system_.disk.info(file);
      if (guard && info && info->bytes + line.size() > settings_.log_max_bytes) system_.disk.rename(file, file + ".1");
      info = system_.disk.info(file);
    }
    if (info || !system_.disk.create(file, line)) system_.disk.append(file, line, conf::Sync::kNo);
  } catch (const conf::CniError& error) {
    (void)std::fprintf(stderr, "crossover: no event written: %s\n", error.what());  // stderr is all that is left
  }
}

}  // namespace plugin
