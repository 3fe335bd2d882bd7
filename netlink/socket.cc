// SPDX-License-Identifier: Apache-2.0
#include "netlink/socket.h"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "conf/error.h"
#include "netlink/attribute.h"

namespace netlink {
namespace {

constexpr std::size_t kHeader = sizeof(nlmsghdr);
// A dump comes in pieces as large as the reader's buffer, up to 32 KiB; a single answer may be larger and is measured.
constexpr std::size_t kBuffer = std::size_t{32} << 10;
static_assert(NLMSG_HDRLEN == kHeader);

conf::CniError carry_error(std::string_view operation, int error_number) {
  return conf::system_error(conf::Code::kIo, operation, "netlink socket", error_number);
}

conf::CniError malformed(std::string_view what) {
  return conf::CniError(conf::Code::kIo, "malformed netlink message", std::string(what));
}

nlmsghdr header_of(std::span<const std::byte> message) {
  nlmsghdr header{};
  std::memcpy(&header, message.data(), kHeader);
  return header;
}

void set_option(mnl_socket* socket, int option) {
  int on = 1;
  // Comforts of newer kernels (ext acks 4.12, strict checking 4.20): without them the errno alone must do.
  (void)mnl_socket_setsockopt(socket, option, &on, sizeof(on));
}

/// The next datagram, whole: an answer larger than the buffer makes the buffer grow.
std::span<const std::byte> receive(mnl_socket* socket, std::vector<std::byte>& buffer) {
  for (;;) {
    const ssize_t waiting = ::recv(mnl_socket_get_fd(socket), nullptr, 0, MSG_PEEK | MSG_TRUNC);
    if (waiting < 0 && errno == EINTR) continue;
    if (waiting < 0) throw carry_error("receive from", errno);
    buffer.resize(std::max(buffer.size(), static_cast<std::size_t>(waiting)));
    const ssize_t got = mnl_socket_recvfrom(socket, buffer.data(), buffer.size());
    if (got >= 0) return std::span<const std::byte>(buffer).first(static_cast<std::size_t>(got));
    if (errno != EINTR) throw carry_error("receive from", errno);
  }
}

/// Splits the first message off `datagram`.
std::span<const std::byte> take_message(std::span<const std::byte>& datagram) {
  if (datagram.size() < kHeader) throw malformed("the kernel's answer ends within a header");
  const std::size_t length = header_of(datagram).nlmsg_len;
  if (length < kHeader || length > datagram.size()) throw malformed("the kernel's answer is shorter than it says");
  const std::span<const std::byte> message = datagram.first(length);
  datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(length), datagram.size()));
  return message;
}

/// The next datagram of an answer that is complete: nfnetlink works a batch off before the send returns. Nothing if all
/// was read; ENOBUFS, noted in `lost`, means that some of it did not fit.
std::optional<std::span<const std::byte>> next_answer(mnl_socket* socket, std::vector<std::byte>& buffer, bool& lost) {
  for (;;) {
    const ssize_t got = ::recv(mnl_socket_get_fd(socket), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got >= 0) return std::span<const std::byte>(buffer).first(static_cast<std::size_t>(got));
    if (errno == EAGAIN) return std::nullopt;
    if (errno != EINTR && errno != ENOBUFS) throw carry_error("receive from", errno);
    lost = lost || errno == ENOBUFS;
  }
}

void send_whole(mnl_socket* socket, std::span<const std::byte> bytes) {
  ssize_t sent = -1;
  do sent = mnl_socket_sendto(socket, bytes.data(), bytes.size());
  while (sent < 0 && errno == EINTR);
  if (sent < 0) throw carry_error("send to", errno);
}

/// Numbers the messages in `bytes` from `sequence` on.
struct Numbered {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t last_acked = 0;
};

Numbered number_messages(std::span<std::byte> bytes, std::uint32_t sequence, std::uint32_t port) {
  Numbered numbered{.first = sequence, .count = 0, .last_acked = sequence};
  while (!bytes.empty()) {
    if (bytes.size() < kHeader) throw malformed("a batch ends within a header");
    nlmsghdr header = header_of(bytes);
    if (header.nlmsg_len < kHeader || header.nlmsg_len > bytes.size()) throw malformed("a batch has a wrong length");
    header.nlmsg_seq = sequence + numbered.count++;
    header.nlmsg_pid = port;
    if ((header.nlmsg_flags & NLM_F_ACK) != 0) numbered.last_acked = header.nlmsg_seq;
    std::memcpy(bytes.data(), &header, kHeader);
    bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes.size()));
  }
  return numbered;
}

/// The kernel's own words in the attributes that follow an ack.
std::string sentence_in(std::span<const std::byte> bytes) {
  const auto attributes = read_attributes(bytes);
  if (!attributes) return {};
  const Attribute* text = find_attribute(*attributes, NLMSGERR_ATTR_MSG);
  return text == nullptr ? std::string() : as_text(*text);
}

/// Where the attributes of an NLMSG_ERROR begin: behind the request, whose body is echoed unless NETLINK_CAP_ACK cut
/// it.
std::size_t attributes_offset(const nlmsghdr& header, std::span<const std::byte> payload) {
  if ((header.nlmsg_flags & NLM_F_CAPPED) != 0) return sizeof(nlmsgerr);
  nlmsgerr error{};
  std::memcpy(&error, payload.data(), sizeof(error));
  const std::size_t request = error.msg.nlmsg_len;
  return request < kHeader ? payload.size() : sizeof(nlmsgerr) + NLMSG_ALIGN(request) - kHeader;
}

}  // namespace

std::string Ack::str() const {
  if (ok()) return "ok";
  // This text ends up in errors, also those of DEL.
  const std::string text = conf::without_swallowed_phrases(std::strerror(error));
  return sentence.empty() ? text : text + " (" + conf::without_swallowed_phrases(sentence) + ")";
}

std::optional<Ack> decode_ack(std::span<const std::byte> message) {
  if (message.size() < kHeader) return std::nullopt;
  const nlmsghdr header = header_of(message);
  if (header.nlmsg_len < kHeader || header.nlmsg_len > message.size()) return std::nullopt;
  const auto payload = message.subspan(kHeader, header.nlmsg_len - kHeader);
  const bool is_error = header.nlmsg_type == NLMSG_ERROR;
  if (!is_error && header.nlmsg_type != NLMSG_DONE) return std::nullopt;
  // Not every dump's NLMSG_DONE carries an errno.
  if (!is_error && payload.size() < sizeof(int)) return Ack{};
  if (payload.size() < (is_error ? sizeof(nlmsgerr) : sizeof(int))) return std::nullopt;

  int error = 0;
  std::memcpy(&error, payload.data(), sizeof(error));
  Ack ack{.error = error < 0 ? -error : 0, .sentence = {}};
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return ack;
  const std::size_t offset = is_error ? attributes_offset(header, payload) : sizeof(int);
  ack.sentence = sentence_in(payload.subspan(std::min(offset, payload.size())));
  return ack;
}

void Socket::Close::operator()(mnl_socket* socket) const {
  (void)mnl_socket_close(socket);  // nothing can be done about a failed close of a socket we are done with
}

Socket::Socket(mnl_socket* socket) : socket_(socket) {}
Socket::Socket(Socket&&) noexcept = default;
Socket& Socket::operator=(Socket&&) noexcept = default;
Socket::~Socket() = default;

Socket Socket::open(int bus) {
  Socket opened(mnl_socket_open2(bus, SOCK_CLOEXEC));
  if (!opened.socket_) throw carry_error("open", errno);
  opened.bind();
  return opened;
}

std::optional<Socket> Socket::open_if_supported(int bus) {
  Socket opened(mnl_socket_open2(bus, SOCK_CLOEXEC));
  if (!opened.socket_ && (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT)) return std::nullopt;
  if (!opened.socket_) throw carry_error("open", errno);
  opened.bind();
  return opened;
}

void Socket::bind() {
  mnl_socket* socket = socket_.get();
  set_option(socket, NETLINK_EXT_ACK);
  set_option(socket, NETLINK_CAP_ACK);
  set_option(socket, NETLINK_GET_STRICT_CHK);
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) throw carry_error("bind", errno);
}

/// A message has to fit the send buffer as a whole.
void Socket::make_room(std::size_t size) {
  constexpr std::size_t kDefault = std::size_t{64} << 10;  // below every kernel's own default
  if (size <= kDefault) return;
  const int fd = mnl_socket_get_fd(socket_.get());
  const int wanted = static_cast<int>(std::min(size + kDefault, std::size_t{1} << 30U));
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof(wanted)) == 0) return;
  // Without CAP_NET_ADMIN over the machine: as far as it lets us; a batch that still is too large fails with EMSGSIZE.
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted));
}

Ack Socket::request(std::span<std::byte> message, const Reply& reply) {
  if (message.size() < kHeader) throw malformed("a request ends within its header");
  mnl_socket* socket = socket_.get();
  nlmsghdr header = header_of(message);
  if (header.nlmsg_len < kHeader || header.nlmsg_len > message.size()) throw malformed("a request has a wrong length");
  header.nlmsg_seq = ++sequence_;
  header.nlmsg_pid = mnl_socket_get_portid(socket);
  // The kernel ends a dump with NLMSG_DONE and leaves the ack out, so that the flag may always be set.
  header.nlmsg_flags = static_cast<std::uint16_t>(header.nlmsg_flags | NLM_F_REQUEST | NLM_F_ACK);
  std::memcpy(message.data(), &header, kHeader);
  if (mnl_socket_sendto(socket, message.data(), header.nlmsg_len) < 0) throw carry_error("send to", errno);

  std::vector<std::byte> buffer(kBuffer);
  bool interrupted = false;
  pieces_ = 0;
  for (;;) {
    std::span<const std::byte> datagram = receive(socket, buffer);
    bool is_piece = false;
    while (!datagram.empty()) {
      const std::span<const std::byte> one = take_message(datagram);
      const nlmsghdr answer = header_of(one);
      // Left over from a request that was given up on, or not for us.
      if (answer.nlmsg_seq != header.nlmsg_seq || answer.nlmsg_pid != header.nlmsg_pid) continue;
      interrupted = interrupted || (answer.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (std::optional<Ack> ack = decode_ack(one)) {
        if (ack->ok() && interrupted) return Ack{.error = EINTR, .sentence = "changed while it was listed"};
        return std::move(*ack);
      }
      if (answer.nlmsg_type == NLMSG_ERROR) throw malformed("the kernel's ack is cut short");
      if (answer.nlmsg_type == NLMSG_NOOP) continue;
      if (!std::exchange(is_piece, true)) ++pieces_;
      if (reply) reply(one);
    }
  }
}

BatchAnswer Socket::batch(std::span<std::byte> messages) {
  mnl_socket* socket = socket_.get();
  const Numbered numbered = number_messages(messages, sequence_ + 1, mnl_socket_get_portid(socket));
  sequence_ += numbered.count;
  make_room(messages.size());
  send_whole(socket, messages);

  std::vector<std::byte> buffer(kBuffer);
  bool lost = false;
  std::optional<BatchAnswer> failure;
  while (auto datagram = next_answer(socket, buffer, lost)) {
    while (!datagram->empty()) {
      const std::span<const std::byte> one = take_message(*datagram);
      const std::uint32_t message = header_of(one).nlmsg_seq - numbered.first;
      std::optional<Ack> ack = decode_ack(one);
      if (message >= numbered.count) continue;  // left over from an earlier batch that failed
      if (!ack) throw malformed("the kernel's answer to a batch is no ack");
      // In the order of the messages, but what concerns all of them (a stale generation, a failed commit) is first. All
      // of them are taken out: they would leave no room for the next answer.
      if (!ack->ok() && !failure) failure = BatchAnswer{.ack = std::move(*ack), .message = message};
      if (!failure && message == numbered.last_acked - numbered.first) return {};
    }
  }
  if (failure) return std::move(*failure);
  return {.ack = {.error = lost ? ENOBUFS : EBADMSG, .sentence = "the kernel's answer was lost"}, .message = {}};
}

}  // namespace netlink
