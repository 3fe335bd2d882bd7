// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

// Ends a program where it hurts: at the n-th time that it enters or leaves the kernel. Programs that it starts are not
// followed: they go on, as they would in production.
namespace support {

struct Cut {
  bool killed = false;    ///< false: the program ended by itself before it came to that stop
  std::size_t stops = 0;  ///< how many there were; entering and leaving count one each
  std::string last;       ///< the last of them: "enters 257" (the system call's number)
  int status = 0;         ///< exit status; 128 + signal
  std::string out;        ///< its stdout
};

/// From where stops are counted.
enum class Count {
  kFromStart,  ///< the first instruction of the program: its dynamic linker and all
  kFromInput,  ///< the first read of its stdin, before which a plugin knows nothing
};

/// Runs `argv` with `env` on top of our own environment and `input` as its stdin, and kills it at stop `at` (from 1; 0:
/// never). stderr goes nowhere. Throws std::runtime_error if it cannot be traced.
[[nodiscard]] Cut run_and_kill(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env,
                               std::string_view input, Count count, std::size_t at);

}  // namespace support
