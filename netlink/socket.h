// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

struct mnl_socket;

namespace netlink {

/// The kernel's answer to one request: 0, or an errno with the kernel's own sentence (NETLINK_EXT_ACK) if it gave one.
struct [[nodiscard]] Ack {
  int error = 0;
  std::string sentence;
  [[nodiscard]] bool ok() const { return error == 0; }
  [[nodiscard]] std::string str() const;  ///< "File exists (sentence)"; "ok"
};

/// The kernel's answer to a batch.
struct BatchAnswer {
  Ack ack;
  std::optional<std::size_t> message;  ///< which message failed, counted from 0; nothing if all is well or not known
};

/// A netlink socket bound to the namespace it was opened in. libnl builds messages, libmnl carries them: libmnl gives
/// the exact errno and notices interrupted dumps.
class Socket {
 public:
  /// Opens one of NETLINK_ROUTE's kind (`bus`) in the current namespace, close-on-exec, with extended acks and strict
  /// checking asked for. CniError code 5 if that fails.
  [[nodiscard]] static Socket open(int bus);
  /// The same, but nothing if this kernel has no such bus.
  [[nodiscard]] static std::optional<Socket> open_if_supported(int bus);

  Socket(Socket&&) noexcept;
  Socket& operator=(Socket&&) noexcept;
  ~Socket();

  /// Sends one message (its sequence number, port id and ack flag are set here) and returns the kernel's answer.
  /// `reply` gets every message of the answer but the final ack: its bytes, header included. A dump that the kernel
  /// marks as interrupted by a change (NLM_F_DUMP_INTR) ends with EINTR: what `reply` got is then no consistent list.
  /// CniError code 5 if the message is malformed or cannot be carried.
  using Reply = std::function<void(std::span<const std::byte>)>;
  Ack request(std::span<std::byte> message, const Reply& reply = {});

  /// In how many datagrams the last answer's messages came. The kernel makes each of them in one go.
  [[nodiscard]] std::size_t pieces() const { return pieces_; }

  /// Sends messages that stand one behind the other as one, the first and the last being the frame of a batch; each
  /// gets its own sequence number. The last with NLM_F_ACK ends the answer; errors come without the flag. Gives the
  /// failure of the earliest message. ENOBUFS: the kernel's answer was lost, and what it was is not known.
  BatchAnswer batch(std::span<std::byte> messages);

 private:
  explicit Socket(mnl_socket* socket);
  void bind();
  void make_room(std::size_t size);
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  std::unique_ptr<mnl_socket, Close> socket_;
  std::uint32_t sequence_ = 0;
  std::size_t pieces_ = 0;
};

/// The kernel's verdict in one message: NLMSG_ERROR, or the NLMSG_DONE of a dump. Nothing if it is neither or is cut
/// short. Pure; for Socket and tests.
[[nodiscard]] std::optional<Ack> decode_ack(std::span<const std::byte> message);

}  // namespace netlink
