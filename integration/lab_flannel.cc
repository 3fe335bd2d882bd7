// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "integration/lab.h"

namespace integration {
namespace {

using Json = nlohmann::json;
using support::Node;

Json host_local(const std::string& block, const std::string& route) {
  const Json range = Json::array({Json{{"subnet", block}}});
  return {{"type", "host-local"}, {"ranges", Json::array({range})}, {"routes", Json::array({Json{{"dst", route}}})}};
}

// A node's block, as Cilium's operator would have given it, and what keeps it from being anything else.
Json crossover_ipam(const std::string& block, const std::string& pool, const std::string& other) {
  return {{"type", "crossover-ipam"},
          {"podCIDRs", Json::array({block})},
          {"clusterPool", {{"ipv4", {{"cidrs", Json::array({pool})}, {"maskSize", 24}}}}},
          {"reservedCIDRs", Json::array({other})},
          {"routes", Json::array({Json{{"dst", "0.0.0.0/0"}}})}};
}

std::string list(const std::string& name, Json first) {
  const Json ports = {{"type", "portmap"}, {"capabilities", {{"portMappings", true}}}};
  return Json{{"cniVersion", "1.0.0"}, {"name", name}, {"plugins", Json::array({std::move(first), ports})}}.dump(2) +
         "\n";
}

}  // namespace

void FlannelLab::build(const support::Cluster& cluster) const {
  build_overlay(cluster, legacy_);
  build_overlay(cluster, second_);
  for (const Node& node : cluster.nodes()) {
    masquerade_like_flannel(node, legacy_);
    masquerade_egress(node, second_, "SECOND-POSTRTG");
  }
}

// What flannel's plugin hands to bridge, delegating with the values of /run/flannel/subnet.env.
ListFile FlannelLab::legacy_list(const Node& node) const {
  Json bridge = {{"type", "bridge"},
                 {"bridge", "cni0"},
                 {"mtu", 1450},
                 {"isDefaultGateway", true},
                 {"hairpinMode", true},
                 {"ipMasq", false},
                 {"ipam", host_local(legacy_.block(node), legacy_.all())}};
  return {"/etc/cni/net.d/10-flannel.conflist", list("cbr0", std::move(bridge))};
}

ListFile FlannelLab::second_list(const Node& node) const {
  Json ptp = {{"type", "ptp"},
              {"mtu", 1450},
              {"ipMasq", false},
              {"ipam", crossover_ipam(second_.block(node), second_.all(), legacy_.all())}};
  return {"/etc/cni/net.d/crossover.d/05-second.conflist", list("second", std::move(ptp))};
}

ListFile FlannelLab::crossover_list() const {
  const Json plugin = {{"type", "crossover"},
                       {"capabilities", {{"portMappings", true}}},
                       {"cilium", {{"conflist", "/etc/cni/net.d/crossover.d/05-second.conflist"}}}};
  const Json all = {{"cniVersion", "1.0.0"},
                    {"cniVersions", {"0.3.1", "0.4.0", "1.0.0", "1.1.0"}},
                    {"name", "crossover"},
                    {"loadOnlyInlinedPlugins", true},
                    {"plugins", Json::array({plugin})}};
  return {"/etc/cni/net.d/00-crossover.conflist", all.dump(2) + "\n"};
}

std::string FlannelLab::network_of(const std::string& address) const {
  return address.starts_with(second_.prefix + ".") ? "second" : "legacy";
}

}  // namespace integration
