// SPDX-License-Identifier: Apache-2.0
#include "plugin/delegate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "conf/letter_case.h"
#include "conf/result.h"
#include "conf/version.h"
#include "plugin/habits.h"
#include "plugin/role.h"

namespace plugin {
namespace {

using conf::CniError;
using conf::Code;
using conf::Verb;

constexpr std::array<std::string_view, 6> kCallVariables = {"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS",
                                                            "CNI_IFNAME",  "CNI_ARGS",        "CNI_PATH"};
constexpr std::size_t kQuoted = 256;  // of a plugin's own words in our errors

// One line, printable, bounded: what a plugin said becomes part of a pod's event.
std::string excerpt(std::string_view text) {
  std::string out(text.substr(0, kQuoted));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return text.size() > kQuoted ? out + " ..." : out;
}

std::string last_words(const Outcome& outcome) {
  const std::string out = excerpt(outcome.out);
  const std::string err = excerpt(outcome.err);
  if (out.empty() && err.empty()) return "it printed nothing";
  if (out.empty()) return "stderr: " + err;
  return err.empty() ? "stdout: " + out : fmt::format("stdout: {}; stderr: {}", out, err);
}

CniError broken(const std::string& type, std::string_view how, const Outcome& outcome) {
  return {Code::kDelegateBroken, fmt::format("{}: {}", type, how), last_words(outcome)};
}

CniError plugins_own(const std::string& type, const CniError& error, const Outcome& outcome) {
  const std::string err = excerpt(outcome.err);
  std::string details = error.details();
  const auto also = [&details](std::string_view words) {
    if (!words.empty()) details.append(details.empty() ? "" : "; ").append(words);
  };
  if (!err.empty()) also("stderr: " + err);
  also(cure_for(type, error.what()));
  return {error.code(), fmt::format("{}: {}", type, error.msg()), std::move(details)};
}

bool is_call_variable(std::string_view entry) {
  const std::string_view name = entry.substr(0, entry.find('='));
  return std::find(kCallVariables.begin(), kCallVariables.end(), name) != kCallVariables.end();
}

bool same_file(const conf::FileInfo& a, const conf::FileInfo& b) { return a.device == b.device && a.inode == b.inode; }

Failure failure_of(const std::string& type, const CniError& error) {
  const bool missing = error.code() == static_cast<unsigned>(Code::kDelegateMissing);
  return {type, error, missing || credentials_are_gone(error.what())};
}

// libcni gives a DEL the cached result from 0.4.0 on.
std::optional<std::string> prev_result_for(const conf::NetworkList& list, const Call& call) {
  return conf::at_least(list.version(), "0.4.0") ? call.prev_result : std::nullopt;
}

std::string with_version(const std::string& type, std::string_view text, std::string_view list_version) {
  try {
    const std::string version = conf::result_version(text, list_version);
    return conf::convert_result(text, version, version);
  } catch (const CniError& error) {
    throw CniError(Code::kDelegateBroken, fmt::format("{}: its result cannot be read", type), error.what());
  }
}

}  // namespace

std::vector<std::string> delegate_environment(const std::vector<std::string>& inherited, Verb verb, const Call& call) {
  std::vector<std::string> out;
  for (const std::string& entry : inherited)
    if (!is_call_variable(entry)) out.push_back(entry);
  out.push_back(fmt::format("CNI_COMMAND={}", conf::verb_name(verb)));
  out.push_back("CNI_CONTAINERID=" + call.id.container_id);
  out.push_back("CNI_NETNS=" + call.netns);
  out.push_back("CNI_IFNAME=" + call.id.ifname);
  out.push_back("CNI_ARGS=" + call.args);
  out.push_back("CNI_PATH=" + (call.path.empty() ? call.fallback_path : call.path));
  return out;
}

std::string read_outcome(const std::string& type, Verb verb, const Outcome& outcome) {
  using End = Outcome::End;
  switch (outcome.end) {
    case End::kNotStarted:
      throw CniError(Code::kDelegateBroken, fmt::format("{}: could not be started", type),
                     conf::without_swallowed_phrases(std::strerror(outcome.status)));
    case End::kTimedOut:
      throw CniError(Code::kDelegateTimeout, fmt::format("{}: no answer in time, so it was stopped", type),
                     fmt::format("after {} ms; {}", outcome.took.count() / 1000, last_words(outcome)));
    case End::kTooMuchOutput:
      throw CniError(Code::kDelegateBroken, fmt::format("{}: it printed too much, so it was stopped", type),
                     fmt::format("more than {} bytes", outcome.out.size()));
    case End::kSignalled:
      throw broken(type, fmt::format("ended by signal {}", outcome.status), outcome);
    case End::kExited:
      break;
  }
  if (outcome.status != 0) {
    if (const std::optional<CniError> error = conf::parse_error_json(outcome.out))
      throw plugins_own(type, *error, outcome);
    throw broken(type, fmt::format("exit status {} without a CNI error", outcome.status), outcome);
  }
  if (verb == Verb::kAdd && outcome.out.find_first_not_of(" \t\r\n") == std::string::npos)
    throw broken(type, "success without a result", outcome);
  return outcome.out;
}

std::string Delegates::find(const std::string& type, const Call& call) {
  if (call.path.empty() && call.fallback_path.empty())
    throw CniError(Code::kInvalidEnvironment, "required environment variables missing",
                   fmt::format("CNI_PATH, needed to run {}", type));
  for (const std::string& path : {call.path, call.fallback_path}) {
    for (const std::string& dir : conf::plugin_dirs(path)) {
      std::string file = fmt::format("{}/{}", dir, type);
      const std::optional<conf::FileInfo> info = system_.disk.info(file);
      if (!info || !info->is_regular) continue;
      if (role_for(type) == Role::kMeta && system_.self.file && same_file(*info, *system_.self.file))
        throw CniError(Code::kInvalidConfig, "a list may not run this plugin itself", file);
      return file;
    }
  }
  throw CniError(Code::kDelegateMissing, fmt::format("{}: plugin binary is missing", type),
                 fmt::format("no file {} in CNI_PATH {}: install it there", type,
                             call.path.empty() ? call.fallback_path : call.path));
}

std::string Delegates::run(const conf::NetworkList& list, const conf::PluginConf& plugin, const Call& call,
                           const conf::Injection& injection) {
  const std::string verb = conf::ascii_lower(conf::verb_name(injection.verb));
  Outcome outcome;
  try {
    Command command;
    command.path = find(plugin.type, call);
    command.env = delegate_environment(system_.environment, injection.verb, call);
    command.input = conf::plugin_stdin(list, plugin, injection);
    command.deadline = call.deadline;
    command.keep_fd = call.keep_fd;
    outcome = system_.runner.run(command);
    std::string out = read_outcome(plugin.type, injection.verb, outcome);
    steps_.push_back({plugin.type, verb, static_cast<double>(outcome.took.count()) / 1000.0, "ok"});
    return out;
  } catch (const CniError& error) {
    steps_.push_back({plugin.type, verb, static_cast<double>(outcome.took.count()) / 1000.0, error.what()});
    throw;
  }
}

std::string Delegates::add(const conf::NetworkList& list, const Call& call, const std::function<void()>& between) {
  conf::Injection injection{Verb::kAdd, std::nullopt, call.runtime_config, std::nullopt};
  for (const conf::PluginConf& plugin : list.plugins) {
    between();
    const std::string out = run(list, plugin, call, injection);
    injection.prev_result = with_version(plugin.type, out, list.version());
  }
  return injection.prev_result.value_or("{}");
}

std::vector<Failure> Delegates::del(const conf::NetworkList& list, const Call& call) {
  const conf::Injection injection{Verb::kDel, prev_result_for(list, call), call.runtime_config, std::nullopt};
  std::vector<Failure> failures;
  for (auto plugin = list.plugins.rbegin(); plugin != list.plugins.rend(); ++plugin) {
    try {
      (void)run(list, *plugin, call, injection);  // a DEL has no answer but its exit status
    } catch (const CniError& error) {
      failures.push_back(failure_of(plugin->type, error));
    }
  }
  return failures;
}

void Delegates::check(const conf::NetworkList& list, const Call& call) {
  if (list.disable_check || !conf::at_least(list.version(), "0.4.0")) return;
  const conf::Injection injection{Verb::kCheck, call.prev_result, call.runtime_config, std::nullopt};
  for (const conf::PluginConf& plugin : list.plugins) (void)run(list, plugin, call, injection);  // some print "OK"
}

void Delegates::status(const conf::NetworkList& list, const Call& call, std::vector<std::string>& late) {
  if (!conf::at_least(list.version(), "1.1.0")) return;
  const conf::Injection injection{Verb::kStatus, std::nullopt, {}, std::nullopt};
  for (const conf::PluginConf& plugin : list.plugins) {
    try {
      (void)run(list, plugin, call, injection);  // STATUS has no answer but its exit status
    } catch (const CniError& error) {
      if (error.code() != static_cast<unsigned>(Code::kDelegateTimeout)) throw;
      late.push_back(plugin.type);
    }
  }
}

std::vector<Failure> Delegates::gc(const conf::NetworkList& list, const Call& call) {
  std::vector<Failure> failures;
  if (list.disable_gc || !conf::at_least(list.version(), "1.1.0")) return failures;
  const conf::Injection injection{Verb::kGc, std::nullopt, {}, call.valid_attachments};
  for (const conf::PluginConf& plugin : list.plugins) {
    try {
      (void)run(list, plugin, call, injection);  // GC has no answer but its exit status
    } catch (const CniError& error) {
      failures.push_back(failure_of(plugin.type, error));
    }
  }
  return failures;
}

}  // namespace plugin
