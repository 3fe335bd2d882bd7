// SPDX-License-Identifier: Apache-2.0
#include "ipam/heard.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "conf/stable_hash.h"

namespace ipam {
namespace {

using conf::CniError;
using std::chrono::milliseconds;

constexpr std::size_t kMaxKeptBytes = std::size_t{1} << 20;
constexpr int kRereads = 5;
constexpr milliseconds kRereadPause{20};
constexpr milliseconds kJustWritten{1000};

std::string kept_path(const Source& source, const std::string& state_dir) {
  const bool is_file = source.kind == Source::Kind::kFile;
  const std::string name = is_file ? fmt::format("file-{:016x}", conf::stable_hash(source.path)) : source.text;
  return fmt::format("{}/ipam/source-{}", state_dir, name);
}

// A copy that cannot be read is none.
std::optional<Answer> kept(const Host& host, const Source& source, const std::string& path) {
  try {
    const std::optional<std::string> text = host.disk.read(path, kMaxKeptBytes);
    return text ? parse_answer(source, *text) : std::nullopt;
  } catch (const CniError&) {
    return std::nullopt;
  }
}

void warn(const Host& host, const std::string& text) {
  if (host.warn) host.warn(text);
}

void add_taken(Answer& answer, const std::vector<conf::IpAddr>& taken) {
  for (const conf::IpAddr& ip : taken) {
    const bool matters = std::any_of(answer.cidrs.begin(), answer.cidrs.end(),
                                     [&ip](const conf::IpPrefix& cidr) { return cidr.contains(ip); });
    const bool known = std::find(answer.taken.begin(), answer.taken.end(), ip) != answer.taken.end();
    if (matters && !known) answer.taken.push_back(ip);
  }
  std::sort(answer.taken.begin(), answer.taken.end());
}

// /v1/config has the blocks and the router; only /v1/healthz has the health endpoint. Without the second answer those
// that were known remain taken.
Reading ask_agent(const Host& host, const std::optional<Answer>& before) {
  if (!host.ask_agent) return "there is nobody to ask";
  const AgentSaid config = host.ask_agent("/v1/config");
  if (!config.problem.empty()) return config.problem;
  Reading reading = read_agent_config(config.body);
  if (Answer* const answer = std::get_if<Answer>(&reading)) {
    const AgentSaid health = host.ask_agent("/v1/healthz");
    std::optional<std::vector<conf::IpAddr>> own;
    if (health.problem.empty()) own = read_agent_addresses(health.body);
    add_taken(*answer, own || !before ? own.value_or(std::vector<conf::IpAddr>()) : before->taken);
  }
  return reading;
}

bool just_written(const Host& host, const std::string& path, milliseconds since) {
  const std::optional<conf::FileInfo> info = host.disk.info(path);
  if (!info) return false;
  const auto now = std::chrono::system_clock::time_point(milliseconds(host.now_ms) + since);
  return info->modified > now - kJustWritten && info->modified < now + kJustWritten;
}

// Who writes a file in place shows half of it for a moment. One that was just written is read until it is good and the
// same twice.
Reading read_settled(const Host& host, const std::string& path, Reading (*read)(std::string_view)) {
  std::string before;
  for (int round = 0;; ++round) {
    const bool is_moving = just_written(host, path, round * kRereadPause);
    std::optional<std::string> text = host.disk.read(path, kMaxSourceBytes);
    if (!text) return fmt::format("there is no {}", path);
    Reading reading = read(*text);
    if (auto* const problem = std::get_if<std::string>(&reading)) {
      if (!is_moving || round == kRereads) return fmt::format("{}: {}", path, *problem);
    } else if (!is_moving || (round > 0 && *text == before)) {
      return reading;
    } else if (round == kRereads) {
      return fmt::format("{} keeps changing", path);
    }
    before = std::move(*text);
    if (host.sleep) host.sleep(kRereadPause);
  }
}

Reading ask_now(const Host& host, const Source& source, const std::optional<Answer>& before) {
  try {
    switch (source.kind) {
      case Source::Kind::kCilium:
        return ask_agent(host, before);
      case Source::Kind::kFlannel:
        return read_settled(host, host.subnet_env, read_subnet_env);
      case Source::Kind::kFile:
        return read_settled(host, source.path, read_blocks_file);
    }
  } catch (const CniError& error) {
    return conf::without_swallowed_phrases(error.details());
  }
  return "it is unknown";
}

std::string cure(const Source& source) {
  switch (source.kind) {
    case Source::Kind::kCilium:
      return "start Cilium's agent on this node";
    case Source::Kind::kFlannel:
      return "start flannel on this node";
    case Source::Kind::kFile:
      return fmt::format("write {}, one CIDR a line or a CiliumNode or Node object as JSON", source.path);
  }
  return {};
}

}  // namespace

Heard ask(const Host& host, const Source& source, const std::string& state_dir, conf::Code code) {
  const std::string path = kept_path(source, state_dir);
  const std::optional<Answer> before = kept(host, source, path);
  const Reading reading = ask_now(host, source, before);
  if (const Answer* const answer = std::get_if<Answer>(&reading))
    return {.source = source, .answer = *answer, .is_new = !before || !answer->agrees_with(*before)};
  const std::string& problem = std::get<std::string>(reading);
  if (!before)
    throw CniError(code, "blocks of this node are not known",
                   fmt::format("podCIDRsFrom {}: {}, and {} holds no earlier answer; {}, or give `podCIDRs`",
                               source.text, problem, path, cure(source)));
  warn(host, fmt::format("podCIDRsFrom {}: {}; its last good answer serves: {}", source.text, problem,
                         cidrs_text(before->cidrs)));
  return {.source = source, .answer = *before, .is_new = false};
}

void keep(const Host& host, const std::string& state_dir, const Heard& heard) {
  if (!heard.is_new) return;
  try {
    host.disk.make_dirs(state_dir + "/ipam");
    host.disk.replace(kept_path(heard.source, state_dir), answer_text(heard.source, heard.answer), conf::Sync::kYes);
  } catch (const CniError& error) {
    warn(host, fmt::format("podCIDRsFrom {}: its answer could not be kept: {}", heard.source.text, error.what()));
  }
  for (const std::string& note : heard.answer.notes)
    warn(host, fmt::format("podCIDRsFrom {}: {}", heard.source.text, note));
}

}  // namespace ipam
