// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/fault_firewall.h"

#include <cerrno>

#include "conf/error.h"

namespace fakes {
namespace {

netlink::Committed refused(int error_number) {
  return {.kind = netlink::Committed::Kind::kRefused, .operation = {}, .ack = {.error = error_number, .sentence = {}}};
}

}  // namespace

netlink::Committed FaultFirewall::commit(const netlink::NftBatch& batch, std::optional<std::uint32_t> generation) {
  const Harm harm = fate_.step("commit");
  if (harm == Harm::kKill) fate_.die();
  if (harm == Harm::kFail) return refused(EPERM);
  netlink::Committed committed = real_.commit(batch, generation);
  return harm == Harm::kFailAfter ? refused(ENOBUFS) : committed;
}

netlink::Firewall& FaultFirewall::looked() {
  if (fate_.look_fails("look firewall")) throw conf::CniError(conf::Code::kIo, "injected", "look firewall");
  return real_;
}

}  // namespace fakes
