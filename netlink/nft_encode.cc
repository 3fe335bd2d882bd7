// SPDX-License-Identifier: Apache-2.0
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "conf/error.h"
#include "netlink/message.h"
#include "netlink/nft_codec.h"

namespace netlink {
namespace {

// An attribute's length has 16 bits; far below, so that no element needs a second look.
constexpr std::size_t kElementsPerMessage = std::size_t{32} << 10;
constexpr std::uint8_t kAnyFamily = 0;
constexpr unsigned kTypeBits = 6;  // nft packs the types of a concatenation into one number
constexpr std::uint8_t kHostEndian = 1;
constexpr std::uint8_t kBigEndian = 2;
constexpr std::uint8_t kCommentTlv = 0;  // the same number for rules and elements
constexpr std::uint8_t kKeyByteorderTlv = 0;
constexpr std::uint8_t kDataByteorderTlv = 1;

std::array<std::byte, sizeof(nfgenmsg)> family_header(std::uint8_t family, std::uint16_t resource) {
  std::array<std::byte, sizeof(nfgenmsg)> bytes{};
  bytes[0] = std::byte{family};
  bytes[1] = std::byte{NFNETLINK_V0};
  bytes[2] = static_cast<std::byte>(resource >> 8U);  // in network order
  bytes[3] = static_cast<std::byte>(resource & 0xFFU);
  return bytes;
}

constexpr std::uint16_t nft_type(int message) {
  return static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8U) | static_cast<unsigned>(message));
}

void begin(MessageWriter& writer, int message, int flags, NftFamily family) {
  writer.begin(nft_type(message), NLM_F_REQUEST | flags, family_header(static_cast<std::uint8_t>(family), 0));
}

int create(bool exclusive) { return exclusive ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_CREATE; }

std::uint32_t packed_types(const std::vector<Field>& fields) {
  std::uint32_t packed = 0;
  for (const Field field : fields) packed = (packed << kTypeBits) | static_cast<std::uint32_t>(field);
  return packed;
}

std::uint32_t total_size(const std::vector<Field>& fields) {
  std::vector<Bytes> parts;
  for (const Field field : fields) parts.emplace_back(field_size(field));
  return static_cast<std::uint32_t>(concat(parts).size());
}

/// How nft reads a field; for a concatenation it goes by the types alone.
std::uint8_t byteorder(const std::vector<Field>& fields) {
  if (fields.size() != 1) return 0;
  return fields.front() == Field::kIfname || fields.front() == Field::kMark ? kHostEndian : kBigEndian;
}

void append_tlv(Bytes& to, std::uint8_t type, std::span<const std::byte> value) {
  to.push_back(std::byte{type});
  to.push_back(static_cast<std::byte>(value.size()));
  to.insert(to.end(), value.begin(), value.end());
}

Bytes set_userdata(const NftSet& set) {
  const auto u32 = [](std::uint8_t value) { return Bytes{std::byte{value}, {}, {}, {}}; };
  Bytes userdata;
  append_tlv(userdata, kKeyByteorderTlv, u32(byteorder(set.key)));
  if (!set.data.empty()) append_tlv(userdata, kDataByteorderTlv, u32(byteorder(set.data)));
  return userdata;
}

std::uint32_t flags_of(const NftSet& set) {
  std::uint32_t flags = 0;
  if (set.interval) flags |= NFT_SET_INTERVAL;
  if (!set.data.empty()) flags |= NFT_SET_MAP;
  return flags;
}

std::string_view name_of(ChainType type) {
  switch (type) {
    case ChainType::kFilter:
      return "filter";
    case ChainType::kNat:
      return "nat";
    case ChainType::kOther:
      break;
  }
  return "route";
}

void write_element(MessageWriter& writer, const NftElement& element) {
  writer.nest(NFTA_LIST_ELEM, [&] {
    if (element.interval_end) writer.be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    writer.nest(NFTA_SET_ELEM_KEY, [&] { writer.bytes(NFTA_DATA_VALUE, element.key); });
    if (!element.data.empty()) {
      writer.nest(NFTA_SET_ELEM_DATA, [&] { writer.bytes(NFTA_DATA_VALUE, element.data); });
    }
    if (!element.comment.empty()) writer.bytes(NFTA_SET_ELEM_USERDATA, encode_comment(element.comment));
  });
}

/// Writes the messages of one operation after the other.
class BatchEncoder {
 public:
  explicit BatchEncoder(std::optional<std::uint32_t> generation) {
    writer_.begin(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, family_header(kAnyFamily, NFNL_SUBSYS_NFTABLES));
    if (generation) writer_.be32(NFNL_BATCH_GENID, *generation);
    operation_of_.push_back(kNoOperation);
  }

  void write(const NftOperation& operation, std::size_t index) {
    index_ = index;
    std::visit(*this, operation);
  }

  EncodedBatch take() {
    if (operation_of_.size() == 1) return {};
    // Errors are answered anyway, after all messages were tried: one ack, of the last, says that this was all.
    writer_.add_flags(NLM_F_ACK);
    writer_.begin(NFNL_MSG_BATCH_END, NLM_F_REQUEST, family_header(kAnyFamily, NFNL_SUBSYS_NFTABLES));
    operation_of_.push_back(kNoOperation);
    return {.bytes = writer_.take(), .operation_of = std::move(operation_of_)};
  }

  void operator()(const AddTable& add) {
    message(NFT_MSG_NEWTABLE, create(add.exclusive), add.table);
    writer_.text(NFTA_TABLE_NAME, add.table.name);
    writer_.be32(NFTA_TABLE_FLAGS, 0);
  }
  void operator()(const DeleteTable& del) {
    message(NFT_MSG_DELTABLE, 0, del.table);
    writer_.text(NFTA_TABLE_NAME, del.table.name);
  }
  void operator()(const AddChain& add) {
    message(NFT_MSG_NEWCHAIN, create(add.exclusive), add.chain.table);
    writer_.text(NFTA_CHAIN_TABLE, add.chain.table.name);
    writer_.text(NFTA_CHAIN_NAME, add.chain.name);
    if (!add.chain.base) return;
    const BaseHook& base = *add.chain.base;
    writer_.text(NFTA_CHAIN_TYPE, name_of(base.type));
    writer_.be32(NFTA_CHAIN_POLICY, static_cast<std::uint32_t>(base.policy));
    writer_.nest(NFTA_CHAIN_HOOK, [&] {
      writer_.be32(NFTA_HOOK_HOOKNUM, static_cast<std::uint32_t>(base.hook));
      writer_.be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(base.priority));
    });
  }
  void operator()(const DeleteChain& del) {
    message(NFT_MSG_DELCHAIN, 0, del.table);
    writer_.text(NFTA_CHAIN_TABLE, del.table.name);
    writer_.text(NFTA_CHAIN_NAME, del.chain);
  }
  void operator()(const FlushRules& flush) {
    message(NFT_MSG_DELRULE, 0, flush.table);
    writer_.text(NFTA_RULE_TABLE, flush.table.name);
    if (!flush.chain.empty()) writer_.text(NFTA_RULE_CHAIN, flush.chain);
  }
  void operator()(const AddSet& add) {
    const NftSet& set = add.set;
    message(NFT_MSG_NEWSET, create(add.exclusive), set.table);
    writer_.text(NFTA_SET_TABLE, set.table.name);
    writer_.text(NFTA_SET_NAME, set.name);
    writer_.be32(NFTA_SET_FLAGS, flags_of(set));
    writer_.be32(NFTA_SET_KEY_TYPE, packed_types(set.key));
    writer_.be32(NFTA_SET_KEY_LEN, total_size(set.key));
    if (!set.data.empty()) {
      writer_.be32(NFTA_SET_DATA_TYPE, packed_types(set.data));
      writer_.be32(NFTA_SET_DATA_LEN, total_size(set.data));
    }
    writer_.be32(NFTA_SET_ID, ++set_id_);
    writer_.bytes(NFTA_SET_USERDATA, set_userdata(set));
  }
  void operator()(const DeleteSet& del) {
    message(NFT_MSG_DELSET, 0, del.table);
    writer_.text(NFTA_SET_TABLE, del.table.name);
    writer_.text(NFTA_SET_NAME, del.set);
  }
  void operator()(const AddElements& add) {
    elements(NFT_MSG_NEWSETELEM, create(add.exclusive), add.table, add.set, add.elements);
  }
  void operator()(const DeleteElements& del) { elements(NFT_MSG_DELSETELEM, 0, del.table, del.set, del.elements); }
  void operator()(const FlushSet& flush) { element_message(NFT_MSG_DELSETELEM, 0, flush.table, flush.set); }
  void operator()(const AddRule& add) {
    message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, add.rule.table);
    writer_.text(NFTA_RULE_TABLE, add.rule.table.name);
    writer_.text(NFTA_RULE_CHAIN, add.rule.chain);
    writer_.bytes(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, encode_expressions(add.rule.expressions));
    if (!add.rule.comment.empty()) writer_.bytes(NFTA_RULE_USERDATA, encode_comment(add.rule.comment));
  }
  void operator()(const DeleteRule& del) {
    message(NFT_MSG_DELRULE, 0, del.table);
    writer_.text(NFTA_RULE_TABLE, del.table.name);
    writer_.text(NFTA_RULE_CHAIN, del.chain);
    writer_.be64(NFTA_RULE_HANDLE, del.handle);
  }

 private:
  void message(int type, int flags, const NftTable& table) {
    begin(writer_, type, flags, table.family);
    operation_of_.push_back(index_);
  }
  void element_message(int type, int flags, const NftTable& table, const std::string& set) {
    message(type, flags, table);
    writer_.text(NFTA_SET_ELEM_LIST_TABLE, table.name);
    writer_.text(NFTA_SET_ELEM_LIST_SET, set);
  }
  /// No message for no element: to the kernel, a deletion without a list is one of all.
  void elements(int type, int flags, const NftTable& table, const std::string& set,
                const std::vector<NftElement>& elements) {
    for (auto next = elements.begin(); next != elements.end();) {
      element_message(type, flags, table, set);
      writer_.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
        const std::size_t limit = writer_.size() + kElementsPerMessage;
        do {
          write_element(writer_, *next++);
        } while (next != elements.end() && writer_.size() < limit);
      });
    }
  }

  MessageWriter writer_;
  std::vector<std::size_t> operation_of_;
  std::size_t index_ = 0;
  std::uint32_t set_id_ = 0;
};

}  // namespace

Bytes encode_comment(const std::string& comment) {
  if (comment.size() > kMaxComment || comment.find('\0') != std::string::npos) {
    throw conf::CniError(conf::Code::kInternal, "nf_tables comment too long", std::to_string(comment.size()));
  }
  Bytes value(comment.size() + 1);
  if (!comment.empty()) std::memcpy(value.data(), comment.data(), comment.size());
  Bytes userdata;
  append_tlv(userdata, kCommentTlv, value);
  return userdata;
}

EncodedBatch encode_batch(const NftBatch& batch, std::optional<std::uint32_t> generation) {
  BatchEncoder encoder(generation);
  for (std::size_t i = 0; i < batch.operations.size(); ++i) encoder.write(batch.operations[i], i);
  return encoder.take();
}

Bytes encode_get_generation() {
  MessageWriter writer;
  writer.begin(nft_type(NFT_MSG_GETGEN), NLM_F_REQUEST, family_header(kAnyFamily, 0));
  return writer.take();
}

Bytes encode_get_table(const NftTable& table) {
  MessageWriter writer;
  begin(writer, NFT_MSG_GETTABLE, 0, table.family);
  writer.text(NFTA_TABLE_NAME, table.name);
  return writer.take();
}

Bytes encode_get_element(const NftTable& table, const std::string& set, const Bytes& key) {
  MessageWriter writer;
  begin(writer, NFT_MSG_GETSETELEM, 0, table.family);
  writer.text(NFTA_SET_ELEM_LIST_TABLE, table.name);
  writer.text(NFTA_SET_ELEM_LIST_SET, set);
  writer.nest(NFTA_SET_ELEM_LIST_ELEMENTS,
              [&] { write_element(writer, NftElement{.key = key, .data = {}, .comment = {}, .interval_end = false}); });
  return writer.take();
}

Bytes encode_dump_tables() {
  MessageWriter writer;
  writer.begin(nft_type(NFT_MSG_GETTABLE), NLM_F_REQUEST | NLM_F_DUMP, family_header(kAnyFamily, 0));
  return writer.take();
}

Bytes encode_dump_chains(const NftTable& table) {
  MessageWriter writer;  // the kernel does not pick chains by table
  begin(writer, NFT_MSG_GETCHAIN, NLM_F_DUMP, table.family);
  return writer.take();
}

Bytes encode_dump_sets(const NftTable& table) {
  MessageWriter writer;
  begin(writer, NFT_MSG_GETSET, NLM_F_DUMP, table.family);
  writer.text(NFTA_SET_TABLE, table.name);
  return writer.take();
}

Bytes encode_dump_elements(const NftTable& table, const std::string& set) {
  MessageWriter writer;
  begin(writer, NFT_MSG_GETSETELEM, NLM_F_DUMP, table.family);
  writer.text(NFTA_SET_ELEM_LIST_TABLE, table.name);
  writer.text(NFTA_SET_ELEM_LIST_SET, set);
  return writer.take();
}

Bytes encode_dump_rules(const NftTable& table, const std::string& chain) {
  MessageWriter writer;
  begin(writer, NFT_MSG_GETRULE, NLM_F_DUMP, table.family);
  writer.text(NFTA_RULE_TABLE, table.name);
  if (!chain.empty()) writer.text(NFTA_RULE_CHAIN, chain);
  return writer.take();
}

}  // namespace netlink
