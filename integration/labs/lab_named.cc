// SPDX-License-Identifier: Apache-2.0
#include <stdexcept>

#include "integration/labs/aws.h"
#include "integration/labs/calico.h"
#include "integration/labs/flannel.h"
#include "integration/labs/lab.h"

namespace lab {

const std::vector<std::string>& lab_names() {
  static const std::vector<std::string> names = {"flannel", "flannel-host-gw", "calico", "canal"};
  return names;
}

Lab lab_named(const std::string& name) {
  if (name == "flannel") return Lab(std::make_unique<Flannel>(Flannel::Backend::kVxlan));
  if (name == "flannel-host-gw") return Lab(std::make_unique<Flannel>(Flannel::Backend::kHostGateway));
  if (name == "flannel-nft") return Lab(std::make_unique<Flannel>(Flannel::Backend::kVxlan, Flannel::Masquerade::kNft));
  if (name == "flannel-iptables-legacy")
    return Lab(std::make_unique<Flannel>(Flannel::Backend::kVxlan, Flannel::Masquerade::kIptablesLegacy),
               "iptables-legacy-restore");
  if (name == "flannel-dual")
    return Lab(
        std::make_unique<Flannel>(Flannel::Backend::kVxlan, Flannel::Masquerade::kIptables, Flannel::Families::kDual));
  if (name == "aws")
    return Lab(std::make_unique<Aws>(Aws::Options{.snat = Aws::Snat::kNodeNotToCilium, .on_primary = 1}));
  if (name == "calico") return Lab(std::make_unique<Calico>());
  if (name == "canal") return Lab(std::make_unique<Canal>());
  throw std::invalid_argument("there is no lab '" + name + "'");
}

}  // namespace lab
