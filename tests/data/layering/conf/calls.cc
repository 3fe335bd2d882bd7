// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

// None of these is a call: fork(), ::open("/x"), setns(fd).
Socket open(int bus);
const char* const kText = "::unlink(path) // and flock(fd)";
void lookalikes(Disk& disk) {
  disk.rename(kText, kText);
  auto netns = Netns::open(kText);
  auto words = read(kText);
  std::this_thread::yield();
}

// Each line is one.
int calls() {
  const int fd = ::open("/x", 0);
  if (fork() == 0) (void)::close(fd);
  const bool both = fd > 0 && fsync(fd) == 0;
  setns(fd, 0);
  std::rename("a", "b");
  std::thread thread;
  return unlink("/x");
}
