// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

// Real container runtimes leave processes behind that are nobody's children. So the tests run in a process namespace
// with an init of their own, and in a control group: when the tests end, however they end, the kernel ends the rest.
namespace {

namespace fs = std::filesystem;

constexpr const char* kGroups = "/sys/fs/cgroup";

void must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "%s: %s (these tests need root)\n", what, std::strerror(errno));
  ::_exit(1);
}

/// Where this process is in the unified hierarchy: "/", "/user.slice".
std::string own_group() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::/")) return line.substr(3);
  return "/";
}

/// The unified hierarchy, whatever the machine has there: it needs no controllers.
void mount_groups() { must(::mount("none", kGroups, "cgroup2", MS_NOSUID | MS_NODEV, nullptr) == 0, "mount cgroup2"); }

void enter_group(const fs::path& group) {
  std::ofstream(group / "cgroup.procs") << "0";
  must(::unshare(CLONE_NEWCGROUP | CLONE_NEWNS) == 0, "unshare the control groups");
  must(::umount2(kGroups, MNT_DETACH) == 0, "leave the machine's control groups");
  mount_groups();
}

/// The init: takes in who lost his parent, until the tests have ended. Its own end is the end of all.
[[noreturn]] void reap_until(pid_t tests) {
  for (int raw = 0;;) {
    const pid_t gone = ::wait(&raw);
    if (gone == tests) ::_exit(WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw));
    if (gone < 0 && errno != EINTR) ::_exit(1);
  }
}

void remove_groups(const fs::path& group) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(group, ignored))
    if (entry.is_directory()) remove_groups(entry.path());
  for (int tries = 0; ::rmdir(group.c_str()) != 0 && errno == EBUSY && tries < 100; ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // who was in it is dead, but may not be gone
}

int run_tests(int argc, char** argv) {
  doctest::Context context(argc, argv);
  return context.run();
}

/// Only one process, without threads, comes back from here: the one that runs the tests.
void separate() {
  must(::unshare(CLONE_NEWNS | CLONE_NEWPID) == 0, "unshare");
  must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
  mount_groups();
  const fs::path group = kGroups + own_group() + "/crossover-tests-" + std::to_string(::getpid());
  must(::mkdir(group.c_str(), 0755) == 0, group.c_str());
  const pid_t init = ::fork();
  must(init >= 0, "fork");
  if (init != 0) {
    int raw = 0;
    while (::waitpid(init, &raw, 0) < 0 && errno == EINTR) {
    }
    remove_groups(group);
    ::_exit(WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw));
  }
  must(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl");
  enter_group(group);
  must(::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0, "mount /proc");
  must(::mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0, "mount /dev/shm");
  const pid_t tests = ::fork();
  must(tests >= 0, "fork");
  if (tests != 0) reap_until(tests);
}

}  // namespace

int main(int argc, char** argv) {
  bool listing = false;
  for (int i = 1; i < argc; ++i) listing = listing || std::string_view(argv[i]).find("list-") != std::string_view::npos;
  if (!listing) separate();
  return run_tests(argc, argv);
}
