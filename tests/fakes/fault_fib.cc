// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/fault_fib.h"

#include <cerrno>

#include "conf/error.h"

namespace fakes {

template <typename T>
netlink::Ack FaultFib::change(const char* name, netlink::Ack (netlink::Fib::*method)(const T&), const T& value) {
  const Harm harm = fate_.step(name);
  if (harm == Harm::kKill) fate_.die();
  if (harm == Harm::kFail) return {.error = EPERM, .sentence = {}};
  netlink::Ack ack = (real_.*method)(value);
  return harm == Harm::kFailAfter ? netlink::Ack{.error = ENOBUFS, .sentence = {}} : ack;
}

template netlink::Ack FaultFib::change(const char*, netlink::Ack (netlink::Fib::*)(const netlink::Rule&),
                                       const netlink::Rule&);
template netlink::Ack FaultFib::change(const char*, netlink::Ack (netlink::Fib::*)(const netlink::Route&),
                                       const netlink::Route&);

netlink::Fib& FaultFib::looked() {
  if (fate_.look_fails("look fib")) throw conf::CniError(conf::Code::kIo, "injected", "look fib");
  return real_;
}

}  // namespace fakes
