// SPDX-License-Identifier: Apache-2.0
#include "conf/disk.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <iterator>
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

/// Lets no file grow beyond `bytes`: a write that would is cut short, the next one fails.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;
  ~FileLimit() {
    (void)::setrlimit(RLIMIT_FSIZE, &before_);  // raising a soft limit back cannot fail
    (void)std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

std::size_t open_files() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

TEST_SUITE_BEGIN("conf.disk");
TEST_CASE("a write at an offset changes these bytes of an existing file and no others") {
  const TempDir dir;
  make(dir / "f", "0123456789");
  RealDisk().write_at(dir / "f", 3, "abc");
  CHECK(content(dir / "f") == "012abc6789");
  RealDisk().write_at(dir / "f", 9, "xyz");
  CHECK(content(dir / "f") == "012abc678xyz");
}

TEST_CASE("a write at an offset makes no file, and takes nothing but a file") {
  const TempDir dir;
  const std::string path = dir / "f";
  check_refusal(refusal_of([&] { return RealDisk().write_at(path, 0, "a"), 0; }), Code::kIo, "system call failed",
                "open " + path + ": no such path");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  check_refusal(refusal_of([&] { return RealDisk().write_at(path, 0, "a"), 0; }), Code::kIo, "input or output failed",
                "write " + path + ": not a regular file");
}

TEST_CASE("a write at an offset that the disk has no room for is an error") {
  const TempDir dir;
  make(dir / "f", "0123456789");
  const FileLimit limit(10);
  check_refusal(refusal_of([&] { return RealDisk().write_at(dir / "f", 8, "abcd"), 0; }), Code::kIo,
                "input or output failed", "write " + (dir / "f") + ": only 2 of 4 bytes were taken");
}

TEST_CASE("a new file is made for root alone") {
  const TempDir dir;
  const mode_t mask = ::umask(0);
  const bool made = RealDisk().create(dir / "f", "hello");
  ::umask(mask);
  CHECK(made);
  CHECK(content(dir / "f") == "hello");
  CHECK(mode_of(dir / "f") == 0600);
  CHECK(RealDisk().create(dir / "empty", ""));
  CHECK(content(dir / "empty").empty());
}

TEST_CASE("a name that is taken is left alone, be it a link to nothing") {
  const TempDir dir;
  make(dir / "f", "old");
  fs::create_symlink("none", dir / "link");
  CHECK_FALSE(RealDisk().create(dir / "f", "new"));
  CHECK_FALSE(RealDisk().create(dir / "link", "new"));
  CHECK_FALSE(RealDisk().create(dir.path(), "new"));
  CHECK(content(dir / "f") == "old");
  CHECK_FALSE(fs::exists(dir / "none"));
}

TEST_CASE("a file in a directory that does not exist is an error without the words that containerd swallows") {
  const TempDir dir;
  const std::string path = dir / "no/f";
  check_refusal(refusal_of([&] { return RealDisk().create(path, ""); }), Code::kIo, "system call failed",
                "create " + path + ": no such path");
  check_refusal(refusal_of([&] { RealDisk().append(path, "", Sync::kNo); }), Code::kIo, "system call failed",
                "open " + path + ": no such path");
  const std::string temp = dir / ("no/.f." + std::to_string(::getpid()) + ".tmp");
  check_refusal(refusal_of([&] { RealDisk().replace(path, "", Sync::kNo); }), Code::kIo, "system call failed",
                "create " + temp + ": no such path");
}

TEST_CASE("a file that did not fit is not created") {
  const TempDir dir;
  const FileLimit limit(3);
  check_refusal(refusal_of([&] { return RealDisk().create(dir / "f", "12345"); }), Code::kIo, "input or output failed",
                "write " + (dir / "f") + ": only 3 of 5 bytes were taken");
  CHECK(dir.names().empty());
}

TEST_CASE("bytes are appended to a file that is there") {
  const TempDir dir;
  make(dir / "f", "one ");
  RealDisk().append(dir / "f", "two ", Sync::kNo);
  RealDisk().append(dir / "f", "", Sync::kYes);
  RealDisk().append(dir / "f", "three", Sync::kYes);
  CHECK(content(dir / "f") == "one two three");
  CHECK(refusal_of([&] { RealDisk().append(dir / "g", "x", Sync::kNo); }).code() == 5);
  CHECK_FALSE(fs::exists(dir / "g"));
}

TEST_CASE("appending that did not fit is an error, whether some or nothing was written") {
  const TempDir dir;
  make(dir / "f", "12");
  const FileLimit limit(3);
  check_refusal(refusal_of([&] { RealDisk().append(dir / "f", "345", Sync::kNo); }), Code::kIo,
                "input or output failed", "write " + (dir / "f") + ": only 1 of 3 bytes were taken");
  check_refusal(refusal_of([&] { RealDisk().append(dir / "f", "345", Sync::kNo); }), Code::kIo, "system call failed",
                "write " + (dir / "f") + ": File too large");
}

TEST_CASE("nothing is appended to what is no regular file, and nobody waits for a FIFO's reader") {
  const TempDir dir;
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  check_refusal(refusal_of([&] { RealDisk().append(dir / "fifo", "x", Sync::kNo); }), Code::kIo, "system call failed",
                "open " + (dir / "fifo") + ": No such device or address");
  check_refusal(refusal_of([&] { RealDisk().append("/dev/null", "x", Sync::kNo); }), Code::kIo,
                "input or output failed", "append to /dev/null: not a regular file");
}

TEST_CASE("replacing makes a file or takes the place of one, links included") {
  const TempDir dir;
  for (const Sync sync : {Sync::kNo, Sync::kYes}) {
    RealDisk().replace(dir / "f", "one", sync);
    CHECK(content(dir / "f") == "one");
    RealDisk().replace(dir / "f", "two", sync);
    CHECK(content(dir / "f") == "two");
  }
  CHECK(mode_of(dir / "f") == 0600);
  fs::create_symlink("f", dir / "link");
  RealDisk().replace(dir / "link", "three", Sync::kNo);
  CHECK_FALSE(fs::is_symlink(dir / "link"));
  CHECK(content(dir / "f") == "two");
  CHECK(dir.names() == std::vector<std::string>{"f", "link"});
}

TEST_CASE("who has the old file open still reads the old content") {
  const TempDir dir;
  make(dir / "f", "old");
  const UniqueFd open_one(::open((dir / "f").c_str(), O_RDONLY | O_CLOEXEC));
  RealDisk().replace(dir / "f", "new", Sync::kNo);
  CHECK(read_to_end(open_one.get(), kEnough, 1000ms, "f") == "old");
}

TEST_CASE("a name without a directory is replaced in the working directory") {
  const TempDir dir;
  const fs::path before = fs::current_path();
  fs::current_path(dir.path());
  RealDisk().replace("f", "x", Sync::kYes);
  fs::current_path(before);
  CHECK(content(dir / "f") == "x");
  CHECK(dir.names() == std::vector<std::string>{"f"});
}

TEST_CASE("a content that did not fit leaves the old one and no temporary file") {
  const TempDir dir;
  make(dir / "f", "old");
  const std::string temp = dir / (".f." + std::to_string(::getpid()) + ".tmp");
  const FileLimit limit(3);
  check_refusal(refusal_of([&] { RealDisk().replace(dir / "f", "12345", Sync::kYes); }), Code::kIo,
                "input or output failed", "write " + temp + ": only 3 of 5 bytes were taken");
  CHECK(content(dir / "f") == "old");
  CHECK(dir.names() == std::vector<std::string>{"f"});
}

TEST_CASE("a rename that fails leaves no temporary file") {
  const TempDir dir;
  RealDisk().make_dirs(dir / "d");
  const std::string temp = dir / (".d." + std::to_string(::getpid()) + ".tmp");
  check_refusal(refusal_of([&] { RealDisk().replace(dir / "d", "x", Sync::kNo); }), Code::kIo, "system call failed",
                "rename " + temp + " to " + (dir / "d") + ": Is a directory");
  CHECK(dir.names() == std::vector<std::string>{"d"});
}

TEST_CASE("a temporary file of another process with our number is neither used nor removed") {
  const TempDir dir;
  const std::string stale = ".f." + std::to_string(::getpid()) + ".tmp";
  fs::create_symlink("elsewhere", dir / stale);
  RealDisk().replace(dir / "f", "x", Sync::kNo);
  CHECK(content(dir / "f") == "x");
  CHECK(dir.names() == std::vector<std::string>{stale, "f"});
  CHECK_FALSE(fs::exists(dir / "elsewhere"));
}

TEST_CASE("temporary names run out instead of being taken from others") {
  const TempDir dir;
  const std::string base = ".f." + std::to_string(::getpid());
  make(dir / (base + ".tmp"), "");
  for (int i = 1; i < 16; ++i) make(dir / (base + "." + std::to_string(i) + ".tmp"), "");
  check_refusal(refusal_of([&] { RealDisk().replace(dir / "f", "x", Sync::kNo); }), Code::kIo, "system call failed",
                "create " + (dir / (base + ".15.tmp")) + ": File exists");
  CHECK(dir.names().size() == 16);
}

TEST_CASE("a file is removed once, a link instead of its file") {
  const TempDir dir;
  make(dir / "f", "x");
  fs::create_symlink("f", dir / "link");
  CHECK(RealDisk().remove(dir / "link"));
  CHECK(RealDisk().remove(dir / "f"));
  CHECK_FALSE(RealDisk().remove(dir / "f"));
  check_refusal(refusal_of([&] { return RealDisk().remove(dir.path()); }), Code::kIo, "system call failed",
                "remove " + dir.path() + ": Is a directory");
}

TEST_CASE("a file is renamed, over another too") {
  const TempDir dir;
  make(dir / "a", "a");
  make(dir / "b", "b");
  RealDisk().rename(dir / "a", dir / "b");
  CHECK(dir.names() == std::vector<std::string>{"b"});
  CHECK(content(dir / "b") == "a");
  check_refusal(refusal_of([&] { RealDisk().rename(dir / "a", dir / "c"); }), Code::kIo, "system call failed",
                "rename " + (dir / "a") + " to " + (dir / "c") + ": no such path");
}

TEST_CASE("no call leaves a descriptor open, whether it succeeds or fails") {
  const TempDir dir;
  RealDisk disk;
  make(dir / "f", "12345");
  const std::size_t before = open_files();
  (void)disk.read(dir / "f", kEnough);
  (void)refusal_of([&] { return disk.read(dir / "f", 1); });
  (void)refusal_of([&] { return disk.read(dir.path(), 1); });
  (void)disk.list(dir.path());
  (void)disk.create(dir / "g", "x");
  disk.append(dir / "g", "x", Sync::kYes);
  (void)refusal_of([&] { disk.append("/dev/null", "x", Sync::kNo); });
  disk.replace(dir / "f", "x", Sync::kYes);
  (void)refusal_of([&] { disk.replace(dir.path(), "x", Sync::kNo); });
  disk.make_dirs(dir / "a/b");
  CHECK(open_files() == before);
}

TEST_SUITE_END();

}  // namespace
}  // namespace conf
