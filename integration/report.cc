// SPDX-License-Identifier: Apache-2.0
#include "integration/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

namespace integration {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kHostPortKind = std::size(kKinds) - 1;

void add(Sum& sum, const support::ProbeCount& count) {
  sum.sent += count.sent;
  sum.lost += count.lost;
  sum.slowest_ms = std::max(sum.slowest_ms, static_cast<double>(count.slowest.count()) / 1000.0);
}

template <typename Wanted>
std::vector<Sum> sums_if(const Record& record, const Wanted& wanted) {
  std::vector<Sum> result(std::size(kKinds) + 1);
  for (const auto& count : record.counts) {
    if (!wanted(count)) continue;
    add(result.at(kind_of(count)), count);
    add(result.back(), count);
  }
  return result;
}

std::string cell(const Sum& sum) { return sum.sent == 0 ? "-" : fmt::format("{}/{}", sum.sent, sum.lost); }

std::string row(const std::string& name, const std::vector<Sum>& sums) {
  std::string line = fmt::format("{:<22}", name);
  for (std::size_t i = 0; i < kHostPortKind; i += 2)
    line += fmt::format(" {:>9} {:>10} ", cell(sums.at(i)), cell(sums.at(i + 1)));
  return line + fmt::format(" {:>8} {:>10}\n", cell(sums.at(kHostPortKind)), cell(sums.back()));
}

Json sums_json(const std::vector<Sum>& sums) {
  Json kinds = Json::object();
  for (std::size_t i = 0; i < std::size(kKinds); ++i)
    if (sums.at(i).sent > 0) kinds[kKinds[i]] = {{"sent", sums.at(i).sent}, {"lost", sums.at(i).lost}};
  return {{"sent", sums.back().sent},
          {"lost", sums.back().lost},
          {"slowestMs", sums.back().slowest_ms},
          {"kinds", std::move(kinds)}};
}

Json pair_json(const support::ProbeCount& count) {
  return {{"phase", count.phase},
          {"from", count.from},
          {"fromNetwork", count.from_group},
          {"fromNode", count.from_place},
          {"to", count.to},
          {"toNetwork", count.to_group},
          {"toNode", count.to_place},
          {"service", count.service},
          {"sent", count.sent},
          {"lost", count.lost},
          {"answeredByAnother", count.strangers},
          {"slowestMs", static_cast<double>(count.slowest.count()) / 1000.0},
          {"seenAs", count.seen_as},
          {"problem", count.problem}};
}

Json event_json(const PodEvent& event) {
  return {{"at", event.at},
          {"node", event.node},
          {"pod", event.pod},
          {"network", event.network},
          {"address", event.address},
          {"event", event.started ? "started" : "stopped"},
          {"olderThanCrossover", event.before_crossover}};
}

}  // namespace

std::size_t kind_of(const support::ProbeCount& count) {
  if (!count.service.empty()) return kHostPortKind;
  const std::size_t second = (count.from_group == "second" ? 1U : 0U) + (count.to_group == "second" ? 1U : 0U);
  return second * 2 + (count.from_place == count.to_place ? 0 : 1);
}

std::vector<Sum> sums(const Record& record, const std::string& phase) {
  return sums_if(record, [&](const support::ProbeCount& count) { return count.phase == phase; });
}

std::vector<Sum> sums(const Record& record) {
  return sums_if(record, [](const support::ProbeCount&) { return true; });
}

std::vector<std::string> twice(const Record& record) {
  std::vector<std::string> out;
  std::map<std::string, std::string> holders;
  for (const PodEvent& event : record.events) {
    const auto [holder, is_new] = holders.try_emplace(event.address, event.pod);
    if (event.started && !is_new)
      out.push_back(fmt::format("{} was given to {} while {} had it", event.address, event.pod, holder->second));
    if (event.started) holder->second = event.pod;
    if (!event.started && holder->second == event.pod) holders.erase(holder);
  }
  return out;
}

std::string table(const Record& record) {
  std::string text = fmt::format("{:<22} {:^20}  {:^20}  {:^20}\n", "probes sent/lost", "legacy-legacy",
                                 "legacy-second", "second-second");
  text += fmt::format("{:<22}", "");
  for (int i = 0; i < 3; ++i) text += fmt::format(" {:>9} {:>10} ", "same node", "across");
  text += fmt::format(" {:>8} {:>10}\n", "hostPort", "all");
  for (const auto& phase : record.phases) text += row(phase.name, sums(record, phase.name));
  return text + row("all phases", sums(record));
}

std::string json(const Record& record) {
  Json phases = Json::array();
  for (const auto& phase : record.phases) {
    Json entry = {{"name", phase.name}, {"begin", phase.begin}, {"end", phase.end}};
    entry.update(sums_json(sums(record, phase.name)));
    phases.push_back(std::move(entry));
  }
  Json events = Json::array();
  for (const auto& event : record.events) events.push_back(event_json(event));
  Json pairs = Json::array();
  for (const auto& count : record.counts) pairs.push_back(pair_json(count));
  return Json{{"good", record.problems.empty()},  {"problems", record.problems}, {"leftovers", record.leftovers},
              {"total", sums_json(sums(record))}, {"phases", std::move(phases)}, {"pods", std::move(events)},
              {"pairs", std::move(pairs)}}
             .dump(1) +
         "\n";
}

}  // namespace integration
