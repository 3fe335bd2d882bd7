// SPDX-License-Identifier: Apache-2.0
#include "bench/stage.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "bench/measure.h"

namespace bench {

namespace fs = std::filesystem;

void isolate() {
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    give_up("cannot make namespaces: run it as root");
}

void mount_tmpfs(const fs::path& at) {
  fs::create_directories(at);
  if (::mount("tmpfs", at.c_str(), "tmpfs", 0, "mode=0700") != 0) give_up("cannot mount tmpfs on " + at.string());
}

fs::path make_netns(const fs::path& path) {
  const int own = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  write_file(path, "");
  if (own < 0 || ::unshare(CLONE_NEWNET) != 0) give_up("cannot make a network namespace");
  const bool bound = ::mount("/proc/self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) == 0;
  if (::setns(own, CLONE_NEWNET) != 0 || !bound) give_up("cannot keep a network namespace");
  (void)::close(own);  // back in ours
  return path;
}

void enter(const fs::path& netns) {
  const int fd = ::open(netns.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || ::setns(fd, CLONE_NEWNET) != 0) give_up("cannot enter " + netns.string());
  (void)::close(fd);  // it is held by being in it
}

void write_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

}  // namespace bench
