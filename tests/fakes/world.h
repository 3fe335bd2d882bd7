// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/disk.h"
#include "conf/json.h"
#include "conf/request.h"
#include "netlink/host_link.h"
#include "plugin/agent.h"
#include "plugin/exec.h"
#include "plugin/pods.h"
#include "plugin/system.h"
#include "tests/fakes/fib.h"

// The world outside of the process, in memory: pods, the plugins that attach them, Cilium's agent, the clock. No faults
// here; fault.h puts them in front.
namespace fakes {

/// Network namespaces by their paths.
class FakePods final : public plugin::Pods {
 public:
  /// A new namespace under `path`, another than the one that may have been there.
  netlink::NetnsId add(const std::string& path);
  void remove(const std::string& path) { pods_.erase(path); }
  /// Something that is no namespace.
  void add_other(const std::string& path);
  /// The host's own namespace.
  void add_host(const std::string& path);
  void add_link(const std::string& path, const std::string& ifname);
  void remove_link(const std::string& path, const std::string& ifname);
  void add_address(const std::string& path, const std::string& ifname, const std::string& address);
  void remove_all() { pods_.clear(); }

  [[nodiscard]] bool has(const std::string& path) const { return pods_.count(path) != 0; }
  [[nodiscard]] bool has_link(const std::string& path, const std::string& ifname) const;
  /// "/run/netns/a eth0" for every link.
  [[nodiscard]] std::set<std::string> links() const;

  [[nodiscard]] std::optional<plugin::PodNetns> look(const std::string& path, const std::string& ifname) override;
  [[nodiscard]] std::vector<conf::IpPrefix> addresses(const std::string& path, const std::string& ifname) override;
  [[nodiscard]] std::shared_ptr<netlink::Fib> fib(const std::string& path) override;
  bool delete_link(const std::string& path, const netlink::NetnsId& expected, const std::string& ifname) override;

  /// Rules and routes of a namespace, which a test may look at and change. Links that were added are there.
  [[nodiscard]] FakeFib& fib_of(const std::string& path) { return *pods_.at(path).fib; }

 private:
  struct Pod {
    std::shared_ptr<FakeFib> fib = std::make_shared<FakeFib>();
    netlink::NetnsId id;
    bool is_netns = true;
    bool is_ours = false;
    std::set<std::string> links;
    std::map<std::string, std::vector<conf::IpPrefix>> addresses;  ///< by link
  };
  std::map<std::string, Pod> pods_;
  std::uint64_t made_ = 0;
};

/// One call of a plugin, as the plugin sees it.
struct Ask {
  std::string type;  ///< the program's file name
  std::string verb;  ///< "ADD"
  conf::AttachmentId id;
  std::string netns;
  std::string args;
  std::string path;  ///< CNI_PATH
  std::string input;
  conf::Object config;  ///< the input, parsed
  plugin::Command command;
  [[nodiscard]] std::string name() const { return verb + ' ' + type; }
};

[[nodiscard]] plugin::Outcome succeeded(std::string out = {});
[[nodiscard]] plugin::Outcome failed(unsigned code, std::string_view msg, std::string_view details = {});

/// Plugins as functions over sets. portmap, bandwidth, tuning and what `chain` names pass prevResult on; every other
/// one makes the pod's link and takes a lease if its `ipam` is host-local (as real files, below that section's
/// dataDir). bridge and ptp keep nothing else. All of them: ADD of what is there already fails, DEL of what is not
/// there succeeds, CHECK of what is not there fails, GC forgets what is not listed, STATUS succeeds. cilium-cni's DEL
/// goes by container id alone, as the real one's does.
class World final : public plugin::Runner {
 public:
  World(FakePods& pods, conf::Disk& disk) : pods_(pods), disk_(disk) {}

  /// Nothing: the usual behaviour follows.
  using Behaviour = std::function<std::optional<plugin::Outcome>(const Ask&)>;
  /// What `type` does instead on `verb`, from now on.
  void on(const std::string& type, const std::string& verb, Behaviour behaviour);
  /// `type` fails on `verb` without doing anything; `after_effect`: having done its work.
  void refuse(const std::string& type, const std::string& verb, bool after_effect = false);
  /// Back to the usual behaviour.
  void allow(const std::string& type, const std::string& verb) { behaviours_.erase({type, verb}); }
  void chain(const std::string& type) { chained_.insert(type); }

  /// What the plugins keep beside links and leases: "portmap 5fc10b eth0".
  [[nodiscard]] const std::set<std::string>& state() const { return state_; }
  [[nodiscard]] bool has(const std::string& type, const conf::AttachmentId& id) const;
  /// What the kernel forgets when the machine restarts: everything but leases, and Cilium's endpoints (restored from
  /// disk by its agent).
  void restart();

  [[nodiscard]] const std::vector<Ask>& asks() const { return asks_; }
  /// "ADD bridge", in the order of the calls.
  [[nodiscard]] std::vector<std::string> names() const;
  void clear_asks() { asks_.clear(); }

  [[nodiscard]] plugin::Outcome run(const plugin::Command& command) override;

 private:
  [[nodiscard]] plugin::Outcome act(const Ask& ask);
  [[nodiscard]] plugin::Outcome add(const Ask& ask);
  void keep(const Ask& ask);
  void del(const Ask& ask);
  void collect(const Ask& ask);
  [[nodiscard]] std::string take_lease(const std::string& dir, const conf::AttachmentId& id);

  FakePods& pods_;
  conf::Disk& disk_;
  std::set<std::string> chained_ = {"portmap", "bandwidth", "tuning"};
  std::set<std::string> bare_ = {"bridge", "ptp"};
  std::map<std::pair<std::string, std::string>, Behaviour> behaviours_;
  std::set<std::string> state_;
  std::vector<Ask> asks_;
};

class FakeAgent final : public plugin::Agent {
 public:
  plugin::AgentConfig settings;                                            ///< by default: no answer
  plugin::AgentHealth answer;                                              ///< by default: no answer
  std::function<plugin::Endpoint(const conf::AttachmentId&)> endpoint_of;  ///< by default: unknown
  unsigned asked_config = 0;
  unsigned asked = 0;    ///< how many health calls came
  std::string asked_at;  ///< the socket of the last one

  /// An agent that is well and manages the node's list.
  void be_healthy();

  [[nodiscard]] plugin::AgentHealth health(const std::string& socket, std::chrono::milliseconds deadline) override;
  [[nodiscard]] plugin::AgentConfig config(const std::string& socket, std::chrono::milliseconds deadline) override;
  [[nodiscard]] plugin::Endpoint endpoint(const std::string& socket, const std::string& container_id,
                                          const std::string& ifname, std::chrono::milliseconds deadline) override;
};

/// Links of the host by the addresses that are reached over them.
class FakeHostLinks final : public netlink::HostLinks {
 public:
  std::map<conf::IpAddr, netlink::HostLink> links;
  [[nodiscard]] std::optional<netlink::HostLink> towards(const conf::IpAddr& addr) override {
    const auto found = links.find(addr);
    return found == links.end() ? std::nullopt : std::optional<netlink::HostLink>(found->second);
  }
};

/// Goes on by a millisecond whenever somebody looks.
class FakeClock final : public plugin::Clock {
 public:
  std::function<void()> meanwhile;  ///< what happens while somebody sleeps; may be empty
  [[nodiscard]] std::int64_t unix_ms() override { return now_ms_ += 1; }
  [[nodiscard]] std::uint64_t boot_ns() override { return static_cast<std::uint64_t>(now_ms_ += 1) * 1'000'000U; }
  void sleep(std::chrono::milliseconds time) override {
    now_ms_ += time.count();
    if (meanwhile) meanwhile();
  }

 private:
  std::int64_t now_ms_ = 1'763'711'133'000;  // 2025-11-21T07:45:33Z
};

}  // namespace fakes
