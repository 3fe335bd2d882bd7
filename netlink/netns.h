// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "conf/fd.h"
#include "netlink/socket.h"

namespace netlink {

/// Which network namespace this is, for as long as the machine runs. The inode number of a namespace that is gone is
/// soon given to another; the cookie never is (SO_NETNS_COOKIE, Linux 5.14; 0 where the kernel has none).
struct NetnsId {
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;
  bool operator==(const NetnsId&) const = default;
  /// Same namespace: by cookie if both have one, else by inode.
  [[nodiscard]] bool same_as(const NetnsId& other) const;
};

/// A network namespace held open. Nothing ever runs "inside": `route_socket` enters, opens a socket and comes back,
/// and from then on the socket says where a request goes. If coming back fails the process ends at once, since all
/// that followed would act in the wrong place.
class Netns {
 public:
  /// Nothing if there is no such path. CniError code 8 if it is there but is no network namespace (nsfs, and of kind
  /// net: NS_GET_NSTYPE) or cannot be opened or entered; code 5 if our own (/proc/self/ns/net) cannot be opened, or
  /// there is no descriptor or memory left for it.
  [[nodiscard]] static std::optional<Netns> open(const std::string& path);

  [[nodiscard]] NetnsId id() const { return id_; }
  /// Whether it is the namespace this process was in at open().
  [[nodiscard]] bool is_current() const { return id_.inode == home_inode_; }
  /// A NETLINK_ROUTE socket that lives in the namespace.
  [[nodiscard]] Socket route_socket() const;

 private:
  Netns(conf::UniqueFd fd, conf::UniqueFd home) : fd_(std::move(fd)), home_(std::move(home)) {}
  conf::UniqueFd fd_;
  conf::UniqueFd home_;  ///< our own namespace, to come back to; held, so that its inode stays its own
  NetnsId id_;
  std::uint64_t home_inode_ = 0;
};

}  // namespace netlink
