// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/disk.h"

namespace ipam {

/// Files in memory, for speed; nothing fails.
class MemoryDisk final : public conf::Disk {
 public:
  std::optional<std::string> read(const std::string& path, std::size_t) override {
    const auto found = files_.find(path);
    return found == files_.end() ? std::nullopt : std::optional(found->second);
  }
  std::vector<conf::DirEntry> list(const std::string& dir) override {
    std::vector<conf::DirEntry> out;
    for (auto it = files_.lower_bound(dir + '/'); it != files_.end() && it->first.starts_with(dir + '/'); ++it)
      out.push_back({.name = it->first.substr(dir.size() + 1), .is_regular = true, .is_dir = false});
    return out;
  }
  std::optional<conf::FileInfo> info(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return std::nullopt;
    conf::FileInfo out;
    out.bytes = found->second.size();
    out.is_regular = true;
    return out;
  }
  void make_dirs(const std::string&) override {}
  bool create(const std::string& path, std::string_view bytes) override {
    return files_.emplace(path, std::string(bytes)).second;
  }
  void append(const std::string& path, std::string_view bytes, conf::Sync) override { files_.at(path) += bytes; }
  void write_at(const std::string& path, std::uint64_t offset, std::string_view bytes) override {
    files_.at(path).replace(offset, bytes.size(), bytes);
  }
  void replace(const std::string& path, std::string_view bytes, conf::Sync) override { files_[path] = bytes; }
  bool remove(const std::string& path) override { return files_.erase(path) > 0; }
  void rename(const std::string& from, const std::string& to) override {
    files_[to] = files_.at(from);
    files_.erase(from);
  }
  void replace_program(const std::string& path, std::string_view bytes) override { files_[path] = bytes; }
  void replace_link(const std::string& path, const std::string& target) override { links_[path] = target; }
  std::optional<std::string> link_target(const std::string& path) override {
    const auto found = links_.find(path);
    return found == links_.end() ? std::nullopt : std::optional(found->second);
  }

  /// All that is there, to look at, to damage, and to put back.
  [[nodiscard]] std::map<std::string, std::string>& files() { return files_; }

 private:
  std::map<std::string, std::string> files_;
  std::map<std::string, std::string> links_;
};

}  // namespace ipam
