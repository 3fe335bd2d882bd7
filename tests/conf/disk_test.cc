// SPDX-License-Identifier: Apache-2.0
#include "conf/disk.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "conf/fd.h"
#include "tests/support/refusal.h"

namespace conf {
namespace {

namespace fs = std::filesystem;
using support::check_refusal;
using support::refusal_of;
using namespace std::chrono_literals;

constexpr std::size_t kEnough = 1'000'000;

/// A directory of the case's own, gone with it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (fs::temp_directory_path() / "conf-disk-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;  // what is left over harms no other case
    fs::remove_all(path_, ignored);
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

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Pipe make_pipe() {
  std::array<int, 2> fds{};
  REQUIRE(::pipe2(fds.data(), O_CLOEXEC) == 0);
  return {.read_end = UniqueFd(fds[0]), .write_end = UniqueFd(fds[1])};
}

void put(const UniqueFd& fd, std::string_view bytes) {
  REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

std::size_t open_files() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

std::string content(const std::string& path) { return RealDisk().read(path, kEnough).value(); }

void make(const std::string& path, std::string_view bytes) { REQUIRE(RealDisk().create(path, bytes)); }

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

TEST_CASE("a stream is read to its end, however it comes") {
  Pipe pipe = make_pipe();
  put(pipe.write_end, "one ");
  put(pipe.write_end, "two");
  pipe.write_end.reset();
  CHECK(read_to_end(pipe.read_end.get(), 7, 60s, "stdin") == "one two");
  CHECK(read_to_end(pipe.read_end.get(), 7, 0ms, "stdin").empty());
}

TEST_CASE("A2.2 a stream longer than asked for is refused, its end need not come") {
  Pipe pipe = make_pipe();
  put(pipe.write_end, "12345678");
  check_refusal(refusal_of([&] { return read_to_end(pipe.read_end.get(), 7, 60s, "stdin"); }), Code::kIo,
                "input or output failed", "read stdin: longer than 7 bytes");
}

TEST_CASE("A2.2 a stream that does not end in time is refused") {
  Pipe pipe = make_pipe();
  put(pipe.write_end, "12345");
  check_refusal(refusal_of([&] { return read_to_end(pipe.read_end.get(), kEnough, 20ms, "stdin"); }), Code::kIo,
                "input or output failed", "read stdin: no end after 5 bytes and 20 ms");
  check_refusal(refusal_of([&] { return read_to_end(pipe.read_end.get(), kEnough, -1ms, "stdin"); }), Code::kIo,
                "input or output failed", "read stdin: no end after 0 bytes and -1 ms");
}

TEST_CASE("A2.2 who always has one more byte does not keep us") {
  const UniqueFd endless(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const CniError error = refusal_of([&] { return read_to_end(endless.get(), std::string().max_size(), 5ms, "stdin"); });
  CHECK(error.code() == 5);
  CHECK(error.details().starts_with("read stdin: no end after "));
  CHECK(error.details().ends_with(" bytes and 5 ms"));
}

TEST_CASE("A2.1 a stream that cannot be read is an error, a closed one too") {
  const UniqueFd folder(::open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  check_refusal(refusal_of([&] { return read_to_end(folder.get(), kEnough, 60s, "stdin"); }), Code::kIo,
                "system call failed", "read stdin: Is a directory");
  const int closed = make_pipe().read_end.get();
  check_refusal(refusal_of([&] { return read_to_end(closed, kEnough, 60s, "stdin"); }), Code::kIo, "system call failed",
                "read stdin: Bad file descriptor");
}

volatile std::sig_atomic_t alarms = 0;

TEST_CASE("signals neither end nor fail a read") {
  alarms = 0;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { alarms = alarms + 1; };  // without SA_RESTART, so that poll and read do return
  REQUIRE(::sigaction(SIGALRM, &action, &before) == 0);
  Pipe pipe = make_pipe();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (int i = 0; i < 5; ++i) {
      ::usleep(10'000);
      if (::write(pipe.write_end.get(), "x", 1) != 1) ::_exit(1);
    }
    ::_exit(0);
  }
  pipe.write_end.reset();
  const itimerval often{.it_interval = {.tv_sec = 0, .tv_usec = 500}, .it_value = {.tv_sec = 0, .tv_usec = 500}};
  REQUIRE(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
  const std::string text = read_to_end(pipe.read_end.get(), kEnough, 60s, "stdin");
  const itimerval never{};
  REQUIRE(::setitimer(ITIMER_REAL, &never, nullptr) == 0);
  REQUIRE(::sigaction(SIGALRM, &before, nullptr) == 0);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(text == "xxxxx");
  CHECK(alarms > 0);
}

TEST_CASE("a descriptor has one owner") {
  Pipe pipe = make_pipe();
  const int number = pipe.read_end.get();
  UniqueFd moved = std::move(pipe.read_end);
  CHECK(moved.get() == number);
  CHECK_FALSE(pipe.read_end);  // NOLINT(bugprone-use-after-move): empty is what it must be
  moved = std::move(pipe.write_end);
  CHECK(::fcntl(number, F_GETFD) == -1);
  const int kept = moved.release();
  CHECK_FALSE(moved);
  CHECK(::close(kept) == 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace conf
