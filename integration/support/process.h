// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

// Runs the programs that integration tests and the demo drive. Not for the product: plugin/exec.h is.
namespace support {

inline constexpr int kTimedOut = 124;    ///< as timeout(1) says it
inline constexpr int kNotStarted = 127;  ///< as a shell says it; the reason is in `err`

struct Finished {
  int status = 0;  ///< exit status; 128 + signal; kTimedOut; kNotStarted
  std::string out;
  std::string err;
  [[nodiscard]] bool ok() const { return status == 0; }
};

/// Runs `argv` (searched in PATH) with `env` on top of our own environment and `input` as its stdin, in a process group
/// of its own: Ctrl-C ends us, not the step we are in the middle of, and the deadline ends all of it. A child that the
/// program leaves behind with our pipes open does not hold us.
[[nodiscard]] Finished run(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env = {},
                           std::string_view input = {}, std::chrono::milliseconds deadline = std::chrono::seconds(60));

/// As `run`, but throws std::runtime_error with the command line and what it printed unless it ended with status 0.
/// Returns its stdout.
std::string must_run(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env = {},
                     std::string_view input = {}, std::chrono::milliseconds deadline = std::chrono::seconds(60));

/// "ip link show" as {"ip", "link", "show"}: for command lines without quoting.
[[nodiscard]] std::vector<std::string> words(std::string_view text);

}  // namespace support
