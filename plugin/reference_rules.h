// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "netlink/firewall.h"
#include "plugin/reference_ports.h"
#include "plugin/system.h"

// Where the rules of the reference portmap are: seen with the eyes of iptables, and seen and taken out in nft.
namespace plugin {

/// Who has rules, and where: "iptables", "ip6tables", "nft ip", "nft ip6"; "iptables-legacy" and the like elsewhere.
struct SeenReferenceRules {
  using Owners = std::map<PortmapOwner, std::set<std::string>>;
  Owners here;
  Owners elsewhere;  ///< in the flavour of iptables that portmap would not find
};

/// iptables as portmap would find it: in PATH, and, where that is as poor as cron's, in the usual places.
class ReferenceIptables {
 public:
  ReferenceIptables(System& system, std::chrono::milliseconds deadline, int keep_fd);

  /// The PATH to run portmap with.
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Changes nothing, not even by looking. What could not be asked goes to `problems`.
  void look(SeenReferenceRules& seen, std::set<std::string>& problems) const;

 private:
  struct Program {
    std::string path;
    conf::FileInfo file;
  };
  [[nodiscard]] std::optional<Program> find(const std::string& tool) const;
  [[nodiscard]] std::set<PortmapOwner> jumps(const Program& program, std::set<std::string>& problems) const;

  System& system_;
  std::chrono::milliseconds deadline_;
  int keep_fd_;
  std::string path_;
};

/// portmap's tables of nft.
class ReferenceTables {
 public:
  explicit ReferenceTables(netlink::Firewall& firewall) : firewall_(firewall) {}

  void look(SeenReferenceRules& seen);
  /// All rules of these containers, or none: what was listed is taken out of the very ruleset it was listed in. Code
  /// 5 if the kernel refuses, 11 if others change the ruleset all the time.
  void take_out(const std::set<std::string>& container_ids);

 private:
  [[nodiscard]] std::vector<netlink::ListedRule> rules(const netlink::NftTable& table);
  netlink::Firewall& firewall_;
};

/// A variable of our own environment; empty if it is not set.
[[nodiscard]] std::string inherited(const System& system, std::string_view name);

}  // namespace plugin
