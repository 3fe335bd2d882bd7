// SPDX-License-Identifier: Apache-2.0

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "conf/error.h"
#include "conf/request.h"

// CNI_ARGS. Breaks if anything but a CniError of code 4 comes out, if the last pair of an accepted text is not what its
// key gives, or if an error repeats a part of the text.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void demand(bool holds) {
  if (!holds) std::abort();
}

// The last pair that is not empty, found from the other end.
std::string_view last_pair(std::string_view text) {
  while (!text.empty() && text.back() == ';') text.remove_suffix(1);
  return text.substr(text.rfind(';') + 1);
}

// Whether a text is accepted, by another road: every pair that is not empty has its first '=' behind a key.
bool acceptable(std::string_view text) {
  bool in_key = false;
  bool at_start = true;
  for (const char c : text) {
    if (c == ';') {
      if (in_key) return false;
      at_start = true;
    } else if (at_start) {
      if (c == '=') return false;
      at_start = false;
      in_key = true;
    } else if (c == '=') {
      in_key = false;
    }
  }
  return !in_key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const conf::CniArgs args = conf::CniArgs::parse(text);
    demand(acceptable(text));
    const std::string_view pair = last_pair(text);
    if (pair.empty()) return 0;
    const std::size_t equals = pair.find('=');
    demand(args.get(pair.substr(0, equals)) == pair.substr(equals + 1));
  } catch (const conf::CniError& error) {
    demand(error.code() == 4 && !acceptable(text));
    demand(error.details().find_first_not_of("CNI_ARGS: pairmustbeKEY=VALUE;areseparatedby'0123456789 ") ==
           std::string::npos);
  }
  return 0;
}
