// SPDX-License-Identifier: Apache-2.0
#include "tests/netlink/nft_samples.h"

using namespace netlink;  // NOLINT(google-build-using-namespace): a ruleset reads better without

namespace samples {
namespace {

constexpr Register at(unsigned word) { return Register{static_cast<std::uint8_t>(word)}; }

void add_sets(NftBatch& batch) {
  const auto v4 = Field::kIpv4Addr;
  const auto v6 = Field::kIpv6Addr;
  const auto proto = Field::kInetProto;
  const auto service = Field::kInetService;
  const auto ifname = Field::kIfname;
  batch.add(AddSet{.set = ports4()});
  batch.add(AddSet{.set = set_of("host4", {v4, proto, service}, {v4, service})});
  batch.add(AddSet{.set = set_of("ports6", {proto, service}, {v6, service})});
  batch.add(AddSet{.set = set_of("host6", {v6, proto, service}, {v6, service})});
  batch.add(AddSet{.set = set_of("links", {ifname})});
  batch.add(AddSet{.set = set_of("pairs", {ifname, ifname})});
  batch.add(AddSet{.set = set_of("hairpins", {v4, v4, proto, service})});
  batch.add(AddSet{.set = set_of("nets", {v4}, {}, true)});
  batch.add(AddSet{.set = set_of("nets6", {v6}, {}, true)});
  batch.add(AddSet{.set = set_of("marks", {Field::kMark})});
}

void add_elements(NftBatch& batch) {
  const auto fill = [&batch](const std::string& set, std::vector<NftElement> elements) {
    batch.add(AddElements{.table = kTable, .set = set, .elements = std::move(elements), .exclusive = true});
  };
  fill("ports4", {mapping(80, "10.0.0.1", "abc")});
  fill("host6", {{.key = concat({field_of(ip("fd00::1")), proto_field(132), service_field(9)}),
                  .data = concat({field_of(ip("fd00::2")), service_field(10)}),
                  .comment = "of both",
                  .interval_end = false}});
  fill("links", {in_set(ifname_field("eth0"))});
  fill("pairs", {in_set(concat({ifname_field("eth0"), ifname_field("eth1")}))});
  fill("hairpins",
       {in_set(concat({field_of(ip("10.0.0.1")), field_of(ip("10.0.0.1")), proto_field(17), service_field(53)}))});
  fill("nets", interval_elements({prefix("10.0.0.0/8"), prefix("10.1.0.0/16"), prefix("255.0.0.0/8")}));
  fill("nets6", interval_elements({prefix("fd00::/8")}));
  fill("marks", {in_set({std::byte{0}, std::byte{0x20}, {}, {}})});
}

void add_port_rules(NftBatch& batch) {
  const auto v4 = conf::Family::kIpv4;
  const auto v6 = conf::Family::kIpv6;
  batch.add(rule("portmap",
                 {{LoadMeta{.key = Meta::kL4proto, .to = at(0)}, load_dport(at(1)),
                   Lookup{.set = "ports4", .key = at(0), .data = at(0)},
                   Nat{.kind = Nat::Kind::kDnat, .family = v4, .address = at(0), .port = at(1)}}},
                 "hello"));
  batch.add(rule("portmap", {{LoadMeta{.key = Meta::kL4proto, .to = at(0)}, load_dport(at(1)),
                              Lookup{.set = "ports6", .key = at(0), .data = at(0)},
                              Nat{.kind = Nat::Kind::kDnat, .family = v6, .address = at(0), .port = at(4)}}}));
  batch.add(rule("portmap", {nfproto_is(v4),
                             {load_daddr(v4, at(0)), LoadMeta{.key = Meta::kL4proto, .to = at(1)}, load_dport(at(2)),
                              Lookup{.set = "host4", .key = at(0), .data = at(0)},
                              Nat{.kind = Nat::Kind::kDnat, .family = v4, .address = at(0), .port = at(1)}}}));
  batch.add(rule("portmap", {nfproto_is(v6),
                             {load_daddr(v6, at(0)), LoadMeta{.key = Meta::kL4proto, .to = at(4)}, load_dport(at(5)),
                              Lookup{.set = "host6", .key = at(0), .data = at(0)},
                              Nat{.kind = Nat::Kind::kDnat, .family = v6, .address = at(0), .port = at(4)}}}));
}

void add_base_rules(NftBatch& batch) {
  const auto v4 = conf::Family::kIpv4;
  const auto not_equal = Comparison::kNotEqual;
  batch.add(rule("prerouting", {daddr_is_local(), verdict(VerdictCode::kJump, "portmap")}));
  batch.add(
      rule("filter", {iifname_is("lo", not_equal), daddr_in(prefix("127.0.0.0/8")), verdict(VerdictCode::kDrop)}));
  batch.add(
      rule("postrouting", {nfproto_is(v4),
                           {load_saddr(v4, at(0)), load_daddr(v4, at(1)), LoadMeta{.key = Meta::kL4proto, .to = at(2)},
                            load_dport(at(3)), Lookup{.set = "hairpins", .key = at(0), .data = {}}, Masquerade{}}}));
  batch.add(rule("postrouting", {ct_status_has(kCtStatusDnat), {Masquerade{}}}));
  batch.add(
      rule("postrouting", {{LoadMeta{.key = Meta::kIifname, .to = at(0)}, LoadMeta{.key = Meta::kOifname, .to = at(4)},
                            Lookup{.set = "pairs", .key = at(0), .data = {}}},
                           verdict(VerdictCode::kAccept)}));
  batch.add(rule("postrouting", {{LoadMeta{.key = Meta::kOifname, .to = at(0)},
                                  Lookup{.set = "links", .key = at(0), .data = {}, .inverted = true}},
                                 verdict(VerdictCode::kReturn)}));
  batch.add(rule("postrouting",
                 {nfproto_is(v4),
                  {load_saddr(v4, at(0)), Lookup{.set = "nets", .key = at(0), .data = {}}, load_daddr(v4, at(0)),
                   Lookup{.set = "nets", .key = at(0), .data = {}, .inverted = true}, load_saddr(v4, at(0)),
                   Nat{.kind = Nat::Kind::kSnat, .family = v4, .address = at(0), .port = {}}}}));
  batch.add(rule("postrouting", {add_mark(0x2000)}));
  batch.add(rule("postrouting", {mark_has(0x2000), l4proto_is(6), {Masquerade{}}}));
  batch.add(rule("postrouting", {saddr_in(prefix("fd00::1/128"), not_equal), verdict(VerdictCode::kAccept)}));
  batch.add(rule(
      "postrouting",
      {l4proto_is(6),
       {load_sport(at(0)), Compare{.from = at(0), .how = Comparison::kGreaterOrEqual, .data = service_field(1024)}},
       oifname_is("eth0"),
       verdict(VerdictCode::kGoto, "nothing")}));
  batch.add(rule("nothing", {{LoadData{.to = at(0), .data = field_of(ip("10.0.0.9"))},
                              Nat{.kind = Nat::Kind::kSnat, .family = v4, .address = at(0), .port = {}}}}));
}

}  // namespace

NftBatch whole_batch() {
  NftBatch batch;
  batch.add(AddTable{.table = kTable});
  add_sets(batch);
  batch.add(plain_chain("portmap"));
  batch.add(plain_chain("nothing"));
  batch.add(base_chain("prerouting", ChainType::kNat, Hook::kPrerouting, -101));
  batch.add(base_chain("output", ChainType::kNat, Hook::kOutput, -101));
  batch.add(base_chain("postrouting", ChainType::kNat, Hook::kPostrouting, 90));
  batch.add(base_chain("filter", ChainType::kFilter, Hook::kPrerouting, -350));
  batch.add(base_chain("forward", ChainType::kFilter, Hook::kForward, 0));
  add_elements(batch);
  add_port_rules(batch);
  add_base_rules(batch);
  return batch;
}

}  // namespace samples
