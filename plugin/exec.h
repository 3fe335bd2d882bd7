// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

// Runs another program: no shell, its own process group, a deadline, bounded output.
namespace plugin {

struct Command {
  std::string path;                               ///< absolute
  std::vector<std::string> env;                   ///< "K=V"; the whole environment of the program
  std::string input;                              ///< its stdin
  std::chrono::milliseconds deadline{90'000};     ///< then the group is killed
  std::size_t max_output = std::size_t{1} << 20;  ///< of stdout; more kills the group
  int keep_fd = -1;                               ///< inherited as it is, not 0-2: a lock outlives us
};

struct Outcome {
  enum class End { kExited, kSignalled, kTimedOut, kTooMuchOutput, kNotStarted };
  End end = End::kExited;
  int status = 0;  ///< exit status; signal number if signalled (0: exited) or killed; errno if not started
  std::string out;
  std::string err;  ///< the first 64 KiB
  std::chrono::microseconds took{0};
  [[nodiscard]] bool succeeded() const { return end == End::kExited && status == 0; }
};

class Runner {
 public:
  virtual ~Runner() = default;
  [[nodiscard]] virtual Outcome run(const Command& command) = 0;
};

/// posix_spawn. A busy text file (ETXTBSY: somebody is replacing the program) is tried again for up to two seconds.
/// What the program wrote to stderr is forwarded to ours, as far as ours takes it without waiting. The program's end is
/// its exit, not the end of its output: a child it leaves behind does not hold us. At the deadline, or when there is
/// too much output, its group gets SIGTERM and, 200 ms later or when it is gone, SIGKILL. It inherits no descriptor but
/// 0-2 and keep_fd, no blocked signal, and nothing ignored of SIGPIPE, SIGCHLD and SIGTERM. CniError code 5 if we have
/// no pipes left.
class ProcessRunner final : public Runner {
 public:
  [[nodiscard]] Outcome run(const Command& command) override;
};

}  // namespace plugin
