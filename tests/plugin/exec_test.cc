// SPDX-License-Identifier: Apache-2.0
#include "plugin/exec.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "conf/fd.h"
#include "tests/support/scratch.h"
#include "tests/support/seccomp.h"

using plugin::Command;
using plugin::Outcome;
using plugin::ProcessRunner;
using std::chrono::milliseconds;
using End = plugin::Outcome::End;

namespace {

Command fixture(const std::string& how, const std::string& argument = {}) {
  Command command;
  command.path = FIXTURE_PROGRAM;
  command.env = {"FIXTURE=" + how, "FIXTURE_ARG=" + argument};
  return command;
}

Outcome run(const Command& command) { return ProcessRunner().run(command); }

/// Our stderr goes to `fd` for as long as it lives.
class StderrTo {
 public:
  explicit StderrTo(int fd) : before_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
    REQUIRE(::dup2(fd, STDERR_FILENO) >= 0);
  }
  StderrTo(const StderrTo&) = delete;
  StderrTo& operator=(const StderrTo&) = delete;
  ~StderrTo() { (void)::dup2(before_.get(), STDERR_FILENO); }

 private:
  conf::UniqueFd before_;
};

struct Ends {
  conf::UniqueFd read;
  conf::UniqueFd write;
};

Ends make_pipe() {
  std::array<int, 2> fds{};
  REQUIRE(::pipe2(fds.data(), O_CLOEXEC) == 0);
  return {.read = conf::UniqueFd(fds[0]), .write = conf::UniqueFd(fds[1])};
}

std::string read_to_end(int fd) {
  std::string text;
  std::array<char, 4096> chunk{};
  for (ssize_t got = 0; (got = ::read(fd, chunk.data(), chunk.size())) > 0;) {
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::string make_fifo(const scratch::Folder& folder) {
  REQUIRE(::mkfifo(folder.file("fifo").c_str(), 0600) == 0);
  return folder.file("fifo");
}

/// Lets the child that "leave-child" left behind go.
void release(const std::string& fifo) { conf::UniqueFd(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC)).reset(); }

bool try_lock(int fd, int command) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  return ::fcntl(fd, command, &whole) == 0;
}

std::string copy_of_fixture(const scratch::Folder& folder) {
  std::filesystem::copy_file(FIXTURE_PROGRAM, folder.file("copy"));
  return folder.file("copy");
}

}  // namespace

TEST_SUITE("plugin.exec") {
  TEST_CASE("a program gets its input and its output comes back") {
    Command command = fixture("echo");
    command.input = "{\"cniVersion\":\"1.0.0\"}";
    const Outcome outcome = run(command);
    CHECK(outcome.end == End::kExited);
    CHECK(outcome.succeeded());
    CHECK(outcome.out == command.input);
    CHECK(outcome.err.empty());
    CHECK(outcome.took.count() > 0);
  }

  TEST_CASE("input and output far beyond a pipe's size pass at the same time") {
    Command command = fixture("echo");
    command.input = std::string(std::size_t{8} << 20, 'y');
    command.max_output = command.input.size();
    const Outcome outcome = run(command);
    CHECK(outcome.succeeded());
    CHECK((outcome.out == command.input));
  }

  TEST_CASE("a program has exactly the environment it is given") {
    Command command = fixture("environment");
    command.env = {"FIXTURE=environment", "CNI_COMMAND=ADD", "EMPTY="};
    CHECK(run(command).out == "FIXTURE=environment\nCNI_COMMAND=ADD\nEMPTY=\n");
  }

  TEST_CASE("an exit status comes back") {
    const Outcome outcome = run(fixture("exit", "7"));
    CHECK(outcome.end == End::kExited);
    CHECK(outcome.status == 7);
    CHECK_FALSE(outcome.succeeded());
  }

  TEST_CASE("a crash is told from an exit") {
    const Outcome outcome = run(fixture("crash"));
    CHECK(outcome.end == End::kSignalled);
    CHECK(outcome.status == SIGSEGV);
    CHECK_FALSE(outcome.succeeded());
  }

  TEST_CASE("a program that does not read its input to the end is no error") {
    Command command = fixture("read-little");
    command.input = std::string(std::size_t{4} << 20, 'z');
    const Outcome outcome = run(command);
    CHECK(outcome.succeeded());
    CHECK(outcome.out == "z");
  }

  TEST_CASE("a program that ends its output early is waited for") {
    Command command = fixture("half-close");
    command.input = std::string((std::size_t{1} << 20) + 42, 'x');
    const Outcome outcome = run(command);
    CHECK(outcome.end == End::kExited);
    CHECK(outcome.status == static_cast<int>(command.input.size() % 100));
  }

  TEST_CASE("what cannot be started says why") {
    scratch::Folder folder;
    Command command = fixture("echo");
    SUBCASE("nothing there") {
      command.path = folder.file("absent");
      const Outcome outcome = run(command);
      CHECK(outcome.end == End::kNotStarted);
      CHECK(outcome.status == ENOENT);
      CHECK_FALSE(outcome.succeeded());
    }
    SUBCASE("not executable") {
      command.path = folder.write("text", "echo");
      const Outcome outcome = run(command);
      CHECK(outcome.end == End::kNotStarted);
      CHECK(outcome.status == EACCES);
    }
    SUBCASE("a lock on one of the standard descriptors, which the program's own replace") {
      command.keep_fd = 1;
      const Outcome outcome = run(command);
      CHECK(outcome.end == End::kNotStarted);
      CHECK(outcome.status == EBADF);
    }
    SUBCASE("a lock that is not open") {
      command.keep_fd = 987;
      const Outcome outcome = run(command);
      CHECK(outcome.end == End::kNotStarted);
      CHECK(outcome.status == EBADF);
    }
  }

  TEST_CASE("a program that is being written is tried again until its writer is done") {
    scratch::Folder folder;
    Command command = fixture("exit", "3");
    command.path = copy_of_fixture(folder);
    Ends ready = make_pipe();
    const pid_t writer = ::fork();
    REQUIRE(writer >= 0);
    if (writer == 0) {
      const int held = ::open(command.path.c_str(), O_WRONLY | O_CLOEXEC);
      const ssize_t told = ::write(ready.write.get(), "x", 1);
      (void)::usleep(100'000);
      ::_exit(held >= 0 && told == 1 ? 0 : 1);
    }
    char told = 0;
    REQUIRE(::read(ready.read.get(), &told, 1) == 1);
    const Outcome outcome = run(command);
    int status = 0;
    REQUIRE(::waitpid(writer, &status, 0) == writer);
    CHECK(status == 0);
    CHECK(outcome.end == End::kExited);
    CHECK(outcome.status == 3);
  }

  TEST_CASE("a program that stays busy is not started, and that is never success") {
    scratch::Folder folder;
    Command command = fixture("echo");
    command.path = copy_of_fixture(folder);
    command.deadline = milliseconds{50};
    const conf::UniqueFd writer(::open(command.path.c_str(), O_WRONLY | O_CLOEXEC));
    const Outcome outcome = run(command);
    CHECK(outcome.end == End::kNotStarted);
    CHECK(outcome.status == ETXTBSY);
    CHECK_FALSE(outcome.succeeded());
    CHECK(outcome.took >= command.deadline);
  }

  TEST_CASE("a program that does not end is ended at its deadline") {
    Command command = fixture("stay");
    for (const int deadline : {100, 0}) {
      command.deadline = milliseconds{deadline};
      const Outcome outcome = run(command);
      CHECK(outcome.end == End::kTimedOut);
      CHECK(outcome.status == SIGTERM);
      CHECK_FALSE(outcome.succeeded());
      CHECK(outcome.took >= command.deadline);
    }
  }

  TEST_CASE("too much output ends the program, and no more than the limit is kept") {
    Command command = fixture("flood", std::to_string(10 << 20));
    const Outcome outcome = run(command);
    CHECK(outcome.end == End::kTooMuchOutput);
    CHECK(outcome.out.size() == command.max_output);
    command = fixture("flood", "1000");
    command.max_output = 1000;
    CHECK(run(command).succeeded());
    command.max_output = 999;
    CHECK(run(command).end == End::kTooMuchOutput);
  }

  TEST_CASE("a program that ignores SIGTERM is killed") {
    const Outcome outcome = run(fixture("stubborn"));
    CHECK(outcome.end == End::kTooMuchOutput);
    CHECK(outcome.status == SIGKILL);
  }

  TEST_CASE("a program that is ended takes its children with it") {
    scratch::Folder folder;
    const std::string fifo = make_fifo(folder);
    const conf::UniqueFd end(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    REQUIRE(end.get() >= 0);
    REQUIRE(::fcntl(end.get(), F_SETFL, 0) == 0);
    const Outcome outcome = run(fixture("group", fifo));
    CHECK(outcome.end == End::kTooMuchOutput);
    CHECK(read_to_end(end.get()) == "held");  // ends only when nobody holds the pipe any more
  }

  TEST_CASE("A10.6 a child left behind with our pipes does not hold us") {
    scratch::Folder folder;
    const std::string fifo = make_fifo(folder);
    const Outcome outcome = run(fixture("leave-child", fifo));
    CHECK(outcome.succeeded());
    CHECK(outcome.out == "left");
    release(fifo);
  }

  TEST_CASE("A10.6 a child left behind that never stops talking does not hold us") {
    const Ends quiet = make_pipe();
    const StderrTo redirected(quiet.write.get());
    const Outcome outcome = run(fixture("leave-chatterer"));
    CHECK(outcome.succeeded());
    CHECK(outcome.out == "left");
  }

  TEST_CASE("a lock on an inherited descriptor outlives us with the program's child") {
    scratch::Folder folder;
    const std::string fifo = make_fifo(folder);
    const std::string path = folder.write("lock", "");
    conf::UniqueFd ours(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    const conf::UniqueFd next(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(try_lock(ours.get(), F_OFD_SETLK));

    Command command = fixture("leave-child", fifo);
    command.keep_fd = ours.get();
    CHECK(run(command).succeeded());
    CHECK((::fcntl(ours.get(), F_GETFD) & FD_CLOEXEC) != 0);
    ours.reset();
    CHECK_FALSE(try_lock(next.get(), F_OFD_SETLK));
    release(fifo);
    CHECK(try_lock(next.get(), F_OFD_SETLKW));  // once the child has gone
  }

  TEST_CASE("a lock not passed on ends with us") {
    scratch::Folder folder;
    const std::string fifo = make_fifo(folder);
    const std::string path = folder.write("lock", "");
    conf::UniqueFd ours(::open(path.c_str(), O_RDWR));
    const conf::UniqueFd next(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(try_lock(ours.get(), F_OFD_SETLK));
    CHECK(run(fixture("leave-child", fifo)).succeeded());
    ours.reset();
    CHECK(try_lock(next.get(), F_OFD_SETLK));
    release(fifo);
  }

  TEST_CASE("a program inherits no descriptor but its three and the lock") {
    scratch::Folder folder;
    const std::string path = folder.write("file", "");
    const conf::UniqueFd careless(::open(path.c_str(), O_RDONLY));  // without close-on-exec
    const conf::UniqueFd lock(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    Command command = fixture("descriptors");
    CHECK(run(command).out == "0\n1\n2\n");
    command.keep_fd = lock.get();
    CHECK(run(command).out == "0\n1\n2\n" + std::to_string(lock.get()) + "\n");
  }

  TEST_CASE("a program starts with default signals whatever ours are, and ours stay") {
    const int status = scratch::in_child([] {
      sigset_t term;
      (void)::sigemptyset(&term);
      (void)::sigaddset(&term, SIGTERM);
      (void)::sigprocmask(SIG_BLOCK, &term, nullptr);
      for (const int signal : {SIGPIPE, SIGCHLD, SIGTERM}) (void)::signal(signal, SIG_IGN);
      if (run(fixture("signals")).out != "default open\ndefault open\ndefault open\n") return 1;
      if (run(fixture("exit", "5")).status != 5) return 2;  // not lost to the ignored SIGCHLD
      for (const int signal : {SIGPIPE, SIGCHLD, SIGTERM}) {
        struct sigaction now {};
        if (::sigaction(signal, nullptr, &now) != 0 || now.sa_handler != SIG_IGN) return 3;
      }
      return 0;
    });
    CHECK(status == 0);
  }

  TEST_CASE("a program leads its own process group") { CHECK(run(fixture("group-id")).out == "leader"); }

  TEST_CASE("a process without standard descriptors can still run programs") {
    for (const std::vector<int>& closed : {std::vector<int>{0, 1, 2}, {0, 2}, {1}}) {
      const int status = scratch::in_child([&closed] {
        (void)::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        for (const int fd : closed) (void)::close(fd);
        Command command = fixture("complain-and-echo", "complaint");
        command.input = std::string(500'000, 'x');  // more than a pipe takes: still open when the complaint arrives
        const Outcome outcome = run(command);
        return outcome.out == command.input && outcome.err == "complaint" ? 0 : 1;
      });
      CHECK(status == 0);
    }
  }

  TEST_CASE("what a program complains about is forwarded and kept") {
    Ends log = make_pipe();
    Outcome outcome;
    {
      const StderrTo redirected(log.write.get());
      outcome = run(fixture("complain", "cannot reach the datastore\n"));
    }
    log.write.reset();
    CHECK(outcome.err == "cannot reach the datastore\n");
    CHECK(read_to_end(log.read.get()) == "cannot reach the datastore\n");
  }

  TEST_CASE("of many complaints 64 KiB are kept, and a full log of ours holds nobody up") {
    const Ends unread = make_pipe();
    const StderrTo redirected(unread.write.get());
    const Outcome outcome = run(fixture("flood-stderr", std::to_string(1 << 20)));
    CHECK(outcome.succeeded());
    CHECK(outcome.err == std::string(std::size_t{64} << 10, 'x'));
  }

  TEST_CASE("a kernel without pidfds makes no difference") {
    const int status = scratch::in_child([] {
      if (!scratch::deny(SYS_pidfd_open, ENOSYS)) return 1;
      Command late = fixture("stay");
      late.deadline = milliseconds{50};
      if (run(late).end != End::kTimedOut) return 2;
      if (run(fixture("exit", "7")).status != 7) return 3;
      if (run(fixture("stubborn")).status != SIGKILL) return 4;
      Command command = fixture("echo");
      command.input = "hello";
      return run(command).out == "hello" ? 0 : 5;
    });
    CHECK(status == 0);
  }

  TEST_CASE("nothing is left of a program: no process, no descriptor") {
    const auto lowest_free = [] {
      const conf::UniqueFd probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      return probe.get();
    };
    const int before = lowest_free();
    Command late = fixture("stay");
    late.deadline = milliseconds{1};
    (void)run(late);
    (void)run(fixture("flood", std::to_string(10 << 20)));
    (void)run(fixture("exit", "1"));
    CHECK(lowest_free() == before);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
    CHECK(errno == ECHILD);
  }
}
