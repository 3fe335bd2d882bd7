// SPDX-License-Identifier: Apache-2.0
#include "conf/rooted_disk.h"

#include <fmt/format.h>

#include <utility>

#include "conf/error.h"

namespace conf {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel's

/// The names of `path`, the first one last.
std::vector<std::string> names_of(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const std::size_t slash = path.rfind('/');
    const std::string_view name = slash == path.npos ? path : path.substr(slash + 1);
    if (!name.empty() && name != ".") out.emplace_back(name);
    path = slash == path.npos ? std::string_view{} : path.substr(0, slash);
  }
  return out;
}

}  // namespace

RootedDisk::RootedDisk(Disk& outer, std::string root, std::string ours)
    : outer_(outer), root_(std::move(root)), ours_(std::move(ours)) {
  while (root_.ends_with('/')) root_.pop_back();
}

std::string RootedDisk::outside(const std::string& path, Last last) const {
  if (!ours_.empty() && path == ours_) return path;
  std::vector<std::string> ahead = names_of(path);
  std::string at = root_;
  int links = 0;
  while (!ahead.empty()) {
    const std::string name = ahead.back();
    ahead.pop_back();
    if (name == "..") {
      if (at.size() > root_.size()) at.resize(at.rfind('/'));
      continue;
    }
    std::string next = fmt::format("{}/{}", at, name);
    const bool kept = last == Last::kKeep && ahead.empty();
    const std::optional<std::string> target = kept ? std::nullopt : outer_.link_target(next);
    if (!target) {
      at = std::move(next);
      continue;
    }
    if (++links > kMaxLinks)
      throw CniError(Code::kIo, "input or output failed",
                     fmt::format("follow {}: more than {} links below {}", path, kMaxLinks, root_));
    if (target->starts_with('/')) at = root_;
    const std::vector<std::string> inserted = names_of(*target);
    ahead.insert(ahead.end(), inserted.begin(), inserted.end());
  }
  return at.empty() ? "/" : at;
}

std::optional<std::string> RootedDisk::read(const std::string& path, std::size_t max_bytes) {
  return outer_.read(outside(path), max_bytes);
}

std::string RootedDisk::read_at(const std::string& path, std::uint64_t offset, std::size_t bytes) {
  return outer_.read_at(outside(path), offset, bytes);
}

// The outer disk follows links out of the root: what they lead to is looked up anew.
std::vector<DirEntry> RootedDisk::list(const std::string& dir) {
  const std::string at = outside(dir);
  std::vector<DirEntry> entries = outer_.list(at);
  for (DirEntry& entry : entries) {
    if (!outer_.link_target(at + '/' + entry.name)) continue;
    entry.is_regular = entry.is_dir = false;
    try {
      const std::optional<FileInfo> found = info(dir + '/' + entry.name);
      entry.is_regular = found && found->is_regular;
      entry.is_dir = found && found->is_dir;
    } catch (const CniError&) {
      continue;  // a link that leads nowhere is neither
    }
  }
  return entries;
}

std::optional<FileInfo> RootedDisk::info(const std::string& path) { return outer_.info(outside(path)); }

void RootedDisk::make_dirs(const std::string& dir) { outer_.make_dirs(outside(dir)); }

bool RootedDisk::create(const std::string& path, std::string_view bytes) {
  return outer_.create(outside(path, Last::kKeep), bytes);
}

void RootedDisk::append(const std::string& path, std::string_view bytes, Sync sync) {
  outer_.append(outside(path), bytes, sync);
}

void RootedDisk::write_at(const std::string& path, std::uint64_t offset, std::string_view bytes) {
  outer_.write_at(outside(path), offset, bytes);
}

void RootedDisk::replace(const std::string& path, std::string_view bytes, Sync sync) {
  outer_.replace(outside(path, Last::kKeep), bytes, sync);
}

bool RootedDisk::remove(const std::string& path) { return outer_.remove(outside(path, Last::kKeep)); }

void RootedDisk::rename(const std::string& from, const std::string& to) {
  outer_.rename(outside(from, Last::kKeep), outside(to, Last::kKeep));
}

void RootedDisk::replace_program(const std::string& path, std::string_view bytes) {
  outer_.replace_program(outside(path, Last::kKeep), bytes);
}

void RootedDisk::replace_link(const std::string& path, const std::string& target) {
  outer_.replace_link(outside(path, Last::kKeep), target);
}

std::optional<std::string> RootedDisk::link_target(const std::string& path) {
  return outer_.link_target(outside(path, Last::kKeep));
}

}  // namespace conf
