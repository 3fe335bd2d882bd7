// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "integration/labs/lab.h"
#include "integration/record.h"
#include "integration/support/prober.h"
#include "integration/support/runtime.h"

// The main job: a cluster moves from its legacy network to the second one, node by node and pod by pod, under load.
namespace integration {

/// Something goes wrong on purpose, to show that it would be seen.
enum class Fault {
  kNone,
  kLoss,  ///< a node's uplink is down for a moment
  kLeak,  ///< a pod disappears without a DEL
};

struct MigrationOptions {
  unsigned pods_per_node = 4;
  std::chrono::milliseconds soak{1500};    ///< how long each phase is watched before its pods are recycled, and after
  std::chrono::milliseconds between{300};  ///< two recycled pods
  std::string crossover;                   ///< the binary
  Fault fault = Fault::kNone;
  /// Waits; throws to end the migration early.
  std::function<void(std::chrono::milliseconds)> pause;
  /// Gets a line of progress.
  std::function<void(const std::string&)> say;
};

class Migration {
 public:
  Migration(const support::Cluster& cluster, const lab::Lab& lab, const support::Runtime& runtime,
            support::Prober& prober, MigrationOptions options);

  /// Runs all of it. What is not as it must be is in the record's `problems`; a step that fails throws.
  void run();
  /// Complete after `run`; as far as it came if that threw.
  [[nodiscard]] Record record() const;

 private:
  struct Pod {
    support::Sandbox sandbox;
    std::string slot;  ///< "n1-a": what the application would call it
    unsigned generation = 1;
    std::string network;
    bool before_crossover = false;
  };

  [[nodiscard]] const support::Node& node(unsigned number) const { return cluster_.nodes().at(number - 1); }
  [[nodiscard]] double now() const;
  void say(const support::Node* node, const std::string& text) const;
  void begin_phase(const std::string& name);
  void end_phase();

  void prepare();
  void install_crossover();
  void move(unsigned number, const std::string& state, const std::string& reason);
  void recycle(const support::Node& node, const std::string& expected);
  void replace(Pod& old, const std::string& expected);
  [[nodiscard]] Pod start(const support::Node& node, const std::string& slot, unsigned generation, bool host_port,
                          const std::string& expected);
  void stop(Pod& pod);
  [[nodiscard]] PodEvent event(const Pod& pod, bool started) const;
  void cut_uplink(const support::Node& node);
  void stop_all();
  void show(const support::Node& node, const std::string& command) const;
  void judge();
  void find_leftovers();
  void check_nothing_recorded(const support::Node& node);

  const support::Cluster& cluster_;
  const lab::Lab& lab_;
  const support::Runtime& runtime_;
  support::Prober& prober_;
  MigrationOptions options_;
  bool installed_ = false;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::map<unsigned, std::set<std::string>> before_;
  std::map<unsigned, std::vector<Pod>> pods_;
  Record record_;
};

}  // namespace integration
