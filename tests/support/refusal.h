// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <string_view>

#include "conf/error.h"

// For tests of what is refused, and how.
namespace support {

/// The error that `act` throws; code 0 "nothing was refused" if it returns.
template <typename Act>
conf::CniError refusal_of(Act act) {
  try {
    (void)act();
  } catch (const conf::CniError& error) {
    return error;
  }
  return {0U, "nothing was refused", ""};
}

inline void check_refusal(const conf::CniError& error, conf::Code code, std::string_view msg,
                          std::string_view details) {
  CHECK(error.code() == static_cast<unsigned>(code));
  CHECK(error.msg() == msg);
  CHECK(error.details() == details);
}

}  // namespace support
