// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/disk.h"
#include "conf/request.h"
#include "netlink/netns.h"
#include "plugin/conditions.h"
#include "plugin/port_mapping.h"

// One attachment's hostPorts: a file of its own below stateDir/ports, named by its owner, complete or absent. It is
// there before the kernel is touched and goes after it, so that whoever is killed in between leaves nothing unknown.
//
//   {"crossoverPorts":1,"containerID":"5fc10b","ifname":"eth0","network":"cbr0","pod":"default/web-0",
//    "netns":"/var/run/netns/cni-1f8c","inode":4026532281,"cookie":17,"bootID":"0a1b…","made":1763711133241,
//    "snat":true,"masqAll":false,"conditionsV4":"ip saddr 10.0.0.0/8","conditionsV6":"",
//    "localnet":"cni0","localnetShared":true,"bridgeV4":"cni0","bridgeV6":"",
//    "redirect":["tcp 0.0.0.0:8080 10.244.1.5:80","tcp [::]:8080 [fd00::5]:80"],"sum":"9f0c6d1b2a3e4f50"}
//
// on one line. `redirect` says what is sent where; 0.0.0.0 and :: stand for every address of the node. `localnet` is
// the link on which 127.0.0.1 of this node reaches the pod (empty: it does not), `bridgeV4` and `bridgeV6` the bridge
// between the pod and clients whose packets must be masqueraded (empty: there is none). `made` is in milliseconds since
// 1970; `sum` is conf::stable_hash of all that stands before its comma. A damaged file can only be one that a power cut
// left, for nothing is synced: with the power all that the file is about has gone from the kernel, too.
namespace plugin {

struct PortRecord {
  conf::AttachmentId owner;
  std::string network;  ///< a GC of that name may remove it
  std::string pod;      ///< "namespace/name"; empty if the runtime did not say
  std::string netns;
  netlink::NetnsId netns_id;
  std::string boot_id;
  std::int64_t made_ms = 0;
  bool snat = true;
  bool masq_all = false;
  Conditions conditions_v4{.family = conf::Family::kIpv4, .text = {}};
  Conditions conditions_v6{.family = conf::Family::kIpv6, .text = {}};
  std::string localnet;
  bool localnet_shared = false;  ///< the link may be that of other pods, too
  std::string bridge_v4;
  std::string bridge_v6;
  std::vector<Redirection> redirections;

  [[nodiscard]] const Conditions& conditions(conf::Family family) const {
    return family == conf::Family::kIpv4 ? conditions_v4 : conditions_v6;
  }
  [[nodiscard]] const std::string& bridge(conf::Family family) const {
    return family == conf::Family::kIpv4 ? bridge_v4 : bridge_v6;
  }
  bool operator==(const PortRecord&) const = default;
};

/// The owner as the kernel's elements carry it in their comments, and the name of its record: conf::attachment_name,
/// or, where that is too long for a comment, its start and its hash.
[[nodiscard]] std::string owner_name(const conf::AttachmentId& owner);

[[nodiscard]] std::string port_record_text(const PortRecord& record);
/// Nothing for what is no whole record.
[[nodiscard]] std::optional<PortRecord> parse_port_record(std::string_view text);

/// The records of one stateDir.
class PortRecords {
 public:
  PortRecords(conf::Disk& disk, const std::string& state_dir) : disk_(disk), dir_(state_dir + "/ports") {}

  /// Writes it, the directory too. Code 5 (the disk).
  void write(const PortRecord& record);
  /// By owner_name; nothing if there is none or it is damaged.
  [[nodiscard]] std::optional<PortRecord> find(const std::string& name);
  /// False if there was none.
  bool remove(const std::string& name);
  /// The names of all files, in byte order; those that killed calls left unfinished are not among them.
  [[nodiscard]] std::vector<std::string> names();
  [[nodiscard]] std::vector<PortRecord> all();
  /// Removes what was left unfinished (conf/unfinished.h).
  void clear_unfinished(std::int64_t now_ms);

 private:
  [[nodiscard]] std::string path(const std::string& name) const { return dir_ + '/' + name; }
  conf::Disk& disk_;
  std::string dir_;
};

}  // namespace plugin
