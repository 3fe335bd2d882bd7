// SPDX-License-Identifier: Apache-2.0
#include "netlink/nft_rule.h"

#include <netinet/in.h>

#include <cstring>
#include <iterator>
#include <utility>

#include "netlink/nft.h"

namespace netlink {
namespace {

constexpr std::uint8_t kNfprotoIpv4 = 2;
constexpr std::uint8_t kNfprotoIpv6 = 10;
constexpr std::uint32_t kRtnLocal = 2;

struct AddressPlace {
  std::uint32_t source;
  std::uint32_t destination;
  std::uint32_t length;
};

AddressPlace place_of(conf::Family family) {
  return family == conf::Family::kIpv4 ? AddressPlace{12, 16, 4} : AddressPlace{8, 24, 16};
}

Bytes host_order(std::uint32_t value) {
  Bytes bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

Compare compare(Bytes data, Comparison how = Comparison::kEqual) {
  return {.from = {}, .how = how, .data = std::move(data)};
}

Bytes mask_of(const conf::IpPrefix& prefix) {
  conf::IpAddr ones{.family = prefix.addr.family, .bytes = {}};
  ones.bytes.fill(0xFF);
  return field_of(conf::IpPrefix{.addr = ones, .prefix_len = prefix.prefix_len}.masked().addr);
}

Expressions address_in(const Expression& load, const conf::IpPrefix& prefix, Comparison how) {
  Expressions all = nfproto_is(prefix.addr.family);
  all.push_back(load);
  if (prefix.prefix_len < prefix.addr.bits()) {
    all.emplace_back(Bitwise{.from = {}, .to = {}, .mask = mask_of(prefix), .flip = Bytes(prefix.addr.bits() / 8)});
  }
  all.emplace_back(compare(field_of(prefix.masked().addr), how));
  return all;
}

Expressions bits_set(Expression load, std::uint32_t bits) {
  return {std::move(load), Bitwise{.from = {}, .to = {}, .mask = host_order(bits), .flip = host_order(0)},
          compare(host_order(0), Comparison::kNotEqual)};
}

LoadPayload transport_port(std::uint32_t offset, Register to) {
  return {.base = Header::kTransport, .offset = offset, .length = 2, .to = to};
}

}  // namespace

Expressions nfproto_is(conf::Family family) {
  const std::uint8_t number = family == conf::Family::kIpv4 ? kNfprotoIpv4 : kNfprotoIpv6;
  return {LoadMeta{.key = Meta::kNfproto, .to = {}}, compare({std::byte{number}})};
}

Expressions l4proto_is(std::uint8_t protocol) {
  return {LoadMeta{.key = Meta::kL4proto, .to = {}}, compare(proto_field(protocol))};
}

Expressions iifname_is(std::string_view name, Comparison how) {
  return {LoadMeta{.key = Meta::kIifname, .to = {}}, compare(ifname_field(name), how)};
}

Expressions oifname_is(std::string_view name, Comparison how) {
  return {LoadMeta{.key = Meta::kOifname, .to = {}}, compare(ifname_field(name), how)};
}

Expressions daddr_is_local() { return {LoadFibDaddrType{}, compare(host_order(kRtnLocal))}; }

Expressions saddr_in(const conf::IpPrefix& prefix, Comparison how) {
  return address_in(load_saddr(prefix.addr.family, {}), prefix, how);
}

Expressions daddr_in(const conf::IpPrefix& prefix, Comparison how) {
  return address_in(load_daddr(prefix.addr.family, {}), prefix, how);
}

Expressions ct_status_has(std::uint32_t bits) { return bits_set(LoadCt{.key = CtKey::kStatus, .to = {}}, bits); }

Expressions mark_has(std::uint32_t bits) { return bits_set(LoadMeta{.key = Meta::kMark, .to = {}}, bits); }

Expressions add_mark(std::uint32_t bits) {
  return {LoadMeta{.key = Meta::kMark, .to = {}},
          Bitwise{.from = {}, .to = {}, .mask = host_order(~bits), .flip = host_order(bits)}, SetMark{}};
}

Expression load_saddr(conf::Family family, Register to) {
  const AddressPlace place = place_of(family);
  return LoadPayload{.base = Header::kNetwork, .offset = place.source, .length = place.length, .to = to};
}

Expression load_daddr(conf::Family family, Register to) {
  const AddressPlace place = place_of(family);
  return LoadPayload{.base = Header::kNetwork, .offset = place.destination, .length = place.length, .to = to};
}

Expression load_sport(Register to) { return transport_port(0, to); }
Expression load_dport(Register to) { return transport_port(2, to); }

void append(Expressions& to, Expressions more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace netlink
