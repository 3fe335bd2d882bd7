// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/list.h"
#include "conf/settings.h"

// Who maps a pod's hostPorts. Pure.
namespace plugin {

enum class PortMapper {
  kNone,
  kDelegate,   ///< a plugin of the list
  kCrossover,  ///< we
  kNetwork,    ///< the network by itself, from what its own agent knows of the pod: nobody is to be told
};
[[nodiscard]] std::string_view port_mapper_name(PortMapper mapper);  ///< "none", "delegate", "crossover", "none"

/// `off` maps none and `crossover` always maps; `delegate` passes them to a plugin of the list that declares the
/// capability portMappings, if there is one; so does `auto`, which maps them for a list without, unless the network
/// does it by itself.
[[nodiscard]] PortMapper port_mapper(conf::HostPorts setting, const conf::NetworkList& list, bool network_maps);

/// Whether that choice depends on what the network does by itself.
[[nodiscard]] bool network_matters(conf::HostPorts setting, const conf::NetworkList& list);

/// Whether the runtime asks for a port at all.
[[nodiscard]] bool asks_for_ports(const conf::Object& runtime_config);

/// What the list gets of the runtime's offers under that choice. Mappings that it does not get are said in `notes`,
/// unless Crossover makes them.
[[nodiscard]] conf::Object offers_for(const conf::NetworkList& list, PortMapper mapper,
                                      const conf::Object& runtime_config, std::vector<std::string>& notes);

}  // namespace plugin
