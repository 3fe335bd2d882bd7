// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "conf/disk.h"
#include "ipam/store.h"

// What the tests of the store share: a directory of their own, and short names for what they ask for.
namespace ipam {

class TempDir {
 public:
  TempDir() {
    std::string pattern = std::filesystem::temp_directory_path() / "crossover-ipam-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;  // what is left over harms no other case
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline conf::IpPrefix prefix(std::string_view text) { return conf::IpPrefix::parse(text).value(); }
inline conf::IpAddr ip(std::string_view text) { return conf::IpAddr::parse(text).value(); }
inline conf::AttachmentId pod(std::size_t number) { return {fmt::format("pod{}", number), "eth0"}; }

inline std::vector<Block> blocks(const std::vector<std::string>& cidrs) {
  std::vector<Block> out;
  for (const std::string& cidr : cidrs) out.push_back(make_block(prefix(cidr)));
  return out;
}

/// One address of each family: 14 and 15 may be handed out.
inline std::vector<Want> small_dual_stack() {
  return {{.blocks = blocks({"10.1.0.0/28"}), .address = {}}, {.blocks = blocks({"fd00::/124"}), .address = {}}};
}

inline Taker taker(std::size_t number, std::int64_t now_ms = 1'000'000) {
  return {
      .owner = pod(number), .network = "net", .netns = "/n", .netns_inode = 7, .pod = "default/web", .now_ms = now_ms};
}

inline bool nobody_is_dead(const Lease&) { return false; }

inline std::string text_of(const std::vector<Taken>& taken) {
  std::string out;
  for (const Taken& one : taken) out += (out.empty() ? "" : " ") + one.address.str();
  return out;
}

}  // namespace ipam
