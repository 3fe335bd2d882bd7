// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

// Programs that go on running beside a test.
namespace runtimes {

class Daemon {
 public:
  /// What it prints is added to the file `log`.
  Daemon(std::vector<std::string> argv, const std::string& log);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  [[nodiscard]] bool running();
  /// Returns when it has ended.
  void end(int signal);

 private:
  pid_t pid_ = -1;
};

/// Ends all processes of this process namespace whose name, as in /proc/<pid>/comm, begins so; returns when none is
/// left.
void kill_all(const std::string& name);

/// Returns when `condition` holds; throws after half a minute that `what` did not happen.
void eventually(const std::string& what, const std::function<bool()>& condition);

}  // namespace runtimes
