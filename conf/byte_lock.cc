// SPDX-License-Identifier: Apache-2.0
#include "conf/byte_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "conf/error.h"

namespace conf {
namespace {

bool try_lock(int fd, std::int64_t offset, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset;
  lock.l_len = 1;
  int rc = 0;
  do rc = ::fcntl(fd, F_OFD_SETLK, &lock);
  while (rc != 0 && errno == EINTR);
  if (rc == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  throw system_error(Code::kState, "lock", "a lock file below stateDir", errno);
}

}  // namespace

UniqueFd open_lock_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw system_error(Code::kState, "open", path, errno);
  return fd;
}

ByteLock::~ByteLock() {
  if (fd_ < 0) return;
  struct flock lock {};
  lock.l_type = F_UNLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset_;
  lock.l_len = 1;
  (void)::fcntl(fd_, F_OFD_SETLK, &lock);  // unlocking cannot be refused
}

// Polls: the kernel cannot end a wait for such a lock at a deadline, and whoever waits here waits for the work of
// another process anyway.
std::optional<ByteLock> ByteLock::acquire(int fd, std::int64_t offset, Kind kind, std::chrono::milliseconds wait) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + wait;
  auto pause = std::chrono::microseconds(250);
  while (!try_lock(fd, offset, kind == Kind::kExclusive ? F_WRLCK : F_RDLCK)) {
    const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now());
    if (left.count() <= 0) return std::nullopt;
    std::this_thread::sleep_for(std::min(pause, left));
    pause = std::min(pause * 2, std::chrono::microseconds(20'000));
  }
  return ByteLock(fd, offset);
}

void sign_lock_file(int fd) {
  const pid_t pid = ::getpid();
  (void)!::pwrite(fd, &pid, sizeof pid, 0);  // only for an error message
}

int lock_file_signer(int fd) {
  pid_t pid = 0;
  return ::pread(fd, &pid, sizeof pid, 0) == static_cast<ssize_t>(sizeof pid) ? static_cast<int>(pid) : 0;
}

}  // namespace conf
