// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

// A program that behaves badly in one way, named by FIXTURE in its environment; for exec_test.cc. FIXTURE_ARG is a
// number or a path. Written without stdio, so that nothing is buffered when it ends.

namespace {

void say(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

std::string read_all(int fd) {
  std::string text;
  char chunk[4096];
  for (ssize_t got = 0; (got = ::read(fd, chunk, sizeof(chunk))) > 0;)
    text.append(chunk, static_cast<std::size_t>(got));
  return text;
}

void flood(int fd, long bytes) {
  const std::string block(65536, 'x');
  for (long left = bytes; left > 0; left -= 65536)
    say(fd, std::string_view(block).substr(0, static_cast<std::size_t>(left)));
}

[[noreturn]] void stay() {
  for (;;) ::pause();
}

int tell_environment() {
  for (char** variable = environ; *variable != nullptr; ++variable) say(STDOUT_FILENO, std::string(*variable) + "\n");
  return 0;
}

int tell_descriptors() {
  for (int fd = 0; fd < 1024; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) say(STDOUT_FILENO, std::to_string(fd) + "\n");
  }
  return 0;
}

int tell_signals() {
  sigset_t blocked;
  if (::sigprocmask(SIG_SETMASK, nullptr, &blocked) != 0) return 1;
  for (const int signal : {SIGPIPE, SIGCHLD, SIGTERM}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0) return 1;
    say(STDOUT_FILENO, action.sa_handler == SIG_DFL ? "default" : "changed");
    say(STDOUT_FILENO, ::sigismember(&blocked, signal) == 1 ? " blocked\n" : " open\n");
  }
  return 0;
}

/// Leaves a child behind that keeps all it inherited, until somebody opens the pipe `path` for writing.
int leave_child(const std::string& path) {
  if (::fork() == 0) return ::open(path.c_str(), O_RDONLY) < 0 ? 1 : 0;
  say(STDOUT_FILENO, "left");
  return 0;
}

int leave_chatterer() {
  if (::fork() == 0) flood(STDERR_FILENO, 1L << 40);
  say(STDOUT_FILENO, "left");
  return 0;
}

/// A child that holds the pipe `path` open for writing, says more than anybody wants to hear and then waits, deaf to
/// all but SIGKILL; nor does this process end.
int form_group(const std::string& path) {
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  if (::fork() == 0) {
    const int held = ::open(path.c_str(), O_WRONLY);
    say(held, "held");
    flood(STDOUT_FILENO, 2L << 20);
  }
  stay();
}

int behave(std::string_view how, const std::string& argument) {
  if (how == "complain" || how == "complain-and-echo") say(STDERR_FILENO, argument);
  if (how == "echo" || how == "complain-and-echo") say(STDOUT_FILENO, read_all(STDIN_FILENO));
  if (how == "environment") return tell_environment();
  if (how == "descriptors") return tell_descriptors();
  if (how == "signals") return tell_signals();
  if (how == "group-id") say(STDOUT_FILENO, ::getpid() == ::getpgrp() ? "leader" : "member");
  if (how == "exit") return std::atoi(argument.c_str());
  if (how == "stay") stay();
  if (how == "flood") flood(STDOUT_FILENO, std::atol(argument.c_str()));
  if (how == "flood-stderr") flood(STDERR_FILENO, std::atol(argument.c_str()));
  if (how == "leave-child") return leave_child(argument);
  if (how == "leave-chatterer") return leave_chatterer();
  if (how == "group") return form_group(argument);
  if (how == "crash") {
    ::signal(SIGSEGV, SIG_DFL);
    ::raise(SIGSEGV);
  }
  if (how == "stubborn") {
    ::signal(SIGTERM, SIG_IGN);
    flood(STDOUT_FILENO, 1L << 40);
    stay();
  }
  if (how == "read-little") {
    char one = 0;
    if (::read(STDIN_FILENO, &one, 1) != 1) return 1;
    say(STDOUT_FILENO, std::string_view(&one, 1));
  }
  if (how == "half-close") {  // ends its output, then lives on until its input ends
    ::close(STDOUT_FILENO);
    ::close(STDERR_FILENO);
    return static_cast<int>(read_all(STDIN_FILENO).size() % 100);
  }
  return 0;
}

}  // namespace

int main() {
  const char* how = std::getenv("FIXTURE");
  const char* argument = std::getenv("FIXTURE_ARG");
  return behave(how == nullptr ? "" : how, argument == nullptr ? "" : argument);
}
