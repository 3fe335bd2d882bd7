// SPDX-License-Identifier: Apache-2.0
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "netlink/attribute.h"
#include "netlink/message.h"
#include "netlink/nft_rule.h"

// Expressions to bytes and back. The kernel lists more than it was sent (flags of 0, the upper ends of ranges): what it
// adds by itself is accepted, what would mean something else makes an OtherExpression.
namespace netlink {
namespace {

using Attributes = std::vector<Attribute>;

// A register of 32 bits that begins one of 128 is called by that one's number: so the kernel lists it.
std::uint32_t number_of(Register reg) {
  return reg.word % 4 == 0 ? NFT_REG_1 + reg.word / 4U : std::uint32_t{NFT_REG32_00} + reg.word;
}

std::optional<Register> register_of(std::uint32_t number) {
  if (number >= NFT_REG_1 && number <= NFT_REG_4) return Register{static_cast<std::uint8_t>((number - NFT_REG_1) * 4)};
  if (number < NFT_REG32_00 || number > NFT_REG32_15) return std::nullopt;
  return Register{static_cast<std::uint8_t>(number - NFT_REG32_00)};
}

class Encoder {
 public:
  void operator()(const LoadMeta& load) {
    expression("meta", [&] {
      number(NFTA_META_KEY, static_cast<std::uint32_t>(load.key));
      reg(NFTA_META_DREG, load.to);
    });
  }
  void operator()(const SetMark& set) {
    expression("meta", [&] {
      number(NFTA_META_KEY, NFT_META_MARK);
      reg(NFTA_META_SREG, set.from);
    });
  }
  void operator()(const LoadPayload& load) {
    expression("payload", [&] {
      reg(NFTA_PAYLOAD_DREG, load.to);
      number(NFTA_PAYLOAD_BASE, static_cast<std::uint32_t>(load.base));
      number(NFTA_PAYLOAD_OFFSET, load.offset);
      number(NFTA_PAYLOAD_LEN, load.length);
    });
  }
  void operator()(const LoadCt& load) {
    expression("ct", [&] {
      number(NFTA_CT_KEY, static_cast<std::uint32_t>(load.key));
      reg(NFTA_CT_DREG, load.to);
    });
  }
  void operator()(const LoadFibDaddrType& load) {
    expression("fib", [&] {
      number(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
      number(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
      reg(NFTA_FIB_DREG, load.to);
    });
  }
  void operator()(const Compare& compare) {
    expression("cmp", [&] {
      reg(NFTA_CMP_SREG, compare.from);
      number(NFTA_CMP_OP, static_cast<std::uint32_t>(compare.how));
      value(NFTA_CMP_DATA, compare.data);
    });
  }
  void operator()(const Bitwise& bitwise) {
    expression("bitwise", [&] {
      reg(NFTA_BITWISE_SREG, bitwise.from);
      reg(NFTA_BITWISE_DREG, bitwise.to);
      number(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(bitwise.mask.size()));
      value(NFTA_BITWISE_MASK, bitwise.mask);
      value(NFTA_BITWISE_XOR, bitwise.flip);
    });
  }
  void operator()(const Lookup& lookup) {
    expression("lookup", [&] {
      reg(NFTA_LOOKUP_SREG, lookup.key);
      if (lookup.data) reg(NFTA_LOOKUP_DREG, *lookup.data);
      writer_.text(NFTA_LOOKUP_SET, lookup.set);
      if (lookup.inverted) number(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    });
  }
  void operator()(const LoadData& load) {
    expression("immediate", [&] {
      reg(NFTA_IMMEDIATE_DREG, load.to);
      value(NFTA_IMMEDIATE_DATA, load.data);
    });
  }
  void operator()(const Nat& nat) {
    expression("nat", [&] {
      number(NFTA_NAT_TYPE, static_cast<std::uint32_t>(nat.kind));
      number(NFTA_NAT_FAMILY, nat.family == conf::Family::kIpv4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
      reg(NFTA_NAT_REG_ADDR_MIN, nat.address);
      if (nat.port) reg(NFTA_NAT_REG_PROTO_MIN, *nat.port);
    });
  }
  void operator()(const Masquerade& /*masquerade*/) {
    expression("masq", [] {});
  }
  void operator()(const Verdict& verdict) {
    expression("immediate", [&] {
      number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      writer_.nest(NFTA_IMMEDIATE_DATA, [&] {
        writer_.nest(NFTA_DATA_VERDICT, [&] {
          number(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(verdict.code));
          if (!verdict.chain.empty()) writer_.text(NFTA_VERDICT_CHAIN, verdict.chain);
        });
      });
    });
  }
  void operator()(const OtherExpression& other) {
    writer_.nest(NFTA_LIST_ELEM, [&] {
      writer_.text(NFTA_EXPR_NAME, other.name);
      writer_.bytes(NFTA_EXPR_DATA | NLA_F_NESTED, other.data);
    });
  }
  Bytes take() { return writer_.take(); }

 private:
  template <typename Fill>
  void expression(std::string_view name, Fill fill) {
    writer_.nest(NFTA_LIST_ELEM, [&] {
      writer_.text(NFTA_EXPR_NAME, name);
      writer_.nest(NFTA_EXPR_DATA, fill);
    });
  }
  void number(std::uint16_t type, std::uint32_t number) { writer_.be32(type, number); }
  void reg(std::uint16_t type, Register reg) { number(type, number_of(reg)); }
  void value(std::uint16_t type, const Bytes& data) {
    writer_.nest(type, [&] { writer_.bytes(NFTA_DATA_VALUE, data); });
  }
  MessageWriter writer_;
};

/// The attributes of one expression, each to be asked for; a number that is missing or is no number makes it bad.
class Reader {
 public:
  explicit Reader(const Attributes& attributes) : attributes_(attributes) {}

  std::uint32_t number(std::uint16_t type) {
    const Attribute* found = take(type);
    const auto value = found == nullptr ? std::nullopt : as_be32(*found);
    good_ = good_ && value;
    return value.value_or(0);
  }
  /// Without one, `otherwise`.
  std::uint32_t number(std::uint16_t type, std::uint32_t otherwise) { return has(type) ? number(type) : otherwise; }
  Register reg(std::uint16_t type) {
    const auto found = register_of(number(type));
    good_ = good_ && found;
    return found.value_or(Register{});
  }
  std::optional<Register> optional_reg(std::uint16_t type) {
    return has(type) ? std::optional(reg(type)) : std::nullopt;
  }
  std::string text(std::uint16_t type) {
    const Attribute* found = take(type);
    good_ = good_ && found != nullptr;
    return found == nullptr ? std::string() : as_text(*found);
  }
  /// What is nested in `type` as its only attribute, `inner`.
  std::span<const std::byte> only(std::uint16_t type, std::uint16_t inner) {
    const Attribute* found = take(type);
    const auto nested = found == nullptr ? std::nullopt : read_attributes(found->payload);
    const bool single = nested && nested->size() == 1 && nested->front().type == inner;
    good_ = good_ && single;
    return single ? nested->front().payload : std::span<const std::byte>();
  }
  Bytes value(std::uint16_t type) {
    const auto payload = only(type, NFTA_DATA_VALUE);
    return {payload.begin(), payload.end()};
  }
  [[nodiscard]] bool has(std::uint16_t type) const { return find_attribute(attributes_, type) != nullptr; }
  void require(bool condition) { good_ = good_ && condition; }
  /// Nothing was missing, and nothing is left that nobody asked for.
  [[nodiscard]] bool good() const {
    return good_ && std::all_of(attributes_.begin(), attributes_.end(), [this](const Attribute& attribute) {
             return std::find(taken_.begin(), taken_.end(), attribute.type) != taken_.end();
           });
  }

 private:
  const Attribute* take(std::uint16_t type) {
    taken_.push_back(type);
    return find_attribute(attributes_, type);
  }
  const Attributes& attributes_;
  std::vector<std::uint16_t> taken_;
  bool good_ = true;
};

template <typename Enum>
Enum one_of(Reader& read, std::uint32_t number, std::initializer_list<Enum> known) {
  const auto wanted = static_cast<Enum>(number);
  read.require(std::find(known.begin(), known.end(), wanted) != known.end());
  return wanted;
}

Expression read_meta(Reader& read) {
  const auto key = one_of(read, read.number(NFTA_META_KEY),
                          {Meta::kMark, Meta::kIifname, Meta::kOifname, Meta::kNfproto, Meta::kL4proto});
  if (!read.has(NFTA_META_SREG)) return LoadMeta{.key = key, .to = read.reg(NFTA_META_DREG)};
  read.require(key == Meta::kMark);
  return SetMark{.from = read.reg(NFTA_META_SREG)};
}

Expression read_payload(Reader& read) {
  const auto base = one_of(read, read.number(NFTA_PAYLOAD_BASE), {Header::kNetwork, Header::kTransport});
  return LoadPayload{.base = base,
                     .offset = read.number(NFTA_PAYLOAD_OFFSET),
                     .length = read.number(NFTA_PAYLOAD_LEN),
                     .to = read.reg(NFTA_PAYLOAD_DREG)};
}

Expression read_ct(Reader& read) {
  const auto key = one_of(read, read.number(NFTA_CT_KEY), {CtKey::kState, CtKey::kStatus, CtKey::kMark});
  return LoadCt{.key = key, .to = read.reg(NFTA_CT_DREG)};
}

Expression read_fib(Reader& read) {
  read.require(read.number(NFTA_FIB_FLAGS) == NFTA_FIB_F_DADDR);
  read.require(read.number(NFTA_FIB_RESULT) == NFT_FIB_RESULT_ADDRTYPE);
  return LoadFibDaddrType{.to = read.reg(NFTA_FIB_DREG)};
}

Expression read_cmp(Reader& read) {
  const auto how = one_of(read, read.number(NFTA_CMP_OP),
                          {Comparison::kEqual, Comparison::kNotEqual, Comparison::kLess, Comparison::kLessOrEqual,
                           Comparison::kGreater, Comparison::kGreaterOrEqual});
  return Compare{.from = read.reg(NFTA_CMP_SREG), .how = how, .data = read.value(NFTA_CMP_DATA)};
}

Expression read_bitwise(Reader& read) {
  Bitwise bitwise{.from = read.reg(NFTA_BITWISE_SREG),
                  .to = read.reg(NFTA_BITWISE_DREG),
                  .mask = read.value(NFTA_BITWISE_MASK),
                  .flip = read.value(NFTA_BITWISE_XOR)};
  read.require(read.number(NFTA_BITWISE_LEN) == bitwise.mask.size() && bitwise.mask.size() == bitwise.flip.size());
  read.require(read.number(NFTA_BITWISE_OP, 0) == 0);
  return bitwise;
}

Expression read_lookup(Reader& read) {
  const std::uint32_t flags = read.number(NFTA_LOOKUP_FLAGS, 0);
  read.require(flags <= NFT_LOOKUP_F_INV);
  return Lookup{.set = read.text(NFTA_LOOKUP_SET),
                .key = read.reg(NFTA_LOOKUP_SREG),
                .data = read.optional_reg(NFTA_LOOKUP_DREG),
                .inverted = flags != 0};
}

Expression read_verdict(Reader& read) {
  const auto attributes = read_attributes(read.only(NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT));
  const Attributes none;
  Reader inner(attributes ? *attributes : none);
  Verdict verdict{.code = one_of(inner, inner.number(NFTA_VERDICT_CODE),
                                 {VerdictCode::kDrop, VerdictCode::kAccept, VerdictCode::kJump, VerdictCode::kGoto,
                                  VerdictCode::kReturn}),
                  .chain = {}};
  if (inner.has(NFTA_VERDICT_CHAIN)) verdict.chain = inner.text(NFTA_VERDICT_CHAIN);
  const bool jumps = verdict.code == VerdictCode::kJump || verdict.code == VerdictCode::kGoto;
  read.require(inner.good() && jumps != verdict.chain.empty());
  return verdict;
}

Expression read_immediate(Reader& read) {
  const std::uint32_t number = read.number(NFTA_IMMEDIATE_DREG);
  if (number == NFT_REG_VERDICT) return read_verdict(read);
  return LoadData{.to = read.reg(NFTA_IMMEDIATE_DREG), .data = read.value(NFTA_IMMEDIATE_DATA)};
}

Expression read_nat(Reader& read) {
  // NF_NAT_RANGE_MAP_IPS and NF_NAT_RANGE_PROTO_SPECIFIED follow from the registers, and the kernel sets them itself.
  constexpr std::uint32_t kMapIps = 1;
  constexpr std::uint32_t kProtoSpecified = 2;
  const auto kind = one_of(read, read.number(NFTA_NAT_TYPE), {Nat::Kind::kSnat, Nat::Kind::kDnat});
  const std::uint32_t family = read.number(NFTA_NAT_FAMILY);
  read.require(family == NFPROTO_IPV4 || family == NFPROTO_IPV6);
  Nat nat{.kind = kind,
          .family = family == NFPROTO_IPV4 ? conf::Family::kIpv4 : conf::Family::kIpv6,
          .address = read.reg(NFTA_NAT_REG_ADDR_MIN),
          .port = read.optional_reg(NFTA_NAT_REG_PROTO_MIN)};
  const auto address_max = read.optional_reg(NFTA_NAT_REG_ADDR_MAX);
  const auto port_max = read.optional_reg(NFTA_NAT_REG_PROTO_MAX);
  const std::uint32_t own_flags = kMapIps | (nat.port ? kProtoSpecified : 0);
  read.require(!address_max || *address_max == nat.address);
  read.require(!port_max || port_max == nat.port);
  read.require((read.number(NFTA_NAT_FLAGS, 0) & ~own_flags) == 0);
  return nat;
}

Expression read_masq(Reader& read) {
  read.require(read.number(NFTA_MASQ_FLAGS, 0) == 0);
  return Masquerade{};
}

using Read = Expression (*)(Reader&);
constexpr std::array<std::pair<std::string_view, Read>, 10> kReaders = {{{"meta", read_meta},
                                                                         {"payload", read_payload},
                                                                         {"ct", read_ct},
                                                                         {"fib", read_fib},
                                                                         {"cmp", read_cmp},
                                                                         {"bitwise", read_bitwise},
                                                                         {"lookup", read_lookup},
                                                                         {"immediate", read_immediate},
                                                                         {"nat", read_nat},
                                                                         {"masq", read_masq}}};

std::optional<Expression> decode_one(std::span<const std::byte> bytes) {
  const auto attributes = read_attributes(bytes);
  if (!attributes) return std::nullopt;
  const Attribute* name = find_attribute(*attributes, NFTA_EXPR_NAME);
  if (name == nullptr) return std::nullopt;
  const Attribute* data = find_attribute(*attributes, NFTA_EXPR_DATA);
  const auto payload = data == nullptr ? std::span<const std::byte>() : data->payload;
  const auto fields = read_attributes(payload);
  const std::string text = as_text(*name);
  const auto* known =
      std::find_if(kReaders.begin(), kReaders.end(), [&text](const auto& entry) { return entry.first == text; });
  if (fields && known != kReaders.end()) {
    Reader reader(*fields);
    Expression expression = known->second(reader);
    if (reader.good()) return expression;
  }
  return OtherExpression{.name = text, .data = {payload.begin(), payload.end()}};
}

}  // namespace

Bytes encode_expressions(const Expressions& expressions) {
  Encoder encoder;
  for (const Expression& expression : expressions) std::visit(encoder, expression);
  return encoder.take();
}

std::optional<Expressions> decode_expressions(std::span<const std::byte> bytes) {
  const auto attributes = read_attributes(bytes);
  if (!attributes) return std::nullopt;
  Expressions expressions;
  for (const Attribute& attribute : *attributes) {
    std::optional<Expression> one = attribute.type == NFTA_LIST_ELEM ? decode_one(attribute.payload) : std::nullopt;
    if (!one) return std::nullopt;
    expressions.push_back(std::move(*one));
  }
  return expressions;
}

}  // namespace netlink
