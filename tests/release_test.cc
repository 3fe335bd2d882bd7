// SPDX-License-Identifier: Apache-2.0

#include <doctest/doctest.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

// What the release binary promises to a node: nothing else is needed there, and little is taken. Built with
// CROSSOVER_STATIC only; needs root, to change the root directory.
namespace {

constexpr std::uintmax_t kMaxBytes = 3'000'000;
constexpr long kMaxResidentKiB = 8 * 1024;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class EmptyRoot {
 public:
  EmptyRoot() {
    std::string pattern = std::filesystem::temp_directory_path() / "empty-root-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    std::filesystem::copy_file(CROSSOVER_BINARY, path_ / "crossover");
  }
  EmptyRoot(const EmptyRoot&) = delete;
  EmptyRoot& operator=(const EmptyRoot&) = delete;
  ~EmptyRoot() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Ended {
  int status = -1;
  std::string out;
  std::string err;
  long resident_kib = 0;
};

[[noreturn]] void exec_version(const EmptyRoot& root, int in, int out, int err) {
  static const char* const argv[] = {"crossover", nullptr};
  static const char* const env[] = {"CNI_COMMAND=VERSION", nullptr};
  const bool ready = ::dup2(in, 0) == 0 && ::dup2(out, 1) == 1 && ::dup2(err, 2) == 2 &&
                     ::chroot(root.path().c_str()) == 0 && ::chdir("/") == 0;
  if (ready) ::execve("/crossover", const_cast<char* const*>(argv), const_cast<char* const*>(env));
  ::_exit(126);
}

// CNI's VERSION with nothing in the root directory but the binary. The files are outside of it.
Ended version_in(const EmptyRoot& root) {
  const std::string base = root.path().string();
  std::ofstream(base + ".in") << R"({"cniVersion":"1.0.0"})";
  const int in = ::open((base + ".in").c_str(), O_RDONLY | O_CLOEXEC);
  const int out = ::open((base + ".out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const int err = ::open((base + ".err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const pid_t child = ::fork();
  if (child == 0) exec_version(root, in, out, err);
  Ended ended;
  rusage usage{};
  REQUIRE(::wait4(child, &ended.status, 0, &usage) == child);
  ended.resident_kib = usage.ru_maxrss;
  ended.out = read_file(base + ".out");
  ended.err = read_file(base + ".err");
  for (const int fd : {in, out, err}) ::close(fd);
  for (const char* suffix : {".in", ".out", ".err"}) std::filesystem::remove(base + suffix);
  return ended;
}

template <typename T>
T at(const std::string& bytes, std::size_t offset) {
  REQUIRE(offset + sizeof(T) <= bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

std::vector<Elf64_Phdr> segments(const std::string& elf) {
  const auto header = at<Elf64_Ehdr>(elf, 0);
  REQUIRE(std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0);
  std::vector<Elf64_Phdr> found;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    found.push_back(at<Elf64_Phdr>(elf, header.e_phoff + i * sizeof(Elf64_Phdr)));
  }
  return found;
}

bool has_dynamic_entry(const std::string& elf, const Elf64_Phdr& dynamic, Elf64_Sxword tag) {
  for (std::size_t offset = 0; offset < dynamic.p_filesz; offset += sizeof(Elf64_Dyn)) {
    if (at<Elf64_Dyn>(elf, dynamic.p_offset + offset).d_tag == tag) return true;
  }
  return false;
}

}  // namespace

TEST_SUITE("release") {
  TEST_CASE("the binary is at most 3 MB") { CHECK(std::filesystem::file_size(CROSSOVER_BINARY) <= kMaxBytes); }

  TEST_CASE("the binary needs no loader, no library and no relocation, and has no executable stack") {
    const std::string elf = read_file(CROSSOVER_BINARY);
    CHECK(at<Elf64_Ehdr>(elf, 0).e_type == ET_EXEC);
    bool has_stack = false;
    for (const Elf64_Phdr& segment : segments(elf)) {
      CHECK(segment.p_type != PT_INTERP);
      if (segment.p_type == PT_DYNAMIC) CHECK_FALSE(has_dynamic_entry(elf, segment, DT_NEEDED));
      if (segment.p_type != PT_GNU_STACK) continue;
      has_stack = true;
      CHECK((segment.p_flags & PF_X) == 0);
    }
    CHECK(has_stack);
  }

  TEST_CASE("the binary answers VERSION in an empty root, within 8 MiB of memory") {
    const EmptyRoot root;
    const Ended ended = version_in(root);
    CAPTURE(ended.err);
    REQUIRE(WIFEXITED(ended.status));
    CHECK(WEXITSTATUS(ended.status) == 0);
    CHECK(ended.out.find("\"supportedVersions\"") != std::string::npos);
    CHECK(ended.err.empty());
    CHECK(ended.resident_kib <= kMaxResidentKiB);
  }
}
