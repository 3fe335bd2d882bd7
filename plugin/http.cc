// SPDX-License-Identifier: Apache-2.0
#include "plugin/http.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "conf/error.h"
#include "conf/fd.h"
#include "conf/letter_case.h"

namespace plugin {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kMaxHeader = std::size_t{64} << 10;
constexpr std::size_t kMaxChunkLine = 4096;
constexpr std::string_view kLineEnd = "\r\n";

// Thrown within this file only. The parser stops in two dozen places; threading both through every return would hide
// what it reads. The two functions of the header catch them and return values.

/// Why there is no answer, in one sentence.
struct Refusal {
  std::string sentence;
};
struct NeedMore {};  ///< the bytes so far are the beginning of an answer

Refusal no_http(std::string_view what) { return {fmt::format("answer is no HTTP: {}", what)}; }
Refusal torn(std::size_t bytes) { return {fmt::format("answer torn after {} bytes", bytes)}; }

bool is_token(std::string_view text) {
  constexpr std::string_view kSigns = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [kSigns](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kSigns.find(c) != std::string_view::npos;
  });
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == '\x7f'; });
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Digits of `base` and nothing else, within 15 of them: no size in earnest is larger.
std::optional<std::size_t> parse_size(std::string_view text, int base) {
  if (text.empty() || text.size() > 15 || text.front() == '-') return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// How the header says that the body ends.
struct Framing {
  int status = 0;
  std::optional<std::size_t> length;
  bool chunked = false;
};

/// Reads one answer from its beginning. Throws NeedMore where the bytes end too early, Refusal where they are wrong.
class AnswerReader {
 public:
  AnswerReader(std::string_view bytes, bool at_end) : bytes_(bytes), at_end_(at_end) {}

  HttpAnswer read() {
    Framing framing = read_header();
    HttpAnswer answer{.status = framing.status, .body = {}};
    if (framing.status == 204 || framing.status == 304) return answer;
    if (framing.chunked) {
      answer.body = read_chunks();
    } else if (framing.length) {
      answer.body = take(*framing.length);
    } else {
      if (!at_end_) throw NeedMore{};
      answer.body = bytes_.substr(position_);
    }
    return answer;
  }

 private:
  Framing read_header();
  void read_field(std::string_view line, Framing& framing);
  std::string read_chunks();
  void read_trailers();

  [[noreturn]] void run_dry() const {
    if (at_end_) throw torn(bytes_.size());
    throw NeedMore{};
  }

  std::string_view take(std::size_t count) {
    if (bytes_.size() - position_ < count) run_dry();
    const std::string_view taken = bytes_.substr(position_, count);
    position_ += count;
    return taken;
  }

  /// Up to the next CRLF, which must come within `limit` bytes of `start`, where the part called `what` began.
  std::string_view take_line(std::size_t start, std::size_t limit, std::string_view what) {
    const std::size_t end = bytes_.substr(0, start + limit).find(kLineEnd, position_);
    if (end == std::string_view::npos) {
      if (bytes_.size() >= start + limit) throw no_http(fmt::format("{} of more than {} bytes", what, limit));
      run_dry();
    }
    const std::string_view line = bytes_.substr(position_, end - position_);
    position_ = end + kLineEnd.size();
    return line;
  }

  std::string_view bytes_;
  std::size_t position_ = 0;
  bool at_end_;
};

int parse_status_line(std::string_view line) {
  const bool versioned = line.substr(0, 9) == "HTTP/1.1 " || line.substr(0, 9) == "HTTP/1.0 ";
  const std::optional<std::size_t> status = versioned ? parse_size(line.substr(9, 3), 10) : std::nullopt;
  const bool closed = line.size() == 12 || (line.size() > 12 && line[12] == ' ');
  if (!status || !closed || line.size() < 12 || *status < 200 || *status > 599 || has_control(line)) {
    throw no_http("bad status line");
  }
  return static_cast<int>(*status);
}

Framing AnswerReader::read_header() {
  // A stranger's greeting is refused at its first bytes, not when it ends or times out.
  constexpr std::string_view kStart = "HTTP/1.";
  if (bytes_.substr(0, kStart.size()) != kStart.substr(0, bytes_.size())) throw no_http("bad status line");
  Framing framing{.status = parse_status_line(take_line(0, kMaxHeader, "a header")), .length = {}, .chunked = false};
  for (;;) {
    const std::string_view line = take_line(0, kMaxHeader, "a header");
    if (line.empty()) break;
    read_field(line, framing);
  }
  // Both at once is how answers are smuggled past one of two readers (RFC 9112 section 6.3).
  if (framing.chunked && framing.length) throw no_http("both Content-Length and Transfer-Encoding");
  return framing;
}

void AnswerReader::read_field(std::string_view line, Framing& framing) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) || has_control(line)) {
    throw no_http("bad header line");
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (conf::equal_but_for_case(name, "content-length")) {
    const std::optional<std::size_t> length = parse_size(value, 10);
    if (!length) throw no_http("bad Content-Length");
    if (framing.length && *framing.length != *length) throw torn(bytes_.size());
    framing.length = length;
  }
  if (conf::equal_but_for_case(name, "transfer-encoding")) {
    if (framing.chunked || !conf::equal_but_for_case(value, "chunked")) throw no_http("unknown Transfer-Encoding");
    framing.chunked = true;
  }
}

std::string AnswerReader::read_chunks() {
  std::string body;
  for (;;) {
    const std::string_view line = take_line(position_, kMaxChunkLine, "a chunk's first line");
    const std::optional<std::size_t> size = parse_size(trim(line.substr(0, line.find(';'))), 16);
    if (!size || has_control(line)) throw no_http("bad chunk size");
    if (*size == 0) break;
    body += take(*size);
    if (take(kLineEnd.size()) != kLineEnd) throw no_http("a chunk longer than it says");
  }
  read_trailers();
  return body;
}

void AnswerReader::read_trailers() {
  const std::size_t start = position_;
  for (;;) {
    const std::string_view line = take_line(start, kMaxHeader, "trailers");
    if (line.empty()) return;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) || has_control(line)) {
      throw no_http("bad trailer");
    }
  }
}

/// One connection, all within one deadline.
class Exchange {
 public:
  Exchange(const std::string& path, milliseconds deadline, std::size_t max_bytes)
      : path_(path), wait_(deadline), ends_(Clock::now() + deadline), max_bytes_(max_bytes) {}

  void connect();
  void send(std::string_view request);
  HttpAnswer receive();

 private:
  [[nodiscard]] milliseconds left() const {
    const milliseconds rest = std::chrono::ceil<milliseconds>(ends_ - Clock::now());
    if (rest <= milliseconds{0}) throw late();
    return rest;
  }
  [[nodiscard]] Refusal late() const { return {fmt::format("no answer within {} ms", wait_.count())}; }
  [[nodiscard]] Refusal failure(std::string_view operation, int error_number) const {
    return {conf::system_error(conf::Code::kIo, operation, path_, error_number).details()};
  }
  [[nodiscard]] Refusal too_long() const {
    constexpr std::size_t kMiB = std::size_t{1} << 20;
    if (max_bytes_ % kMiB == 0) return {fmt::format("answer of more than {} MiB", max_bytes_ / kMiB)};
    return {fmt::format("answer of more than {} bytes", max_bytes_)};
  }
  void wait_for(short events) const;

  const std::string& path_;
  milliseconds wait_;
  Clock::time_point ends_;
  std::size_t max_bytes_;
  conf::UniqueFd socket_;
};

void Exchange::wait_for(short events) const {
  for (;;) {
    pollfd ready{.fd = socket_.get(), .events = events, .revents = 0};
    const int count = ::poll(&ready, 1, static_cast<int>(std::min(left(), milliseconds{3'600'000}).count()));
    if (count > 0) return;
    if (count < 0 && errno != EINTR) throw failure("wait for", errno);
  }
}

void Exchange::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.empty() || path_.size() >= sizeof(address.sun_path) || path_.find('\0') != std::string::npos) {
    throw Refusal{fmt::format("connect {}: a socket's path has 1 to {} bytes", path_, sizeof(address.sun_path) - 1)};
  }
  std::memcpy(address.sun_path, path_.data(), path_.size());
  socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_) throw failure("open a socket for", errno);
  for (;;) {
    // A listener whose queue is full makes a connect wait, and a non-blocking one fail at once with nothing to poll
    // for (unix(7)); the send timeout bounds the wait in the kernel.
    const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(left()).count();
    const timeval patience{.tv_sec = rest / 1'000'000, .tv_usec = rest % 1'000'000};
    if (::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0) {
      throw failure("set the timeout of", errno);
    }
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return;
    if (errno == EAGAIN) throw late();
    if (errno != EINTR) throw failure("connect", errno);
  }
}

void Exchange::send(std::string_view request) {
  while (!request.empty()) {
    wait_for(POLLOUT);
    const ssize_t sent = ::send(socket_.get(), request.data(), request.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    // A server may answer without having read all we say; what it answered is looked at next.
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
    if (sent < 0) throw failure("write to", errno);
    request.remove_prefix(static_cast<std::size_t>(sent));
  }
}

HttpAnswer Exchange::receive() {
  std::string bytes;
  std::array<char, std::size_t{64} << 10> chunk{};
  bool at_end = false;
  for (;;) {
    wait_for(POLLIN);
    const ssize_t got = ::recv(socket_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0 && errno != ECONNRESET) throw failure("read from", errno);
    at_end = got <= 0;
    bytes.append(chunk.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    if (bytes.size() > max_bytes_) throw too_long();
    try {
      return AnswerReader(bytes, at_end).read();
    } catch (const NeedMore&) {
      // the loop reads on; at the end the reader says "torn" instead
    }
  }
}

/// Something to ask for that cannot break out of the request's first line.
bool is_target(std::string_view target) {
  return target.substr(0, 1) == "/" &&
         std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

std::variant<HttpAnswer, std::string> http_get(const std::string& socket, std::string_view target,
                                               milliseconds deadline, std::size_t max_bytes) {
  if (!is_target(target)) return std::string("a request's target starts with / and is printable ASCII");
  try {
    Exchange exchange(socket, deadline, max_bytes);
    exchange.connect();
    exchange.send(
        fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: crossover/{}\r\n"
                    "Accept: application/json\r\nConnection: close\r\n\r\n",
                    target, CROSSOVER_VERSION));
    return exchange.receive();
  } catch (const Refusal& refusal) {
    return refusal.sentence;
  }
}

std::variant<HttpAnswer, std::string> parse_http_answer(std::string_view bytes) {
  try {
    return AnswerReader(bytes, true).read();
  } catch (const Refusal& refusal) {
    return refusal.sentence;
  }
}

}  // namespace plugin
