// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "integration/labs/kube_proxy.h"
#include "integration/labs/lab.h"
#include "integration/support/echo.h"
#include "integration/support/runtime.h"
#include "integration/support/server.h"

// Two nodes of a lab with a pod of each network on both, and everybody asking everybody.
namespace lab {

/// How much is asked: one byte by TCP and UDP and an echo, or also a datagram of 1400 bytes of whose path nothing is
/// known yet.
enum class Size { kSmall, kAll };

/// Whom the one who was asked took the other for; empty if there was no answer. What is not asked is as with UDP.
struct Seen {
  std::string tcp;
  std::string udp;
  std::string icmp;
  std::string large;

  bool operator==(const Seen&) const = default;
};

/// "own" if all of them saw the pod's own address, "lost", else what each of them saw.
[[nodiscard]] std::string text(const Seen& seen, const std::string& own);

enum class Kind { kLegacy, kCilium, kHost };

struct Party {
  std::string name;  ///< "l1", "c2", "n1"
  Kind kind = Kind::kHost;
  const support::Node* node = nullptr;
  const support::Netns* netns = nullptr;
  std::string address;
  std::string address6;  ///< empty in a lab of IPv4

  [[nodiscard]] const std::string& at(Family family) const { return family == Family::kIpv4 ? address : address6; }
};

class Stage {
 public:
  /// `bin`: where crossover and libcni-driver are. The first one isolates the process.
  /// `mode`: what both nodes ask for when the pods start.
  Stage(const std::string& lab, const std::string& bin, Preserve mode = Preserve::kOff);
  ~Stage();

  [[nodiscard]] const support::Node& node(unsigned number) const { return cluster_.nodes().at(number - 1); }
  [[nodiscard]] const support::Cluster& cluster() const { return cluster_; }
  [[nodiscard]] Lab& lab() { return lab_; }
  [[nodiscard]] const support::Runtime& runtime() const { return runtime_; }
  /// l1, c1, n1, l2, c2, n2
  [[nodiscard]] const std::vector<Party>& parties() const { return parties_; }
  [[nodiscard]] const Party& party(const std::string& name) const;

  /// Asks at the other's own address; or, TCP and UDP only, at another that leads to it.
  [[nodiscard]] Seen ask(const std::string& from, const std::string& to, Size size, Family family = Family::kIpv4);
  [[nodiscard]] Seen ask(const support::Netns& from, const std::string& to, const std::string& address,
                         std::uint16_t port, Size size);

  /// Changes what that node asks for, and lets `crossover reconcile` do it.
  void plumb(unsigned number, Preserve mode) const;

  /// `crossover status --json` on that node.
  [[nodiscard]] std::string status(unsigned number) const;

  /// kube-proxy on every node, with a Service of l1 and one of c2, named as these are. Call once.
  void add_services();
  [[nodiscard]] const std::vector<Service>& services() const { return services_; }
  /// The port of its node that leads to that pod.
  [[nodiscard]] static std::uint16_t host_port(const Party& pod) { return pod.kind == Kind::kLegacy ? 18081 : 18083; }

  static constexpr std::uint16_t kPort = 8080;

 private:
  struct Servers {
    support::Server tcp;
    support::Server udp;
    support::EchoListener icmp;
  };
  void start_pods(const support::Node& node, Preserve mode);
  void add(Party party);
  void serve(const Party& party, Family family);

  bool isolated_;  // before the first namespace
  support::Cluster cluster_{2};
  Lab lab_;
  support::Runtime runtime_;
  std::string crossover_;
  std::vector<std::unique_ptr<support::Sandbox>> pods_;
  std::vector<Party> parties_;
  std::map<std::pair<std::string, Family>, Servers> servers_;
  std::vector<Service> services_;
};

}  // namespace lab
