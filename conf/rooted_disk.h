// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "conf/disk.h"

// A disk seen from a folder that holds the root of another: what a container sees of a host that is mounted there.
namespace conf {

/// Every path is looked up below `root`, as a process would whose root it is: a symbolic link that begins with a slash
/// begins at `root`, and no ".." leads above it. More than 40 links on one way are an error. What a link says is read
/// before the path is used: whoever may change links there may do what we do anyway.
class RootedDisk final : public Disk {
 public:
  /// `ours` is the one path that is not below `root`; none if it is empty.
  RootedDisk(Disk& outer, std::string root, std::string ours = {});

  /// Where `path` is on the outer disk: without links, but the last name if it is one and `last` says so.
  enum class Last { kFollow, kKeep };
  [[nodiscard]] std::string outside(const std::string& path, Last last = Last::kFollow) const;

  [[nodiscard]] std::optional<std::string> read(const std::string& path, std::size_t max_bytes) override;
  [[nodiscard]] std::string read_at(const std::string& path, std::uint64_t offset, std::size_t bytes) override;
  [[nodiscard]] std::vector<DirEntry> list(const std::string& dir) override;
  [[nodiscard]] std::optional<FileInfo> info(const std::string& path) override;
  void make_dirs(const std::string& dir) override;
  [[nodiscard]] bool create(const std::string& path, std::string_view bytes) override;
  void append(const std::string& path, std::string_view bytes, Sync sync) override;
  void write_at(const std::string& path, std::uint64_t offset, std::string_view bytes) override;
  void replace(const std::string& path, std::string_view bytes, Sync sync) override;
  bool remove(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void replace_program(const std::string& path, std::string_view bytes) override;
  void replace_link(const std::string& path, const std::string& target) override;
  [[nodiscard]] std::optional<std::string> link_target(const std::string& path) override;

 private:
  Disk& outer_;
  std::string root_;
  std::string ours_;
};

}  // namespace conf
