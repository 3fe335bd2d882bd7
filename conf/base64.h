// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

// Base64 with its padding (RFC 4648, section 4), as Go's encoding/json writes bytes.
namespace conf {

[[nodiscard]] std::string to_base64(std::string_view bytes);
/// White space is ignored; nothing for anything else that is no such text.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace conf
