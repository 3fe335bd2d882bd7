// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "integration/support/namespaces.h"

// Everybody probes everybody, all the time. Each endpoint has two UDP sockets that were opened inside its namespace:
// one answers probes, one sends them. A single thread drives all of them. A probe carries a number, the answer carries
// who gave it and whom it saw, so that an answer from the wrong pod is no answer, and a changed source address is
// visible.
//
// What "lost" means is exact: an endpoint counts from `join` (call it when its ADD returned) until `leave` (call it
// before its DEL): no probe to or from it is sent outside of that, and every one that was sent is waited for.
namespace support {

struct Endpoint {
  std::string name;     ///< unique among those that are there
  std::string group;    ///< what the counts are grouped by: the network
  std::string place;    ///< the node
  std::string address;  ///< IPv4 or IPv6; empty for one that only asks: it is not part of the mesh
};

struct ProbeCount {
  std::string phase;
  std::string from, from_group, from_place;
  std::string to, to_group, to_place;
  std::string service;  ///< empty in the mesh, else the name given to `probe`
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;       ///< no right answer within the patience, or not even sent
  std::uint64_t strangers = 0;  ///< answers by somebody else; the probe itself may be lost or not
  std::chrono::microseconds slowest{0};
  std::string seen_as;  ///< the source address that the other side saw last
  std::string problem;  ///< the last error of a system call
};

struct ProbeTotals {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
};

class Prober {
 public:
  struct Options {
    std::chrono::milliseconds interval{50};
    std::chrono::milliseconds patience{1000};
  };
  Prober();
  explicit Prober(Options options);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  /// Adds an endpoint that lives in `netns`; with an address it answers, and is in the mesh with all that have one.
  void join(const Endpoint& endpoint, const Netns& netns);
  /// Nothing is sent to or from it any more, and what was sent has come back or is counted lost. Unknown: nothing.
  void leave(const std::string& name);
  /// `from` also probes `to` through another door, until one of them leaves: a Service or hostPort at address:port that
  /// must end at `to`'s kEchoPort. A socket of its own, as a new client would have.
  void probe(const std::string& from, const std::string& to, const std::string& service, const std::string& address,
             std::uint16_t port);
  /// Probes sent from here on belong to `phase`.
  void phase(const std::string& name);
  /// Stops sending and waits for what is under way.
  void settle();

  [[nodiscard]] ProbeTotals totals() const;
  /// One row for each phase and pair, in order of their first probe.
  [[nodiscard]] std::vector<ProbeCount> counts() const;

  static constexpr std::uint16_t kEchoPort = 7007;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace support
