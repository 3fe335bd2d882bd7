// SPDX-License-Identifier: Apache-2.0
#include "integration/support/syscall_killer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "conf/fd.h"

namespace support {
namespace {

using conf::UniqueFd;
using Stop = __ptrace_syscall_info;

constexpr int kSyscallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD
constexpr int kExecStop = SIGTRAP | (PTRACE_EVENT_EXEC << 8);

[[noreturn]] void fail(const char* what) { throw std::runtime_error(std::string(what) + ": " + std::strerror(errno)); }

UniqueFd memory_file(std::string_view content) {
  UniqueFd file(::memfd_create("killer", MFD_CLOEXEC));
  if (!file) fail("memfd_create");
  if (::write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) fail("write");
  if (::lseek(file.get(), 0, SEEK_SET) < 0) fail("lseek");
  return file;
}

std::string content_of(const UniqueFd& file) {
  std::string text;
  std::array<char, 4096> chunk{};
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(file.get(), chunk.data(), chunk.size(), at);
    if (got < 0) fail("pread");
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    at += got;
  }
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (extra.count(std::string(text.substr(0, text.find('=')))) == 0) all.emplace_back(text);
  }
  for (const auto& [key, value] : extra) all.push_back(key + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// The traced program, stopped at its start. Whatever happens to us, the kernel kills it (PTRACE_O_EXITKILL).
class Tracee {
 public:
  Tracee(std::vector<std::string> argv, std::vector<std::string> env, int in, int out)
      : quiet_(::open("/dev/null", O_WRONLY | O_CLOEXEC)) {
    const std::vector<char*> args = pointers(argv);
    const std::vector<char*> variables = pointers(env);
    pid_ = ::fork();
    if (pid_ < 0) fail("fork");
    if (pid_ == 0) become(args, variables, in, out);
    if (!wait() || WSTOPSIG(raw_) != SIGSTOP) fail("the program did not stop");
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, options) != 0) fail("ptrace");
    while (go_on(PTRACE_CONT))
      if ((raw_ >> 8) == kExecStop) return;
    fail("the program did not start");
  }
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;
  ~Tracee() {
    if (!ended_) kill();
  }

  /// Lets it run to its next stop at the kernel's door; false if it ended instead.
  bool next_syscall_stop() {
    while (go_on(PTRACE_SYSCALL))
      if (WSTOPSIG(raw_) == kSyscallStop) return true;
    return false;
  }

  void kill() {
    (void)::kill(pid_, SIGKILL);
    while (wait()) {
    }
  }

  [[nodiscard]] Stop where() const {
    Stop info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid_, sizeof info, &info) <= 0) fail("PTRACE_GET_SYSCALL_INFO");
    return info;
  }
  [[nodiscard]] int status() const { return WIFEXITED(raw_) ? WEXITSTATUS(raw_) : 128 + WTERMSIG(raw_); }

 private:
  // Between fork and exec: system calls only.
  [[noreturn]] void become(const std::vector<char*>& argv, const std::vector<char*>& env, int in, int out) const {
    (void)::setpgid(0, 0);
    if (::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(quiet_.get(), 2) < 0) ::_exit(127);
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(127);
    (void)::kill(::getpid(), SIGSTOP);
    (void)::execve(argv.front(), argv.data(), env.data());
    ::_exit(127);
  }

  /// Until it stops; false if it ended.
  bool wait() {
    while (::waitpid(pid_, &raw_, __WALL) < 0)
      if (errno != EINTR) fail("waitpid");
    ended_ = !WIFSTOPPED(raw_);
    return !ended_;
  }

  /// On, with the signal that stopped it if it was one of its own.
  bool go_on(__ptrace_request request) {
    const int signal = WSTOPSIG(raw_);
    const bool ours = signal == kSyscallStop || signal == SIGTRAP || signal == SIGSTOP;
    if (::ptrace(request, pid_, nullptr, static_cast<long>(ours ? 0 : signal)) != 0 && errno != ESRCH) fail("ptrace");
    return wait();
  }

  UniqueFd quiet_;
  pid_t pid_ = -1;
  int raw_ = 0;
  bool ended_ = false;
};

bool reads_input(const Stop& info) {
  return info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_read && info.entry.args[0] == STDIN_FILENO;
}

/// The stops as they are counted, named for people.
class Counter {
 public:
  explicit Counter(Count count) : counting_(count == Count::kFromStart) {}
  void see(const Stop& info) {
    const bool entry = info.op == PTRACE_SYSCALL_INFO_ENTRY;
    if (entry) number_ = info.entry.nr;
    if (!counting_ && !reads_input(info)) return;
    counting_ = true;
    ++stops_;
    last_ = (entry ? "enters " : "leaves ") + std::to_string(number_);
  }
  [[nodiscard]] std::size_t stops() const { return stops_; }
  [[nodiscard]] const std::string& last() const { return last_; }

 private:
  bool counting_;
  std::uint64_t number_ = SYS_execve;
  std::size_t stops_ = 0;
  std::string last_;
};

}  // namespace

Cut run_and_kill(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env,
                 std::string_view input, Count count, std::size_t at) {
  const UniqueFd in = memory_file(input);
  const UniqueFd out = memory_file({});
  Tracee tracee(argv, environment_with(env), in.get(), out.get());
  Counter counter(count);
  Cut cut;
  while (!cut.killed && tracee.next_syscall_stop()) {
    counter.see(tracee.where());
    cut.killed = at != 0 && counter.stops() == at;
  }
  if (cut.killed) tracee.kill();
  cut.stops = counter.stops();
  cut.last = counter.last();
  cut.status = tracee.status();
  cut.out = content_of(out);
  return cut;
}

}  // namespace support
