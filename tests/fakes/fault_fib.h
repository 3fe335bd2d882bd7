// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "netlink/fib.h"
#include "tests/fakes/fault.h"

namespace fakes {

/// Rules and routes whose changes can be broken: each is a step ("add rule", "remove route"). kFail is EPERM,
/// kFailAfter an answer that was lost (ENOBUFS). Looks are looks: "look fib", code 5 if one is to fail.
class FaultFib final : public netlink::Fib {
 public:
  FaultFib(netlink::Fib& real, Fate& fate) : real_(real), fate_(fate) {}
  FaultFib(std::shared_ptr<netlink::Fib> real, Fate& fate) : owned_(std::move(real)), real_(*owned_), fate_(fate) {}

  [[nodiscard]] std::vector<netlink::Rule> rules() override { return looked().rules(); }
  [[nodiscard]] std::vector<netlink::Route> routes(const netlink::RouteFilter& filter) override {
    return looked().routes(filter);
  }
  [[nodiscard]] std::vector<netlink::LinkAddress> addresses() override { return looked().addresses(); }
  [[nodiscard]] std::vector<netlink::Link> links() override { return looked().links(); }
  [[nodiscard]] std::optional<netlink::Link> link(std::string_view name) override { return looked().link(name); }
  netlink::Ack add(const netlink::Rule& rule) override { return change("add rule", &netlink::Fib::add, rule); }
  netlink::Ack remove(const netlink::Rule& rule) override { return change("remove rule", &netlink::Fib::remove, rule); }
  netlink::Ack add(const netlink::Route& route) override { return change("add route", &netlink::Fib::add, route); }
  netlink::Ack remove(const netlink::Route& route) override {
    return change("remove route", &netlink::Fib::remove, route);
  }

 private:
  template <typename T>
  netlink::Ack change(const char* name, netlink::Ack (netlink::Fib::*method)(const T&), const T& value);
  netlink::Fib& looked();
  std::shared_ptr<netlink::Fib> owned_;
  netlink::Fib& real_;
  Fate& fate_;
};

}  // namespace fakes
