// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "netlink/nft.h"

// nf_tables' messages as bytes, both ways. Pure. What is read is refused as a whole (nothing) if it is another message
// or malformed.
namespace netlink {

/// For the messages that frame a batch.
inline constexpr std::size_t kNoOperation = static_cast<std::size_t>(-1);

struct EncodedBatch {
  Bytes bytes;                            ///< BEGIN, the messages, END, for Socket::batch; empty without messages
  std::vector<std::size_t> operation_of;  ///< for each message; kNoOperation for BEGIN and END
};

/// Long lists of elements become several messages of one operation. With `generation` the kernel refuses the batch
/// (ERESTART) if the ruleset is another. CniError code 999 for a comment, a rule or a single element that is too long.
[[nodiscard]] EncodedBatch encode_batch(const NftBatch& batch, std::optional<std::uint32_t> generation);

// Requests.
[[nodiscard]] Bytes encode_get_generation();
[[nodiscard]] Bytes encode_get_table(const NftTable& table);
[[nodiscard]] Bytes encode_get_element(const NftTable& table, const std::string& set, const Bytes& key);
[[nodiscard]] Bytes encode_dump_tables();
[[nodiscard]] Bytes encode_dump_chains(const NftTable& table);
[[nodiscard]] Bytes encode_dump_sets(const NftTable& table);
[[nodiscard]] Bytes encode_dump_elements(const NftTable& table, const std::string& set);
[[nodiscard]] Bytes encode_dump_rules(const NftTable& table, const std::string& chain);

// Answers, each one message, header included.
[[nodiscard]] std::optional<std::uint32_t> decode_generation(std::span<const std::byte> message);
/// Nothing also for a family that is none of NftFamily.
[[nodiscard]] std::optional<NftTable> decode_table(std::span<const std::byte> message);
[[nodiscard]] std::optional<NftChain> decode_chain(std::span<const std::byte> message);
/// Nothing also for an anonymous set.
[[nodiscard]] std::optional<NftSet> decode_set(std::span<const std::byte> message);
[[nodiscard]] std::optional<std::vector<NftElement>> decode_elements(std::span<const std::byte> message);
[[nodiscard]] std::optional<ListedRule> decode_rule(std::span<const std::byte> message);

/// The TLVs that nft keeps with rules and elements: a comment. Decoding gives an empty text if there is none.
[[nodiscard]] Bytes encode_comment(const std::string& comment);
[[nodiscard]] std::string decode_comment(std::span<const std::byte> userdata);

}  // namespace netlink
