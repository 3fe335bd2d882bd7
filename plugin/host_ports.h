// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/list.h"
#include "conf/settings.h"

// Who maps a pod's hostPorts (design: section 5). Pure.
namespace plugin {

enum class PortMapper { kNone, kDelegate, kCrossover };
[[nodiscard]] std::string_view port_mapper_name(PortMapper mapper);  ///< "none", "delegate", "crossover"

/// `auto` and `delegate` leave the ports to a plugin of the list that declares the capability portMappings; `off` maps
/// none. Code 7 for `crossover`: no crossover-portmap is part of this release.
[[nodiscard]] PortMapper port_mapper(conf::HostPorts setting, const conf::NetworkList& list);

/// What the list gets of the runtime's offers under that choice. A mapping that nobody will make is said in `notes`.
[[nodiscard]] conf::Object offers_for(const conf::NetworkList& list, PortMapper mapper,
                                      const conf::Object& runtime_config, std::vector<std::string>& notes);

}  // namespace plugin
