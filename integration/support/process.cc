// SPDX-License-Identifier: Apache-2.0
#include "integration/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "conf/fd.h"

namespace support {
namespace {

using conf::UniqueFd;
using Clock = std::chrono::steady_clock;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

[[noreturn]] void fail(const char* what) { throw std::runtime_error(std::string(what) + ": " + std::strerror(errno)); }

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe2");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A memory file rather than a pipe: nobody has to feed it, and a program that reads nothing cannot kill us.
UniqueFd input_file(std::string_view input) {
  UniqueFd file(::memfd_create("stdin", MFD_CLOEXEC));
  if (!file) fail("memfd_create");
  while (!input.empty()) {
    const ssize_t written = ::write(file.get(), input.data(), input.size());
    if (written < 0) fail("write to memory file");
    input.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::lseek(file.get(), 0, SEEK_SET) < 0) fail("lseek");
  return file;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (extra.find(std::string(text.substr(0, text.find('=')))) == extra.end()) all.emplace_back(text);
  }
  for (const auto& [key, value] : extra) all.push_back(key + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

int spawn(std::vector<std::string> argv, std::vector<std::string> env, const std::array<int, 3>& stdio, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (::posix_spawn_file_actions_init(&actions) != 0 || ::posix_spawnattr_init(&attributes) != 0) fail("posix_spawn");
  for (int fd = 0; fd < 3; ++fd)
    (void)::posix_spawn_file_actions_adddup2(&actions, stdio.at(static_cast<std::size_t>(fd)), fd);
  sigset_t none;
  sigset_t defaults;
  (void)::sigemptyset(&none);
  (void)::sigfillset(&defaults);
  (void)::posix_spawnattr_setsigmask(&attributes, &none);
  (void)::posix_spawnattr_setsigdefault(&attributes, &defaults);
  (void)::posix_spawnattr_setpgroup(&attributes, 0);
  (void)::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error =
      ::posix_spawnp(&pid, argv.front().c_str(), &actions, &attributes, pointers(argv).data(), pointers(env).data());
  (void)::posix_spawnattr_destroy(&attributes);
  (void)::posix_spawn_file_actions_destroy(&actions);
  return error;
}

/// Appends what is there; false at the end of the stream.
bool drain(int fd, std::string& into) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got > 0) into.append(buffer.data(), static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

int exit_status(int raw) { return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw); }

/// Reads both streams until the program has exited and both are empty; false when the deadline passed first.
bool collect(int exited, int out, int err, Clock::time_point until, Finished& finished) {
  std::array<pollfd, 3> fds{pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}, pollfd{exited, POLLIN, 0}};
  std::array<std::string*, 2> texts{&finished.out, &finished.err};
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    const bool gone = fds[2].fd < 0;
    const int ready = ::poll(fds.data(), fds.size(), gone ? 0 : static_cast<int>(left > 0 ? left : 0));
    if (ready < 0 && errno != EINTR) fail("poll");
    if (ready == 0) return gone;
    for (std::size_t i = 0; i < texts.size(); ++i)
      if (ready > 0 && fds.at(i).revents != 0 && !drain(fds.at(i).fd, *texts.at(i))) fds.at(i).fd = -1;
    if (ready > 0 && fds[2].revents != 0) fds[2].fd = -1;
    if (fds[0].fd < 0 && fds[1].fd < 0 && fds[2].fd < 0) return true;
  }
}

}  // namespace

Finished run(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env,
             std::string_view input, std::chrono::milliseconds deadline) {
  const auto until = Clock::now() + deadline;
  const UniqueFd in = input_file(input);
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  Finished finished;
  pid_t pid = -1;
  const int error = spawn(argv, environment_with(env), {in.get(), out.write.get(), err.write.get()}, pid);
  if (error != 0) return {kNotStarted, "", argv.front() + ": " + std::strerror(error)};
  out.write.reset();
  err.write.reset();
  const UniqueFd exited(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const bool in_time = collect(exited.get(), out.read.get(), err.read.get(), until, finished);
  if (!in_time) (void)::kill(-pid, SIGKILL);
  int raw = 0;
  while (::waitpid(pid, &raw, 0) < 0)
    if (errno != EINTR) fail("waitpid");
  finished.status = in_time ? exit_status(raw) : kTimedOut;
  return finished;
}

std::string must_run(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env,
                     std::string_view input, std::chrono::milliseconds deadline) {
  Finished finished = run(argv, env, input, deadline);
  if (finished.ok()) return std::move(finished.out);
  std::string text;
  for (const auto& word : argv) text += (text.empty() ? "" : " ") + word;
  throw std::runtime_error(text + ": status " + std::to_string(finished.status) + ": " + finished.err + finished.out);
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = text.find_first_not_of(' ', at);
    if (start == std::string_view::npos) break;
    at = std::min(text.find(' ', start), text.size());
    result.emplace_back(text.substr(start, at - start));
  }
  return result;
}

}  // namespace support
