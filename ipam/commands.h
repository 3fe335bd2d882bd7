// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/disk.h"
#include "conf/ip.h"
#include "conf/request.h"

// The verbs of crossover-ipam.
namespace ipam {

struct AgentSaid {
  std::string body;
  std::string problem;  ///< set if there is no body: why, in one sentence
};

/// What a verb may touch of the machine.
struct Host {
  conf::Disk& disk;
  std::string boot_id;
  std::int64_t now_ms = 0;
  std::function<std::uint64_t(const std::string& netns)> netns_inode;  ///< 0 if it cannot be told
  /// Whether `ifname` is in that namespace and has one of these addresses; throws what keeps it from being told.
  std::function<bool(const std::string& netns, const std::string& ifname, const std::vector<conf::IpPrefix>&)> carries =
      {};
  /// GET `target` over the socket of Cilium's agent. All calls of one run end within 500 ms.
  std::function<AgentSaid(std::string_view target)> ask_agent = {};
  /// One line for the person on the node; it never fails a call.
  std::function<void(const std::string& text)> warn = {};
  std::function<void(std::chrono::milliseconds)> sleep = {};
  std::string subnet_env = "/run/flannel/subnet.env";  ///< flannel's
};

/// Runs `request` on the configuration `stdin_text`. What goes to stdout is returned; errors are thrown as CniError:
/// those of parse_config and Store (code 100 not for an ADD that a killed one left its lease to: the same boot,
/// namespace, network and addresses as would be given now, and no interface that has them; it gets them again), code 11
/// (STATUS: 50) when a source of blocks has never answered, code 3 when a CHECK finds no lease or other addresses than
/// prevResult has, code 50 when a STATUS finds a family with nothing left.
[[nodiscard]] std::string run(const Host& host, const conf::Request& request, std::string_view stdin_text);

/// The `dns` of a result, as JSON, from the text of a resolv.conf.
[[nodiscard]] std::string dns_json(std::string_view resolv_conf);

}  // namespace ipam
