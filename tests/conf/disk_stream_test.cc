// SPDX-License-Identifier: Apache-2.0
#include "conf/disk.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <string_view>
#include <utility>

#include "conf/fd.h"
#include "tests/support/refusal.h"

namespace conf {
namespace {

using support::check_refusal;
using support::refusal_of;
using namespace std::chrono_literals;

constexpr std::size_t kEnough = 1'000'000;

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Pipe make_pipe() {
  std::array<int, 2> fds{};
  REQUIRE(::pipe2(fds.data(), O_CLOEXEC) == 0);
  return {.read_end = UniqueFd(fds[0]), .write_end = UniqueFd(fds[1])};
}

void put(const UniqueFd& fd, std::string_view bytes) {
  REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

TEST_SUITE_BEGIN("conf.disk");
TEST_CASE("a stream is read to its end, however it comes") {
  Pipe pipe = make_pipe();
  put(pipe.write_end, "one ");
  put(pipe.write_end, "two");
  pipe.write_end.reset();
  CHECK(read_to_end(pipe.read_end.get(), 7, 60s, "stdin") == "one two");
  CHECK(read_to_end(pipe.read_end.get(), 7, 0ms, "stdin").empty());
}

TEST_CASE("A2.2 a stream longer than asked for is refused, its end need not come") {
  Pipe pipe = make_pipe();
  put(pipe.write_end, "12345678");
  check_refusal(refusal_of([&] { return read_to_end(pipe.read_end.get(), 7, 60s, "stdin"); }), Code::kIo,
                "input or output failed", "read stdin: longer than 7 bytes");
}

TEST_CASE("A2.2 a stream that does not end in time is refused") {
  Pipe pipe = make_pipe();
  put(pipe.write_end, "12345");
  check_refusal(refusal_of([&] { return read_to_end(pipe.read_end.get(), kEnough, 20ms, "stdin"); }), Code::kIo,
                "input or output failed", "read stdin: no end after 5 bytes and 20 ms");
  check_refusal(refusal_of([&] { return read_to_end(pipe.read_end.get(), kEnough, -1ms, "stdin"); }), Code::kIo,
                "input or output failed", "read stdin: no end after 0 bytes and -1 ms");
}

TEST_CASE("A2.2 who always has one more byte does not keep us") {
  const UniqueFd endless(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const CniError error = refusal_of([&] { return read_to_end(endless.get(), std::string().max_size(), 5ms, "stdin"); });
  CHECK(error.code() == 5);
  CHECK(error.details().starts_with("read stdin: no end after "));
  CHECK(error.details().ends_with(" bytes and 5 ms"));
}

TEST_CASE("A2.1 a stream that cannot be read is an error, a closed one too") {
  const UniqueFd folder(::open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  check_refusal(refusal_of([&] { return read_to_end(folder.get(), kEnough, 60s, "stdin"); }), Code::kIo,
                "system call failed", "read stdin: Is a directory");
  const int closed = make_pipe().read_end.get();
  check_refusal(refusal_of([&] { return read_to_end(closed, kEnough, 60s, "stdin"); }), Code::kIo, "system call failed",
                "read stdin: Bad file descriptor");
}

volatile std::sig_atomic_t alarms = 0;

TEST_CASE("signals neither end nor fail a read") {
  alarms = 0;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { alarms = alarms + 1; };  // without SA_RESTART, so that poll and read do return
  REQUIRE(::sigaction(SIGALRM, &action, &before) == 0);
  Pipe pipe = make_pipe();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (int i = 0; i < 5; ++i) {
      ::usleep(10'000);
      if (::write(pipe.write_end.get(), "x", 1) != 1) ::_exit(1);
    }
    ::_exit(0);
  }
  pipe.write_end.reset();
  const itimerval often{.it_interval = {.tv_sec = 0, .tv_usec = 500}, .it_value = {.tv_sec = 0, .tv_usec = 500}};
  REQUIRE(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
  const std::string text = read_to_end(pipe.read_end.get(), kEnough, 60s, "stdin");
  const itimerval never{};
  REQUIRE(::setitimer(ITIMER_REAL, &never, nullptr) == 0);
  REQUIRE(::sigaction(SIGALRM, &before, nullptr) == 0);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(text == "xxxxx");
  CHECK(alarms > 0);
}

TEST_CASE("a descriptor has one owner") {
  Pipe pipe = make_pipe();
  const int number = pipe.read_end.get();
  UniqueFd moved = std::move(pipe.read_end);
  CHECK(moved.get() == number);
  CHECK_FALSE(pipe.read_end);  // NOLINT(bugprone-use-after-move): empty is what it must be
  moved = std::move(pipe.write_end);
  CHECK(::fcntl(number, F_GETFD) == -1);
  const int kept = moved.release();
  CHECK_FALSE(moved);
  CHECK(::close(kept) == 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace conf
