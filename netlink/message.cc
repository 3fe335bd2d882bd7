// SPDX-License-Identifier: Apache-2.0
#include "netlink/message.h"

#include <linux/netlink.h>

#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "conf/error.h"

namespace netlink {
namespace {

constexpr std::size_t kAlign = 4;

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

std::uint16_t attribute_length(std::size_t payload_size) {
  if (payload_size > std::numeric_limits<std::uint16_t>::max() - sizeof(nlattr)) {
    throw conf::CniError(conf::Code::kInternal, "netlink attribute too long", std::to_string(payload_size) + " bytes");
  }
  return static_cast<std::uint16_t>(sizeof(nlattr) + payload_size);
}

}  // namespace

void MessageWriter::begin(std::uint16_t type, int flags, std::span<const std::byte> family_header) {
  end();
  message_ = bytes_.size();
  begun_ = true;
  const nlmsghdr header{.nlmsg_len = 0,
                        .nlmsg_type = type,
                        .nlmsg_flags = static_cast<std::uint16_t>(flags),
                        .nlmsg_seq = 0,
                        .nlmsg_pid = 0};
  raw(bytes_of(header));
  raw(family_header);
}

void MessageWriter::bytes(std::uint16_t type, std::span<const std::byte> payload) {
  head(type, payload.size());
  raw(payload);
}

void MessageWriter::text(std::uint16_t type, std::string_view text) {
  std::vector<std::byte> payload(text.size() + 1);
  if (!text.empty()) std::memcpy(payload.data(), text.data(), text.size());
  bytes(type, payload);
}

void MessageWriter::u8(std::uint16_t type, std::uint8_t value) { bytes(type, bytes_of(value)); }
void MessageWriter::u16(std::uint16_t type, std::uint16_t value) { bytes(type, bytes_of(value)); }
void MessageWriter::u32(std::uint16_t type, std::uint32_t value) { bytes(type, bytes_of(value)); }
void MessageWriter::u64(std::uint16_t type, std::uint64_t value) { bytes(type, bytes_of(value)); }
void MessageWriter::be16(std::uint16_t type, std::uint16_t value) { big_endian(type, value, sizeof(value)); }
void MessageWriter::be32(std::uint16_t type, std::uint32_t value) { big_endian(type, value, sizeof(value)); }
void MessageWriter::be64(std::uint16_t type, std::uint64_t value) { big_endian(type, value, sizeof(value)); }

void MessageWriter::add_flags(int flags) {
  std::uint16_t all = 0;
  std::byte* const at = bytes_.data() + message_ + offsetof(nlmsghdr, nlmsg_flags);
  std::memcpy(&all, at, sizeof(all));
  all = static_cast<std::uint16_t>(all | flags);
  std::memcpy(at, &all, sizeof(all));
}

std::vector<std::byte> MessageWriter::take() {
  end();
  return std::exchange(bytes_, {});
}

std::size_t MessageWriter::open_nest(std::uint16_t type) {
  const std::size_t at = bytes_.size();
  head(static_cast<std::uint16_t>(type | NLA_F_NESTED), 0);
  return at;
}

void MessageWriter::close_nest(std::size_t at) {
  const std::uint16_t length = attribute_length(bytes_.size() - at - sizeof(nlattr));
  std::memcpy(bytes_.data() + at + offsetof(nlattr, nla_len), &length, sizeof(length));
}

void MessageWriter::end() {
  if (!std::exchange(begun_, false)) return;
  const auto length = static_cast<std::uint32_t>(bytes_.size() - message_);
  std::memcpy(bytes_.data() + message_ + offsetof(nlmsghdr, nlmsg_len), &length, sizeof(length));
}

void MessageWriter::raw(std::span<const std::byte> payload) {
  bytes_.insert(bytes_.end(), payload.begin(), payload.end());
  bytes_.resize((bytes_.size() + kAlign - 1) / kAlign * kAlign);
}

void MessageWriter::head(std::uint16_t type, std::size_t payload_size) {
  const nlattr header{.nla_len = attribute_length(payload_size), .nla_type = type};
  raw(bytes_of(header));
}

void MessageWriter::big_endian(std::uint16_t type, std::uint64_t value, std::size_t size) {
  std::array<std::byte, sizeof(value)> payload{};
  for (std::size_t i = size; i > 0; --i, value >>= 8U) payload[i - 1] = static_cast<std::byte>(value & 0xFFU);
  bytes(type, std::span(payload).first(size));
}

}  // namespace netlink
