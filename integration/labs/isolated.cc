// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/isolated.h"

#include "integration/support/namespaces.h"

namespace lab {

bool be_isolated() {
  static const bool isolated = [] { return support::isolate({"/etc/cni", "/var/lib/cni"}), true; }();
  return isolated;
}

}  // namespace lab
