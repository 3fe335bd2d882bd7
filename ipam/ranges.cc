// SPDX-License-Identifier: Apache-2.0
#include "ipam/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace ipam {
namespace {

using conf::Family;
using conf::IpAddr;
using conf::IpPrefix;
using conf::Section;
using conf::Value;

IpPrefix block_cidr(const Value& value) {
  const IpPrefix cidr = conf::network_prefix(value);
  if (const std::string rule = broken_rule(cidr); !rule.empty()) conf::refuse(value, rule);
  return cidr;
}

std::uint32_t offset_in(const Block& block, const Value& value) {
  const IpAddr ip = conf::address(value);
  const std::optional<std::uint32_t> offset = block.offset_of(ip);
  if (!offset) conf::refuse(value, fmt::format("one of the first {} addresses of {}", kMaxOffsets, block.cidr.str()));
  return *offset;
}

void set_gateway(Block& block, const IpAddr& gateway) {
  block.gateway = gateway;
  exclude(block, gateway);
}

// {subnet, rangeStart, rangeEnd, gateway}, in a range set or at the top.
Block read_range(Section& section, const Value& subnet) {
  Block block = make_block(block_cidr(subnet));
  const std::optional<Value> first = section.take("rangeStart");
  const std::optional<Value> last = section.take("rangeEnd");
  if (first) block.usable.first = offset_in(block, *first);
  if (last) block.usable.last = offset_in(block, *last);
  if (block.usable.first > block.usable.last)
    conf::refuse(last ? *last : *first, "a `rangeEnd` not before `rangeStart`");
  const std::optional<Value> gateway = section.take("gateway");
  set_gateway(block, gateway ? conf::address(*gateway) : block.at(1));
  if (gateway && block.gateway->family != block.cidr.addr.family)
    conf::refuse(*gateway, fmt::format("of the family of {}", block.cidr.str()));
  return block;
}

/// Where each block stands in the configuration, in the order of the wants and their blocks.
using Keys = std::vector<Value>;

Want read_set(const Value& value, Keys& keys) {
  Want out;
  for (const Value& element : conf::elements(value, "an array of ranges")) {
    Section section(element);
    const std::optional<Value> subnet = section.take("subnet");
    if (!subnet) conf::refuse_configuration(fmt::format("`{}` has no `subnet`: it must be there", element.path));
    out.blocks.push_back(read_range(section, *subnet));
    keys.push_back(*subnet);
    section.finish();
    if (out.blocks.back().cidr.addr.family != out.blocks.front().cidr.addr.family)
      conf::refuse(*subnet, "of the family of the other ranges of its set");
  }
  if (out.blocks.empty()) conf::refuse(value, "a range set with at least one range");
  return out;
}

void read_sets(const Value& value, std::vector<Want>& out, Keys& keys) {
  for (const Value& element : conf::elements(value, "an array of range sets")) out.push_back(read_set(element, keys));
}

void read_pod_cidrs(Section& section, const Value& value, std::vector<Want>& out, Keys& keys) {
  const std::optional<Value> gateway_value = section.take("gateway");
  std::optional<IpAddr> gateway;
  if (gateway_value) gateway = conf::address(*gateway_value);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    Want want;
    for (const Value& element : conf::elements(value, "an array of CIDRs")) {
      Block block = make_block(block_cidr(element));
      if (block.cidr.addr.family != family) continue;
      set_gateway(block, gateway && block.cidr.contains(*gateway) ? *gateway : block.at(1));
      want.blocks.push_back(std::move(block));
      keys.push_back(element);
    }
    if (!want.blocks.empty()) out.push_back(std::move(want));
  }
  if (out.empty()) conf::refuse(value, "an array with at least one CIDR");
  const auto has_gateway = [&](const Want& want) {
    return std::any_of(want.blocks.begin(), want.blocks.end(),
                       [&](const Block& block) { return block.gateway == gateway; });
  };
  if (gateway && std::none_of(out.begin(), out.end(), has_gateway))
    conf::refuse(*gateway_value, "an address of one of the node's blocks");
}

bool collide(const Block& a, const Block& b) {
  const bool apart = a.cidr == b.cidr && (a.usable.last < b.usable.first || b.usable.last < a.usable.first);
  return a.cidr.overlaps(b.cidr) && !apart;
}

// Ranges of one subnet may stand side by side; subnets of different size must not overlap at all.
void refuse_overlaps(const std::vector<Want>& wants, const Keys& keys) {
  std::vector<const Block*> seen;
  for (const Want& want : wants) {
    for (const Block& block : want.blocks) {
      for (std::size_t i = 0; i < seen.size(); ++i)
        if (collide(*seen[i], block))
          conf::refuse(keys[seen.size()], fmt::format("apart from {} of `{}`: an address must be in one of them",
                                                      seen[i]->cidr.str(), keys[i].path));
      seen.push_back(&block);
    }
  }
}

// An address, a CIDR, or "first-last".
void read_exclusion(const Value& value, std::vector<Want>& wants) {
  constexpr std::string_view kExpected = "an address, a CIDR or a range such as 10.0.0.1-10.0.0.9";
  const std::string text = conf::string_value(value, kExpected);
  const std::size_t dash = text.find('-');
  const std::optional<IpPrefix> cidr = IpPrefix::parse(text);
  std::optional<IpAddr> first = IpAddr::parse(text.substr(0, dash));
  std::optional<IpAddr> last = dash == std::string::npos ? first : IpAddr::parse(text.substr(dash + 1));
  if (!cidr && (!first || !last || first->family != last->family || *last < *first)) conf::refuse(value, kExpected);
  for (Want& want : wants) {
    for (Block& block : want.blocks) {
      if (!cidr) {
        exclude(block, *first, *last);
      } else if (cidr->overlaps(block.cidr)) {
        const Block inner{.cidr = cidr->masked(), .usable = {}, .excluded = {}, .gateway = {}};
        const bool all = cidr->prefix_len <= block.cidr.prefix_len;
        exclude(block, all ? block.at(0) : inner.at(0),
                all ? block.at(block.offsets() - 1) : inner.at(inner.offsets() - 1));
      }
    }
  }
}

void refuse_reserved(const Value& value, const std::vector<Want>& wants) {
  for (const Value& element : conf::elements(value, "an array of CIDRs")) {
    const IpPrefix reserved = conf::network_prefix(element);
    for (const Want& want : wants)
      for (const Block& block : want.blocks)
        if (block.cidr.overlaps(reserved))
          conf::refuse(element, fmt::format("apart from the blocks of pods: it overlaps {}", block.cidr.str()));
  }
}

std::vector<IpPrefix> read_pool_cidrs(Section& pool, Family family) {
  std::vector<IpPrefix> out;
  const std::optional<Value> value = pool.take("cidrs");
  if (!value) conf::refuse_configuration(fmt::format("`{}` has no `cidrs`: it must be there", pool.path()));
  for (const Value& element : conf::elements(*value, "an array of CIDRs")) {
    const IpPrefix cidr = block_cidr(element);
    if (cidr.addr.family != family) conf::refuse(element, "of the family whose pool it is");
    for (const IpPrefix& other : out)
      if (other.overlaps(cidr))
        conf::refuse(element, fmt::format("apart from {}, which is in the pool too", other.str()));
    out.push_back(cidr);
  }
  return out;
}

void check_pool(const Value& value, Family family, const std::vector<Want>& wants) {
  Section pool(value);
  const std::vector<IpPrefix> cidrs = read_pool_cidrs(pool, family);
  const unsigned bits = family == Family::kIpv4 ? 32 : 128;
  const std::optional<Value> mask = pool.take("maskSize");
  if (!mask) conf::refuse_configuration(fmt::format("`{}` has no `maskSize`: it must be there", pool.path()));
  const auto size = static_cast<unsigned>(conf::whole_number(*mask, 1, bits - 2));
  pool.finish();
  for (const IpPrefix& cidr : cidrs) {
    if (size < cidr.prefix_len)
      conf::refuse(*mask, fmt::format("at least {}, the length of {}", cidr.prefix_len, cidr.str()));
    if (family == Family::kIpv6 && size - cidr.prefix_len > 16)
      conf::refuse(*mask, fmt::format("at most {}: 16 bits below {}", cidr.prefix_len + 16, cidr.str()));
  }
  for (const Want& want : wants) {
    for (const Block& block : want.blocks) {
      if (block.cidr.addr.family != family) continue;
      if (block.cidr.prefix_len != size)
        conf::refuse(*mask, fmt::format("{}, the length of the node's {}", block.cidr.prefix_len, block.cidr.str()));
      if (std::none_of(cidrs.begin(), cidrs.end(),
                       [&](const IpPrefix& cidr) { return cidr.contains(block.cidr.addr); }))
        conf::refuse_configuration(
            fmt::format("`{}.cidrs` holds nothing that has the node's {}", value.path, block.cidr.str()));
    }
  }
}

// Against each other, and against what the other keys say.
void check(Section& section, std::vector<Want>& wants, const Keys& keys) {
  refuse_overlaps(wants, keys);
  if (const std::optional<Value> value = section.take("exclude"))
    for (const Value& element : conf::elements(*value, "an array of addresses, ranges and CIDRs"))
      read_exclusion(element, wants);
  if (const std::optional<Value> value = section.take("reservedCIDRs")) refuse_reserved(*value, wants);
  if (const std::optional<Value> value = section.take("clusterPool")) {
    Section pools(*value);
    if (const std::optional<Value> v4 = pools.take("ipv4")) check_pool(*v4, Family::kIpv4, wants);
    if (const std::optional<Value> v6 = pools.take("ipv6")) check_pool(*v6, Family::kIpv6, wants);
    pools.finish();
  }
}

Source read_source(const Value& value) {
  constexpr std::string_view kExpected = "\"cilium\", \"flannel\" or \"file:\" and an absolute path";
  const std::optional<Source> source = parse_source(conf::string_value(value, kExpected));
  if (!source) conf::refuse(value, kExpected);
  return *source;
}

Value array_of(const Answer& answer, const Source& source) {
  std::string raw;
  for (const IpPrefix& cidr : answer.cidrs) raw += (raw.empty() ? "" : ",") + conf::quote(cidr.str());
  return {.path = "podCIDRsFrom " + source.text, .raw = '[' + raw + ']'};
}

// What is wrong with the section itself is found first; after that, what is refused is what the source said.
void add_heard(Section& section, const Source& source, const AskSource& ask, std::vector<Want>& wants, Keys& keys) {
  if (const std::optional<Value> gateway = section.take("gateway")) (void)conf::address(*gateway);
  check(section, wants, keys);
  if (!ask) return;
  const Answer answer = ask(source);
  try {
    std::vector<Want> heard;
    read_pod_cidrs(section, array_of(answer, source), heard, keys);
    for (Want& want : heard)
      for (Block& block : want.blocks)
        for (const IpAddr& ip : answer.taken) exclude(block, ip);
    wants.insert(wants.end(), heard.begin(), heard.end());
    check(section, wants, keys);
  } catch (const conf::CniError& error) {
    conf::refuse_configuration(
        fmt::format("podCIDRsFrom {} said {}: {}", source.text, cidrs_text(answer.cidrs), error.details()));
  }
}

void refuse_two_origins(const std::vector<std::optional<Value>>& origins) {
  const Value* first = nullptr;
  for (const std::optional<Value>& origin : origins) {
    if (!origin) continue;
    if (first != nullptr) conf::refuse(*origin, fmt::format("absent where `{}` is given", first->path));
    first = &*origin;
  }
}

}  // namespace

std::vector<Want> read_wants(Section& section, const std::optional<Value>& ip_ranges, const AskSource& ask) {
  std::vector<Want> out;
  Keys keys;
  const std::optional<Value> pod_cidrs = section.take("podCIDRs");
  const std::optional<Value> from = section.take("podCIDRsFrom");
  const std::optional<Value> subnet = section.take("subnet");
  const std::optional<Value> ranges = section.take("ranges");
  refuse_two_origins({pod_cidrs, from, subnet ? subnet : ranges});
  if (ip_ranges) read_sets(*ip_ranges, out, keys);
  if (from) {
    add_heard(section, read_source(*from), ask, out, keys);
    return out;
  }
  if (pod_cidrs) {
    std::vector<Want> own;
    read_pod_cidrs(section, *pod_cidrs, own, keys);
    out.insert(out.end(), own.begin(), own.end());
  }
  if (subnet) out.push_back({.blocks = {read_range(section, *subnet)}, .address = {}});
  if (subnet) keys.push_back(*subnet);
  if (ranges) read_sets(*ranges, out, keys);
  if (!pod_cidrs)  // beside `ranges` host-local does not look at them
    for (const std::string_view key : {"rangeStart", "rangeEnd", "gateway"}) section.ignore(key);
  if (out.empty())
    conf::refuse_configuration(
        "`ipam` has no `podCIDRs`, `podCIDRsFrom`, `ranges` or `subnet`: one of them must be there");
  check(section, out, keys);
  return out;
}

}  // namespace ipam
