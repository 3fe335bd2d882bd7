// SPDX-License-Identifier: Apache-2.0
#include "plugin/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "conf/error.h"

namespace plugin {
namespace {

using std::chrono::milliseconds;

constexpr int kRereads = 5;       // of one file
constexpr int kPausesInAll = 10;  // however many files are torn: a pod, or the kubelet, waits for us
constexpr milliseconds kRereadPause{20};
constexpr milliseconds kJustWritten{2000};

struct Copy {
  std::string file;
  conf::NetworkList list;
};

/// What reading one candidate file gave.
struct Candidate {
  std::optional<conf::NetworkList> list;
  std::string problem;  ///< set if there is no list
  bool exists = false;
};

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(), [name](std::string_view end) { return name.ends_with(end); });
}

bool is_candidate(std::string_view name) {
  return !name.starts_with('.') && ends_with_any(name, {".conflist", ".conf", ".json"});
}

class Finder {
 public:
  Finder(System& system, const conf::Settings& settings) : system_(system), settings_(settings) {}

  Discovery run() {
    out_.legacy = pick(Network::kLegacy, settings_.legacy_conflist, &Finder::scan_legacy, out_.legacy_problem);
    out_.cilium = pick(Network::kCilium, settings_.cilium_conflist, &Finder::scan_cilium, out_.cilium_problem);
    return std::move(out_);
  }

 private:
  using Scan = std::optional<FoundList> (Finder::*)(const std::optional<Copy>&);

  std::optional<FoundList> pick(Network network, const std::string& file, Scan look, std::string& problem) {
    const std::optional<Copy> copy = last_good(network);
    if (!file.empty()) return explicit_list(file, copy, problem);
    std::optional<FoundList> found = (this->*look)(copy);
    if (!found && copy) found = FoundList{.list = copy->list, .file = copy->file, .in_place = false, .from_copy = true};
    if (!found) problem = nothing_found(network);
    return found;
  }

  std::string nothing_found(Network network) const {
    if (network == Network::kCilium)
      return fmt::format("no list that runs cilium-cni is in {0}/crossover.d or {0}", settings_.net_dir);
    return fmt::format("no valid list of another plugin is in {}", settings_.net_dir);
  }

  std::optional<FoundList> explicit_list(const std::string& file, const std::optional<Copy>& copy,
                                         std::string& problem) {
    Candidate candidate = read_list(file);
    if (candidate.list && is_ours(*candidate.list, system_.self)) {
      problem = fmt::format("{} runs {} itself", file, system_.self.name);
      return std::nullopt;
    }
    if (candidate.list) return FoundList{.list = *candidate.list, .file = file, .in_place = true, .from_copy = false};
    problem = candidate.exists ? candidate.problem : fmt::format("{} is missing", file);
    if (!copy || copy->file != file) return std::nullopt;
    warn_copy(problem);
    return FoundList{.list = copy->list, .file = file, .in_place = candidate.exists, .from_copy = true};
  }

  // A list that was there may be back in a moment, for some are removed and written anew. Meanwhile the next in order
  // may be a stranger's, such as the bridge that a runtime's package brings.
  std::optional<FoundList> scan_legacy(const std::optional<Copy>& copy) {
    std::optional<FoundList> found = scan_net_dir(copy);
    for (int again = 0; again < kRereads && found && copy && takes_the_place(*found, *copy) && pause(); ++again) {
      seen_.erase(std::remove_if(seen_.begin(), seen_.end(), [](const auto& seen) { return !seen.second.exists; }),
                  seen_.end());
      found = scan_net_dir(copy);
    }
    return found;
  }

  // Whether what was found is another file than the last good copy came from, which may only be away for a moment: it
  // was not read, and is there under neither of its names, or is back by now.
  bool takes_the_place(const FoundList& found, const Copy& copy) {
    const std::string name(without_renaming(copy.file));
    if (without_renaming(found.file) == name || conf::folder_of(name) != settings_.net_dir) return false;
    const bool was_read = std::any_of(seen_.begin(), seen_.end(),
                                      [&name](const auto& seen) { return seen.first == name && seen.second.exists; });
    if (was_read || system_.disk.info(name + std::string(kRenamedByCilium))) return false;
    return found.file > name || !system_.disk.info(name);
  }

  std::optional<FoundList> scan_net_dir(const std::optional<Copy>& copy) {
    const auto wanted = [this](const conf::NetworkList& list) { return is_legacy(list); };
    const std::vector<conf::DirEntry> entries = system_.disk.list(settings_.net_dir);
    if (auto found = scan(settings_.net_dir, entries, copy, false, wanted)) return found;
    return scan(settings_.net_dir, entries, copy, true, wanted);
  }

  std::optional<FoundList> scan_cilium(const std::optional<Copy>& copy) {
    const auto wanted = [this](const conf::NetworkList& list) {
      return list.runs(kCiliumCni) && !is_ours(list, system_.self);
    };
    for (const std::string& dir : {settings_.net_dir + "/crossover.d", settings_.net_dir})
      if (auto found = scan(dir, system_.disk.list(dir), copy, false, wanted)) return found;
    return std::nullopt;
  }

  bool is_legacy(const conf::NetworkList& list) const {
    const bool only_loopback = std::all_of(list.plugins.begin(), list.plugins.end(),
                                           [](const conf::PluginConf& plugin) { return plugin.type == "loopback"; });
    return !only_loopback && !list.runs(kCiliumCni) && !is_ours(list, system_.self);
  }

  // The first file in byte order that `wanted` takes. A broken file that is the one the last good copy came from is
  // served from the copy: the next file in order may be a stranger's.
  template <typename Wanted>
  std::optional<FoundList> scan(const std::string& dir, const std::vector<conf::DirEntry>& entries,
                                const std::optional<Copy>& copy, bool renamed, const Wanted& wanted) {
    for (const conf::DirEntry& entry : entries) {
      if (!entry.is_regular || entry.name.ends_with(kRenamedByCilium) != renamed) continue;
      if (!is_candidate(without_renaming(entry.name))) continue;
      const std::string file = dir + '/' + entry.name;
      const Candidate candidate = read_list(file);
      if (candidate.list) {
        if (wanted(*candidate.list))
          return FoundList{.list = *candidate.list, .file = file, .in_place = true, .from_copy = false};
      } else if (candidate.exists && copy && without_renaming(copy->file) == without_renaming(file)) {
        warn_copy(candidate.problem);
        return FoundList{.list = copy->list, .file = file, .in_place = true, .from_copy = true};
      } else if (candidate.exists) {
        warn(candidate.problem);
      }
    }
    return std::nullopt;
  }

  // Both networks look at the same files: what was said about one is not said again in fewer words.
  void warn(const std::string& warning) {
    const bool said = std::any_of(out_.warnings.begin(), out_.warnings.end(),
                                  [&](const std::string& other) { return other.starts_with(warning); });
    if (!said) out_.warnings.push_back(warning);
  }
  void warn_copy(const std::string& problem) { warn(problem + "; the last good copy serves"); }

  // Both networks look through the same folder: a file is read once.
  Candidate read_list(const std::string& file) {
    for (const auto& [name, candidate] : seen_)
      if (name == file) return candidate;
    Candidate candidate = read_once(file);
    for (int again = 0; again < kRereads && !candidate.list && candidate.exists && just_written(file) && pause();
         ++again)
      candidate = read_once(file);
    seen_.emplace_back(file, candidate);
    return candidate;
  }

  bool pause() {
    if (pauses_left_ == 0) return false;
    --pauses_left_;
    system_.clock.sleep(kRereadPause);
    return true;
  }

  bool just_written(const std::string& file) {
    const std::optional<conf::FileInfo> info = system_.disk.info(file);
    if (!info) return false;
    const auto now = std::chrono::system_clock::time_point(milliseconds(system_.clock.unix_ms()));
    return now - info->modified < kJustWritten;
  }

  Candidate read_once(const std::string& file) {
    Candidate out;
    try {
      const std::optional<std::string> text = system_.disk.read(file, conf::kMaxConfigBytes);
      if (!text) return out;
      out.exists = true;
      const bool is_list = without_renaming(file).ends_with(".conflist");
      conf::NetworkList list = is_list ? conf::parse_list(*text, file) : conf::parse_single(*text, file);
      if (is_list && !list.load_only_inlined) append_folder(list, conf::folder_of(file) + '/' + list.name);
      list.load_only_inlined = true;  // resolved: what a record of it reads back
      if (list.text().size() > conf::kMaxConfigBytes)
        throw conf::CniError(conf::Code::kInvalidConfig, "invalid list",
                             file + " and its folder are longer than 1 MiB");
      if (list.plugins.empty())
        throw conf::CniError(conf::Code::kInvalidConfig, "invalid list", file + " has no plugins");
      out.list = std::move(list);
    } catch (const conf::CniError& error) {
      out.exists = true;
      out.problem = error.what();
    }
    return out;
  }

  void append_folder(conf::NetworkList& list, const std::string& folder) {
    for (const conf::DirEntry& entry : system_.disk.list(folder)) {
      if (!entry.is_regular || !entry.name.ends_with(".conf")) continue;
      const std::string file = folder + '/' + entry.name;
      const std::optional<std::string> text = system_.disk.read(file, conf::kMaxConfigBytes);
      if (text) list.plugins.push_back(conf::parse_plugin(*text, file));
    }
  }

  std::string copy_path(Network network) const {
    return fmt::format("{}/networks/{}", settings_.state_dir, network_name(network));
  }

  // A copy holds {"file": "...", "list": "..."}; one that cannot be read is no copy.
  std::optional<Copy> last_good(Network network) {
    try {
      const std::optional<std::string> text = system_.disk.read(copy_path(network), 4 * conf::kMaxConfigBytes);
      if (!text) return std::nullopt;
      const conf::Object object = conf::Object::parse(*text, copy_path(network), 4 * conf::kMaxConfigBytes);
      const auto file = conf::string_member(object, "file", "copy");
      const auto list = conf::string_member(object, "list", "copy");
      if (!file || !list) return std::nullopt;
      return Copy{.file = *file, .list = conf::parse_list(*list, *file)};
    } catch (const conf::CniError& error) {
      warn(fmt::format("the last good copy is of no use: {}", error.what()));
      return std::nullopt;
    }
  }

  System& system_;
  const conf::Settings& settings_;
  Discovery out_;
  std::vector<std::pair<std::string, Candidate>> seen_;
  int pauses_left_ = kPausesInAll;
};

// Failing to write a copy must not keep a pod from starting: it becomes a warning.
void save_copy(System& system, const conf::Settings& settings, Network network, const std::optional<FoundList>& found,
               Discovery& out) {
  if (!found || found->from_copy) return;
  conf::Object object;
  object.set("file", conf::quote(found->file));
  object.set("list", conf::quote(found->list.text()));
  const std::string dir = settings.state_dir + "/networks";
  const std::string path = fmt::format("{}/{}", dir, network_name(network));
  try {
    if (system.disk.read(path, 4 * conf::kMaxConfigBytes) == object.text()) return;
    system.disk.make_dirs(dir);
    system.disk.replace(path, object.text(), conf::Sync::kYes);
  } catch (const conf::CniError& error) {
    out.warnings.push_back(fmt::format("no copy of {} could be kept: {}", found->file, error.what()));
  }
}

}  // namespace

Discovery discover(System& system, const conf::Settings& settings, Copies copies) {
  Discovery out = Finder(system, settings).run();
  if (copies == Copies::kReadAndWrite) {
    save_copy(system, settings, Network::kLegacy, out.legacy, out);
    save_copy(system, settings, Network::kCilium, out.cilium, out);
  }
  return out;
}

ListFacts facts_of(const std::optional<FoundList>& found, const std::string& problem) {
  if (!found) return {.usable = false, .in_place = false, .runs_cilium = false, .problem = problem};
  return {.usable = true, .in_place = found->in_place, .runs_cilium = found->list.runs(kCiliumCni), .problem = {}};
}

std::string_view without_renaming(std::string_view name) {
  return name.ends_with(kRenamedByCilium) ? name.substr(0, name.size() - kRenamedByCilium.size()) : name;
}

bool is_ours(const conf::NetworkList& list, const Self& self) {
  return std::any_of(list.plugins.begin(), list.plugins.end(), [&self](const conf::PluginConf& plugin) {
    return plugin.type == self.name || plugin.type == "crossover";
  });
}

}  // namespace plugin
