// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/lab.h"

#include <nlohmann/json.hpp>

namespace lab {

using Json = nlohmann::json;

Lab::Lab(std::unique_ptr<Network> legacy, std::string iptables_restore)
    : legacy_(std::move(legacy)), cilium_(std::move(iptables_restore)) {
  cilium_.reserve(legacy_->cidr());
  if (legacy_->prefix6().empty()) return;
  cilium_.reserve(legacy_->cidr6());
  cilium_.add_ipv6();
}

void Lab::build(const support::Cluster& cluster) {
  legacy_->build(cluster);
  cilium_.build(cluster);
}

ListFile Lab::crossover_list(Preserve mode) const {
  Json plugin = {{"type", "crossover"},
                 {"capabilities", {{"portMappings", true}}},
                 {"cilium", {{"conflist", "/etc/cni/net.d/crossover.d/05-cilium.conflist"}}}};
  const bool preserve = mode == Preserve::kToLegacy || mode == Preserve::kBoth;
  if (preserve || legacy_->needs_cidrs()) {
    plugin["legacy"] = {{"cidrs", Json::array({legacy_->cidr()})}};
    plugin["cilium"]["cidrs"] = Json::array({cilium_.cidr()});
    if (!legacy_->prefix6().empty()) {
      plugin["legacy"]["cidrs"].push_back(legacy_->cidr6());
      plugin["cilium"]["cidrs"].push_back(cilium_.cidr6());
    }
  }
  if (preserve) {
    plugin["coexistence"] = {{"preserveSource", mode == Preserve::kBoth ? "both" : "to-legacy"}};
  }
  const Json all = {{"cniVersion", "1.0.0"},
                    {"cniVersions", {"0.3.1", "0.4.0", "1.0.0", "1.1.0"}},
                    {"name", "crossover"},
                    {"loadOnlyInlinedPlugins", true},
                    {"plugins", Json::array({plugin})}};
  return {"/etc/cni/net.d/00-crossover.conflist", all.dump(2) + "\n"};
}

std::string Lab::network_of(const std::string& address) const { return cilium_.owns(address) ? "second" : "legacy"; }

}  // namespace lab
