// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/disk.h"
#include "plugin/exec.h"
#include "plugin/pods.h"

// Breaks what a process does, at a step of choice. Every effect on files, plugins and pods is a step: a loop that
// counts the steps of one good run and then breaks each of them once covers steps that are added later, too.
//
//   fakes::Fate fate;                       // nothing happens; fate.steps() counts
//   fakes::FaultDisk disk(real_disk, fate);
//   fate.begin(fakes::Harm::kKill, 3);      // the next process dies at its third step
//   try { plugin::add(...); } catch (const fakes::Killed&) {}
namespace fakes {

/// Thrown where the process would have died. No std::exception, so that no handler for errors can go on after it.
struct Killed {};

enum class Harm {
  kNone,
  kFail,       ///< the step fails and changes nothing: the disk is full, the plugin refuses
  kFailAfter,  ///< it fails after its effect: half of a write is there, a rename took place and its sync failed, the
               ///< plugin did its work and then reported an error
  kKill,       ///< the process dies at it: half of a write is there, a plugin never began
};

/// What is to happen to one process.
class Fate {
 public:
  /// A new process, to which `harm` happens at step `at`, counted from 1.
  void begin(Harm harm = Harm::kNone, std::size_t at = 0);
  /// Announces a step and says what happens to it; throws Killed for a process that is dead already.
  [[nodiscard]] Harm step(std::string name);
  /// Marks the process as dead, and dies.
  [[noreturn]] void die();
  /// Announces something without an effect, such as a read; true if it is to fail. Not counted among the steps, but
  /// among the looks, which `fail_look` breaks.
  [[nodiscard]] bool look_fails(std::string name);
  void fail_look(std::size_t at) { fail_look_at_ = at; }

  [[nodiscard]] std::size_t steps() const { return steps_.size(); }
  [[nodiscard]] std::size_t looks() const { return looks_.size(); }
  /// Whether the step or look that was to be broken has come.
  [[nodiscard]] bool hit() const { return hit_; }
  /// What was announced: "create attachments/5fc10b:eth0", "run bridge ADD", "answer bridge ADD".
  [[nodiscard]] const std::vector<std::string>& names() const { return steps_; }
  [[nodiscard]] const std::vector<std::string>& look_names() const { return looks_; }

 private:
  Harm harm_ = Harm::kNone;
  std::size_t at_ = 0;
  std::size_t fail_look_at_ = 0;
  bool hit_ = false;
  bool dead_ = false;
  std::vector<std::string> steps_;
  std::vector<std::string> looks_;
};

/// A disk whose writes can be broken, and that knows what a power cut would take: a file or a name that was not synced.
class FaultDisk final : public conf::Disk {
 public:
  FaultDisk(conf::Disk& real, Fate& fate) : real_(real), fate_(fate) {}

  enum class PowerCut {
    kNothingUnsynced,  ///< all that was not synced is as if it never was
    kEmptyFiles,       ///< names of new files survived, their content did not
  };
  /// Takes away what was not synced since the last cut.
  void cut_power(PowerCut kind);
  /// From here on everything that is there counts as synced.
  void sync_all() { unsynced_.clear(); }

  [[nodiscard]] std::optional<std::string> read(const std::string& path, std::size_t max_bytes) override;
  [[nodiscard]] std::vector<conf::DirEntry> list(const std::string& dir) override;
  [[nodiscard]] std::optional<conf::FileInfo> info(const std::string& path) override;
  void make_dirs(const std::string& dir) override;
  [[nodiscard]] bool create(const std::string& path, std::string_view bytes) override;
  void append(const std::string& path, std::string_view bytes, conf::Sync sync) override;
  void write_at(const std::string& path, std::uint64_t offset, std::string_view bytes) override;
  void replace(const std::string& path, std::string_view bytes, conf::Sync sync) override;
  bool remove(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void replace_program(const std::string& path, std::string_view bytes) override;
  void replace_link(const std::string& path, const std::string& target) override;
  [[nodiscard]] std::optional<std::string> link_target(const std::string& path) override;

 private:
  void look(std::string_view operation, const std::string& path);
  void remember(const std::string& path);
  void sync_names_beside(const std::string& path);
  void put(const std::string& path, const std::optional<std::string>& content);
  [[nodiscard]] std::optional<std::string> content_of(const std::string& path);
  conf::Disk& real_;
  Fate& fate_;
  std::map<std::string, std::optional<std::string>> unsynced_;  ///< path -> what a power cut would leave of it
};

/// A runner whose programs can be broken. A run is two steps: "run <type> <verb>" before the program began, "answer
/// <type> <verb>" when it has ended and nobody has seen its answer yet.
class FaultRunner final : public plugin::Runner {
 public:
  FaultRunner(plugin::Runner& real, Fate& fate) : real_(real), fate_(fate) {}
  [[nodiscard]] plugin::Outcome run(const plugin::Command& command) override;

 private:
  plugin::Runner& real_;
  Fate& fate_;
};

/// Pods whose links cannot be deleted; a deletion is a step, and so are changes of a pod's rules and routes.
class FaultPods final : public plugin::Pods {
 public:
  FaultPods(plugin::Pods& real, Fate& fate) : real_(real), fate_(fate) {}
  [[nodiscard]] std::optional<plugin::PodNetns> look(const std::string& path, const std::string& ifname) override;
  [[nodiscard]] std::vector<conf::IpPrefix> addresses(const std::string& path, const std::string& ifname) override;
  [[nodiscard]] std::shared_ptr<netlink::Fib> fib(const std::string& path) override;
  bool delete_link(const std::string& path, const netlink::NetnsId& expected, const std::string& ifname) override;

 private:
  plugin::Pods& real_;
  Fate& fate_;
};

}  // namespace fakes
