// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "integration/support/prober.h"

// What happened in a migration, as plain values for the table, the picture and the JSON file.
namespace integration {

struct Phase {
  std::string name;  ///< "node2 back to legacy"
  double begin = 0;  ///< seconds since the first phase began
  double end = 0;
};

struct PodEvent {
  double at = 0;
  std::string node;
  std::string pod;
  std::string network;  ///< "legacy" or "second"
  std::string address;
  bool started = false;           ///< else it stopped
  bool before_crossover = false;  ///< its ADD was
  bool host_port = false;
};

/// The node-state was set: what a new pod joins from here on.
struct NodeEvent {
  double at = 0;
  std::string node;
  std::string network;
};

struct Record {
  std::vector<std::string> nodes;
  std::vector<Phase> phases;
  std::vector<NodeEvent> moves;
  std::vector<PodEvent> events;
  std::vector<support::ProbeCount> counts;
  std::vector<std::string> leftovers;
  std::vector<std::string> problems;  ///< everything that went wrong, in a line each; empty is success
};

}  // namespace integration
