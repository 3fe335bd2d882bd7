// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "conf/byte_lock.h"
#include "conf/disk.h"
#include "conf/error.h"
#include "conf/request.h"
#include "ipam/block.h"
#include "ipam/index.h"
#include "ipam/lease.h"

// The leases of this node on disk, `ipam/` below stateDir:
//
//   leases/<container id>:<interface>   one file an attachment (lease.h): the truth
//   blocks/<cidr>                       one table a block (index.h): what is taken, found fast
//   intent                              the call that is changing a lease: boot, time, file, addresses and the
//                                       conf::stable_hash of all that, one a line; 16 dashes for the boot: it is done
//   lock                                one byte locked for the length of a call
//
// State goes by the block, never by a network's name, so that a renamed network forgets nobody; two networks that share
// a block share its table, and an address is marked in every table that covers it, so that blocks of different sizes
// may overlap. A call locks, writes `intent`, writes or removes the lease file (that is the moment at which it
// happens), brings the tables up to date, and marks `intent` as done. Whoever finds an intent of this boot finishes it:
// the tables are made to say what the lease file says. Tables of an earlier boot, those that are missing or damaged,
// and all of them where an intent is damaged are built anew from the lease files. Only leases are synced: a power cut
// ends the boot.
namespace ipam {

/// What to take: one address of these blocks, tried in order; a given one, or the next.
struct Want {
  std::vector<Block> blocks;
  std::optional<conf::IpAddr> address;
};

struct Taker {
  conf::AttachmentId owner;
  std::string network;
  std::string netns;
  std::uint64_t netns_inode = 0;
  std::string pod;
  std::int64_t now_ms = 0;
};

/// An address with the block it is of.
struct Taken {
  conf::IpPrefix address;
  std::optional<conf::IpAddr> gateway;
};

struct BlockUse {
  conf::IpPrefix cidr;
  std::uint32_t capacity = 0;
  std::uint32_t used = 0;
  std::uint32_t cooling = 0;
};

struct Inventory {
  std::vector<Lease> leases;         ///< in byte order of their files' names
  std::vector<std::string> damaged;  ///< paths of lease files that are none
};

class Store {
 public:
  struct Options {
    std::string dir;  ///< `ipam` below stateDir; made if it is missing
    std::string boot_id;
    std::chrono::milliseconds wait{30'000};  ///< for the lock; then code 105 with the holder's pid
    std::chrono::seconds cooldown{30};
  };

  /// Opens and locks; finishes what a killed call left.
  Store(conf::Disk& disk, Options options);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Whether a lease's owner is gone for good: its addresses may be taken from it. Asked only when nothing else is
  /// free, and of an owner that asks again.
  using IsDead = std::function<bool(const Lease&)>;

  /// One address for every want, all or none, on disk when it returns. Code 100 for an owner that has a lease; code 110
  /// (kNoAddress) when a want's blocks are used up, with their use; code 111 (kAddressTaken) for a given address that
  /// is taken, outside of the blocks or excluded, with the holder or the rule.
  [[nodiscard]] std::vector<Taken> take(const std::vector<Want>& wants, const Taker& taker, const IsDead& is_dead);
  /// Frees all that `owner` has, a damaged lease included. False if that was nothing.
  bool give_back(const conf::AttachmentId& owner, std::int64_t now_ms);
  /// Frees `seen`, if its owner's lease is the same still.
  bool give_back_if_same(const Lease& seen, std::int64_t now_ms);
  /// Removes the file `name` of leases/, and frees what the tables have for it, if it still is no lease.
  bool remove_damaged(const std::string& name, std::int64_t now_ms);

  [[nodiscard]] std::optional<Lease> find(const conf::AttachmentId& owner);
  [[nodiscard]] Inventory all();
  [[nodiscard]] std::vector<BlockUse> use(const std::vector<Block>& blocks, std::int64_t now_ms);
  /// Builds every table anew from the leases, keeping for how long addresses have rested and what damaged leases hold,
  /// and removes what killed calls left behind.
  void repair();

 private:
  struct Choice {
    const Block* block = nullptr;
    std::uint32_t offset = 0;
  };
  [[nodiscard]] std::string lease_path(const std::string& name) const;
  [[nodiscard]] std::string intent_path() const;
  [[nodiscard]] std::string table_path(const conf::IpPrefix& cidr) const;
  [[nodiscard]] std::optional<Lease> read_lease(const std::string& name);
  [[nodiscard]] std::vector<conf::IpPrefix> tables();
  [[nodiscard]] Index* loaded(const conf::IpPrefix& cidr);
  [[nodiscard]] Index& index(const conf::IpPrefix& cidr);
  Index& build(const conf::IpPrefix& cidr, const Inventory& held, const Index* before);
  [[nodiscard]] std::vector<Choice> choose(const std::vector<Want>& wants, const Taker& taker, const IsDead& is_dead);
  [[nodiscard]] std::optional<Choice> next(const Want& want, std::int64_t now_ms);
  [[nodiscard]] Choice given(const Want& want, const Taker& taker, const IsDead& is_dead);
  [[nodiscard]] std::optional<std::string> holder(const conf::IpAddr& ip, const IsDead& is_dead, std::int64_t now_ms);
  void reclaim(const Want& want, const IsDead& is_dead, std::int64_t now_ms);
  void make_room_for(const Taker& taker, const IsDead& is_dead);
  void publish(const Lease& lease);
  void release(const std::string& name, std::int64_t now_ms);
  [[nodiscard]] std::vector<conf::IpPrefix> marked(const std::string& name);
  void begin(const std::string& name, const std::vector<conf::IpPrefix>& addresses, std::int64_t now_ms);
  void settle(const std::vector<conf::IpPrefix>& addresses, std::uint64_t owner, std::int64_t now_ms);
  void finish_intent();
  void finish(const std::vector<std::string>& lines);
  void drop_tables();
  void mark(const conf::IpAddr& ip, std::uint64_t owner, std::int64_t now_ms);
  void note_limits(const conf::IpPrefix& cidr, Index& table) const;
  [[nodiscard]] conf::CniError used_up(const Want& want, std::int64_t now_ms);

  conf::Disk& disk_;
  Options options_;
  std::uint64_t boot_hash_ = 0;
  bool has_intent_ = false;  ///< the file is there
  conf::UniqueFd lock_file_;
  std::optional<conf::ByteLock> lock_;
  std::map<conf::IpPrefix, Index> indexes_;
  std::map<conf::IpPrefix, std::uint32_t> capacities_;  ///< of the blocks of this call's configuration
};

/// The byte of the lock file that is locked.
inline constexpr std::int64_t kStoreLockByte = std::int64_t{1} << 40;
/// Code 105 with the holder's pid.
[[nodiscard]] conf::CniError store_is_locked(int lock_file, const std::string& dir, std::chrono::milliseconds waited);

inline constexpr unsigned kNoAddress = 110;
inline constexpr unsigned kAddressTaken = 111;

}  // namespace ipam
