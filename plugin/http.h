// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

// A strict reader of one HTTP/1.x answer over a unix socket: one GET, Connection: close, a deadline for all of it and a
// limit on its size. Understands Content-Length, chunked bodies and bodies that end with the connection.
namespace plugin {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

/// The answer, or a sentence saying why there is none ("connect /run/x.sock: Connection refused", "no answer within
/// 500 ms", "answer of more than 4 MiB", "answer torn after 120 bytes").
[[nodiscard]] std::variant<HttpAnswer, std::string> http_get(const std::string& socket, std::string_view target,
                                                             std::chrono::milliseconds deadline,
                                                             std::size_t max_bytes = std::size_t{4} << 20);

/// One answer as it came over the wire, complete. Pure; for http_get, tests and fuzzing.
[[nodiscard]] std::variant<HttpAnswer, std::string> parse_http_answer(std::string_view bytes);

}  // namespace plugin
