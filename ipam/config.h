// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/disk.h"
#include "conf/json.h"
#include "conf/request.h"
#include "ipam/source.h"
#include "ipam/store.h"

// The document on stdin, as crossover-ipam sees it: the calling plugin's configuration, of which `ipam` is ours.
namespace ipam {

inline constexpr const char* kDefaultStateDir = "/var/lib/cni/crossover";

struct Config {
  std::string cni_version;
  std::string name;
  std::vector<Want> wants;          ///< one a family of the node's blocks, or one a range set
  std::vector<std::string> routes;  ///< JSON objects, passed on
  std::string resolv_conf;
  std::vector<std::string> imports;  ///< directories of host-local
  std::chrono::seconds cooldown{30};
  std::string state_dir = kDefaultStateDir;
  std::optional<std::string> prev_result;
  std::optional<std::vector<conf::AttachmentId>> valid_attachments;
};

/// Says what a source of `podCIDRsFrom` says, for the stateDir of the same section; it throws what ends the call.
using AskFor = std::function<Answer(const Source& source, const std::string& state_dir)>;

/// Everything that bytes can tell, requested addresses included; with `ask`, what a source of blocks says too (without,
/// a section with `podCIDRsFrom` has no blocks from it). Code 6 (no JSON), 1 (a version that is not ours or too
/// old for the verb) or 7, which names the key, its value and the rule it broke. Code 111 for a requested address that
/// no block has.
[[nodiscard]] Config parse_config(std::string_view text, const conf::Request& request, const AskFor& ask = {});

/// Where the state is; for DEL, which must work with a configuration that is no longer any good.
[[nodiscard]] std::string state_dir_of(std::string_view text);

}  // namespace ipam
