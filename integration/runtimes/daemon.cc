// SPDX-License-Identifier: Apache-2.0
#include "integration/runtimes/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace runtimes {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds(30);
constexpr auto kPause = std::chrono::milliseconds(10);

std::vector<pid_t> named(const std::string& name) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string number = entry.path().filename();
    pid_t pid = 0;
    if (std::from_chars(number.data(), number.data() + number.size(), pid).ec != std::errc()) continue;
    std::string comm;
    std::ifstream file(entry.path() / "comm");
    if (std::getline(file, comm) && comm.starts_with(name)) found.push_back(pid);
  }
  return found;
}

}  // namespace

Daemon::Daemon(std::vector<std::string> argv, const std::string& log) {
  posix_spawn_file_actions_t actions;
  (void)::posix_spawn_file_actions_init(&actions);
  (void)::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  (void)::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  (void)::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  std::vector<char*> words;
  for (auto& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  const int error = ::posix_spawnp(&pid_, words[0], &actions, nullptr, words.data(), environ);
  (void)::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error(argv.front() + ": " + std::strerror(error));
}

Daemon::~Daemon() { end(SIGKILL); }

bool Daemon::running() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

void Daemon::end(int signal) {
  if (!running()) return;
  (void)::kill(pid_, signal);
  eventually("the end of a daemon", [this] { return !running(); });
}

void kill_all(const std::string& name) {
  eventually("the end of every " + name, [&] {
    const auto found = named(name);
    for (const pid_t pid : found) (void)::kill(pid, SIGKILL);
    return found.empty();
  });
}

void eventually(const std::string& what, const std::function<bool()>& condition) {
  const auto until = Clock::now() + kPatience;
  while (!condition()) {
    if (Clock::now() > until) throw std::runtime_error("waited in vain for " + what);
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace runtimes
