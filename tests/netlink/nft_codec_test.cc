// SPDX-License-Identifier: Apache-2.0
#include "netlink/nft_codec.h"

#include <doctest/doctest.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <array>
#include <cstring>

#include "netlink/message.h"
#include "tests/netlink/nft_samples.h"
#include "tests/support/data.h"
#include "tests/support/refusal.h"

using namespace netlink;  // NOLINT(google-build-using-namespace)
using samples::kTable;

namespace {

/// One line for each message, as in data/nft/*.hex.
std::string hex_lines(const Bytes& bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data() + at, sizeof(length));
    for (std::size_t end = at + length; at < end; ++at) {
      std::array<char, 3> digits{};
      (void)std::snprintf(digits.data(), digits.size(), "%02x", std::to_integer<unsigned>(bytes[at]));
      text += digits.data();
    }
    text += '\n';
  }
  return text;
}

std::vector<Bytes> messages_in(const Bytes& bytes) {
  std::vector<Bytes> messages;
  for (std::size_t at = 0; at < bytes.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data() + at, sizeof(length));
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    messages.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(length));
    at += length;
  }
  return messages;
}

std::uint16_t flags_of(const Bytes& message) {
  std::uint16_t flags = 0;
  std::memcpy(&flags, message.data() + offsetof(nlmsghdr, nlmsg_flags), sizeof(flags));
  return flags;
}

Bytes rule_message(const NftRule& rule, std::uint64_t handle) {
  const std::array<std::byte, 4> inet = {std::byte{1}, {}, {}, {}};
  MessageWriter writer;
  writer.begin((NFNL_SUBSYS_NFTABLES << 8U) | NFT_MSG_NEWRULE, 0, inet);
  writer.text(NFTA_RULE_TABLE, rule.table.name);
  writer.text(NFTA_RULE_CHAIN, rule.chain);
  writer.be64(NFTA_RULE_HANDLE, handle);
  writer.bytes(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, encode_expressions(rule.expressions));
  writer.bytes(NFTA_RULE_USERDATA, encode_comment(rule.comment));
  return writer.take();
}

/// What any of the decoders makes of `message`.
bool any_decodes(std::span<const std::byte> message) {
  return decode_generation(message) || decode_table(message) || decode_chain(message) || decode_set(message) ||
         decode_elements(message) || decode_rule(message);
}

}  // namespace

TEST_SUITE("netlink.nft_codec") {
  TEST_CASE("a batch is these bytes") {
    const EncodedBatch encoded = encode_batch(samples::small_batch(), 0x01020304);
    CHECK(hex_lines(encoded.bytes) == support::data("nft/small.hex"));
    CHECK(encoded.operation_of == std::vector<std::size_t>{kNoOperation, 0, 1, 2, kNoOperation});
  }

  TEST_CASE("a batch of every kind is these bytes") {
    CHECK(hex_lines(encode_batch(samples::whole_batch(), {}).bytes) == support::data("nft/whole.hex"));
  }

  TEST_CASE("deletions are these bytes") {
    NftBatch batch;
    batch.add(DeleteElements{.table = kTable, .set = "ports4", .elements = {samples::mapping(80, "10.0.0.1", "abc")}});
    batch.add(FlushSet{.table = kTable, .set = "ports4"});
    batch.add(DeleteRule{.table = kTable, .chain = "c", .handle = 0x0102030405});
    batch.add(FlushRules{.table = kTable, .chain = "c"});
    batch.add(FlushRules{.table = kTable, .chain = ""});
    batch.add(DeleteChain{.table = kTable, .chain = "c"});
    batch.add(DeleteSet{.table = kTable, .set = "ports4"});
    batch.add(DeleteTable{.table = kTable});
    CHECK(hex_lines(encode_batch(batch, {}).bytes) == support::data("nft/deletions.hex"));
  }

  TEST_CASE("one ack is asked for, of the last operation") {
    const auto messages = messages_in(encode_batch(samples::whole_batch(), {}).bytes);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      CAPTURE(i);
      CHECK(((flags_of(messages[i]) & NLM_F_ACK) != 0) == (i == messages.size() - 2));
    }
  }

  TEST_CASE("nothing to do is no bytes, and no element is no message") {
    CHECK(encode_batch({}, 1).bytes.empty());
    NftBatch batch;
    batch.add(AddElements{.table = kTable, .set = "s", .elements = {}});
    batch.add(DeleteElements{.table = kTable, .set = "s", .elements = {}});  // to the kernel: all of them
    CHECK(encode_batch(batch, 1).bytes.empty());
    batch.add(AddTable{.table = kTable});
    CHECK(encode_batch(batch, 1).operation_of == std::vector<std::size_t>{kNoOperation, 2, kNoOperation});
  }

  TEST_CASE("a long list is several messages of one operation, with every element once") {
    NftBatch batch;
    AddElements add{.table = kTable, .set = "ports4", .elements = {}};
    for (std::uint16_t port = 1; port <= 4096; ++port) {
      add.elements.push_back(samples::mapping(port, "10.0.0.1", std::string(kMaxComment, 'c')));
    }
    batch.add(AddTable{.table = kTable});
    batch.add(add);
    const EncodedBatch encoded = encode_batch(batch, {});
    const auto messages = messages_in(encoded.bytes);
    REQUIRE(messages.size() == encoded.operation_of.size());
    CHECK(messages.size() > 20);
    std::vector<NftElement> read;
    for (std::size_t i = 2; i + 1 < messages.size(); ++i) {
      CHECK(encoded.operation_of[i] == 1);
      const auto some = decode_elements(messages[i]);
      REQUIRE(some);
      read.insert(read.end(), some->begin(), some->end());
    }
    CHECK(read == add.elements);
  }

  TEST_CASE("a comment that nft could not hold is refused") {
    CHECK(encode_comment(std::string(kMaxComment, 'c')).size() == kMaxComment + 3);
    for (const std::string& comment : {std::string(kMaxComment + 1, 'c'), std::string("a\0b", 3)}) {
      const auto error = support::refusal_of([&comment] { return encode_comment(comment); });
      CHECK(error.code() == 999);
    }
  }

  TEST_CASE("a comment is found among other userdata, and none in what is malformed") {
    const auto bytes = [](std::initializer_list<int> values) {
      Bytes made;
      for (const int value : values) made.push_back(static_cast<std::byte>(value));
      return made;
    };
    CHECK(decode_comment(bytes({1, 2, 9, 9, 0, 3, 'a', 'b', 0})) == "ab");
    CHECK(decode_comment(bytes({1, 2, 9, 9})).empty());
    CHECK(decode_comment(bytes({0, 4, 'a', 'b', 0})).empty());
    CHECK(decode_comment(bytes({0})).empty());
    CHECK(decode_comment({}).empty());
  }

  TEST_CASE("everything that is written is read as the same value") {
    const NftBatch batch = samples::whole_batch();
    const EncodedBatch encoded = encode_batch(batch, {});
    const auto messages = messages_in(encoded.bytes);
    REQUIRE(messages.size() == batch.operations.size() + 2);
    for (std::size_t i = 0; i < batch.operations.size(); ++i) {
      CAPTURE(i);
      const Bytes& message = messages[i + 1];
      const NftOperation& operation = batch.operations[i];
      if (const auto* table = std::get_if<AddTable>(&operation)) CHECK(decode_table(message) == table->table);
      if (const auto* chain = std::get_if<AddChain>(&operation)) CHECK(decode_chain(message) == chain->chain);
      if (const auto* set = std::get_if<AddSet>(&operation)) CHECK(decode_set(message) == set->set);
      if (const auto* add = std::get_if<AddElements>(&operation)) CHECK(decode_elements(message) == add->elements);
      if (const auto* add = std::get_if<AddRule>(&operation)) {
        const auto listed = decode_rule(rule_message(add->rule, 7));
        REQUIRE(listed);
        CHECK(listed->rule == add->rule);
        CHECK(listed->handle == 7);
      }
    }
  }

  TEST_CASE("a message cut short anywhere is refused, and one that hides it is never read beyond") {
    std::vector<Bytes> messages = messages_in(encode_batch(samples::whole_batch(), {}).bytes);
    for (const NftOperation& operation : samples::whole_batch().operations) {
      if (const auto* add = std::get_if<AddRule>(&operation)) messages.push_back(rule_message(add->rule, 7));
    }
    for (const Bytes& whole : messages) {
      for (std::size_t length = 0; length < whole.size(); ++length) {
        Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        CHECK_FALSE(any_decodes(cut));
        if (length < sizeof(nlmsghdr)) continue;
        const auto own_length = static_cast<std::uint32_t>(length);
        std::memcpy(cut.data(), &own_length, sizeof(own_length));
        (void)any_decodes(cut);
      }
    }
  }

  TEST_CASE("an expression with an option that we never set is another") {
    const auto with = [](std::string_view name, std::uint16_t type, std::uint32_t value, Expressions base) {
      const Bytes encoded = encode_expressions(base);
      MessageWriter writer;
      writer.nest(NFTA_LIST_ELEM, [&] {
        writer.text(NFTA_EXPR_NAME, name);
        writer.nest(NFTA_EXPR_DATA, [&] {
          // Behind the element's header, the name (padded) and the data's header.
          const std::size_t at = 4 + 4 + (name.size() + 1 + 3) / 4 * 4 + 4;
          MessageWriter more;
          more.be32(type, value);
          Bytes all(encoded.begin() + static_cast<std::ptrdiff_t>(at), encoded.end());
          const Bytes extra = more.take();
          all.insert(all.end(), extra.begin(), extra.end());
          for (std::size_t i = 0; i < all.size();) {
            std::uint16_t length = 0;
            std::uint16_t kind = 0;
            std::memcpy(&length, all.data() + i, sizeof(length));
            std::memcpy(&kind, all.data() + i + 2, sizeof(kind));
            writer.bytes(kind, std::span(all).subspan(i + 4, length - 4U));
            i += (length + 3U) / 4U * 4U;
          }
        });
      });
      return decode_expressions(writer.take()).value();
    };
    const Expressions masquerade{Masquerade{}};
    const Expressions lookup{Lookup{.set = "s", .key = {}, .data = {}}};
    CHECK(with("masq", NFTA_MASQ_FLAGS, 0, masquerade) == masquerade);
    CHECK(std::holds_alternative<OtherExpression>(with("masq", NFTA_MASQ_FLAGS, 4, masquerade).front()));
    CHECK(std::holds_alternative<OtherExpression>(with("masq", 77, 0, masquerade).front()));
    CHECK(with("lookup", NFTA_LOOKUP_FLAGS, 0, lookup) == lookup);
    CHECK(std::holds_alternative<OtherExpression>(with("lookup", NFTA_LOOKUP_FLAGS, 2, lookup).front()));
  }

  TEST_CASE("another kind of message is refused") {
    const Bytes table = messages_in(encode_batch(samples::small_batch(), {}).bytes).at(1);
    CHECK(decode_table(table).has_value());
    CHECK_FALSE(decode_chain(table).has_value());
    CHECK_FALSE(decode_generation(table).has_value());
    Bytes other_family = table;
    other_family[NLMSG_HDRLEN] = std::byte{7};  // bridge
    CHECK_FALSE(decode_table(other_family).has_value());
  }
}
