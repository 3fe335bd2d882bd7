// SPDX-License-Identifier: Apache-2.0

// Stands for cilium-cni where there is no agent: Debian's ptp, run in the namespace that its configuration names as
// `datapath` instead of the node's, so that the node's stack sees of a pod what it sees of Cilium's.

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

namespace {

constexpr const char* kPlugin = "/usr/lib/cni/ptp";

bool enter(const std::string& netns) {
  const int fd = ::open(netns.c_str(), O_RDONLY | O_CLOEXEC);
  return fd >= 0 && ::setns(fd, CLONE_NEWNET) == 0;
}

bool put_back(const std::string& input) {
  const int fd = ::memfd_create("stdin", 0);
  return fd >= 0 && ::write(fd, input.data(), input.size()) == static_cast<ssize_t>(input.size()) &&
         ::lseek(fd, 0, SEEK_SET) == 0 && ::dup2(fd, STDIN_FILENO) == STDIN_FILENO;
}

}  // namespace

int main() {
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  const auto config = nlohmann::json::parse(input, nullptr, false);
  const std::string netns = config.is_object() ? config.value("datapath", "") : "";
  if (netns.empty() || enter(netns)) {  // VERSION has no `datapath`
    if (put_back(input)) ::execl(kPlugin, kPlugin, static_cast<char*>(nullptr));
  }
  std::perror("cilium-stand-in");
  std::puts(R"({"cniVersion":"1.0.0","code":999,"msg":"the datapath cannot be entered"})");
  return 1;
}
