// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/fault.h"

#include <fmt/format.h>

#include <cerrno>

#include "conf/error.h"
#include "tests/fakes/fault_fib.h"

namespace fakes {
namespace {

using conf::CniError;

constexpr std::size_t kAnySize = std::size_t{64} << 20U;

CniError full(std::string_view operation, std::string_view path) {
  return conf::system_error(conf::Code::kIo, operation, path, ENOSPC);
}

std::string_view half(std::string_view bytes) { return bytes.substr(0, bytes.size() / 2); }

std::string variable(const plugin::Command& command, std::string_view name) {
  for (const std::string& entry : command.env)
    if (entry.starts_with(name) && entry.substr(name.size(), 1) == "=") return entry.substr(name.size() + 1);
  return {};
}

plugin::Outcome failing(std::string_view when) {
  plugin::Outcome out;
  out.status = 1;
  out.out = fmt::format(R"({{"cniVersion":"1.0.0","code":5,"msg":"scripted failure","details":"{} its work"}})", when);
  return out;
}

// The temporary file that a killed replace leaves: ".<name>.<pid>.tmp" beside the target.
std::string temporary_of(const std::string& path) {
  const std::size_t name = path.rfind('/') + 1;
  return path.substr(0, name) + '.' + path.substr(name) + ".4711.tmp";
}

}  // namespace

void Fate::begin(Harm harm, std::size_t at) {
  *this = Fate();
  harm_ = harm;
  at_ = at;
}

Harm Fate::step(std::string name) {
  if (dead_) throw Killed{};
  steps_.push_back(std::move(name));
  if (harm_ == Harm::kNone || steps_.size() != at_) return Harm::kNone;
  hit_ = true;
  return harm_;
}

void Fate::die() {
  dead_ = true;
  throw Killed{};
}

bool Fate::look_fails(std::string name) {
  if (dead_) throw Killed{};
  looks_.push_back(std::move(name));
  if (looks_.size() != fail_look_at_) return false;
  hit_ = true;
  return true;
}

std::optional<std::string> FaultDisk::content_of(const std::string& path) { return real_.read(path, kAnySize); }

// What was there before the first change that nobody synced.
void FaultDisk::remember(const std::string& path) { unsynced_.emplace(path, content_of(path)); }

void FaultDisk::put(const std::string& path, const std::optional<std::string>& content) {
  (void)real_.remove(path);
  if (content) (void)real_.create(path, *content);
}

// A synced directory holds on to the names that went from it, too.
void FaultDisk::sync_names_beside(const std::string& path) {
  const std::string dir = path.substr(0, path.rfind('/') + 1);
  std::erase_if(unsynced_, [&](const auto& change) {
    return change.first.substr(0, change.first.rfind('/') + 1) == dir && !real_.info(change.first);
  });
}

void FaultDisk::cut_power(PowerCut kind) {
  for (const auto& [path, durable] : unsynced_) {
    const bool is_new = !durable && real_.info(path).has_value();
    put(path, is_new && kind == PowerCut::kEmptyFiles ? std::optional<std::string>("") : durable);
  }
  unsynced_.clear();
}

void FaultDisk::look(std::string_view operation, const std::string& path) {
  if (fate_.look_fails(fmt::format("{} {}", operation, path)))
    throw conf::system_error(conf::Code::kIo, operation, path, EIO);
}

std::optional<std::string> FaultDisk::read(const std::string& path, std::size_t max_bytes) {
  look("read", path);
  return real_.read(path, max_bytes);
}

std::vector<conf::DirEntry> FaultDisk::list(const std::string& dir) {
  look("list", dir);
  return real_.list(dir);
}

std::optional<conf::FileInfo> FaultDisk::info(const std::string& path) {
  look("stat", path);
  return real_.info(path);
}

void FaultDisk::make_dirs(const std::string& dir) {
  switch (fate_.step("make_dirs " + dir)) {
    case Harm::kNone:
      return real_.make_dirs(dir);
    case Harm::kKill:
      fate_.die();
    case Harm::kFailAfter:
      real_.make_dirs(dir);
      break;
    case Harm::kFail:
      break;
  }
  throw full("make directory", dir);
}

bool FaultDisk::create(const std::string& path, std::string_view bytes) {
  const Harm harm = fate_.step("create " + path);
  if (harm == Harm::kFail) throw full("create", path);
  remember(path);
  if (harm == Harm::kNone) return real_.create(path, bytes);
  const bool made = real_.create(path, half(bytes));
  if (harm == Harm::kKill) fate_.die();
  if (!made) return false;
  throw full("write", path);
}

void FaultDisk::append(const std::string& path, std::string_view bytes, conf::Sync sync) {
  const Harm harm = fate_.step("append " + path);
  if (harm == Harm::kFail) throw full("write", path);
  remember(path);
  if (harm == Harm::kNone) {
    real_.append(path, bytes, sync);
    if (sync == conf::Sync::kYes) unsynced_.erase(path);
    if (sync == conf::Sync::kYes) sync_names_beside(path);
    return;
  }
  real_.append(path, half(bytes), conf::Sync::kNo);
  if (harm == Harm::kKill) fate_.die();
  throw full("write", path);
}

void FaultDisk::write_at(const std::string& path, std::uint64_t offset, std::string_view bytes) {
  const Harm harm = fate_.step("write_at " + path);
  if (harm == Harm::kFail) throw full("write", path);
  remember(path);
  real_.write_at(path, offset, harm == Harm::kNone ? bytes : half(bytes));
  if (harm == Harm::kKill) fate_.die();
  if (harm == Harm::kFailAfter) throw full("write", path);
}

void FaultDisk::replace(const std::string& path, std::string_view bytes, conf::Sync sync) {
  const Harm harm = fate_.step("replace " + path);
  if (harm == Harm::kFail) throw full("write", temporary_of(path));
  if (harm == Harm::kKill) {
    remember(temporary_of(path));
    put(temporary_of(path), std::string(half(bytes)));
    fate_.die();
  }
  remember(path);
  real_.replace(path, bytes, sync);
  if (harm == Harm::kFailAfter) throw conf::system_error(conf::Code::kIo, "sync", path, EIO);
  if (sync == conf::Sync::kYes) unsynced_.erase(path);
  if (sync == conf::Sync::kYes) sync_names_beside(path);
}

void FaultDisk::replace_program(const std::string& path, std::string_view bytes) {
  const Harm harm = fate_.step("replace_program " + path);
  if (harm == Harm::kKill) fate_.die();
  if (harm == Harm::kFail) throw full("write", path);
  real_.replace_program(path, bytes);
  if (harm == Harm::kFailAfter) throw conf::system_error(conf::Code::kIo, "sync", path, EIO);
}

void FaultDisk::replace_link(const std::string& path, const std::string& target) {
  const Harm harm = fate_.step("replace_link " + path);
  if (harm == Harm::kKill) fate_.die();
  if (harm == Harm::kFail) throw full("link", path);
  real_.replace_link(path, target);
  if (harm == Harm::kFailAfter) throw conf::system_error(conf::Code::kIo, "sync", path, EIO);
}

std::optional<std::string> FaultDisk::link_target(const std::string& path) {
  look("link_target", path);
  return real_.link_target(path);
}

bool FaultDisk::remove(const std::string& path) {
  const Harm harm = fate_.step("remove " + path);
  if (harm == Harm::kKill) fate_.die();
  bool removed = false;
  if (harm != Harm::kFail) {
    remember(path);
    removed = real_.remove(path);
  }
  if (harm != Harm::kNone) throw conf::system_error(conf::Code::kIo, "remove", path, EIO);
  return removed;
}

void FaultDisk::rename(const std::string& from, const std::string& to) {
  const Harm harm = fate_.step("rename " + from);
  if (harm == Harm::kKill) fate_.die();
  if (harm != Harm::kFail) {
    remember(from);
    remember(to);
    real_.rename(from, to);
  }
  if (harm != Harm::kNone) throw conf::system_error(conf::Code::kIo, "rename", from, EIO);
}

plugin::Outcome FaultRunner::run(const plugin::Command& command) {
  const std::string call =
      fmt::format("{} {}", command.path.substr(command.path.rfind('/') + 1), variable(command, "CNI_COMMAND"));
  const Harm before = fate_.step("run " + call);
  if (before == Harm::kKill) fate_.die();
  if (before == Harm::kFail) return failing("before");
  plugin::Outcome out;
  if (before == Harm::kFailAfter) {  // it crashed before it did anything
    out.end = plugin::Outcome::End::kSignalled;
    out.status = 11;
    return out;
  }
  out = real_.run(command);
  const Harm after = fate_.step("answer " + call);
  if (after == Harm::kKill) fate_.die();
  if (after == Harm::kFail) return failing("after");
  if (after == Harm::kFailAfter) {
    out.end = plugin::Outcome::End::kTimedOut;
    out.status = 9;
  }
  return out;
}

std::optional<plugin::PodNetns> FaultPods::look(const std::string& path, const std::string& ifname) {
  if (fate_.look_fails("look " + path)) throw conf::system_error(conf::Code::kIo, "open", path, EMFILE);
  return real_.look(path, ifname);
}

std::vector<conf::IpPrefix> FaultPods::addresses(const std::string& path, const std::string& ifname) {
  if (fate_.look_fails("addresses " + path)) throw conf::system_error(conf::Code::kIo, "open", path, EMFILE);
  return real_.addresses(path, ifname);
}

std::shared_ptr<netlink::Fib> FaultPods::fib(const std::string& path) {
  if (fate_.look_fails("fib " + path)) throw conf::system_error(conf::Code::kIo, "open", path, EMFILE);
  std::shared_ptr<netlink::Fib> real = real_.fib(path);
  return real ? std::make_shared<FaultFib>(std::move(real), fate_) : nullptr;
}

bool FaultPods::delete_link(const std::string& path, const netlink::NetnsId& expected, const std::string& ifname) {
  const Harm harm = fate_.step("delete_link " + path + ' ' + ifname);
  if (harm == Harm::kKill) fate_.die();
  bool deleted = false;
  if (harm != Harm::kFail) deleted = real_.delete_link(path, expected, ifname);
  if (harm != Harm::kNone) throw conf::system_error(conf::Code::kIo, "delete link", ifname, ENOBUFS);
  return deleted;
}

}  // namespace fakes
