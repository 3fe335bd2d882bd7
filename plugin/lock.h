// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "conf/byte_lock.h"
#include "conf/fd.h"
#include "conf/request.h"

// Who may work on what, and which ADDs a DEL has overtaken. One file, `lock` below stateDir, serves both:
//
// Locks are open-file-description locks on single bytes far beyond the file's end: one byte for every attachment (at a
// place its hash gives; two that meet there only wait for each other), one for garbage collection. The kernel drops
// them when the last copy of the descriptor is gone. Delegates inherit a copy, so when we are killed in the middle of
// an ADD the lock stays until the delegate we left behind has ended, and the DEL that follows cannot run beside it.
//
// The file's content is a table of the last deletions, one slot of 32 bytes picked by the attachment's hash:
//   key hash (8) | boot id hash (8) | nanoseconds since boot (8) | check: the three xored (8), all little-endian
// A DEL writes its slot before it waits for the lock. An ADD that began before that moment knows that it was overtaken:
// it undoes itself. Slots are overwritten, never cleaned; a lost one costs only the early end of an ADD that the
// waiting DEL removes anyway, or of one whose sandbox is gone.
namespace plugin {

class Locks {
 public:
  /// Opens or makes `state_dir`/lock. CniError code 104 if that fails.
  [[nodiscard]] static Locks open(const std::string& state_dir, const std::string& boot_id);

  using Guard = conf::ByteLock;

  /// The attachment's own lock; nothing if it is not free within `wait`.
  [[nodiscard]] std::optional<Guard> attachment(const conf::AttachmentId& id, std::chrono::milliseconds wait) const;
  /// Shared by calls that attach and detach, exclusive for garbage collection: the specification forbids a GC beside
  /// them, and several runtimes or people may call us.
  [[nodiscard]] std::optional<Guard> shared(std::chrono::milliseconds wait) const;
  [[nodiscard]] std::optional<Guard> exclusive(std::chrono::milliseconds wait) const;
  /// For rotating files: short, exclusive.
  [[nodiscard]] std::optional<Guard> housekeeping(std::chrono::milliseconds wait) const;
  /// For changing node-state by what it says: `crossover set` and crossover-sync, which must not lose a word of it.
  [[nodiscard]] std::optional<Guard> node_state(std::chrono::milliseconds wait) const;
  /// For changing the node's rules and routes (plumbing.h).
  [[nodiscard]] std::optional<Guard> plumbing(std::chrono::milliseconds wait) const;

  /// Notes that a DEL of `id` began at `boot_ns` (CLOCK_BOOTTIME).
  void mark_deletion(const conf::AttachmentId& id, std::uint64_t boot_ns) const;
  /// Whether a DEL of `id` began after `boot_ns`.
  [[nodiscard]] bool deleted_since(const conf::AttachmentId& id, std::uint64_t boot_ns) const;

  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  Locks(conf::UniqueFd fd, std::uint64_t boot_hash) : fd_(std::move(fd)), boot_hash_(boot_hash) {}
  conf::UniqueFd fd_;
  std::uint64_t boot_hash_ = 0;
};

}  // namespace plugin
