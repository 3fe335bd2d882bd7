// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "conf/error.h"
#include "ipam/commands.h"
#include "ipam/source.h"

// Asks the source of a node's blocks, and keeps its last good answer below stateDir: `ipam/source-cilium`,
// `ipam/source-flannel`, `ipam/source-file-<hash of the path>`; the format is in source.h. A source that is down, torn,
// empty or talks nonsense is no reason to refuse a pod whose node had blocks a moment ago. DEL asks nobody.
namespace ipam {

struct Heard {
  Source source;
  Answer answer;
  bool is_new = false;  ///< unlike what is kept
};

/// What `source` says, else what it last said well, and host.warn is told why. CniError of `code` if it never did: with
/// the source, the problem and the cure.
[[nodiscard]] Heard ask(const Host& host, const Source& source, const std::string& state_dir, conf::Code code);

/// Keeps an answer that is new, and tells host.warn its notes. For answers that the configuration agrees with: what it
/// refuses must not serve later. A disk that fails is warned of.
void keep(const Host& host, const std::string& state_dir, const Heard& heard);

}  // namespace ipam
