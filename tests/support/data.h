// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

// The documents of tests/data.
namespace support {

inline std::string data(const std::string& name) {
  INFO(name);
  std::ifstream file(std::string(TEST_DATA) + "/" + name, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// What the runtime wrote to a plugin's stdin in the recorded call runtime/`name`.txt.
inline std::string recorded_stdin(const std::string& name) {
  constexpr std::string_view kHead = "## stdin\n";
  const std::string text = data("runtime/" + name + ".txt");
  const std::size_t begin = text.find(kHead);
  REQUIRE(begin != std::string::npos);
  const std::size_t first = begin + kHead.size();
  return text.substr(first, text.find("\n## ", first) - first);
}

}  // namespace support
