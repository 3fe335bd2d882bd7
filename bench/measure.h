// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

// Runs programs and takes their time. Every figure is a median of many runs.
namespace bench {

struct Program {
  std::string path;
  std::vector<std::string> env;
  std::string input;
};

struct Run {
  double ms = 0;         ///< from before the spawn until the exit was seen
  long max_rss_kib = 0;  ///< the kernel's ru_maxrss of the program
};

/// Runs `program` to its end. Ends the benchmark, with what the program printed, if it fails: a figure of failed calls
/// would mean nothing.
[[nodiscard]] Run run(const Program& program);

/// Starts all of `programs`, `at_once` at a time, and returns the seconds until the last has ended.
[[nodiscard]] double run_all(const std::vector<Program>& programs, unsigned at_once);

[[nodiscard]] double median(std::vector<double> values);
/// The value that `share` (0..1) of them do not exceed.
[[nodiscard]] double quantile(std::vector<double> values, double share);

/// Ends the benchmark with a sentence on stderr.
[[noreturn]] void give_up(const std::string& why);

}  // namespace bench
