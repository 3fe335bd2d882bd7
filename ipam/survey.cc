// SPDX-License-Identifier: Apache-2.0
#include "ipam/survey.h"

#include <algorithm>
#include <map>

#include "conf/error.h"
#include "conf/stable_hash.h"

namespace ipam {
namespace {

using conf::CniError;
using conf::IpPrefix;

/// Beside other readers; shuts out whoever changes a lease.
struct Shared {
  conf::UniqueFd file;
  std::optional<conf::ByteLock> lock;
};

// Where the lock cannot be opened, nobody can write either.
Shared lock_shared(conf::Disk& disk, const SurveyOptions& options) {
  Shared out;
  const std::string path = options.dir + "/lock";
  try {
    if (!disk.info(path)) return out;  // opening would make it
    out.file = conf::open_lock_file(path);
  } catch (const CniError&) {
    return out;
  }
  std::optional<conf::ByteLock> lock =
      conf::ByteLock::acquire(out.file.get(), kStoreLockByte, conf::ByteLock::Kind::kShared, options.wait);
  if (!lock) throw store_is_locked(out.file.get(), options.dir, options.wait);
  out.lock.emplace(std::move(*lock));
  return out;
}

std::optional<std::string> bytes_of(conf::Disk& disk, const std::string& path, std::size_t max_bytes) {
  try {
    return disk.read(path, max_bytes);
  } catch (const CniError&) {
    return std::nullopt;
  }
}

void read_leases(conf::Disk& disk, const std::string& dir, Survey& out) {
  for (const conf::DirEntry& entry : disk.list(dir)) {
    if (entry.name.starts_with('.')) continue;
    const std::string path = dir + '/' + entry.name;
    const std::optional<std::string> text = bytes_of(disk, path, kMaxLeaseFileBytes);
    std::optional<Lease> lease = text ? parse_lease(*text) : std::nullopt;
    if (lease) {
      out.leases.push_back(std::move(*lease));
    } else {
      out.damaged.push_back(path);
    }
  }
}

std::map<IpPrefix, Index> read_tables(conf::Disk& disk, const std::string& dir) {
  std::map<IpPrefix, Index> out;
  for (const conf::DirEntry& entry : disk.list(dir)) {
    const std::optional<IpPrefix> cidr = block_of_file(entry.name);
    std::optional<std::string> bytes = cidr ? bytes_of(disk, dir + '/' + entry.name, kMaxIndexBytes) : std::nullopt;
    if (!bytes) continue;
    std::optional<Index> table = Index::parse_of_any_boot(*bytes, make_block(*cidr).offsets());
    if (table) out.emplace(*cidr, std::move(*table));
  }
  return out;
}

std::uint32_t leased_in(const std::vector<Lease>& leases, const IpPrefix& cidr) {
  std::uint32_t out = 0;
  for (const Lease& lease : leases)
    for (const IpPrefix& address : lease.addresses)
      if (cidr.contains(address.addr)) ++out;
  return out;
}

}  // namespace

std::optional<Survey> survey(conf::Disk& disk, const SurveyOptions& options) {
  if (!disk.info(options.dir)) return std::nullopt;
  const Shared shared = lock_shared(disk, options);
  Survey out;
  read_leases(disk, options.dir + "/leases", out);
  const std::map<IpPrefix, Index> tables = read_tables(disk, options.dir + "/blocks");
  std::map<IpPrefix, BlockUse> blocks;
  for (const Lease& lease : out.leases)
    for (const IpPrefix& address : lease.addresses) blocks[address.masked()].cidr = address.masked();
  const std::uint64_t boot_hash = conf::stable_hash(options.boot_id);
  for (const auto& [cidr, table] : tables)
    if (table.boot_hash() == boot_hash) blocks[cidr].cidr = cidr;
  for (auto& [cidr, block] : blocks) {
    const auto table = tables.find(cidr);
    const bool is_current = table != tables.end() && table->second.boot_hash() == boot_hash;
    block.capacity = table == tables.end() ? 0 : table->second.capacity();
    if (block.capacity == 0) block.capacity = make_block(cidr).capacity();
    block.used = is_current ? table->second.taken() : leased_in(out.leases, cidr);
    block.cooling = is_current ? table->second.cooling(static_cast<std::uint32_t>(options.now_ms / 1000)) : 0;
    out.blocks.push_back(block);
  }
  return out;
}

}  // namespace ipam
