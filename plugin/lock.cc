// SPDX-License-Identifier: Apache-2.0
#include "plugin/lock.h"

#include <unistd.h>

#include "conf/stable_hash.h"

namespace plugin {
namespace {

constexpr std::int64_t kGcByte = std::int64_t{1} << 60;
constexpr std::int64_t kHousekeepingByte = kGcByte + 1;
constexpr std::int64_t kPlumbingByte = kGcByte + 2;
constexpr std::int64_t kNodeStateByte = kGcByte + 3;
constexpr std::int64_t kFirstAttachmentByte = std::int64_t{1} << 61;
constexpr std::uint64_t kAttachmentMask = (std::uint64_t{1} << 61U) - 1;
constexpr std::uint64_t kSlots = 1024;

struct Slot {
  std::uint64_t key = 0;
  std::uint64_t boot = 0;
  std::uint64_t when = 0;
  std::uint64_t check = 0;
};

std::uint64_t key_of(const conf::AttachmentId& id) { return conf::stable_hash(id.container_id + ':' + id.ifname); }

off_t slot_offset(std::uint64_t key) { return static_cast<off_t>((key % kSlots) * sizeof(Slot)); }

std::int64_t attachment_byte(const conf::AttachmentId& id) {
  return kFirstAttachmentByte + static_cast<std::int64_t>(key_of(id) & kAttachmentMask);
}

}  // namespace

Locks Locks::open(const std::string& state_dir, const std::string& boot_id) {
  return {conf::open_lock_file(state_dir + "/lock"), conf::stable_hash(boot_id)};
}

std::optional<Locks::Guard> Locks::attachment(const conf::AttachmentId& id, std::chrono::milliseconds wait) const {
  return Guard::acquire(fd(), attachment_byte(id), Guard::Kind::kExclusive, wait);
}

std::optional<Locks::Guard> Locks::shared(std::chrono::milliseconds wait) const {
  return Guard::acquire(fd(), kGcByte, Guard::Kind::kShared, wait);
}

std::optional<Locks::Guard> Locks::exclusive(std::chrono::milliseconds wait) const {
  return Guard::acquire(fd(), kGcByte, Guard::Kind::kExclusive, wait);
}

std::optional<Locks::Guard> Locks::housekeeping(std::chrono::milliseconds wait) const {
  return Guard::acquire(fd(), kHousekeepingByte, Guard::Kind::kExclusive, wait);
}

std::optional<Locks::Guard> Locks::node_state(std::chrono::milliseconds wait) const {
  return Guard::acquire(fd(), kNodeStateByte, Guard::Kind::kExclusive, wait);
}

std::optional<Locks::Guard> Locks::plumbing(std::chrono::milliseconds wait) const {
  return Guard::acquire(fd(), kPlumbingByte, Guard::Kind::kExclusive, wait);
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
