// SPDX-License-Identifier: Apache-2.0
#include "plugin/host_ports.h"

#include <fmt/format.h>

namespace plugin {
namespace {

constexpr std::string_view kCapability = "portMappings";

}  // namespace

std::string_view port_mapper_name(PortMapper mapper) {
  switch (mapper) {
    case PortMapper::kNone:
    case PortMapper::kNetwork:
      return "none";
    case PortMapper::kDelegate:
      return "delegate";
    case PortMapper::kCrossover:
      return "crossover";
  }
  return "none";
}

PortMapper port_mapper(conf::HostPorts setting, const conf::NetworkList& list, bool network_maps) {
  if (setting == conf::HostPorts::kOff) return PortMapper::kNone;
  if (setting == conf::HostPorts::kCrossover) return PortMapper::kCrossover;
  if (list.declares(kCapability)) return PortMapper::kDelegate;
  if (setting == conf::HostPorts::kDelegate) return PortMapper::kNone;
  return network_maps ? PortMapper::kNetwork : PortMapper::kCrossover;
}

bool network_matters(conf::HostPorts setting, const conf::NetworkList& list) {
  return port_mapper(setting, list, true) != port_mapper(setting, list, false);
}

bool asks_for_ports(const conf::Object& runtime_config) {
  const std::string* mappings = runtime_config.find(kCapability);
  return mappings != nullptr && conf::kind_of(*mappings) == "array" &&
         !conf::parse_array(*mappings, "runtimeConfig.portMappings").empty();
}

conf::Object offers_for(const conf::NetworkList& list, PortMapper mapper, const conf::Object& runtime_config,
                        std::vector<std::string>& notes) {
  conf::Object offers = runtime_config;
  if (mapper == PortMapper::kDelegate || !runtime_config.has(kCapability)) return offers;
  if (mapper == PortMapper::kNone && asks_for_ports(runtime_config))
    notes.push_back(
        fmt::format("the pod's hostPorts are not mapped: no plugin of list {} takes portMappings, or hostPorts is "
                    "off",
                    list.name));
  offers.erase(kCapability);
  return offers;
}

}  // namespace plugin
