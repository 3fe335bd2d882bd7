// SPDX-License-Identifier: Apache-2.0

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "conf/error.h"
#include "conf/result.h"
#include "conf/version.h"

// What a delegate prints, read and converted. The first byte picks the versions: byte / 7 % 7 the one it is of, byte %
// 7 the one that is asked for. Breaks if anything but a CniError of code 6 comes out; if a conversion gives what is no
// result of its version, or what converts to something else a second time; or if the own version changes a byte that
// states the version already.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using conf::convert_result;

void demand(bool holds) {
  if (!holds) std::abort();
}

template <typename Call>
void refused_with_code_6(Call call) {
  try {
    call();
  } catch (const conf::CniError& error) {
    demand(error.code() == 6);
  }
}

void convert(const std::string& text, std::string_view from, std::string_view to) {
  const std::string own = convert_result(text, from, from);
  demand(conf::result_version(own, "") == from);
  demand(convert_result(own, from, from) == own);

  const std::string converted = convert_result(text, from, to);
  demand(conf::result_version(converted, "") == to);
  // What is printed once is printed the same again: relabelled twice, nothing but the label may have changed.
  const std::string_view sibling = to == "0.1.0" || to == "0.2.0" ? "0.1.0" : to >= "1.0.0" ? "1.0.0" : "0.3.0";
  const std::string again = convert_result(converted, to, sibling);
  demand(from == to || convert_result(again, sibling, to) == converted);

  if (sibling == "0.1.0") return;
  const std::string safe = conf::with_safe_indexes(converted);
  demand(conf::with_safe_indexes(safe) == safe);
  demand(conf::result_addresses(safe) == conf::result_addresses(converted));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  constexpr std::size_t kCount = conf::kSpecVersions.size();
  const std::string_view from = conf::kSpecVersions[data[0] / kCount % kCount];
  const std::string_view to = conf::kSpecVersions[data[0] % kCount];
  refused_with_code_6([&] { convert(text, from, to); });
  refused_with_code_6([&] { (void)conf::result_version(text, from); });
  refused_with_code_6([&] { (void)conf::with_safe_indexes(text); });
  (void)conf::result_addresses(text);
  return 0;
}
