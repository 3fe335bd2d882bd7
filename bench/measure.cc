// SPDX-License-Identifier: Apache-2.0
#include "bench/measure.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// A file that is gone from its folder once it is open: input, or a place for output that never blocks the program.
int unnamed_file(const std::string& content) {
  const int fd = ::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) give_up("cannot make a file in /dev/shm");
  if (::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) give_up("short write");
  (void)::lseek(fd, 0, SEEK_SET);  // cannot fail on a regular file
  return fd;
}

struct Started {
  pid_t pid = 0;
  int out = -1;
  std::string path;
};

Started start(const Program& program) {
  const int in = unnamed_file(program.input);
  const int out = unnamed_file("");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, out, 2);
  std::vector<char*> env;
  for (const std::string& entry : program.env) env.push_back(const_cast<char*>(entry.c_str()));
  env.push_back(nullptr);
  std::array<char*, 2> argv = {const_cast<char*>(program.path.c_str()), nullptr};
  Started started{0, out, program.path};
  const int rc = ::posix_spawn(&started.pid, program.path.c_str(), &actions, nullptr, argv.data(), env.data());
  ::posix_spawn_file_actions_destroy(&actions);
  (void)::close(in);  // the program has its own copy
  if (rc != 0) give_up("cannot start " + program.path);
  return started;
}

void finish(const Started& started, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    (void)::close(started.out);  // nothing in it is wanted
    return;
  }
  std::string said(4096, '\0');
  const ssize_t length = ::pread(started.out, said.data(), said.size(), 0);
  said.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  give_up(started.path + " failed: " + said);
}

}  // namespace

void give_up(const std::string& why) {
  (void)std::fprintf(stderr, "benchmark: %s\n", why.c_str());
  std::exit(1);
}

Run run(const Program& program) {
  const auto begin = Clock::now();
  const Started started = start(program);
  int status = 0;
  rusage usage{};
  if (::wait4(started.pid, &status, 0, &usage) != started.pid) give_up("lost a program");
  const Run out{ms_since(begin), usage.ru_maxrss};
  finish(started, status);
  return out;
}

double run_all(const std::vector<Program>& programs, unsigned at_once) {
  const auto begin = Clock::now();
  std::map<pid_t, Started> running;
  std::size_t next = 0;
  while (next < programs.size() || !running.empty()) {
    while (next < programs.size() && running.size() < at_once) {
      const Started started = start(programs[next++]);
      running.emplace(started.pid, started);
    }
    int status = 0;
    const pid_t pid = ::wait(&status);
    const auto it = running.find(pid);
    if (it == running.end()) give_up("lost a program");
    finish(it->second, status);
    running.erase(it);
  }
  return ms_since(begin) / 1000.0;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) give_up("no values");
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

}  // namespace bench
