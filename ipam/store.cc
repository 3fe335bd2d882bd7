// SPDX-License-Identifier: Apache-2.0
#include "ipam/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "conf/attachment_name.h"
#include "conf/stable_hash.h"
#include "conf/unfinished.h"

namespace ipam {
namespace {

using conf::CniError;
using conf::Code;

constexpr std::uint64_t kNobody = 0;
constexpr auto kEverWritten = std::chrono::system_clock::time_point::max();  // the lock is held
constexpr std::string_view kUnavailable = "requested address cannot be had";

// 0 means free, so no owner may have it.
std::uint64_t owner_hash(std::string_view name) {
  const std::uint64_t hash = conf::stable_hash(name);
  return hash == kNobody ? 1 : hash;
}

std::uint32_t seconds(std::int64_t ms) { return static_cast<std::uint32_t>(ms / 1000); }

std::string blocks_text(const std::vector<Block>& blocks) {
  std::string out;
  for (const Block& block : blocks) out += (out.empty() ? "" : ", ") + block.cidr.str();
  return out;
}

bool covers(const std::vector<Block>& blocks, const Lease& lease) {
  return std::any_of(lease.addresses.begin(), lease.addresses.end(), [&](const conf::IpPrefix& address) {
    return std::any_of(blocks.begin(), blocks.end(),
                       [&](const Block& block) { return block.cidr.contains(address.addr); });
  });
}

std::string sum_line(std::string_view text) { return fmt::format("{:016x}\n", conf::stable_hash(text)); }

// Stands where an intent has its boot, when that call has ended.
constexpr std::string_view kDone = "----------------\n";

/// An intent's lines without its sum and what a longer one left behind it; nothing for what is no whole intent.
std::optional<std::vector<std::string>> intent_lines(std::string_view text) {
  std::vector<std::string> out;
  std::size_t at = 0;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', at)) {
    if (out.size() >= 3 && text.substr(at, end + 1 - at) == sum_line(text.substr(0, at))) return out;
    out.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return std::nullopt;
}

std::int64_t number(std::string_view text) {
  std::int64_t out = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), out);  // 0 for what is no number: it has rested
  return out;
}

}  // namespace

CniError store_is_locked(int lock_file, const std::string& dir, std::chrono::milliseconds waited) {
  return {Code::kBusy, "address store is locked",
          fmt::format("process {} has held {}/lock for {} ms", conf::lock_file_signer(lock_file), dir, waited.count())};
}

Store::Store(conf::Disk& disk, Options options)
    : disk_(disk), options_(std::move(options)), boot_hash_(conf::stable_hash(options_.boot_id)) {
  disk_.make_dirs(options_.dir + "/leases");
  disk_.make_dirs(options_.dir + "/blocks");
  lock_file_ = conf::open_lock_file(options_.dir + "/lock");
  std::optional<conf::ByteLock> lock =
      conf::ByteLock::acquire(lock_file_.get(), kStoreLockByte, conf::ByteLock::Kind::kExclusive, options_.wait);
  if (!lock) throw store_is_locked(lock_file_.get(), options_.dir, options_.wait);
  lock_.emplace(std::move(*lock));
  conf::sign_lock_file(lock_file_.get());
  finish_intent();
}

std::string Store::lease_path(const std::string& name) const { return options_.dir + "/leases/" + name; }
std::string Store::intent_path() const { return options_.dir + "/intent"; }
std::string Store::table_path(const conf::IpPrefix& cidr) const { return options_.dir + "/blocks/" + block_file(cidr); }

std::optional<Lease> Store::read_lease(const std::string& name) {
  try {
    const std::optional<std::string> text = disk_.read(lease_path(name), kMaxLeaseFileBytes);
    return text ? parse_lease(*text) : std::nullopt;
  } catch (const CniError&) {
    const std::optional<conf::FileInfo> info = disk_.info(lease_path(name));
    if (info && info->is_regular && info->bytes <= kMaxLeaseFileBytes) throw;  // it may hold addresses: do not go on
    return std::nullopt;
  }
}

std::vector<conf::IpPrefix> Store::tables() {
  std::vector<conf::IpPrefix> out;
  for (const conf::DirEntry& entry : disk_.list(options_.dir + "/blocks"))
    if (const std::optional<conf::IpPrefix> cidr = block_of_file(entry.name)) out.push_back(*cidr);
  return out;
}

// Null for a table that must be built.
Index* Store::loaded(const conf::IpPrefix& cidr) {
  const auto known = indexes_.find(cidr);
  if (known != indexes_.end()) return &known->second;
  std::optional<Index> read;
  try {
    const std::string path = table_path(cidr);
    const std::optional<conf::FileInfo> info = disk_.info(path);
    const auto fetch = [this, path](std::uint64_t at, std::size_t bytes) { return disk_.read_at(path, at, bytes); };
    if (info) read = Index::open(info->bytes, fetch, boot_hash_, make_block(cidr).offsets());
  } catch (const CniError&) {
    return nullptr;  // whatever lies there is no table of ours
  }
  return read ? &indexes_.emplace(cidr, std::move(*read)).first->second : nullptr;
}

Index& Store::index(const conf::IpPrefix& cidr) {
  Index* const table = loaded(cidr);
  return table != nullptr ? *table : build(cidr, all(), nullptr);
}

// What a damaged lease holds is known from nothing but the table that was there before.
Index& Store::build(const conf::IpPrefix& cidr, const Inventory& held, const Index* before) {
  const Block block = make_block(cidr);
  Index out(boot_hash_, block.offsets());
  if (before != nullptr) {
    out.set_cursor(before->cursor());
    out.set_limits(before->capacity(), before->cooldown_s());
    for (std::uint32_t i = 0; i < block.offsets(); ++i)
      if (const std::uint32_t freed = before->entry(i).freed_s; freed != 0) out.free(i, freed);
    for (const std::string& path : held.damaged) {
      const std::uint64_t owner = owner_hash(path.substr(path.rfind('/') + 1));
      for (const std::uint32_t offset : before->of(owner)) out.take(offset, owner);
    }
  }
  for (const Lease& lease : held.leases)
    for (const conf::IpPrefix& address : lease.addresses)
      if (const std::optional<std::uint32_t> offset = block.offset_of(address.addr))
        out.take(*offset, owner_hash(conf::attachment_name(lease.owner)));
  note_limits(cidr, out);
  disk_.replace(table_path(cidr), out.bytes(), conf::Sync::kNo);
  return indexes_.insert_or_assign(cidr, std::move(out)).first->second;
}

// In every table that covers the address. One that is not there or no good tells the truth when it is built.
void Store::mark(const conf::IpAddr& ip, std::uint64_t owner, std::int64_t now_ms) {
  for (const conf::IpPrefix& cidr : tables()) {
    if (!cidr.contains(ip)) continue;
    const std::optional<std::uint32_t> offset = make_block(cidr).offset_of(ip);
    Index* const table = loaded(cidr);
    if (!offset || table == nullptr) continue;
    if (owner == kNobody) {
      table->free(*offset, seconds(now_ms));
    } else {
      table->take(*offset, owner);
      table->set_cursor(*offset + 1);
    }
    note_limits(cidr, *table);
    disk_.write_at(table_path(cidr), Index::entry_at(*offset), table->entry_bytes(*offset));
    disk_.write_at(table_path(cidr), 0, table->header());
  }
}

// Ranges of one block may stand in several wants.
void Store::note_limits(const conf::IpPrefix& cidr, Index& table) const {
  const auto known = capacities_.find(cidr);
  if (known != capacities_.end())
    table.set_limits(known->second, static_cast<std::uint32_t>(options_.cooldown.count()));
}

void Store::drop_tables() {
  indexes_.clear();
  for (const conf::IpPrefix& cidr : tables()) disk_.remove(table_path(cidr));
}

void Store::begin(const std::string& name, const std::vector<conf::IpPrefix>& addresses, std::int64_t now_ms) {
  std::string text = fmt::format("{:016x}\n{}\n{}\n", boot_hash_, now_ms, name);
  for (const conf::IpPrefix& address : addresses) text += address.addr.str() + '\n';
  text += sum_line(text);
  if (has_intent_) return disk_.write_at(intent_path(), 0, text);  // making a file costs more than all the rest
  disk_.replace(intent_path(), text, conf::Sync::kNo);
  has_intent_ = true;
}

// Ends what begin() began. Tables that cannot be written (the disk is full or failing) are worse than none.
void Store::settle(const std::vector<conf::IpPrefix>& addresses, std::uint64_t owner, std::int64_t now_ms) {
  try {
    for (const conf::IpPrefix& address : addresses) mark(address.addr, owner, now_ms);
  } catch (const CniError&) {
    drop_tables();
  }
  try {
    disk_.write_at(intent_path(), 0, kDone);
  } catch (const CniError&) {
    // all is done: whoever finds the intent finds nothing to do
  }
}

// Makes the tables say what the lease file says, for the addresses that a killed call was about to change. Within one
// boot nobody else can have them: every call begins here. An intent of an earlier boot says nothing: its tables are
// void.
void Store::finish_intent() {
  std::optional<std::string> text;
  try {
    text = disk_.read(intent_path(), kMaxLeaseFileBytes);
    if (!text) return;
  } catch (const CniError&) {
    text.emplace();  // it is there, and says nothing
  }
  has_intent_ = true;
  if (text->starts_with(kDone)) return;
  const std::optional<std::vector<std::string>> lines = intent_lines(*text);
  if (lines) return finish(*lines);
  drop_tables();
  settle({}, kNobody, 0);
}

void Store::finish(const std::vector<std::string>& lines) {
  std::vector<conf::IpPrefix> held;
  std::vector<conf::IpPrefix> freed;
  if (lines[0] == fmt::format("{:016x}", boot_hash_) && lines[2].find('/') == std::string::npos) {
    const std::optional<Lease> lease = read_lease(lines[2]);
    for (std::size_t i = 3; i < lines.size(); ++i) {
      const std::optional<conf::IpAddr> ip = conf::IpAddr::parse(lines[i]);
      const auto is_it = [&](const conf::IpPrefix& address) { return address.addr == ip; };
      if (!ip) continue;
      const bool holds = lease && std::any_of(lease->addresses.begin(), lease->addresses.end(), is_it);
      (holds ? held : freed).push_back({*ip, ip->bits()});
    }
    try {
      for (const conf::IpPrefix& address : held) mark(address.addr, owner_hash(lines[2]), 0);
    } catch (const CniError&) {
      drop_tables();
    }
  }
  settle(freed, kNobody, number(lines[1]));
}

std::optional<Store::Choice> Store::next(const Want& want, std::int64_t now_ms) {
  const auto cooldown = static_cast<std::uint32_t>(options_.cooldown.count());
  std::optional<Choice> longest_rested;
  std::uint32_t freed_s = 0;
  for (const Block& block : want.blocks) {
    const Index& table = index(block.cidr);
    const std::optional<std::uint32_t> offset = table.next(block, seconds(now_ms), cooldown);
    if (!offset) continue;
    const IndexEntry entry = table.entry(*offset);
    if (entry.has_rested(seconds(now_ms), cooldown)) return Choice{&block, *offset};
    if (longest_rested && entry.freed_s >= freed_s) continue;
    longest_rested = Choice{&block, *offset};
    freed_s = entry.freed_s;
  }
  return longest_rested;
}

// Who has the address, in words; an owner that is gone for good loses it.
std::optional<std::string> Store::holder(const conf::IpAddr& ip, const IsDead& is_dead, std::int64_t now_ms) {
  for (const Lease& lease : all().leases) {
    const bool has_it = std::any_of(lease.addresses.begin(), lease.addresses.end(),
                                    [&](const conf::IpPrefix& address) { return address.addr == ip; });
    if (!has_it) continue;
    if (!is_dead(lease)) return fmt::format("{} of container {}", lease.owner.ifname, lease.owner.container_id);
    (void)give_back(lease.owner, now_ms);
    return std::nullopt;
  }
  return "a lease whose file is damaged";
}

Store::Choice Store::given(const Want& want, const Taker& taker, const IsDead& is_dead) {
  const std::string text = want.address->str();
  for (const Block& block : want.blocks) {
    const std::optional<std::uint32_t> offset = block.offset_of(*want.address);
    if (!offset) continue;
    if (!block.may_hand_out(*offset))
      throw CniError(
          kAddressTaken, std::string(kUnavailable),
          fmt::format("{} is excluded from {}, its gateway, or outside of its range", text, block.cidr.str()));
    if (index(block.cidr).entry(*offset).owner == kNobody) return {&block, *offset};
    if (const std::optional<std::string> who = holder(*want.address, is_dead, taker.now_ms))
      throw CniError(kAddressTaken, std::string(kUnavailable), fmt::format("{} is held by {}", text, *who));
    return {&block, *offset};
  }
  throw CniError(kAddressTaken, std::string(kUnavailable),
                 fmt::format("{} is in none of {}", text, blocks_text(want.blocks)));
}

// Under pressure: leases whose owners are gone make room.
void Store::reclaim(const Want& want, const IsDead& is_dead, std::int64_t now_ms) {
  for (const Lease& lease : all().leases)
    if (covers(want.blocks, lease) && is_dead(lease)) (void)give_back(lease.owner, now_ms);
}

CniError Store::used_up(const Want& want, std::int64_t now_ms) {
  std::string text;
  for (const BlockUse& block : use(want.blocks, now_ms))
    text +=
        fmt::format("{}{}: {} of {} in use", text.empty() ? "" : ", ", block.cidr.str(), block.used, block.capacity);
  return {kNoAddress, "no address is left", text + "; a GC frees those whose pods are gone"};
}

std::vector<Store::Choice> Store::choose(const std::vector<Want>& wants, const Taker& taker, const IsDead& is_dead) {
  std::vector<Choice> out;
  for (const Want& want : wants) {
    std::optional<Choice> choice = want.address ? given(want, taker, is_dead) : next(want, taker.now_ms);
    if (!choice) {
      reclaim(want, is_dead, taker.now_ms);
      choice = next(want, taker.now_ms);
    }
    if (!choice) throw used_up(want, taker.now_ms);
    // In memory only, so that the next want does not choose the same.
    index(choice->block->cidr).take(choice->offset, owner_hash(conf::attachment_name(taker.owner)));
    out.push_back(*choice);
  }
  return out;
}

// What an owner left that is gone, or that nobody can read, is no reason to refuse it.
void Store::make_room_for(const Taker& taker, const IsDead& is_dead) {
  const std::string name = conf::attachment_name(taker.owner);
  if (!disk_.info(lease_path(name))) return;
  const std::optional<Lease> lease = read_lease(name);
  if (lease && !is_dead(*lease))
    throw CniError(Code::kAttachmentExists, "attachment has addresses already",
                   fmt::format("{} of container {} has {}; a DEL must come first", taker.owner.ifname,
                               taker.owner.container_id, lease->addresses.front().addr.str()));
  release(name, taker.now_ms);
}

// All or none: what fails half way is taken back.
void Store::publish(const Lease& lease) {
  const std::string name = conf::attachment_name(lease.owner);
  begin(name, lease.addresses, lease.taken_ms);
  try {
    disk_.replace(lease_path(name), lease_text(lease), conf::Sync::kYes);
    settle(lease.addresses, owner_hash(name), lease.taken_ms);
  } catch (const CniError&) {
    try {
      (void)disk_.remove(lease_path(name));
    } catch (const CniError&) {
      // its owner's DEL will find it; the first error says why
    }
    throw;
  }
}

std::vector<Taken> Store::take(const std::vector<Want>& wants, const Taker& taker, const IsDead& is_dead) {
  capacities_.clear();
  for (const Want& want : wants)
    for (const Block& block : want.blocks) capacities_[block.cidr] += block.capacity();
  try {
    make_room_for(taker, is_dead);
    Lease lease{.owner = taker.owner,
                .network = taker.network,
                .addresses = {},
                .boot_id = options_.boot_id,
                .netns = taker.netns,
                .netns_inode = taker.netns_inode,
                .pod = taker.pod,
                .taken_ms = taker.now_ms};
    std::vector<Taken> out;
    for (const Choice& choice : choose(wants, taker, is_dead)) {
      lease.addresses.push_back({choice.block->at(choice.offset), choice.block->cidr.prefix_len});
      out.push_back({lease.addresses.back(), choice.block->gateway});
    }
    publish(lease);
    return out;
  } catch (const CniError&) {
    indexes_.clear();  // they hold choices that came to nothing
    throw;
  }
}

// Which addresses the tables have for the owner of a lease that cannot be read.
std::vector<conf::IpPrefix> Store::marked(const std::string& name) {
  std::vector<conf::IpPrefix> out;
  for (const conf::IpPrefix& cidr : tables()) {
    const Index* const table = loaded(cidr);
    if (table == nullptr) continue;
    for (const std::uint32_t offset : table->of(owner_hash(name)))
      out.push_back({make_block(cidr).at(offset), cidr.prefix_len});
  }
  return out;
}

void Store::release(const std::string& name, std::int64_t now_ms) {
  const std::optional<Lease> lease = read_lease(name);
  const std::vector<conf::IpPrefix> addresses = lease ? lease->addresses : marked(name);
  try {
    begin(name, addresses, now_ms);
  } catch (const CniError&) {
    drop_tables();  // a full disk must not keep anything from being freed; tables built anew know nothing of rest
  }
  (void)disk_.remove(lease_path(name));
  settle(addresses, kNobody, now_ms);
}

bool Store::give_back(const conf::AttachmentId& owner, std::int64_t now_ms) {
  const std::string name = conf::attachment_name(owner);
  if (!disk_.info(lease_path(name))) return false;
  release(name, now_ms);
  return true;
}

bool Store::give_back_if_same(const Lease& seen, std::int64_t now_ms) {
  return find(seen.owner) == seen && give_back(seen.owner, now_ms);
}

bool Store::remove_damaged(const std::string& name, std::int64_t now_ms) {
  if (!disk_.info(lease_path(name)) || read_lease(name)) return false;
  release(name, now_ms);
  return true;
}

void Store::repair() {
  const Inventory held = all();
  for (const conf::IpPrefix& cidr : tables()) (void)build(cidr, held, loaded(cidr));
  for (const std::string& dir : {options_.dir, options_.dir + "/leases", options_.dir + "/blocks"})
    for (const std::string& path : conf::unfinished_files(disk_, dir, kEverWritten)) (void)disk_.remove(path);
}

std::optional<Lease> Store::find(const conf::AttachmentId& owner) { return read_lease(conf::attachment_name(owner)); }

Inventory Store::all() {
  Inventory out;
  for (const conf::DirEntry& entry : disk_.list(options_.dir + "/leases")) {
    if (entry.name.starts_with('.')) continue;
    std::optional<Lease> lease = entry.is_regular ? read_lease(entry.name) : std::nullopt;
    if (lease) {
      out.leases.push_back(std::move(*lease));
    } else {
      out.damaged.push_back(lease_path(entry.name));
    }
  }
  return out;
}

std::vector<BlockUse> Store::use(const std::vector<Block>& blocks, std::int64_t now_ms) {
  std::vector<BlockUse> out;
  for (const Block& block : blocks) {
    const Index::Use use =
        index(block.cidr).use(block, seconds(now_ms), static_cast<std::uint32_t>(options_.cooldown.count()));
    out.push_back({block.cidr, block.capacity(), use.used, use.cooling});
  }
  return out;
}

}  // namespace ipam
