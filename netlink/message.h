// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

// Writing netlink messages: header, a family's own header, attributes and nests of them, padded and with true lengths.
namespace netlink {

/// Several messages, one behind the other, in one buffer. The braces of nest() mirror the tree of attributes:
///
///   writer.begin(type, flags, family_header);
///   writer.nest(NFTA_CHAIN_HOOK, [&] {
///     writer.be32(NFTA_HOOK_HOOKNUM, 0);
///   });
///   Bytes bytes = writer.take();
///
/// CniError code 999 for an attribute that a 16-bit length cannot hold: who writes lists has to split them before.
/// Sequence number and port id are left 0 for Socket. Without begin() the attributes alone are written.
class MessageWriter {
 public:
  /// Ends the message before, if any. NLM_F_REQUEST is not implied.
  void begin(std::uint16_t type, int flags, std::span<const std::byte> family_header = {});

  void bytes(std::uint16_t type, std::span<const std::byte> payload);
  void text(std::uint16_t type, std::string_view text);  ///< with a zero byte behind it
  void u8(std::uint16_t type, std::uint8_t value);
  void u16(std::uint16_t type, std::uint16_t value);
  void u32(std::uint16_t type, std::uint32_t value);
  void u64(std::uint16_t type, std::uint64_t value);
  void be16(std::uint16_t type, std::uint16_t value);
  void be32(std::uint16_t type, std::uint32_t value);
  void be64(std::uint16_t type, std::uint64_t value);
  template <typename Fill>
  void nest(std::uint16_t type, Fill fill) {
    const std::size_t at = open_nest(type);
    fill();
    close_nest(at);
  }

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  /// Adds NLM_F flags to the message begun last.
  void add_flags(int flags);
  [[nodiscard]] std::vector<std::byte> take();

 private:
  std::size_t open_nest(std::uint16_t type);
  void close_nest(std::size_t at);
  void end();
  void raw(std::span<const std::byte> payload);
  void head(std::uint16_t type, std::size_t payload_size);
  void big_endian(std::uint16_t type, std::uint64_t value, std::size_t size);

  std::vector<std::byte> bytes_;
  std::size_t message_ = 0;  ///< where the message begun last begins
  bool begun_ = false;
};

}  // namespace netlink
