// SPDX-License-Identifier: Apache-2.0
#include "plugin/exec.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "conf/error.h"
#include "conf/fd.h"

namespace plugin {
namespace {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC: a clock that is set does not kill a delegate
using std::chrono::milliseconds;

constexpr milliseconds kBusyPatience{2'000};
constexpr milliseconds kBusyPause{10};
constexpr milliseconds kGrace{200};
constexpr milliseconds kBlindPause{5};  // between looks at the program where the kernel has no pidfd (before 5.3)
constexpr std::size_t kMaxErr = std::size_t{64} << 10;
constexpr std::size_t kChunk = std::size_t{64} << 10;
constexpr std::size_t kMaxDrain = std::size_t{4} << 20;  // a child left behind may go on writing for ever

conf::CniError own_error(std::string_view operation, std::string_view object) {
  return conf::system_error(conf::Code::kIo, operation, object, errno);
}

/// A signal's disposition for as long as this lives. We are single-threaded, so that nobody else sees it.
class Disposition {
 public:
  Disposition(int signal, void (*handler)(int)) : signal_(signal) {
    struct sigaction action {};
    action.sa_handler = handler;
    (void)::sigaction(signal, &action, &before_);  // fails for invalid signals only
  }
  Disposition(const Disposition&) = delete;
  Disposition& operator=(const Disposition&) = delete;
  ~Disposition() { (void)::sigaction(signal_, &before_, nullptr); }

 private:
  int signal_;
  struct sigaction before_ {};
};

struct Pipe {
  conf::UniqueFd ours;
  conf::UniqueFd theirs;
};

/// Out of the way of 0, 1 and 2: where those are closed in us, a pipe would get their numbers, and what we forward to
/// our stderr could end up in the program's input.
conf::UniqueFd above_standard(int fd) {
  conf::UniqueFd low(fd);
  if (fd > STDERR_FILENO) return low;
  conf::UniqueFd high(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!high) throw own_error("duplicate", "pipe");
  return high;
}

Pipe make_pipe(bool we_write) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw own_error("make", "pipe");
  conf::UniqueFd first(ends[0]);
  conf::UniqueFd second(ends[1]);
  conf::UniqueFd read_end = above_standard(first.release());
  conf::UniqueFd write_end = above_standard(second.release());
  Pipe made = we_write ? Pipe{.ours = std::move(write_end), .theirs = std::move(read_end)}
                       : Pipe{.ours = std::move(read_end), .theirs = std::move(write_end)};
  if (::fcntl(made.ours.get(), F_SETFL, O_NONBLOCK) != 0) throw own_error("unblock", "pipe");
  return made;
}

/// posix_spawn's two parameter objects, filled in. Their functions fail only for lack of memory or wrong arguments;
/// the first such error is kept and ends the start.
class SpawnPlan {
 public:
  SpawnPlan() {
    note(::posix_spawn_file_actions_init(&actions_));
    note(::posix_spawnattr_init(&attributes_));
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    (void)::posix_spawn_file_actions_destroy(&actions_);
    (void)::posix_spawnattr_destroy(&attributes_);
  }

  void redirect(int fd, int to) { note(::posix_spawn_file_actions_adddup2(&actions_, fd, to)); }

  /// Its own process group, default signals, none blocked.
  void set_signals_and_group() {
    sigset_t defaults;
    sigset_t none;
    (void)::sigemptyset(&none);
    (void)::sigemptyset(&defaults);
    for (const int signal : {SIGPIPE, SIGCHLD, SIGTERM}) (void)::sigaddset(&defaults, signal);
    note(::posix_spawnattr_setsigdefault(&attributes_, &defaults));
    note(::posix_spawnattr_setsigmask(&attributes_, &none));
    note(::posix_spawnattr_setpgroup(&attributes_, 0));
    constexpr int kFlags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    note(::posix_spawnattr_setflags(&attributes_, static_cast<short>(kFlags)));
  }

  /// 0 or an errno.
  [[nodiscard]] int spawn(const Command& command, pid_t& pid) const {
    if (error_ != 0) return error_;
    std::string path = command.path;
    std::vector<std::string> env = command.env;
    std::array<char*, 2> argv = {path.data(), nullptr};
    std::vector<char*> envp;
    for (std::string& variable : env) envp.push_back(variable.data());
    envp.push_back(nullptr);
    return ::posix_spawn(&pid, path.c_str(), &actions_, &attributes_, argv.data(), envp.data());
  }

 private:
  void note(int error) {
    if (error_ == 0) error_ = error;
  }
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  int error_ = 0;
};

/// What `bytes` says, to our stderr, as far as it takes them now: nobody may hold a pod up by not reading our log.
void forward(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return;
    // A pipe that is ready takes PIPE_BUF bytes without blocking.
    const ssize_t wrote = ::write(STDERR_FILENO, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
    if (wrote <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

/// One program from its start to its burial.
class Child {
 public:
  explicit Child(const Command& command) : command_(command), started_(Clock::now()) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0 && !reaped_) stop();  // an exception passes through: leave no process behind
  }

  Outcome run() {
    if (const int error = start(); error != 0) {
      outcome_.end = Outcome::End::kNotStarted;
      outcome_.status = error;
    } else {
      converse();
    }
    outcome_.took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started_);
    return std::move(outcome_);
  }

 private:
  int start();
  int spawn_patiently(const SpawnPlan& plan);
  void converse();
  void feed();
  void read_out();
  void read_err();
  void drain();
  bool wait_for_event(Clock::time_point until);
  bool has_ended() const;
  void finish();
  void stop();
  void stop_as(Outcome::End end);

  const Command& command_;
  Clock::time_point started_;
  Outcome outcome_;
  pid_t pid_ = -1;
  bool reaped_ = false;
  int wait_status_ = 0;
  conf::UniqueFd pidfd_;
  conf::UniqueFd in_;
  conf::UniqueFd out_;
  conf::UniqueFd err_;
  std::size_t fed_ = 0;
  std::vector<char> chunk_ = std::vector<char>(kChunk);
};

int Child::start() {
  if (command_.keep_fd >= 0 && command_.keep_fd <= STDERR_FILENO) return EBADF;
  Pipe in = make_pipe(true);
  Pipe out = make_pipe(false);
  Pipe err = make_pipe(false);
  SpawnPlan plan;
  plan.redirect(in.theirs.get(), STDIN_FILENO);
  plan.redirect(out.theirs.get(), STDOUT_FILENO);
  plan.redirect(err.theirs.get(), STDERR_FILENO);
  // Onto itself: this clears close-on-exec in the program alone.
  if (command_.keep_fd >= 0) plan.redirect(command_.keep_fd, command_.keep_fd);
  plan.set_signals_and_group();
  // What our own caller let us inherit is none of the program's business. Before Linux 5.11 it gets through.
  (void)::close_range(STDERR_FILENO + 1, std::numeric_limits<unsigned>::max(), CLOSE_RANGE_CLOEXEC);
  if (const int error = spawn_patiently(plan); error != 0) return error;
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  in_ = std::move(in.ours);
  out_ = std::move(out.ours);
  err_ = std::move(err.ours);
  return 0;
}

int Child::spawn_patiently(const SpawnPlan& plan) {
  const Clock::time_point give_up = started_ + std::min(kBusyPatience, command_.deadline);
  for (;;) {
    const int error = plan.spawn(command_, pid_);
    if (error != ETXTBSY || Clock::now() >= give_up) return error;
    (void)::poll(nullptr, 0, static_cast<int>(kBusyPause.count()));
  }
}

void Child::converse() {
  const Clock::time_point deadline = started_ + command_.deadline;
  if (command_.input.empty()) in_.reset();
  for (;;) {
    const bool ended = wait_for_event(deadline);
    feed();
    read_out();
    read_err();
    if (outcome_.out.size() > command_.max_output) return stop_as(Outcome::End::kTooMuchOutput);
    if (ended) return finish();
    if (Clock::now() >= deadline) return stop_as(Outcome::End::kTimedOut);
  }
}

/// Waits until a pipe is ready, the program ended or `until` is there; true if the program ended.
bool Child::wait_for_event(Clock::time_point until) {
  std::array<pollfd, 4> fds = {{{.fd = in_.get(), .events = POLLOUT, .revents = 0},
                                {.fd = out_.get(), .events = POLLIN, .revents = 0},
                                {.fd = err_.get(), .events = POLLIN, .revents = 0},
                                {.fd = pidfd_.get(), .events = POLLIN, .revents = 0}}};
  milliseconds left = std::max(std::chrono::ceil<milliseconds>(until - Clock::now()), milliseconds{0});
  left = std::min(left, pidfd_ ? milliseconds{INT_MAX} : kBlindPause);
  // Negative descriptors are skipped. A failure (EINTR) is an event like any other: the loop looks again.
  if (::poll(fds.data(), fds.size(), static_cast<int>(left.count())) < 0) return false;
  return pidfd_ ? fds[3].revents != 0 : has_ended();
}

/// Ended, but still there to be reaped: until then nobody else gets its number, nor that of its group.
bool Child::has_ended() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
}

void Child::feed() {
  const std::string_view input = command_.input;
  while (in_) {
    const std::string_view rest = input.substr(fed_);
    const ssize_t wrote = rest.empty() ? 0 : ::write(in_.get(), rest.data(), rest.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) return;
    if (wrote > 0) fed_ += static_cast<std::size_t>(wrote);
    // All written, or the program closed its stdin unread (EPIPE), which is its own affair.
    if (wrote < 0 || fed_ == command_.input.size()) in_.reset();
  }
}

/// One read; closes `fd` at its end.
std::string_view read_some(conf::UniqueFd& fd, std::vector<char>& chunk) {
  if (!fd) return {};
  const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) fd.reset();
  return {chunk.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

void Child::read_out() { outcome_.out += read_some(out_, chunk_); }

void Child::read_err() {
  const std::string_view text = read_some(err_, chunk_);
  forward(text);
  outcome_.err += text.substr(0, kMaxErr - std::min(kMaxErr, outcome_.err.size()));
}

/// What the program wrote and nobody read yet. Does not wait for the end: a child left behind may hold the pipes.
void Child::drain() {
  for (std::size_t rounds = 0; rounds < kMaxDrain / kChunk; ++rounds) {
    std::array<pollfd, 2> fds = {
        {{.fd = out_.get(), .events = POLLIN, .revents = 0}, {.fd = err_.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(fds.data(), fds.size(), 0) <= 0) return;
    read_out();
    read_err();
    if (outcome_.out.size() > command_.max_output) return;
  }
}

void Child::finish() {
  drain();
  if (outcome_.out.size() > command_.max_output) return stop_as(Outcome::End::kTooMuchOutput);
  while (::waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) continue;
  reaped_ = true;
  const bool signalled = WIFSIGNALED(wait_status_);
  outcome_.end = signalled ? Outcome::End::kSignalled : Outcome::End::kExited;
  outcome_.status = signalled ? WTERMSIG(wait_status_) : WEXITSTATUS(wait_status_);
}

/// The group is asked, then killed; reaped last, so that its number stays its own until there is nobody left to kill.
void Child::stop() {
  (void)::kill(-pid_, SIGTERM);
  in_.reset();
  const Clock::time_point grace_ends = Clock::now() + kGrace;
  while (Clock::now() < grace_ends && !wait_for_event(grace_ends)) {
    (void)read_some(out_, chunk_);
    read_err();
  }
  (void)::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) continue;
  reaped_ = true;
}

void Child::stop_as(Outcome::End end) {
  stop();
  outcome_.end = end;
  outcome_.status = WIFSIGNALED(wait_status_) ? WTERMSIG(wait_status_) : 0;
  outcome_.out.resize(std::min(outcome_.out.size(), command_.max_output));
}

}  // namespace

Outcome ProcessRunner::run(const Command& command) {
  const Disposition unread_input(SIGPIPE, SIG_IGN);
  // Ignored by whoever started us, the exit status would be lost.
  const Disposition children(SIGCHLD, SIG_DFL);
  return Child(command).run();
}

}  // namespace plugin
