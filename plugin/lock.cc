// SPDX-License-Identifier: Apache-2.0
#include "plugin/lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "conf/error.h"
#include "plugin/stable_hash.h"

namespace plugin {
namespace {

constexpr std::int64_t kGcByte = std::int64_t{1} << 60;
constexpr std::int64_t kHousekeepingByte = kGcByte + 1;
constexpr std::int64_t kFirstAttachmentByte = std::int64_t{1} << 61;
constexpr std::uint64_t kAttachmentMask = (std::uint64_t{1} << 61U) - 1;
constexpr std::uint64_t kSlots = 1024;

struct Slot {
  std::uint64_t key = 0;
  std::uint64_t boot = 0;
  std::uint64_t when = 0;
  std::uint64_t check = 0;
};

std::uint64_t key_of(const conf::AttachmentId& id) { return stable_hash(id.container_id + ':' + id.ifname); }

off_t slot_offset(std::uint64_t key) { return static_cast<off_t>((key % kSlots) * sizeof(Slot)); }

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
  throw conf::system_error(conf::Code::kState, "lock", "the lock file below stateDir", errno);
}

}  // namespace

Locks Locks::open(const std::string& state_dir, const std::string& boot_id) {
  const std::string path = state_dir + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) throw conf::system_error(conf::Code::kState, "open", path, errno);
  return {conf::UniqueFd(fd), stable_hash(boot_id)};
}

Locks::Guard::~Guard() {
  if (locks_ != nullptr) (void)try_lock(locks_->fd(), offset_, F_UNLCK);  // unlocking cannot be refused
}

// Polls: the kernel cannot end a wait for such a lock at a deadline, and a call that has to wait here waits for another
// plugin's work of many milliseconds anyway.
std::optional<Locks::Guard> Locks::acquire(std::int64_t offset, bool exclusively, std::chrono::milliseconds wait) const {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + wait;
  auto pause = std::chrono::milliseconds(1);
  while (!try_lock(fd_.get(), offset, exclusively ? F_WRLCK : F_RDLCK)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return std::nullopt;
    std::this_thread::sleep_for(std::min(pause, left));
    pause = std::min(pause * 2, std::chrono::milliseconds(20));
  }
  return Guard(this, offset);
}

std::optional<Locks::Guard> Locks::attachment(const conf::AttachmentId& id, std::chrono::milliseconds wait) const {
  return acquire(kFirstAttachmentByte + static_cast<std::int64_t>(key_of(id) & kAttachmentMask), true, wait);
}

std::optional<Locks::Guard> Locks::shared(std::chrono::milliseconds wait) const { return acquire(kGcByte, false, wait); }

std::optional<Locks::Guard> Locks::exclusive(std::chrono::milliseconds wait) const {
  return acquire(kGcByte, true, wait);
}

std::optional<Locks::Guard> Locks::housekeeping(std::chrono::milliseconds wait) const {
  return acquire(kHousekeepingByte, true, wait);
}

void Locks::mark_deletion(const conf::AttachmentId& id, std::uint64_t boot_ns) const {
  const std::uint64_t key = key_of(id);
  const Slot slot{key, boot_hash_, boot_ns, key ^ boot_hash_ ^ boot_ns};
  // A full disk must not keep a DEL from going on; the mark only shortens an ADD that is still running.
  (void)!::pwrite(fd_.get(), &slot, sizeof slot, slot_offset(key));
}

bool Locks::deleted_since(const conf::AttachmentId& id, std::uint64_t boot_ns) const {
  const std::uint64_t key = key_of(id);
  Slot slot;
  if (::pread(fd_.get(), &slot, sizeof slot, slot_offset(key)) != static_cast<ssize_t>(sizeof slot)) return false;
  const bool whole = slot.check == (slot.key ^ slot.boot ^ slot.when);
  return whole && slot.key == key && slot.boot == boot_hash_ && slot.when > boot_ns;
}

}  // namespace plugin
