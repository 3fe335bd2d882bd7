// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "conf/error.h"
#include "plugin/attachment.h"

// A record: what is read must be written and read back the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const std::optional<plugin::Attachment> read = plugin::parse_record(text, "record");
    if (!read) return 0;
    const std::string written = plugin::record_text(*read);
    const std::optional<plugin::Attachment> again = plugin::parse_record(written, "record");
    if (!again || plugin::record_text(*again) != written) std::abort();
  } catch (const conf::CniError&) {
    // refused, as most inputs are
  }
  return 0;
}
