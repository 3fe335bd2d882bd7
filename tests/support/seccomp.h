// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <array>
#include <cstddef>
#include <cstdint>

// Makes one system call fail, as an older kernel or a stricter one would. For the rest of the process: use in a child.
namespace scratch {

/// From now on system call `number` fails with `error_number`, without being made; with `first` only if its first
/// argument is that.
inline bool deny(long number, int error_number, long first = -1) {
  const auto call = static_cast<std::uint32_t>(number);
  const auto verdict = SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(error_number) & SECCOMP_RET_DATA);
  const auto wanted = static_cast<std::uint32_t>(first);
  const std::uint8_t any = first < 0 ? 0 : 1;  // jumps over the verdict if the argument differs
  std::array<sock_filter, 6> filter = {{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, call},
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, any, wanted},
      {BPF_RET | BPF_K, 0, 0, verdict},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace scratch
