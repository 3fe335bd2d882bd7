// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "plugin/port_record.h"
#include "plugin/port_table.h"
#include "plugin/system.h"

// Brings the kernel's table to what the records say, and back. There is no lock: the kernel refuses a key that is taken
// (EEXIST), and whatever was decided by looking is sent with the generation of the ruleset it was seen in, so that the
// kernel refuses it if anything has changed since (ERESTART); then it is looked and decided again.
//
// route_localnet of a link is ours while ports_localnet has the link; the comment there is one of the owners that need
// it. The element is added before the sysctl is set, and goes after it is reset, so that the link is never open without
// the rule that keeps 127.0.0.0/8 out; who adds it looks at the sysctl after that, so that no other's reset is missed.
namespace plugin {

inline constexpr unsigned kPortTaken = 120;        ///< another live pod has the hostPort
inline constexpr unsigned kPortsIncomplete = 121;  ///< CHECK: the ruleset is not as the ADD left it

class PortSwitch {
 public:
  PortSwitch(System& system, const std::string& state_dir) : system_(system), records_(system.disk, state_dir) {}

  /// Puts `record` on disk and its mappings into the kernel; all or nothing. What an earlier ADD of the same attachment
  /// left is replaced, keys of dead owners are taken over. Code kPortTaken, naming both, for a key of a live one; code
  /// 11 if others change the ruleset all the time; code 5 with advice for what the kernel refuses.
  void map(const PortRecord& record);
  /// Takes out what is still `record`'s own, then removes the record.
  void unmap(const PortRecord& record);
  /// Takes out what the kernel has under these keys for `owner`, whose record is lost.
  void unmap_keys(const std::string& owner, const std::vector<PortKey>& keys);
  /// Puts everything back that the records of living owners ask for; what is right already is left alone. True if
  /// something had to be done.
  bool restore();
  /// What is not as `record` asks for, one line each.
  [[nodiscard]] std::vector<std::string> problems(const PortRecord& record);

  /// Whether the owner's namespace is still there, in this boot.
  [[nodiscard]] bool is_alive(const PortRecord& record);
  /// Whether route_localnet of `link` is ours to set: it is not set, or we have set it.
  [[nodiscard]] bool may_open(const std::string& link);
  [[nodiscard]] PortRecords& records() { return records_; }

 private:
  enum class Outcome { kDone, kAgain };
  using Attempt = std::size_t;

  void until_done(const std::string& owner, const std::function<Outcome(Attempt)>& attempt);
  /// `needs_nothing`: the batch makes all that it refers to, so that what is absent can only be a feature of the
  /// kernel.
  [[nodiscard]] Outcome commit(const netlink::NftBatch& batch, std::optional<std::uint32_t> generation,
                               bool needs_nothing = false);

  void withdraw(const PortRecord& record);
  [[nodiscard]] Outcome try_install(const PortRecord& record, const std::vector<PortElement>& wanted, bool looking);
  [[nodiscard]] Outcome try_remove(const std::string& owner, const std::vector<PortElement>& elements,
                                   const PortRecord* record);
  [[nodiscard]] Outcome try_restore(bool& changed);
  void hold_open(const PortRecord& record, bool looking, netlink::NftBatch& batch);
  void replace_or_add(const PortRecord& record, const std::vector<PortElement>& wanted, netlink::NftBatch& batch);
  void refuse_if_alive(const PortRecord& record, const PortElement& wanted, const std::string& holder);

  [[nodiscard]] std::string localnet_path(const std::string& link) const;
  [[nodiscard]] std::optional<bool> is_open(const std::string& link);
  void set_open(const std::string& link, bool open);
  void close_link(const PortRecord& record, netlink::NftBatch& batch);
  [[nodiscard]] std::optional<std::string> successor(const PortRecord& leaving);

  System& system_;
  PortRecords records_;
};

/// The elements by their sets, ready to be added or deleted.
class ElementGroups {
 public:
  void add(const std::string& set, const netlink::NftElement& element) { groups_[set].push_back(element); }
  void into_adds(netlink::NftBatch& batch) const;
  void into_deletions(netlink::NftBatch& batch) const;
  [[nodiscard]] bool empty() const { return groups_.empty(); }

 private:
  std::map<std::string, std::vector<netlink::NftElement>> groups_;
};

/// Looks elements up: one request each, or one dump of a set that many are wanted from.
class ElementFinder {
 public:
  ElementFinder(netlink::Firewall& firewall, const std::vector<PortElement>& wanted);
  [[nodiscard]] std::optional<netlink::NftElement> find(const std::string& set, const netlink::Bytes& key);

 private:
  using Dump = std::map<netlink::Bytes, netlink::NftElement>;
  netlink::Firewall& firewall_;
  std::map<std::string, std::size_t> wanted_;
  std::map<std::string, Dump> dumps_;
};

}  // namespace plugin
