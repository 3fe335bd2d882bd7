// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/disk.h"
#include "conf/json.h"
#include "conf/request.h"
#include "ipam/store.h"

// The document on stdin, as crossover-ipam sees it: the calling plugin's configuration, of which `ipam` is ours.
namespace ipam {

inline constexpr const char* kDefaultStateDir = "/var/lib/cni/crossover";

struct Config {
  std::string cni_version;
  std::string name;
  std::vector<Want> wants;          ///< one a family of `podCIDRs`, or one a range set
  std::vector<std::string> routes;  ///< JSON objects, passed on
  std::string resolv_conf;
  std::vector<std::string> imports;  ///< directories of host-local
  std::chrono::seconds cooldown{30};
  std::string state_dir = kDefaultStateDir;
  std::optional<std::string> prev_result;
  std::optional<std::vector<conf::AttachmentId>> valid_attachments;
};

/// Everything that bytes can tell, requested addresses included. Code 6 (no JSON), 1 (a version that is not ours or too
/// old for the verb) or 7, which names the key, its value and the rule it broke. Code 111 for a requested address that
/// no block has.
[[nodiscard]] Config parse_config(std::string_view text, const conf::Request& request);

/// Where the state is; for DEL, which must work with a configuration that is no longer any good.
[[nodiscard]] std::string state_dir_of(std::string_view text);

}  // namespace ipam
