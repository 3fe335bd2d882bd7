// SPDX-License-Identifier: Apache-2.0
#include "netlink/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "conf/error.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace netlink {
namespace {

constexpr int kExitLost = 70;  // EX_SOFTWARE

/// A lack of ours, of descriptors or memory, says nothing about the namespace.
conf::Code code_for(int error_number) {
  const bool lack =
      error_number == EMFILE || error_number == ENFILE || error_number == ENOMEM || error_number == ENOBUFS;
  return lack ? conf::Code::kIo : conf::Code::kInvalidNetns;
}

/// In the namespace `fd` for as long as it lives, then back in `home`.
class Inside {
 public:
  Inside(int fd, int home, const std::string& path) : home_(home) {
    if (::setns(fd, CLONE_NEWNET) != 0) throw conf::system_error(conf::Code::kInvalidNetns, "enter", path, errno);
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() {
    if (::setns(home_, CLONE_NEWNET) == 0) return;
    // Whatever we did from here on would happen to the pod instead of the node.
    (void)std::fprintf(stderr, "crossover: return to our own network namespace: %s; giving up\n", std::strerror(errno));
    ::_exit(kExitLost);
  }

 private:
  int home_;
};

conf::UniqueFd open_home() {
  for (const char* path : {"/proc/self/ns/net", "/proc/thread-self/ns/net"}) {
    conf::UniqueFd home(::open(path, O_RDONLY | O_CLOEXEC));
    if (home) return home;
  }
  throw conf::system_error(conf::Code::kIo, "open", "/proc/self/ns/net", errno);
}

struct stat stat_of(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw conf::system_error(conf::Code::kInvalidNetns, "stat", path, errno);
  return info;
}

const char* kind_of_file(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "a regular file; if it is empty, the namespace mounted on it is gone";
    case S_IFDIR:
      return "a directory";
    case S_IFIFO:
      return "a pipe";
    default:
      return "something else";
  }
}

void require_netns(int fd, mode_t mode, const std::string& path) {
  struct statfs system {};
  if (::fstatfs(fd, &system) != 0) throw conf::system_error(conf::Code::kInvalidNetns, "statfs", path, errno);
  const bool is_namespace = system.f_type == NSFS_MAGIC;
  if (is_namespace && ::ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET) return;
  throw conf::CniError(conf::Code::kInvalidNetns, "not a network namespace",
                       path + " is " + (is_namespace ? "a namespace of another kind" : kind_of_file(mode)));
}

/// 0 where the kernel knows no cookies (before 5.14).
std::uint64_t cookie_inside(int fd, int home, const std::string& path) {
  conf::UniqueFd socket;
  {
    const Inside inside(fd, home, path);
    socket.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  }
  if (!socket) throw conf::system_error(code_for(errno), "open a socket in", path, errno);
  std::uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0) return cookie;
  if (errno == ENOPROTOOPT) return 0;
  throw conf::system_error(conf::Code::kInvalidNetns, "read the cookie of", path, errno);
}

/// ESRCH and ENOENT also come from /proc/<pid>/ns/net when the process ends under our hands.
bool says_gone(int error_number) { return error_number == ENOENT || error_number == ENOTDIR || error_number == ESRCH; }

}  // namespace

bool NetnsId::same_as(const NetnsId& other) const {
  if (cookie != 0 && other.cookie != 0) return cookie == other.cookie;
  return inode == other.inode;
}

std::optional<Netns> Netns::open(const std::string& path) {
  // Without O_NONBLOCK a pipe under this name would hold us for ever.
  conf::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd && says_gone(errno)) return std::nullopt;
  if (!fd) throw conf::system_error(code_for(errno), "open", path, errno);
  const struct stat info = stat_of(fd.get(), path);
  require_netns(fd.get(), info.st_mode, path);

  Netns netns(std::move(fd), open_home());
  netns.home_inode_ = stat_of(netns.home_.get(), "/proc/self/ns/net").st_ino;
  netns.id_ = {.inode = info.st_ino, .cookie = cookie_inside(netns.fd_.get(), netns.home_.get(), path)};
  return netns;
}

Socket Netns::route_socket() const {
  const Inside inside(fd_.get(), home_.get(), "network namespace");
  return Socket::open(NETLINK_ROUTE);
}

}  // namespace netlink
