// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "conf/error.h"
#include "conf/fd.h"

// Network namespaces for one test case: made below a folder of its own, in a mount namespace of its own, so that
// nothing is left however the test ends. Judged and filled with `ip`, not with our own code.
namespace scratch {

/// Runs a line of shell; its output without the last line end. The test fails here if it fails.
inline std::string sh(const std::string& line) {
  FILE* pipe = ::popen(("exec 2>&1; " + line).c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> chunk{};
  for (std::size_t got = 0; (got = std::fread(chunk.data(), 1, chunk.size(), pipe)) > 0;)
    text.append(chunk.data(), got);
  const int status = ::pclose(pipe);
  INFO(line << ": " << text);
  REQUIRE(status == 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "crossover-test.XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;  // a folder left in /tmp does not change what the test found
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
    return file(name);
  }

 private:
  std::filesystem::path path_;
};

/// For as long as it lives, this process has a mount namespace of its own and a new network namespace as its "host".
class Host {
 public:
  Host() {
    REQUIRE(net_.get() >= 0);
    REQUIRE(mounts_.get() >= 0);
    REQUIRE(::unshare(CLONE_NEWNS | CLONE_NEWNET) == 0);
    REQUIRE(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host() {
    if (::setns(mounts_.get(), CLONE_NEWNS) != 0 || ::setns(net_.get(), CLONE_NEWNET) != 0) std::abort();
  }

  /// A pod's network namespace, bound to the file returned. It ends with the Host.
  std::string add_pod(const std::string& name) {
    const std::string path = folder_.write(name, "");
    sh("unshare --net=" + path + " true");
    return path;
  }
  [[nodiscard]] const Folder& folder() const { return folder_; }

 private:
  Folder folder_;  // first: its files are unmounted with the namespace before it is removed
  conf::UniqueFd net_{::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
  conf::UniqueFd mounts_{::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)};
};

/// `ip` in the namespace bound to `pod`.
inline std::string ip(const std::string& pod, const std::string& arguments) {
  return sh("nsenter --net=" + pod + " ip " + arguments);
}

/// The wait status of a forked child that ran `work` and then exited with what it returned; for what cannot be undone.
inline int in_child(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    try {
      ::_exit(work());
    } catch (...) {
      ::_exit(99);
    }
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return status;
}

/// The error that `work` throws; the test fails if it throws none.
inline conf::CniError error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const conf::CniError& error) {
    return error;
  }
  FAIL("no error");
  return {conf::Code::kInternal, "no error"};
}

}  // namespace scratch
