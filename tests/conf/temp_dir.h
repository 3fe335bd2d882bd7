// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "conf/disk.h"

// What the tests of the disk share: a place of their own, and short ways to fill it and to look at it.
namespace conf {

inline constexpr std::size_t kEnough = 1'000'000;

/// A directory of the case's own, gone with it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "crossover-disk-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;  // what is left over harms no other case
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// The names in it, in order.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const DirEntry& entry : RealDisk().list(path_)) names.push_back(entry.name);
    return names;
  }

 private:
  std::string path_;
};

inline mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

inline std::string content(const std::string& path) { return RealDisk().read(path, kEnough).value(); }

inline void make(const std::string& path, std::string_view bytes) { REQUIRE(RealDisk().create(path, bytes)); }

}  // namespace conf
