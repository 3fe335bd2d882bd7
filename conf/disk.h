// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The one door to files. Everything that Crossover keeps or reads goes through `Disk`, so that a test can fail or stop
// the process at any step (tests/fakes/fault.h); `RealDisk` is the only class that makes the system calls. Files are
// made 0600, directories 0700. Every error is a CniError of code 5 that names the operation and the path.
namespace conf {

enum class Sync { kNo, kYes };  ///< whether a power cut right after the call may lose what it did

struct DirEntry {
  std::string name;
  bool is_regular = false;  ///< a regular file, or a link to one
  bool is_dir = false;
  bool operator==(const DirEntry&) const = default;
};

struct FileInfo {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  bool is_regular = false;
  bool is_dir = false;
  std::chrono::system_clock::time_point modified;
};

class Disk {
 public:
  virtual ~Disk() = default;

  /// The whole file; nothing if there is none. More than `max_bytes`, or anything but a regular file, is an error.
  [[nodiscard]] virtual std::optional<std::string> read(const std::string& path, std::size_t max_bytes) = 0;
  /// Entries in byte order of their names, without "." and ".."; empty if the directory does not exist.
  [[nodiscard]] virtual std::vector<DirEntry> list(const std::string& dir) = 0;
  /// Follows links; nothing if there is no such file.
  [[nodiscard]] virtual std::optional<FileInfo> info(const std::string& path) = 0;

  /// The directory and its parents.
  virtual void make_dirs(const std::string& dir) = 0;
  /// A new file with `bytes` in one write; false if the name is taken. Killed in between, the file may be shorter.
  [[nodiscard]] virtual bool create(const std::string& path, std::string_view bytes) = 0;
  /// One write at the end of an existing file. With Sync::kYes the file and its directory entry are on disk after it.
  virtual void append(const std::string& path, std::string_view bytes, Sync sync) = 0;
  /// One write at `offset` of an existing file, which grows if it ends before; on disk whenever the kernel sees fit.
  virtual void write_at(const std::string& path, std::uint64_t offset, std::string_view bytes) = 0;
  /// A new content under the name at once (temporary file beside it, then rename): old or new, never half. A process
  /// killed in between leaves the temporary file, ".<name>.<pid>.tmp".
  virtual void replace(const std::string& path, std::string_view bytes, Sync sync) = 0;
  /// False if there was no such file.
  virtual bool remove(const std::string& path) = 0;
  virtual void rename(const std::string& from, const std::string& to) = 0;
  /// As replace, for a program: 0755, and on disk when this returns. Who runs the old one goes on with it.
  virtual void replace_program(const std::string& path, std::string_view bytes) = 0;
  /// A symbolic link to `target` under the name at once, whatever was there but a directory.
  virtual void replace_link(const std::string& path, const std::string& target) = 0;
  /// Where the symbolic link leads, to the letter; nothing if there is none of that name.
  [[nodiscard]] virtual std::optional<std::string> link_target(const std::string& path) = 0;
  /// `bytes` of a regular file from `offset` on; a file that is not there or ends before is an error.
  [[nodiscard]] virtual std::string read_at(const std::string& path, std::uint64_t offset, std::size_t bytes);
};

class RealDisk final : public Disk {
 public:
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
};

/// The directory that holds `path`: "." for a bare name. Pure.
[[nodiscard]] std::string folder_of(const std::string& path);
/// What follows its last slash. Pure.
[[nodiscard]] std::string file_name_of(const std::string& path);

/// Reads `fd` to its end: code 5 past `max_bytes`, on a read error, or if the end has not come by `deadline`.
[[nodiscard]] std::string read_to_end(int fd, std::size_t max_bytes, std::chrono::milliseconds deadline,
                                      std::string_view what);

}  // namespace conf
