// SPDX-License-Identifier: Apache-2.0
#include "integration/support/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "integration/support/process.h"

namespace support {
namespace {

namespace fs = std::filesystem;
using conf::UniqueFd;

constexpr const char* kNetnsDir = "/run/netns";
constexpr const char* kShadowDir = "/run/shadow";

std::vector<std::string>& own_dirs() {
  static std::vector<std::string> dirs;
  return dirs;
}

void check(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what + ": " + std::strerror(errno));
}

void mount_tmpfs(const std::string& dir) {
  check(::mount("tmpfs", dir.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0, "mount tmpfs on " + dir);
}

/// Puts a writable stand-in over `dir`, with a link to everything that was in it.
void shadow(const fs::path& dir) {
  const fs::path original = fs::path(kShadowDir) / dir.relative_path();
  fs::create_directories(original);
  check(::mount(dir.c_str(), original.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, "bind " + dir.string());
  mount_tmpfs(dir);
  for (const auto& entry : fs::directory_iterator(original))
    fs::create_symlink(entry.path(), dir / entry.path().filename());
}

/// Makes `dir` an empty directory for us, without leaving one on the machine.
void provide(const fs::path& dir) {
  fs::path existing = dir;
  while (!fs::exists(existing)) existing = existing.parent_path();
  if (existing != dir) shadow(existing);
  fs::create_directories(dir);
  mount_tmpfs(dir);
}

UniqueFd open_path(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  check(static_cast<bool>(fd), "open " + path);
  return fd;
}

/// What a view's first process does; no memory may be allocated here, there may be other threads.
bool separate(const std::vector<std::string>& dirs) {
  if (::unshare(CLONE_NEWNS) != 0) return false;
  for (const auto& dir : dirs)
    if (::mount("tmpfs", dir.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) return false;
  return true;
}

}  // namespace

void isolate(const std::vector<std::string>& dirs) {
  check(::unshare(CLONE_NEWNS) == 0, "unshare the mount namespace (this needs root)");
  check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");
  mount_tmpfs("/run");
  fs::create_directory(kNetnsDir);
  mount_tmpfs(kNetnsDir);
  // A namespace that is bound here later has to appear in every view.
  check(::mount(nullptr, kNetnsDir, nullptr, MS_SHARED, nullptr) == 0, "share /run/netns");
  for (const auto& dir : dirs) provide(dir);
  own_dirs() = dirs;
}

Netns::Netns(std::string name) : name_(std::move(name)) {
  const UniqueFd file(::open(path().c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  check(static_cast<bool>(file), "create " + path());
  int error = 0;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0 ||
        ::mount("/proc/thread-self/ns/net", path().c_str(), nullptr, MS_BIND, nullptr) != 0)
      error = errno;
  }).join();
  errno = error;
  check(error == 0, "new network namespace " + name_);
  ip("link set lo up");
}

Netns::~Netns() {
  if (name_.empty()) return;  // moved from
  (void)::umount2(path().c_str(), MNT_DETACH);
  (void)::unlink(path().c_str());
}

std::string Netns::path() const { return std::string(kNetnsDir) + "/" + name_; }

void Netns::enter(const std::function<void()>& work) const {
  const UniqueFd fd = open_path(path(), O_RDONLY);
  std::exception_ptr thrown;
  std::thread([&] {
    try {
      check(::setns(fd.get(), CLONE_NEWNET) == 0, "enter " + path());
      work();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
}

void Netns::sysctl(std::string_view key, std::string_view value) const {
  std::string file(key);
  if (file.find('/') == std::string::npos)
    for (char& c : file) c = c == '.' ? '/' : c;
  enter([&] {
    std::ofstream out("/proc/sys/" + file);
    out << value << std::flush;
    check(static_cast<bool>(out), "write /proc/sys/" + file + " in " + name_);
  });
}

std::string Netns::ip(std::string_view arguments) const {
  std::vector<std::string> argv = {"ip", "-n", name_};
  for (auto& word : words(arguments)) argv.push_back(std::move(word));
  return must_run(argv);
}

void Netns::ip_batch(const std::vector<std::string>& lines) const {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  must_run({"ip", "-n", name_, "-batch", "-"}, {}, text);
}

MountView::MountView() {
  std::array<int, 2> ready{};
  std::array<int, 2> done{};
  check(::pipe2(ready.data(), O_CLOEXEC) == 0 && ::pipe2(done.data(), O_CLOEXEC) == 0, "pipe2");
  const UniqueFd ready_read(ready[0]);
  const UniqueFd ready_write(ready[1]);
  const UniqueFd done_read(done[0]);
  UniqueFd done_write(done[1]);
  const auto& dirs = own_dirs();
  const pid_t child = ::fork();
  check(child >= 0, "fork");
  if (child == 0) {
    char answer = separate(dirs) ? 'y' : 'n';
    (void)!::write(ready_write.get(), &answer, 1);
    (void)::close(done[1]);
    (void)!::read(done_read.get(), &answer, 1);  // until our parent holds the namespace, or is gone
    ::_exit(0);
  }
  char answer = 'n';
  const bool told = ::read(ready_read.get(), &answer, 1) == 1 && answer == 'y';
  const std::string proc = "/proc/" + std::to_string(child);
  if (told) {
    fd_ = open_path(proc + "/ns/mnt", O_RDONLY);
    root_ = open_path(proc + "/root", O_PATH | O_DIRECTORY);
  }
  done_write.reset();
  (void)::waitpid(child, nullptr, 0);
  if (!told) throw std::runtime_error("a mount namespace could not be made");
}

std::string MountView::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_.get());
}

std::string MountView::file(std::string_view path) const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(root_.get()) + std::string(path);
}

std::vector<std::string> inside(const Netns& net, const MountView* view, std::vector<std::string> argv) {
  std::vector<std::string> all = {"nsenter", "--net=" + net.path()};
  if (view != nullptr) all.push_back("--mount=" + view->path());
  all.push_back("--");
  for (auto& word : argv) all.push_back(std::move(word));
  return all;
}

void add_veth(const Netns& a, const std::string& name_a, const Netns& b, const std::string& name_b) {
  a.ip("link add " + name_a + " type veth peer name " + name_b + " netns " + b.name());
  a.ip("link set " + name_a + " up");
  b.ip("link set " + name_b + " up");
}

}  // namespace support
