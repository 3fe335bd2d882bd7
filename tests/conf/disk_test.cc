// SPDX-License-Identifier: Apache-2.0
#include "conf/disk.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "conf/fd.h"
#include "tests/conf/temp_dir.h"
#include "tests/support/refusal.h"

namespace conf {
namespace {

namespace fs = std::filesystem;
using support::check_refusal;
using support::refusal_of;
using namespace std::chrono_literals;

TEST_SUITE_BEGIN("conf.disk");

TEST_CASE("a file is read whole, whatever its size") {
  const TempDir dir;
  for (const std::size_t size : {0U, 1U, 4095U, 65536U, 65537U, 300'000U}) {
    std::string bytes(size, 'x');
    if (size > 1) bytes[size / 2] = '\0';
    RealDisk().replace(dir / "f", bytes, Sync::kNo);
    CHECK(RealDisk().read(dir / "f", size) == bytes);
  }
}

TEST_CASE("a file that does not tell its size is read whole") {
  const std::optional<std::string> text = RealDisk().read("/proc/self/status", kEnough);
  REQUIRE(text);
  CHECK(text->starts_with("Name:"));
  CHECK(text->ends_with("\n"));
}

TEST_CASE("a file that does not exist is nothing") {
  const TempDir dir;
  CHECK_FALSE(RealDisk().read(dir / "none", kEnough).has_value());
  CHECK_FALSE(RealDisk().read(dir / "no/such", kEnough).has_value());
  CHECK_FALSE(RealDisk().info(dir / "none").has_value());
  CHECK(RealDisk().list(dir / "none").empty());
  CHECK_FALSE(RealDisk().remove(dir / "none"));
}

TEST_CASE("a file longer than asked for is refused, whether it tells its size or not") {
  const TempDir dir;
  make(dir / "f", "12345");
  check_refusal(refusal_of([&] { return RealDisk().read(dir / "f", 4); }), Code::kIo, "input or output failed",
                "read " + (dir / "f") + ": longer than 4 bytes");
  check_refusal(refusal_of([&] { return RealDisk().read("/proc/self/status", 10); }), Code::kIo,
                "input or output failed", "read /proc/self/status: longer than 10 bytes");
}

TEST_CASE("a part of a file is read, and one that goes beyond its end is refused") {
  const TempDir dir;
  const std::string path = dir / "f";
  make(path, "0123456789");
  CHECK(RealDisk().read_at(path, 0, 3) == "012");
  CHECK(RealDisk().read_at(path, 7, 3) == "789");
  check_refusal(refusal_of([&] { return RealDisk().read_at(path, 8, 3); }), Code::kIo, "input or output failed",
                "read " + path + ": it ends before 11");
  check_refusal(refusal_of([&] { return RealDisk().read_at(path + "x", 0, 1); }), Code::kIo, "system call failed",
                "open " + path + "x: no such path");
  check_refusal(refusal_of([&] { return RealDisk().read_at(dir.path(), 0, 1); }), Code::kIo, "input or output failed",
                "read " + dir.path() + ": not a regular file");
}

TEST_CASE("what is no regular file is refused at once, a FIFO without a writer too") {
  const TempDir dir;
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  for (const std::string& path : {dir / "fifo", dir.path(), std::string("/dev/zero")}) {
    check_refusal(refusal_of([&] { return RealDisk().read(path, kEnough); }), Code::kIo, "input or output failed",
                  "read " + path + ": not a regular file");
  }
}

TEST_CASE("a socket is refused with the system's reason") {
  const TempDir dir;
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (dir / "s").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  check_refusal(refusal_of([&] { return RealDisk().read(dir / "s", kEnough); }), Code::kIo, "system call failed",
                "open " + (dir / "s") + ": No such device or address");
}

TEST_CASE("a path through a file is an error, but has no info") {
  const TempDir dir;
  make(dir / "f", "");
  check_refusal(refusal_of([&] { return RealDisk().read(dir / "f/g", kEnough); }), Code::kIo, "system call failed",
                "open " + (dir / "f/g") + ": Not a directory");
  check_refusal(refusal_of([&] { return RealDisk().list(dir / "f"); }), Code::kIo, "system call failed",
                "open " + (dir / "f") + ": Not a directory");
  CHECK_FALSE(RealDisk().info(dir / "f/g").has_value());
}

TEST_CASE("a path with a NUL byte is refused, not cut short") {
  const TempDir dir;
  make(dir / "f", "");
  const std::string bad = (dir / "f") + std::string("\0x", 2);
  const std::string details = "use " + (dir / "f") + ": the path holds a NUL byte";
  RealDisk disk;
  check_refusal(refusal_of([&] { return disk.read(bad, 1); }), Code::kIo, "input or output failed", details);
  CHECK(refusal_of([&] { return disk.list(bad); }).details() == details);
  CHECK(refusal_of([&] { return disk.info(bad); }).details() == details);
  CHECK(refusal_of([&] { disk.make_dirs(bad); }).details() == details);
  CHECK(refusal_of([&] { return disk.create(bad, ""); }).details() == details);
  CHECK(refusal_of([&] { disk.append(bad, "", Sync::kNo); }).details() == details);
  CHECK(refusal_of([&] { return disk.remove(bad); }).details() == details);
  CHECK(refusal_of([&] { disk.rename(bad, dir / "g"); }).details() == details);
  CHECK(refusal_of([&] { disk.rename(dir / "f", bad); }).details() == details);
  CHECK(refusal_of([&] { disk.replace(bad, "", Sync::kNo); }).code() == 5);
  CHECK(dir.names() == std::vector<std::string>{"f"});
}

TEST_CASE("a directory is listed in byte order, links counting as what they lead to") {
  const TempDir dir;
  for (const char* name : {"b", "a", "B", ".hidden", "\xC3\xA4", "10", "9"}) make(dir / name, "");
  RealDisk().make_dirs(dir / "d");
  fs::create_symlink("a", dir / "to-file");
  fs::create_symlink("d", dir / "to-dir");
  fs::create_symlink("none", dir / "to-none");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  const auto file = [](const char* name) { return DirEntry{.name = name, .is_regular = true, .is_dir = false}; };
  const auto folder = [](const char* name) { return DirEntry{.name = name, .is_regular = false, .is_dir = true}; };
  const auto other = [](const char* name) { return DirEntry{.name = name, .is_regular = false, .is_dir = false}; };
  const std::vector<DirEntry> expected = {file(".hidden"),  file("10"),      file("9"),        file("B"),
                                          file("a"),        file("b"),       folder("d"),      other("fifo"),
                                          folder("to-dir"), file("to-file"), other("to-none"), file("\xC3\xA4")};
  CHECK(RealDisk().list(dir.path()) == expected);
}

TEST_CASE("info tells identity, size, kind and time, through links") {
  const TempDir dir;
  make(dir / "f", "123");
  fs::create_symlink("f", dir / "link");
  struct stat status {};
  REQUIRE(::stat((dir / "f").c_str(), &status) == 0);
  const std::array<timespec, 2> times = {timespec{.tv_sec = 1, .tv_nsec = 0},
                                         timespec{.tv_sec = 1'700'000'000, .tv_nsec = 123'456'789}};
  REQUIRE(::utimensat(AT_FDCWD, (dir / "f").c_str(), times.data(), 0) == 0);
  for (const std::string& path : {dir / "f", dir / "link"}) {
    const std::optional<FileInfo> info = RealDisk().info(path);
    REQUIRE(info);
    CHECK(info->device == status.st_dev);
    CHECK(info->inode == status.st_ino);
    CHECK(info->bytes == 3);
    CHECK(info->is_regular);
    CHECK_FALSE(info->is_dir);
    CHECK(info->modified.time_since_epoch() == 1'700'000'000s + 123'456'789ns);
  }
  const std::optional<FileInfo> folder = RealDisk().info(dir.path());
  REQUIRE(folder);
  CHECK(folder->is_dir);
  CHECK_FALSE(folder->is_regular);
}

TEST_CASE("a link in a circle is an error, not nothing") {
  const TempDir dir;
  fs::create_symlink("loop", dir / "loop");
  const std::string reason = (dir / "loop") + ": Too many levels of symbolic links";
  check_refusal(refusal_of([&] { return RealDisk().info(dir / "loop"); }), Code::kIo, "system call failed",
                "stat " + reason);
  CHECK(refusal_of([&] { return RealDisk().read(dir / "loop", 1); }).details() == "open " + reason);
}

TEST_CASE("a program is replaced at once, executable by all, whatever umask says") {
  const TempDir dir;
  const mode_t old = ::umask(0077);
  RealDisk().replace_program(dir / "program", "one");
  RealDisk().replace_program(dir / "program", "two");
  (void)::umask(old);
  CHECK(RealDisk().read(dir / "program", 100) == "two");
  CHECK((mode_of(dir / "program") & 0777U) == 0755);
  CHECK(RealDisk().list(dir.path()).size() == 1);  // no temporary file
}

TEST_CASE("a link is replaced at once, be it a file before, and tells where it leads") {
  const TempDir dir;
  CHECK(RealDisk().link_target(dir / "link") == std::nullopt);
  RealDisk().replace(dir / "link", "a file", conf::Sync::kNo);
  CHECK(RealDisk().link_target(dir / "link") == std::nullopt);
  RealDisk().replace_link(dir / "link", "one");
  RealDisk().replace_link(dir / "link", "two");
  CHECK(RealDisk().link_target(dir / "link") == "two");
  CHECK(RealDisk().list(dir.path()).size() == 1);
  RealDisk().make_dirs(dir / "dir");
  CHECK(refusal_of([&] { RealDisk().replace_link(dir / "dir", "x"); }).code() == 5);
  CHECK(RealDisk().list(dir.path()).size() == 2);
}

TEST_CASE("directories are made with their parents, for root alone, and again without harm") {
  const TempDir dir;
  RealDisk().make_dirs(dir / "a/b//c/");
  CHECK(mode_of(dir / "a") == 0700);
  CHECK(mode_of(dir / "a/b") == 0700);
  CHECK(mode_of(dir / "a/b/c") == 0700);
  RealDisk().make_dirs(dir / "a/b/c");
  RealDisk().make_dirs("/");
  RealDisk().make_dirs(".");
  fs::create_directory_symlink("a", dir / "link");
  RealDisk().make_dirs(dir / "link");
  RealDisk().make_dirs(dir / "link/x");
  CHECK(fs::is_directory(dir / "a/x"));
}

TEST_CASE("the mode of a directory that is there stays") {
  const TempDir dir;
  REQUIRE(::mkdir((dir / "a").c_str(), 0755) == 0);
  REQUIRE(::chmod((dir / "a").c_str(), 0755) == 0);
  RealDisk().make_dirs(dir / "a");
  CHECK(mode_of(dir / "a") == 0755);
}

TEST_CASE("a directory is not made where something else is") {
  const TempDir dir;
  make(dir / "f", "");
  fs::create_symlink("none", dir / "dangling");
  for (const std::string& path : {dir / "f", dir / "dangling"}) {
    check_refusal(refusal_of([&] { RealDisk().make_dirs(path); }), Code::kIo, "input or output failed",
                  "make directory " + path + ": there is something else under this name");
  }
  check_refusal(refusal_of([&] { RealDisk().make_dirs(dir / "f/g"); }), Code::kIo, "system call failed",
                "make directory " + (dir / "f/g") + ": Not a directory");
  check_refusal(refusal_of([&] { RealDisk().make_dirs(""); }), Code::kIo, "system call failed",
                "make directory : no such path");
}

TEST_CASE("processes that make the same directories do not fail each other") {
  const TempDir dir;
  for (int round = 0; round < 30; ++round) {
    const std::string path = dir / (std::to_string(round) + "/b/c/d/e/f");
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        try {
          RealDisk().make_dirs(path);
          ::_exit(0);
        } catch (...) {
          ::_exit(1);
        }
      }
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = -1;
      REQUIRE(::waitpid(child, &status, 0) == child);
      CHECK(status == 0);
    }
    CHECK(fs::is_directory(path));
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace conf
