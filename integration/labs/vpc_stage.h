// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "integration/labs/network.h"
#include "integration/labs/vpc.h"
#include "integration/support/runtime.h"
#include "integration/support/server.h"

// Pods of two networks on the nodes of a VPC, and who reaches whom.
namespace lab {

/// A conflist of crossover with those keys, at the place where it is loaded from.
[[nodiscard]] ListFile crossover_list(const nlohmann::json& keys);

class VpcStage {
 public:
  /// `bin`: where crossover and libcni-driver are; `cni_path`: where the plugins are.
  VpcStage(const support::Cluster& cluster, const std::string& bin, const std::string& cni_path);
  ~VpcStage();
  VpcStage(const VpcStage&) = delete;
  VpcStage& operator=(const VpcStage&) = delete;

  [[nodiscard]] const support::Node& node(unsigned number) const { return cluster_.nodes().at(number - 1); }
  /// `crossover` on that node; throws unless it ends well.
  std::string crossover(unsigned node, const std::string& arguments) const;
  /// What the last ADD there noted, one a line.
  [[nodiscard]] std::string last_notes(unsigned node) const;
  /// Attaches a pod through the node's list; `network`: what its state says.
  support::Sandbox& start(const std::string& name, unsigned node, const std::string& network);
  void stop(const std::string& name);
  /// Somebody who can be asked and ask, and the name by which an address of his is called.
  void add(const std::string& name, const support::Netns& netns, const std::string& address);
  /// Another address that packets may come from: "r1".
  void call(const std::string& address, const std::string& name) { names_[address] = name; }

  [[nodiscard]] const std::string& address(const std::string& name) const { return parties_.at(name).address; }
  [[nodiscard]] const support::Netns& netns(const std::string& name) const { return *parties_.at(name).netns; }
  /// By TCP and by UDP: "own" if the other saw the asker's address, else the name of whom he saw, or "lost".
  [[nodiscard]] std::string ask(const std::string& from, const std::string& to);
  /// The same by another door that leads to `to`.
  [[nodiscard]] std::string ask_at(const std::string& from, const std::string& to, const std::string& address,
                                   std::uint16_t port);
  /// By a single datagram of that size, of whose path nothing is known yet.
  [[nodiscard]] std::string send(const std::string& from, const std::string& to, std::size_t size);
  /// A line for each of `from`, a column for each of `to`.
  [[nodiscard]] std::string table(const std::vector<std::string>& from, const std::vector<std::string>& to);
  /// "172.30.0.1 dev eth1 table 2": the way of a packet that a pod on its node sends there.
  [[nodiscard]] std::string way(const std::string& pod, const std::string& address) const;

 private:
  struct Party {
    const support::Netns* netns = nullptr;
    std::string address;
    std::unique_ptr<support::Server> tcp;
    std::unique_ptr<support::Server> udp;
  };
  [[nodiscard]] std::string seen(const std::optional<std::string>& who, const Party& from) const;

  const support::Cluster& cluster_;
  std::string crossover_;
  support::Runtime runtime_;
  std::map<std::string, std::unique_ptr<support::Sandbox>> pods_;
  std::map<std::string, Party> parties_;
  std::map<std::string, std::string> names_;
};

}  // namespace lab
