// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "conf/disk.h"
#include "conf/error.h"
#include "conf/json.h"
#include "plugin/lock.h"

namespace plugin::sync {
namespace {

constexpr std::size_t kMaxSmallFile = std::size_t{64} << 10;
constexpr std::chrono::milliseconds kLockWait{1'000};  // `crossover set` holds it for one write

std::string joined(const std::vector<std::string>& sentences) { return fmt::format("{}", fmt::join(sentences, "; ")); }

std::string array_of(const std::vector<std::string>& sentences) {
  std::string out;
  for (const std::string& sentence : sentences) out += (out.empty() ? "" : ",") + conf::quote(sentence);
  return fmt::format("[{}]", out);
}

}  // namespace

Keeper::Keeper(conf::Disk& disk, Places places, std::string node, std::string server, bool dry_run, Log log)
    : disk_(disk),
      places_(std::move(places)),
      node_(std::move(node)),
      server_(std::move(server)),
      dry_run_(dry_run),
      log_(std::move(log)),
      last_success_(last_success()) {}

// A restart must not make the state look younger, nor as if it had never been confirmed.
std::int64_t Keeper::last_success() const {
  try {
    const std::optional<std::string> text = disk_.read(places_.status_file(), kMaxSmallFile);
    if (!text) return 0;
    const conf::Object status = conf::Object::parse(*text, "sync-status");
    const std::string* raw = status.find("lastSuccess");
    return raw == nullptr ? 0 : std::max(conf::as_integer(*raw).value_or(0), 0LL);
  } catch (const conf::CniError&) {
    return 0;  // it will be written anew
  }
}

bool Keeper::settle(const Follower& kubernetes_node, const Follower& cilium_node) {
  problems_.clear();
  kept_.clear();
  for (const Follower* follower : {&kubernetes_node, &cilium_node})
    if (!follower->problem().empty()) problems_.push_back(follower->problem());
  if (kubernetes_node.is_known() && !kubernetes_node.object() && kubernetes_node.problem().empty())
    problems_.push_back(fmt::format("there is no Node {}; everything stays as it is", node_));
  const auto attempt = [this](auto&& act) {
    try {
      act();
    } catch (const conf::CniError& error) {
      problems_.emplace_back(error.what());
    }
  };
  attempt([&] { settle_label(kubernetes_node); });
  attempt([&] { settle_blocks(kubernetes_node, cilium_node); });
  attempt([&] { settle_status(kubernetes_node, cilium_node); });
  std::vector<std::string> tell = problems_;
  tell.insert(tell.end(), kept_.begin(), kept_.end());
  for (const std::string& sentence : tell)
    if (std::find(told_.begin(), told_.end(), sentence) == told_.end()) log_(sentence);
  told_ = tell;
  return problems_.empty();
}

void Keeper::settle_label(const Follower& kubernetes_node) {
  if (!kubernetes_node.object()) return;
  const std::optional<std::string> old = disk_.read(places_.node_state_file(), kMaxSmallFile);
  write(places_.node_state_file(), old, mirror_label(old, kubernetes_node.object()->label));
}

// Until both are known, a CiliumNode that cannot be heard would look like none.
void Keeper::settle_blocks(const Follower& kubernetes_node, const Follower& cilium_node) {
  if (!kubernetes_node.object() || !cilium_node.is_known()) return;
  const std::optional<std::string> old = disk_.read(places_.pod_cidrs_file(), kMaxSmallFile);
  write(places_.pod_cidrs_file(), old, mirror_blocks(old, node_, cilium_node.object(), kubernetes_node.object()));
}

// As Disk::replace, but what was decided by the old content is looked at once more when all that is slow is done, under
// the lock that `crossover set` takes: an operator's word in between wins. The temporary name is one that Disk::replace
// could have given (0 is nobody's pid), so that what we leave when killed is taken out like its own.
void Keeper::write(const std::string& path, const std::optional<std::string>& old, const Mirrored& wanted) {
  if (!wanted.kept.empty()) kept_.push_back(wanted.kept);
  if (!wanted.bytes) return;
  const std::size_t line = wanted.bytes->find_last_of('\n', wanted.bytes->size() - 2);
  const std::string last = wanted.bytes->substr(line == std::string::npos ? 0 : line + 1);
  const std::string shown = last.substr(0, last.size() - 1);
  if (dry_run_) return log_(fmt::format("would write {}: {}", path, shown));
  const std::string dir = conf::folder_of(path);
  disk_.make_dirs(dir);
  const std::string temporary = fmt::format("{}/.{}.0.tmp", dir, conf::file_name_of(path));
  (void)disk_.remove(temporary);
  if (!disk_.create(temporary, {})) throw conf::CniError(conf::Code::kBusy, "another crossover-sync is at work", path);
  disk_.append(temporary, *wanted.bytes, conf::Sync::kYes);
  if (!rename_if_still(old, temporary, path))
    return log_(fmt::format("{} has just been changed by somebody else: looking at it again", path));
  log_(fmt::format("wrote {}: {}", path, shown));
}

bool Keeper::rename_if_still(const std::optional<std::string>& old, const std::string& from, const std::string& to) {
  disk_.make_dirs(places_.state_dir);
  const Locks locks = Locks::open(places_.state_dir, {});
  const std::optional<Locks::Guard> alone = locks.node_state(kLockWait);
  const bool same = alone && disk_.read(to, kMaxSmallFile) == old;
  if (same)
    disk_.rename(from, to);
  else
    (void)disk_.remove(from);
  return same;
}

void Keeper::settle_status(const Follower& kubernetes_node, const Follower& cilium_node) {
  if (dry_run_) return;
  if (kubernetes_node.is_known() && cilium_node.is_known() && kubernetes_node.object())
    last_success_ = std::min(kubernetes_node.heard_ms(), cilium_node.heard_ms());
  const std::string status = fmt::format(
      R"({{"format":1,"node":{},"server":{},"lastSuccess":{},"problem":{},"kept":{}}})"
      "\n",
      conf::quote(node_), conf::quote(server_), last_success_, conf::quote(joined(problems_)), array_of(kept_));
  if (status == status_) return;
  disk_.make_dirs(places_.state_dir);
  disk_.replace(places_.status_file(), status, conf::Sync::kNo);  // nobody decides anything by it
  status_ = status;
}

}  // namespace plugin::sync
