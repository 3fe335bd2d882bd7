// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "conf/error.h"
#include "netlink/fib.h"

// Rules, routes, links and addresses in memory. tests/netlink/fib_test.cc runs the same story against this and the
// kernel's, so that the two answer alike. What it does not know: whether a gateway can be reached, whether a link is
// up, and the routes that the kernel makes for an address.
namespace fakes {

struct FibState {
  std::vector<netlink::Rule> rules;    ///< in the order of evaluation, IPv4's first
  std::vector<netlink::Route> routes;  ///< in the order of their making
  std::vector<netlink::Link> links;
  std::vector<netlink::LinkAddress> addresses;
  bool operator==(const FibState&) const = default;
};

/// What was asked.
struct FibCalls {
  unsigned rule_dumps = 0;
  unsigned route_dumps = 0;
  unsigned address_dumps = 0;
  unsigned link_dumps = 0;
  unsigned link_requests = 0;
  unsigned changes = 0;  ///< also failed ones
  bool operator==(const FibCalls&) const = default;
};

/// Which changes are answered with an errno.
struct FibFault {
  enum class What { kAny, kAddRule, kRemoveRule, kAddRoute, kRemoveRoute };
  int error = 0;
  What what = What::kAny;
  unsigned nth = 1;           ///< of those that `what` names, counted from now: 1 is the next
  unsigned times = 1;         ///< how many from there on; 0: all
  bool after_effect = false;  ///< it was done nevertheless: the answer was lost (ENOBUFS)
};

class FakeFib final : public netlink::Fib {
 public:
  /// A machine's: the kernel's own rules of both families, and "lo" (index 1).
  FakeFib();

  FibState state;
  FibCalls calls;

  // Faults.
  void fail(const FibFault& fault) { faults_.push_back({.fault = fault, .seen = 0}); }
  /// Every dump and every request for a link throws this from now on; nothing: no more.
  void fail_looks(std::optional<conf::CniError> error) { look_error_ = std::move(error); }
  void clear_faults();  ///< and hooks
  /// What somebody else does right before each change, and right before each look; what these call calls them not.
  std::function<void()> before_change;
  std::function<void()> before_look;

  // What others do.
  /// A link with the next free index; the index.
  std::uint32_t add_link(std::string_view name, std::string_view kind = "veth", std::uint32_t mtu = 1500,
                         bool up = true);
  void add_address(std::uint32_t link, std::string_view prefix);
  /// The link, and with it its addresses and routes, but no rule.
  void delete_link(std::string_view name);
  /// Adds what is said, without EEXIST, as `ip rule add` of older iproute2 would.
  void insert(const netlink::Rule& rule);

  [[nodiscard]] std::vector<netlink::Rule> rules() override;
  [[nodiscard]] std::vector<netlink::Route> routes(const netlink::RouteFilter& filter) override;
  [[nodiscard]] std::vector<netlink::LinkAddress> addresses() override;
  [[nodiscard]] std::vector<netlink::Link> links() override;
  [[nodiscard]] std::optional<netlink::Link> link(std::string_view name) override;
  netlink::Ack add(const netlink::Rule& rule) override;
  netlink::Ack remove(const netlink::Rule& rule) override;
  netlink::Ack add(const netlink::Route& route) override;
  netlink::Ack remove(const netlink::Route& route) override;

 private:
  struct Pending {
    FibFault fault;
    unsigned seen = 0;
  };
  void look(unsigned& counter);
  void disturb(const std::function<void()>& hook);
  netlink::Ack change(FibFault::What what, const std::function<netlink::Ack()>& effect);
  [[nodiscard]] std::optional<FibFault> fault_for(FibFault::What what);
  [[nodiscard]] bool has_link(std::uint32_t index) const;

  std::vector<Pending> faults_;
  std::optional<conf::CniError> look_error_;
  bool disturbing_ = false;
};

}  // namespace fakes
