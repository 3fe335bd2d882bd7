// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netlink/nft.h"
#include "netlink/socket.h"

// The seam to nf_tables of the namespace we run in: KernelFirewall (nft_client.h), and an in-memory one for tests.
namespace netlink {

/// What became of a batch. All but kDone: nothing of it took effect.
struct [[nodiscard]] Committed {
  enum class Kind : std::uint8_t {
    kDone,
    kStale,    ///< ERESTART: the ruleset is of another generation than asked for, read and decide again
    kExists,   ///< EEXIST at `operation`
    kAbsent,   ///< ENOENT at `operation`
    kRefused,  ///< any other errno: EPERM, EOPNOTSUPP (no nf_tables, or without what the operation needs), ENOBUFS
               ///< (the answer was lost: the batch may have taken effect), ...
  };
  Kind kind = Kind::kDone;
  std::optional<std::size_t> operation;  ///< index of the first that failed; nothing if the whole batch was refused
  Ack ack;
  [[nodiscard]] bool done() const { return kind == Kind::kDone; }
};

class Firewall {
 public:
  virtual ~Firewall() = default;
  /// Which state of the whole ruleset (all tables, also others') this is; every batch that takes effect changes it.
  [[nodiscard]] virtual std::uint32_t generation() = 0;
  /// Applies `batch` if the ruleset is still of `generation` (or whatever it is, without). An empty batch is done.
  virtual Committed commit(const NftBatch& batch, std::optional<std::uint32_t> generation = {}) = 0;

  // Looking. All throw CniError: code 5 with the kernel's reason (EPERM; EOPNOTSUPP, ENOSYS: no nf_tables), code 11
  // if the ruleset changed under every one of some tries.
  /// Whether the table is there.
  [[nodiscard]] virtual bool has_table(const NftTable& table) = 0;
  [[nodiscard]] virtual std::vector<NftTable> tables() = 0;
  /// The element with that key, or nothing, also if there is no such table or set. Not for interval sets.
  [[nodiscard]] virtual std::optional<NftElement> element(const NftTable& table, const std::string& set,
                                                          const Bytes& key) = 0;
  /// All elements in the kernel's order; nothing if there is no such table or set.
  [[nodiscard]] virtual std::optional<std::vector<NftElement>> elements(const NftTable& table,
                                                                        const std::string& set) = 0;
  /// The rules of `chain` (of all chains if empty), in order; none if there is no such table or chain.
  [[nodiscard]] virtual std::vector<ListedRule> rules(const NftTable& table, const std::string& chain = {}) = 0;
  /// None if there is no such table.
  [[nodiscard]] virtual std::vector<NftChain> chains(const NftTable& table) = 0;
  /// Named sets and maps. A field that is none of Field's makes `key` or `data` empty.
  [[nodiscard]] virtual std::vector<NftSet> sets(const NftTable& table) = 0;
};

}  // namespace netlink
