// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/ip.h"
#include "netlink/fib.h"
#include "netlink/netns.h"

// What we look at, and rarely do, inside a pod's network namespace.
namespace plugin {

struct PodNetns {
  netlink::NetnsId id;
  bool is_ours = false;   ///< it is the namespace we run in: the host's
  bool has_link = false;  ///< the interface asked about is there
};

class Pods {
 public:
  virtual ~Pods() = default;
  /// Nothing if there is no namespace under `path`; code 8 if what is there is none.
  [[nodiscard]] virtual std::optional<PodNetns> look(const std::string& path, const std::string& ifname) = 0;
  /// The addresses of `ifname` in the namespace under `path`; empty if there is no such namespace or interface. Errors
  /// as look's.
  [[nodiscard]] virtual std::vector<conf::IpPrefix> addresses(const std::string& path, const std::string& ifname) = 0;
  /// Rules, routes and links of the namespace under `path`; nothing if there is none. Errors as look's.
  [[nodiscard]] virtual std::shared_ptr<netlink::Fib> fib(const std::string& path) = 0;
  /// Deletes `ifname` in the namespace under `path`, if that still is `expected` and not ours; false if there was
  /// nothing to delete.
  virtual bool delete_link(const std::string& path, const netlink::NetnsId& expected, const std::string& ifname) = 0;
};

class KernelPods final : public Pods {
 public:
  [[nodiscard]] std::optional<PodNetns> look(const std::string& path, const std::string& ifname) override;
  [[nodiscard]] std::vector<conf::IpPrefix> addresses(const std::string& path, const std::string& ifname) override;
  [[nodiscard]] std::shared_ptr<netlink::Fib> fib(const std::string& path) override;
  bool delete_link(const std::string& path, const netlink::NetnsId& expected, const std::string& ifname) override;
};

}  // namespace plugin
