// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/curl_api.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "conf/error.h"

namespace plugin::sync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr long kGetSeconds = 30;
constexpr long kStreamSeconds = 270;  // timeoutSeconds of watch_target, and some time to say so
constexpr long kConnectSeconds = 10;
constexpr milliseconds kStep{1000};

[[noreturn]] void give_up(const char* what) {
  throw conf::CniError(conf::Code::kInternal, "libcurl cannot be used", what);
}

void set_blob(CURL* curl, CURLoption option, const std::string& bytes) {
  if (bytes.empty()) return;
  curl_blob blob{.data = const_cast<char*>(bytes.data()), .len = bytes.size(), .flags = CURL_BLOB_COPY};
  if (::curl_easy_setopt(curl, option, &blob) != CURLE_OK) give_up("no memory");
}

struct FreeEasy {
  void operator()(CURL* curl) const { ::curl_easy_cleanup(curl); }
};
struct FreeList {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};

}  // namespace

class CurlApi::Multi {
 public:
  Multi() : multi_(::curl_multi_init()) {
    if (multi_ == nullptr) give_up("no memory");
  }
  ~Multi() { (void)::curl_multi_cleanup(multi_); }
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;

  [[nodiscard]] CURLM* get() const { return multi_; }
  void perform() {
    int running = 0;
    if (::curl_multi_perform(multi_, &running) != CURLM_OK) give_up("curl_multi_perform");
  }
  /// The result of a transfer that has ended.
  [[nodiscard]] std::optional<std::pair<CURL*, CURLcode>> next_ended() {
    int left = 0;
    while (const CURLMsg* message = ::curl_multi_info_read(multi_, &left))
      if (message->msg == CURLMSG_DONE) return std::pair(message->easy_handle, message->data.result);
    return std::nullopt;
  }

 private:
  CURLM* multi_;
};

/// One request on its way.
class CurlApi::Transfer {
 public:
  /// `pieces`: a stream's; null for a request, whose body is kept here.
  Transfer(Multi& multi, Kind kind, std::vector<Piece>* pieces) : multi_(multi), kind_(kind), pieces_(pieces) {
    if (!easy_) give_up("no memory");
  }
  ~Transfer() {
    if (is_added_) (void)::curl_multi_remove_handle(multi_.get(), easy_.get());
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  void begin(const std::string& url, const Credentials& credentials) {
    set_limits(url);
    set_trust(credentials);
    (void)::curl_easy_setopt(easy_.get(), CURLOPT_WRITEFUNCTION, &Transfer::take);
    (void)::curl_easy_setopt(easy_.get(), CURLOPT_WRITEDATA, this);
    (void)::curl_easy_setopt(easy_.get(), CURLOPT_HEADERFUNCTION, &Transfer::take_header);
    (void)::curl_easy_setopt(easy_.get(), CURLOPT_HEADERDATA, this);
    (void)::curl_easy_setopt(easy_.get(), CURLOPT_ERRORBUFFER, error_.data());
    if (::curl_multi_add_handle(multi_.get(), easy_.get()) != CURLM_OK) give_up("curl_multi_add_handle");
    is_added_ = true;
  }

  [[nodiscard]] CURL* easy() const { return easy_.get(); }
  [[nodiscard]] const std::string& body() const { return body_; }
  [[nodiscard]] int status() const {
    long status = 0;
    (void)::curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
  }
  [[nodiscard]] seconds retry_after() const {
    curl_off_t time = 0;
    (void)::curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &time);
    return seconds(std::clamp<curl_off_t>(time, 0, 3600));
  }
  /// Empty for CURLE_OK.
  [[nodiscard]] std::string problem(CURLcode result) const {
    if (is_too_long_) return fmt::format("the answer is longer than {} bytes", kMaxObjectBytes);
    if (result == CURLE_OK) return {};
    return error_[0] == '\0' ? ::curl_easy_strerror(result) : error_.data();
  }

 private:
  void set(CURLoption option, long value) {
    if (::curl_easy_setopt(easy_.get(), option, value) != CURLE_OK) give_up("an option is not supported");
  }
  void set(CURLoption option, const char* value) {
    if (::curl_easy_setopt(easy_.get(), option, value) != CURLE_OK) give_up("an option is not supported");
  }

  void set_limits(const std::string& url) {
    const bool is_secure = url.starts_with("https://");
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, is_secure ? "https" : "http");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_PROXY, "");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);  // not to wait for a resolver that hangs
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_HTTP09_ALLOWED, 0L);
    set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    set(CURLOPT_TIMEOUT, pieces_ == nullptr ? kGetSeconds : kStreamSeconds);
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_TCP_KEEPIDLE, 20L);
    set(CURLOPT_TCP_KEEPINTVL, 10L);
    set(CURLOPT_USERAGENT, "crossover-sync/" CROSSOVER_VERSION);
  }

  void set_trust(const Credentials& credentials) {
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!credentials.ca.empty()) {  // that one alone: the machine's own authorities say nothing about a cluster
      set(CURLOPT_CAINFO, nullptr);
      set(CURLOPT_CAPATH, nullptr);
    }
    set_blob(easy_.get(), CURLOPT_CAINFO_BLOB, credentials.ca);
    set_blob(easy_.get(), CURLOPT_SSLCERT_BLOB, credentials.certificate);
    set_blob(easy_.get(), CURLOPT_SSLKEY_BLOB, credentials.key);
    add_header("Accept: application/json");
    if (!credentials.token.empty()) add_header("Authorization: Bearer " + credentials.token);
    if (::curl_easy_setopt(easy_.get(), CURLOPT_HTTPHEADER, headers_.get()) != CURLE_OK) give_up("no memory");
  }

  void add_header(const std::string& line) {
    curl_slist* longer = ::curl_slist_append(headers_.get(), line.c_str());
    if (longer == nullptr) give_up("no memory");
    (void)headers_.release();
    headers_.reset(longer);
  }

  // What ends before `size` tells libcurl to end the transfer.
  static std::size_t take(char* bytes, std::size_t one, std::size_t size, void* self) {
    Transfer& transfer = *static_cast<Transfer*>(self);
    const std::string_view text(bytes, one * size);
    if (transfer.pieces_ != nullptr) {
      transfer.add_piece(text);
      return text.size();
    }
    transfer.is_too_long_ = transfer.body_.size() + text.size() > kMaxObjectBytes;
    if (transfer.is_too_long_) return 0;
    transfer.body_ += text;
    return text.size();
  }

  static std::size_t take_header(char* bytes, std::size_t one, std::size_t size, void* self) {
    Transfer& transfer = *static_cast<Transfer*>(self);
    const std::string_view line(bytes, one * size);
    if (line == "\r\n" && transfer.pieces_ != nullptr) transfer.add_piece({});
    return line.size();
  }

  // The body of an error is of no use: only its status counts.
  void add_piece(std::string_view bytes) {
    if (status() != 200) return;
    pieces_->push_back({.kind = kind_, .status = 200, .bytes = std::string(bytes), .problem = {}});
  }

  Multi& multi_;
  Kind kind_;
  std::vector<Piece>* pieces_;
  std::unique_ptr<CURL, FreeEasy> easy_{::curl_easy_init()};
  std::unique_ptr<curl_slist, FreeList> headers_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::string body_;
  bool is_too_long_ = false;
  bool is_added_ = false;
};

CurlApi::CurlApi(Access access, conf::Disk& disk, int stop_fd)
    : access_(std::move(access)), disk_(disk), stop_fd_(stop_fd) {
  if (::curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) give_up("curl_global_init");
  single_ = std::make_unique<Multi>();
  streams_ = std::make_unique<Multi>();
}

CurlApi::~CurlApi() {
  open_.clear();
  streams_.reset();
  single_.reset();
  ::curl_global_cleanup();
}

Reply CurlApi::get(const std::string& target) {
  const std::variant<Credentials, std::string> loaded = load(access_, disk_);
  if (const std::string* problem = std::get_if<std::string>(&loaded)) return *problem;
  Transfer transfer(*single_, Kind::kNode, nullptr);
  transfer.begin(access_.server + target, std::get<Credentials>(loaded));
  while (!stopped_) {
    single_->perform();
    if (const auto ended = single_->next_ended()) {
      const std::string problem = transfer.problem(ended->second);
      if (!problem.empty()) return problem;
      return Answer{.status = transfer.status(), .body = transfer.body(), .retry_after = transfer.retry_after()};
    }
    poll(*single_, kStep);
  }
  return std::string("asked to end");
}

void CurlApi::open(Kind kind, const std::string& target) {
  close(kind);
  const std::variant<Credentials, std::string> loaded = load(access_, disk_);
  if (const std::string* problem = std::get_if<std::string>(&loaded)) {
    pieces_.push_back({.kind = kind, .bytes = {}, .ended = true, .problem = *problem});
    return;
  }
  auto transfer = std::make_unique<Transfer>(*streams_, kind, &pieces_);
  transfer->begin(access_.server + target, std::get<Credentials>(loaded));
  open_[kind] = std::move(transfer);
}

// What the closed stream had said and nobody had heard yet would be taken for the next one's.
void CurlApi::close(Kind kind) {
  open_.erase(kind);
  pieces_.erase(
      std::remove_if(pieces_.begin(), pieces_.end(), [kind](const Piece& piece) { return piece.kind == kind; }),
      pieces_.end());
}

std::vector<Piece> CurlApi::wait(milliseconds time) {
  streams_->perform();
  collect();
  poll(*streams_, pieces_.empty() ? time : milliseconds{0});  // always: a server that never pauses must not keep us
  streams_->perform();
  collect();
  return std::exchange(pieces_, {});
}

void CurlApi::poll(Multi& multi, milliseconds time) {
  curl_waitfd stop{.fd = stop_fd_, .events = CURL_WAIT_POLLIN, .revents = 0};
  (void)::curl_multi_poll(multi.get(), &stop, 1, static_cast<int>(std::max(time, milliseconds{0}).count()), nullptr);
  if ((stop.revents & CURL_WAIT_POLLIN) != 0) stopped_ = true;
}

void CurlApi::collect() {
  while (const auto ended = streams_->next_ended()) {
    for (auto entry = open_.begin(); entry != open_.end(); ++entry) {
      const Transfer& transfer = *entry->second;
      if (transfer.easy() != ended->first) continue;
      pieces_.push_back({.kind = entry->first,
                         .status = transfer.status(),
                         .bytes = {},
                         .ended = true,
                         .problem = transfer.problem(ended->second),
                         .retry_after = transfer.retry_after()});
      open_.erase(entry);
      break;
    }
  }
}

}  // namespace plugin::sync
