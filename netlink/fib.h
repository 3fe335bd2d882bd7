// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/socket.h"

// The seam to rules, routes, links and addresses of one network namespace: KernelFib, and an in-memory one for tests.
namespace netlink {

class Fib {
 public:
  virtual ~Fib() = default;

  // Looking: one dump each, asked for again if it changed meanwhile, or may have. CniError code 5 for what the kernel
  // refuses, code 11 if it never stops changing.
  /// Of both families, IPv4's first, each in the order of evaluation.
  [[nodiscard]] virtual std::vector<Rule> rules() = 0;
  [[nodiscard]] virtual std::vector<Route> routes(const RouteFilter& filter) = 0;
  [[nodiscard]] virtual std::vector<LinkAddress> addresses() = 0;
  [[nodiscard]] virtual std::vector<Link> links() = 0;
  /// The link called `name`, or nothing. One request.
  [[nodiscard]] virtual std::optional<Link> link(std::string_view name) = 0;

  // Changing. The kernel's own verdict: EEXIST for what is there (NLM_F_EXCL everywhere), ENOENT for a rule and ESRCH
  // for a route that is not.
  virtual Ack add(const Rule& rule) = 0;
  virtual Ack remove(const Rule& rule) = 0;
  /// What is read back is not always what was added: IPv6 has no metric 0 (kDefaultMetric6), no scope, and routes that
  /// lead nowhere (blackhole) by "lo".
  virtual Ack add(const Route& route) = 0;
  virtual Ack remove(const Route& route) = 0;
};

/// Speaks through one NETLINK_ROUTE socket, and so of the namespace that this was opened in.
class KernelFib final : public Fib {
 public:
  /// Of the namespace of the process; the socket is opened when first needed.
  KernelFib() = default;
  /// Of the namespace where `socket` lives (Netns::route_socket).
  explicit KernelFib(Socket socket) : socket_(std::move(socket)) {}

  [[nodiscard]] std::vector<Rule> rules() override;
  [[nodiscard]] std::vector<Route> routes(const RouteFilter& filter) override;
  [[nodiscard]] std::vector<LinkAddress> addresses() override;
  [[nodiscard]] std::vector<Link> links() override;
  [[nodiscard]] std::optional<Link> link(std::string_view name) override;
  Ack add(const Rule& rule) override;
  Ack remove(const Rule& rule) override;
  Ack add(const Route& route) override;
  Ack remove(const Route& route) override;

 private:
  [[nodiscard]] Socket& socket();
  std::optional<Socket> socket_;
};

}  // namespace netlink
