// SPDX-License-Identifier: Apache-2.0
#include "conf/unfinished.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "tests/conf/temp_dir.h"

namespace {

namespace fs = std::filesystem;
using conf::TempDir;
using Time = std::chrono::system_clock::time_point;

std::vector<std::string> unfinished(const TempDir& dir, Time before) {
  conf::RealDisk disk;
  return conf::unfinished_files(disk, dir.path(), before);
}

}  // namespace

TEST_SUITE_BEGIN("conf.unfinished");

TEST_CASE("the names are those that Disk::replace gives, and no others") {
  for (const char* name : {".f.1.tmp", ".f.123.4.tmp", ".node-state.99.tmp", ".a:eth0.7.tmp", "..f.1.tmp"})
    CHECK_MESSAGE(conf::is_unfinished_name(name), name);
  for (const char* name : {"", ".", ".tmp", "f.1.tmp", ".f.tmp", ".f.x1.tmp", ".f..tmp", ".1.tmp", "..1.tmp", ".f.1",
                           ".f.1.tmp.", ".f.1.TMP", "node-state"})
    CHECK_MESSAGE(!conf::is_unfinished_name(name), name);
}

TEST_CASE("only files that were written before the given time are found") {
  const TempDir dir;
  std::ofstream(dir / ".f.12.tmp") << "half";
  std::ofstream(dir / "f") << "whole";
  fs::create_directory(dir / ".d.12.tmp");
  const Time written = Time::clock::now();
  CHECK(unfinished(dir, written - std::chrono::hours(1)).empty());
  CHECK(unfinished(dir, written + std::chrono::hours(1)) == std::vector<std::string>{dir / ".f.12.tmp"});
  fs::last_write_time(dir / ".f.12.tmp", fs::last_write_time(dir / ".f.12.tmp") - std::chrono::hours(2));
  CHECK(unfinished(dir, written - std::chrono::hours(1)) == std::vector<std::string>{dir / ".f.12.tmp"});
}

TEST_CASE("a directory that is not there holds nothing") {
  conf::RealDisk disk;
  const TempDir dir;
  CHECK(conf::unfinished_files(disk, dir / "none", Time::clock::now()).empty());
}

TEST_SUITE_END();
