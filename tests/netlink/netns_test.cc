// SPDX-License-Identifier: Apache-2.0
#include "netlink/netns.h"

#include <doctest/doctest.h>
#include <linux/netlink.h>
#include <sys/syscall.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "netlink/link.h"
#include "tests/support/scratch.h"
#include "tests/support/seccomp.h"

using netlink::Netns;
using netlink::NetnsId;

namespace {

std::string home_inode() { return scratch::sh("stat -Lc %i /proc/$PPID/ns/net"); }

conf::CniError open_error(const std::string& path) {
  return scratch::error_of([&path] { (void)Netns::open(path); });
}

int lowest_free_fd() {
  const conf::UniqueFd probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return probe.get();
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_SUITE("netlink.netns") {
  TEST_CASE("a namespace is known by its inode and its cookie") {
    scratch::Host host;
    const std::string pod = host.add_pod("pod");
    const auto first = Netns::open(pod);
    const auto again = Netns::open(pod);
    const auto other = Netns::open(host.add_pod("other"));
    REQUIRE(first);
    REQUIRE(again);
    REQUIRE(other);
    CHECK(std::to_string(first->id().inode) == scratch::sh("stat -c %i " + pod));
    CHECK(first->id() == again->id());
    CHECK(first->id().cookie != other->id().cookie);
    CHECK_FALSE(first->id().same_as(other->id()));
    CHECK_FALSE(first->is_current());
  }

  TEST_CASE("a lack of descriptors is our own trouble, and no word about the namespace") {
    scratch::Host host;
    const std::string pod = host.add_pod("pod");
    const int status = scratch::in_child([&pod] {
      if (!scratch::deny(SYS_openat, EMFILE)) return 98;
      return static_cast<int>(open_error(pod).code());
    });
    CHECK(WEXITSTATUS(status) == static_cast<int>(conf::Code::kIo));
  }

  TEST_CASE("A1.10 our own namespace is recognised under any name") {
    scratch::Host host;
    const std::string bound = host.folder().write("ours", "");
    scratch::sh("touch " + bound + " && mount --bind /proc/self/ns/net " + bound);
    for (const std::string& path : {std::string("/proc/self/ns/net"), bound}) {
      CAPTURE(path);
      const auto netns = Netns::open(path);
      REQUIRE(netns);
      CHECK(netns->is_current());
    }
  }

  TEST_CASE("a socket lives in the namespace while the process stays where it is") {
    scratch::Host host;
    const std::string pod = host.add_pod("pod");
    scratch::ip(pod, "link add eth0 type veth peer name inner");
    scratch::sh("ip link add outer type veth peer name outerB");
    const std::string before = home_inode();
    netlink::Socket socket = Netns::open(pod)->route_socket();
    CHECK(netlink::find_link(socket, "eth0").has_value());
    CHECK_FALSE(netlink::find_link(socket, "outer").has_value());
    CHECK(home_inode() == before);
    netlink::Socket ours = netlink::Socket::open(NETLINK_ROUTE);
    CHECK(netlink::find_link(ours, "outer").has_value());
  }

  TEST_CASE("A1.9 a path that leads nowhere is nothing") {
    scratch::Folder folder;
    folder.write("file", "");
    scratch::sh("ln -s nowhere " + folder.file("dangling"));
    CHECK_FALSE(Netns::open("").has_value());
    CHECK_FALSE(Netns::open(folder.file("absent")).has_value());
    CHECK_FALSE(Netns::open(folder.file("absent/deeper")).has_value());
    CHECK_FALSE(Netns::open(folder.file("file/below")).has_value());
    CHECK_FALSE(Netns::open(folder.file("dangling")).has_value());
  }

  TEST_CASE("the namespace of a process that has ended is nothing") {
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) ::_exit(0);
    const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
    CHECK_FALSE(Netns::open(path).has_value());  // a zombie
    REQUIRE(::waitpid(pid, nullptr, 0) == pid);
    CHECK_FALSE(Netns::open(path).has_value());
  }

  TEST_CASE("what is no network namespace is code 8 and says what it is") {
    scratch::Folder folder;
    folder.write("file", "");
    const auto details = [](const std::string& path) {
      const conf::CniError error = open_error(path);
      CHECK(error.code() == 8);
      CHECK(error.msg() == "not a network namespace");
      return error.details().substr(path.size());
    };
    SUBCASE("a file whose mount is gone") {
      CHECK(details(folder.file("file")) == " is a regular file; if it is empty, the namespace mounted on it is gone");
    }
    SUBCASE("a directory") { CHECK(details(folder.file("")) == " is a directory"); }
    SUBCASE("a pipe, without waiting for its writer") {
      REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
      CHECK(details(folder.file("pipe")) == " is a pipe");
    }
    SUBCASE("a device") { CHECK(details("/dev/null") == " is something else"); }
    SUBCASE("a namespace of another kind") { CHECK(details("/proc/self/ns/uts") == " is a namespace of another kind"); }
  }

  TEST_CASE("a namespace unmounted since is code 8") {
    scratch::Host host;
    const std::string pod = host.add_pod("pod");
    scratch::sh("umount " + pod);  // in a mount namespace shared with this process
    CHECK(open_error(pod).code() == 8);
  }

  TEST_CASE("a path that cannot be opened is code 8 with the reason") {
    scratch::Folder folder;
    scratch::sh("ln -s loop " + folder.file("loop"));
    const conf::CniError error = open_error(folder.file("loop"));
    CHECK(error.code() == 8);
    CHECK(error.details() == "open " + folder.file("loop") + ": Too many levels of symbolic links");
  }

  TEST_CASE("without /proc there is no way back, so nothing is entered") {
    scratch::Host host;
    const std::string pod = host.add_pod("pod");
    scratch::sh("mount -t tmpfs none /proc");
    const conf::CniError error = open_error(pod);
    CHECK(error.code() == 5);
    CHECK(error.details() == "open /proc/self/ns/net: no such path");
    scratch::sh("umount /proc");
  }

  TEST_CASE("a namespace that may not be entered is code 8") {
    scratch::Host host;
    const std::string pod = host.add_pod("pod");
    const int status = scratch::in_child([&pod] {
      if (!scratch::deny(SYS_setns, EPERM)) return 1;
      const conf::CniError error = scratch::error_of([&pod] { (void)Netns::open(pod); });
      return error.code() == 8 && error.details() == "enter " + pod + ": Operation not permitted" ? 0 : 2;
    });
    CHECK(status == 0);
  }

  TEST_CASE("a kernel without cookies leaves the inode") {
    scratch::Host host;
    const std::string pod = host.add_pod("pod");
    const int status = scratch::in_child([&pod] {
      if (!scratch::deny(SYS_getsockopt, ENOPROTOOPT)) return 1;
      const auto netns = Netns::open(pod);
      return netns && netns->id().cookie == 0 && netns->id().inode != 0 ? 0 : 2;
    });
    CHECK(status == 0);
  }

  TEST_CASE("a process that cannot come back ends at once with one line") {
    scratch::Host host;
    const std::string pod = host.add_pod("pod");
    const std::string said = host.folder().file("stderr");
    const int status = scratch::in_child([&] {
      const conf::UniqueFd out(::open(said.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
      if (::dup2(out.get(), STDERR_FILENO) < 0) return 1;
      const int home = lowest_free_fd() + 1;  // the pod's descriptor comes first, then our own namespace's
      if (!scratch::deny(SYS_setns, EPERM, home)) return 2;
      (void)Netns::open(pod);
      return 3;
    });
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 70);
    CHECK(text_of(said) == "crossover: return to our own network namespace: Operation not permitted; giving up\n");
  }

  TEST_CASE("two ids are the same by cookie if both have one, else by inode") {
    CHECK(NetnsId{.inode = 1, .cookie = 5}.same_as({.inode = 2, .cookie = 5}));
    CHECK_FALSE(NetnsId{.inode = 1, .cookie = 5}.same_as({.inode = 1, .cookie = 6}));  // a recycled inode
    CHECK(NetnsId{.inode = 1, .cookie = 0}.same_as({.inode = 1, .cookie = 6}));
    CHECK(NetnsId{.inode = 1, .cookie = 5}.same_as({.inode = 1, .cookie = 0}));
    CHECK_FALSE(NetnsId{.inode = 1, .cookie = 0}.same_as({.inode = 2, .cookie = 0}));
  }
}
