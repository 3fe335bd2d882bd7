// SPDX-License-Identifier: Apache-2.0
#include "conf/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <memory>
#include <utility>

#include "conf/error.h"
#include "conf/fd.h"

namespace conf {
namespace {

constexpr mode_t kProgramMode = 0755;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirMode = 0700;
constexpr std::size_t kChunk = std::size_t{64} << 10U;
constexpr int kTempNames = 16;

[[noreturn]] void fail(std::string_view operation, std::string_view object) {
  throw system_error(Code::kIo, operation, object, errno);
}

[[noreturn]] void refuse(std::string_view operation, std::string_view object, std::string_view reason) {
  throw CniError(Code::kIo, "input or output failed", fmt::format("{} {}: {}", operation, object, reason));
}

/// `path` for a system call, which would take a NUL (JSON can write one) for the end and reach another file.
const char* c_path(const std::string& path) {
  const std::size_t nul = path.find('\0');
  if (nul != path.npos) refuse("use", path.substr(0, nul), "the path holds a NUL byte");
  return path.c_str();
}

/// Repeats a system call that a signal interrupted.
template <typename Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

UniqueFd open_fd(const std::string& path, int flags, mode_t mode = 0) {
  const char* const name = c_path(path);
  return UniqueFd(uninterrupted([&] { return ::openat(AT_FDCWD, name, flags | O_CLOEXEC | O_NOCTTY, mode); }));
}

struct stat stat_of(const UniqueFd& fd, std::string_view operation, const std::string& path) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail(operation, path);
  return status;
}

void sync_fd(const UniqueFd& fd, const std::string& path) {
  if (uninterrupted([&] { return ::fsync(fd.get()); }) != 0) fail("sync", path);
}

/// Puts the names in `dir` on disk. Some file systems (9p, some FUSE) cannot: they say EINVAL, and there is no cure.
void sync_dir(const std::string& dir) {
  const UniqueFd fd = open_fd(dir, O_RDONLY | O_DIRECTORY);
  if (!fd) fail("open", dir);
  if (uninterrupted([&] { return ::fsync(fd.get()); }) != 0 && errno != EINVAL && errno != ENOTSUP) fail("sync", dir);
}

/// On a regular file a short write means that the disk or a limit is full.
void require_whole(ssize_t written, std::string_view bytes, const std::string& path) {
  if (written < 0) fail("write", path);
  if (static_cast<std::size_t>(written) != bytes.size()) {
    refuse("write", path, fmt::format("only {} of {} bytes were taken", written, bytes.size()));
  }
}

/// All of `bytes` in one write.
void write_once(const UniqueFd& fd, std::string_view bytes, const std::string& path) {
  if (bytes.empty()) return;
  require_whole(uninterrupted([&] { return ::write(fd.get(), bytes.data(), bytes.size()); }), bytes, path);
}

/// Reads until the end or one byte more than `max_bytes`.
std::string read_all(const UniqueFd& fd, std::size_t expected, std::size_t max_bytes, const std::string& path) {
  std::string text;
  std::size_t used = 0;
  text.resize(std::min(expected, max_bytes) + 1);  // one more, so that the read that finds the end needs no room
  for (;;) {
    const ssize_t got = uninterrupted([&] { return ::read(fd.get(), text.data() + used, text.size() - used); });
    if (got < 0) fail("read", path);
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > max_bytes) break;
    if (used == text.size()) text.resize(std::min(used + kChunk, max_bytes + 1));
  }
  text.resize(used);
  return text;
}

DirEntry entry_of(const dirent& raw, int dir_fd) {
  unsigned char type = raw.d_type;
  struct stat status {};
  // A link counts as what it leads to, and not every file system says what an entry is.
  if ((type == DT_LNK || type == DT_UNKNOWN) && ::fstatat(dir_fd, raw.d_name, &status, 0) == 0) {
    type = static_cast<unsigned char>(IFTODT(status.st_mode));
  }
  return {.name = raw.d_name, .is_regular = type == DT_REG, .is_dir = type == DT_DIR};
}

struct CloseDir {
  void operator()(DIR* dir) const { (void)::closedir(dir); }  // only read from: a failed close loses nothing
};

bool is_dir(const std::string& path) {
  struct stat status {};
  return ::stat(c_path(path), &status) == 0 && S_ISDIR(status.st_mode);
}

/// The `i`th name beside `target` for what is not finished. A process that died may have left one, and other pid
/// namespaces have the same numbers: a name that is taken is never touched.
std::string temp_name(const std::string& target, int i) {
  const std::size_t name = target.rfind('/') + 1;  // npos + 1 is 0
  const std::string number = i == 0 ? "" : fmt::format(".{}", i);
  return fmt::format("{}.{}.{}{}.tmp", target.substr(0, name), target.substr(name), ::getpid(), number);
}

/// A file that disappears unless `publish` gave it its name.
class TempFile {
 public:
  explicit TempFile(const std::string& target) {
    for (int i = 0; !fd_ && i < kTempNames; ++i) {
      path_ = temp_name(target, i);
      fd_ = open_fd(path_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kFileMode);
      if (!fd_ && errno != EEXIST) break;
    }
    if (!fd_) fail("create", path_);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() {
    if (!published_) (void)::unlink(path_.c_str());  // an error is already on its way
  }

  [[nodiscard]] const UniqueFd& fd() const { return fd_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  void publish(const std::string& target) {
    if (::rename(path_.c_str(), c_path(target)) != 0) fail("rename", fmt::format("{} to {}", path_, target));
    published_ = true;
  }

 private:
  std::string path_;
  UniqueFd fd_;
  bool published_ = false;
};

using Clock = std::chrono::steady_clock;

/// Waits until `fd` has something to say; false if `end` came first.
bool wait_readable(int fd, Clock::time_point end, std::string_view what) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
    if (left < 0) return false;  // before asking: who always has a byte ready must not hold us longer
    const int ready = ::poll(&wanted, 1, static_cast<int>(std::min<decltype(left)>(left, 1'000'000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) fail("poll", what);
  }
}

}  // namespace

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string file_name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

std::string Disk::read_at(const std::string& path, std::uint64_t offset, std::size_t bytes) {
  const std::optional<std::string> all = read(path, std::size_t{1} << 30U);
  if (!all || all->size() < offset + bytes) refuse("read", path, fmt::format("it ends before {}", offset + bytes));
  return all->substr(offset, bytes);
}

std::optional<std::string> RealDisk::read(const std::string& path, std::size_t max_bytes) {
  // Without O_NONBLOCK a FIFO under the name would hold us here until somebody writes to it.
  const UniqueFd fd = open_fd(path, O_RDONLY | O_NONBLOCK);
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd) fail("open", path);
  const struct stat status = stat_of(fd, "read", path);
  if (!S_ISREG(status.st_mode)) refuse("read", path, "not a regular file");
  std::string text = read_all(fd, static_cast<std::size_t>(status.st_size), max_bytes, path);
  if (text.size() > max_bytes) refuse("read", path, fmt::format("longer than {} bytes", max_bytes));
  return text;
}

std::string RealDisk::read_at(const std::string& path, std::uint64_t offset, std::size_t bytes) {
  const UniqueFd fd = open_fd(path, O_RDONLY | O_NONBLOCK);
  if (!fd) fail("open", path);
  if (!S_ISREG(stat_of(fd, "read", path).st_mode)) refuse("read", path, "not a regular file");
  std::string out(bytes, '\0');
  const ssize_t got =
      uninterrupted([&] { return ::pread(fd.get(), out.data(), out.size(), static_cast<off_t>(offset)); });
  if (got < 0) fail("read", path);
  if (static_cast<std::size_t>(got) != bytes) refuse("read", path, fmt::format("it ends before {}", offset + bytes));
  return out;
}

std::vector<DirEntry> RealDisk::list(const std::string& dir) {
  UniqueFd fd = open_fd(dir, O_RDONLY | O_DIRECTORY);
  if (!fd && errno == ENOENT) return {};
  if (!fd) fail("open", dir);
  const std::unique_ptr<DIR, CloseDir> stream(::fdopendir(fd.get()));
  if (!stream) fail("list", dir);
  const int dir_fd = fd.release();  // the stream owns it now
  std::vector<DirEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* raw = ::readdir(stream.get());
    if (raw == nullptr && errno != 0) fail("list", dir);
    if (raw == nullptr) break;
    const std::string_view name = raw->d_name;
    if (name != "." && name != "..") entries.push_back(entry_of(*raw, dir_fd));
  }
  std::sort(entries.begin(), entries.end(), [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; });
  return entries;
}

std::optional<FileInfo> RealDisk::info(const std::string& path) {
  struct stat status {};
  if (::stat(c_path(path), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    fail("stat", path);
  }
  const auto since_epoch =
      std::chrono::seconds(status.st_mtim.tv_sec) + std::chrono::nanoseconds(status.st_mtim.tv_nsec);
  return FileInfo{.device = status.st_dev,
                  .inode = status.st_ino,
                  .bytes = static_cast<std::uint64_t>(status.st_size),
                  .is_regular = S_ISREG(status.st_mode),
                  .is_dir = S_ISDIR(status.st_mode),
                  .modified = std::chrono::system_clock::time_point(since_epoch)};
}

void RealDisk::make_dirs(const std::string& dir) {
  if (::mkdir(c_path(dir), kDirMode) != 0) {
    const int error_number = errno;
    if (error_number == EEXIST && is_dir(dir)) return;
    if (error_number == EEXIST) refuse("make directory", dir, "there is something else under this name");
    if (error_number != ENOENT || folder_of(dir) == dir)
      throw system_error(Code::kIo, "make directory", dir, error_number);
    make_dirs(folder_of(dir));
    // Another process may have made it meanwhile.
    if (::mkdir(c_path(dir), kDirMode) != 0 && !(errno == EEXIST && is_dir(dir))) fail("make directory", dir);
  }
  sync_dir(folder_of(dir));  // once in its life, so that what is synced below it has a name after a power cut
}

bool RealDisk::create(const std::string& path, std::string_view bytes) {
  const UniqueFd fd = open_fd(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kFileMode);
  if (!fd && errno == EEXIST) return false;
  if (!fd) fail("create", path);
  try {
    write_once(fd, bytes, path);
  } catch (const CniError&) {
    (void)::unlink(path.c_str());  // the write's error says more
    throw;
  }
  return true;
}

void RealDisk::append(const std::string& path, std::string_view bytes, Sync sync) {
  const UniqueFd fd = open_fd(path, O_WRONLY | O_APPEND | O_NONBLOCK);
  if (!fd) fail("open", path);
  if (!S_ISREG(stat_of(fd, "append to", path).st_mode)) refuse("append to", path, "not a regular file");
  write_once(fd, bytes, path);
  if (sync == Sync::kNo) return;
  if (uninterrupted([&] { return ::fdatasync(fd.get()); }) != 0) fail("sync", path);
  sync_dir(folder_of(path));
}

void RealDisk::write_at(const std::string& path, std::uint64_t offset, std::string_view bytes) {
  const UniqueFd fd = open_fd(path, O_WRONLY | O_NONBLOCK);
  if (!fd) fail("open", path);
  if (!S_ISREG(stat_of(fd, "write", path).st_mode)) refuse("write", path, "not a regular file");
  const auto at = static_cast<off_t>(offset);
  require_whole(uninterrupted([&] { return ::pwrite(fd.get(), bytes.data(), bytes.size(), at); }), bytes, path);
}

void RealDisk::replace(const std::string& path, std::string_view bytes, Sync sync) {
  TempFile temp(path);
  write_once(temp.fd(), bytes, temp.path());
  if (sync == Sync::kYes) sync_fd(temp.fd(), temp.path());
  temp.publish(path);
  if (sync == Sync::kYes) sync_dir(folder_of(path));
}

bool RealDisk::remove(const std::string& path) {
  if (::unlink(c_path(path)) == 0) return true;
  if (errno == ENOENT) return false;
  fail("remove", path);
}

void RealDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(c_path(from), c_path(to)) != 0) fail("rename", fmt::format("{} to {}", from, to));
}

void RealDisk::replace_program(const std::string& path, std::string_view bytes) {
  TempFile temp(path);
  write_once(temp.fd(), bytes, temp.path());
  if (::fchmod(temp.fd().get(), kProgramMode) != 0) fail("change mode of", temp.path());
  sync_fd(temp.fd(), temp.path());
  temp.publish(path);
  sync_dir(folder_of(path));
}

void RealDisk::replace_link(const std::string& path, const std::string& target) {
  std::string draft;
  int made = -1;
  for (int i = 0; made != 0 && i < kTempNames; ++i) {
    draft = temp_name(path, i);
    made = ::symlink(c_path(target), c_path(draft));
    if (made != 0 && errno != EEXIST) break;
  }
  if (made != 0) fail("link", draft);
  if (::rename(c_path(draft), c_path(path)) != 0) {
    const int error_number = errno;
    (void)::unlink(draft.c_str());
    throw system_error(Code::kIo, "rename", fmt::format("{} to {}", draft, path), error_number);
  }
  sync_dir(folder_of(path));
}

std::optional<std::string> RealDisk::link_target(const std::string& path) {
  std::array<char, PATH_MAX> buffer;
  const ssize_t length = ::readlink(c_path(path), buffer.data(), buffer.size());
  if (length >= 0) return std::string(buffer.data(), static_cast<std::size_t>(length));
  if (errno == ENOENT || errno == EINVAL || errno == ENOTDIR) return std::nullopt;
  fail("read link", path);
}

std::string read_to_end(int fd, std::size_t max_bytes, std::chrono::milliseconds deadline, std::string_view what) {
  const Clock::time_point end = Clock::now() + deadline;
  std::string text;
  std::array<char, kChunk> chunk;
  for (;;) {
    if (!wait_readable(fd, end, what)) {
      refuse("read", what, fmt::format("no end after {} bytes and {} ms", text.size(), deadline.count()));
    }
    const ssize_t got = uninterrupted([&] { return ::read(fd, chunk.data(), chunk.size()); });
    if (got == 0) return text;
    if (got < 0 && errno == EAGAIN) continue;
    if (got < 0) fail("read", what);
    if (text.size() + static_cast<std::size_t>(got) > max_bytes) {
      refuse("read", what, fmt::format("longer than {} bytes", max_bytes));
    }
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace conf
