// SPDX-License-Identifier: Apache-2.0
#include "ipam/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "conf/error.h"
#include "conf/json.h"
#include "conf/section.h"
#include "conf/stable_hash.h"
#include "ipam/block.h"

namespace ipam {
namespace {

using conf::Family;
using conf::IpAddr;
using conf::IpPrefix;
using conf::Object;

constexpr std::size_t kMaxBlocks = 256;
constexpr std::size_t kMaxTaken = 4096;
constexpr std::size_t kMaxShown = 64;
constexpr std::string_view kFileScheme = "file:";
constexpr std::array<std::string_view, 2> kFamilies = {"ipv4", "ipv6"};

// Thrown within this file only: a reading ends at the first thing that is wrong.
struct Wrong {
  std::string sentence;
};

bool is_control(char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }

// What others wrote, for an error: short and printable.
std::string shown(std::string_view text) {
  if (text.size() > kMaxShown) return fmt::format("a text of {} bytes", text.size());
  std::string out;
  for (const char c : text) out += is_control(c) ? '?' : c;
  return conf::quote(out);
}

template <typename Read>
Reading reading_of(const Read& read) {
  try {
    return read();
  } catch (const Wrong& wrong) {
    return conf::without_swallowed_phrases(wrong.sentence);
  } catch (const conf::CniError& error) {
    return conf::without_swallowed_phrases(error.details().empty() ? error.msg() : error.details());
  }
}

void add_block(Answer& out, const IpPrefix& cidr) {
  if (const std::string rule = broken_rule(cidr); !rule.empty())
    throw Wrong{fmt::format("{} must be {}", cidr.str(), rule)};
  if (cidr.has_host_bits())
    throw Wrong{fmt::format("{} must be a CIDR without host bits: {}", cidr.str(), cidr.masked().str())};
  for (const IpPrefix& other : out.cidrs) {
    if (other == cidr) return;
    if (other.overlaps(cidr))
      throw Wrong{fmt::format("{} and {} overlap: an address must be in one of them", other.str(), cidr.str())};
  }
  if (out.cidrs.size() == kMaxBlocks) throw Wrong{fmt::format("there are more than {} blocks", kMaxBlocks)};
  out.cidrs.push_back(cidr);
}

IpPrefix cidr_of(std::string_view text, std::string_view where) {
  const std::optional<IpPrefix> cidr = IpPrefix::parse(text);
  if (!cidr) throw Wrong{fmt::format("{} is {}: must be a CIDR", where, shown(text))};
  return *cidr;
}

void add_taken(std::vector<IpAddr>& out, std::string_view text) {
  const std::optional<IpAddr> ip = IpAddr::parse(text);
  if (ip && out.size() < kMaxTaken && std::find(out.begin(), out.end(), *ip) == out.end()) out.push_back(*ip);
}

// JSON of others: what is not there or of another kind is empty.

Object part_of(const Object& whole, std::string_view key) {
  const std::string* raw = whole.find(key);
  if (raw == nullptr || conf::kind_of(*raw) != "object") return {};
  return Object::parse(*raw, key, kMaxAgentBytes);
}

std::string text_of(const Object& part, std::string_view key) {
  const std::string* raw = part.find(key);
  return raw == nullptr ? std::string() : conf::as_string(*raw).value_or("");
}

std::vector<std::string> elements_of(const Object& part, std::string_view key) {
  const std::string* raw = part.find(key);
  if (raw == nullptr || *raw == "null") return {};
  if (conf::kind_of(*raw) != "array")
    throw Wrong{fmt::format("`{}` is {}: must be an array", key, conf::describe(*raw))};
  return conf::parse_array(*raw, key, kMaxAgentBytes);
}

void add_blocks(Answer& out, const Object& part, std::string_view key) {
  for (const std::string& element : elements_of(part, key)) {
    const std::optional<std::string> text = conf::as_string(element);
    if (!text) throw Wrong{fmt::format("an element of `{}` is {}: must be a CIDR", key, conf::describe(element))};
    add_block(out, cidr_of(*text, fmt::format("an element of `{}`", key)));
  }
}

void read_family(const Object& addressing, std::string_view family, Answer& out) {
  const Object part = part_of(addressing, family);
  const std::string* enabled = part.find("enabled");
  if (enabled == nullptr || *enabled != "true") return;
  const std::string where = fmt::format("status.addressing.{}.alloc-range", family);
  const IpPrefix range = cidr_of(text_of(part, "alloc-range"), where);
  if ((range.addr.family == Family::kIpv4) != (family == "ipv4"))
    throw Wrong{fmt::format("{} is {}: must be of its family", where, range.str())};
  add_block(out, range);
  add_taken(out.taken, text_of(part, "ip"));
}

Answer agent_config(std::string_view body) {
  const Object status = part_of(Object::parse(body, "/v1/config", kMaxAgentBytes), "status");
  const Object addressing = part_of(status, "addressing");
  Answer out;
  for (const std::string_view family : kFamilies) read_family(addressing, family, out);
  if (out.cidrs.empty()) throw Wrong{"/v1/config has no family that is enabled in status.addressing"};
  const std::string mode = text_of(status, "ipam-mode");
  if (!mode.empty() && mode != "delegated-plugin")
    out.notes.push_back(fmt::format("the agent's ipam-mode is {}: it may give pods addresses of {} itself", shown(mode),
                                    cidrs_text(out.cidrs)));
  return out;
}

std::string_view without_space(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// The next line; `text` becomes the rest. A line without its end is the last.
std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string_view variable(std::string_view text, std::string_view name) {
  std::string_view out;
  while (!text.empty()) {
    const std::string_view line = without_space(next_line(text));
    if (line.starts_with(name) && line.substr(name.size()).starts_with('=')) out = line.substr(name.size() + 1);
  }
  return out;
}

Answer subnet_env(std::string_view text) {
  if (text.empty()) throw Wrong{"it is empty"};
  const std::string_view last = variable(text, "FLANNEL_IPMASQ");
  if (last != "true" && last != "false") throw Wrong{"it has no FLANNEL_IPMASQ, which flannel writes last: it is torn"};
  Answer out;
  for (const std::string_view name : {"FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"}) {
    const std::string_view value = variable(text, name);
    if (value.empty()) continue;
    const IpPrefix subnet = cidr_of(value, name);
    if ((subnet.addr.family == Family::kIpv4) != (name == "FLANNEL_SUBNET"))
      throw Wrong{fmt::format("{} is {}: must be of its family", name, subnet.str())};
    add_block(out, subnet.masked());
  }
  if (out.cidrs.empty()) throw Wrong{"it has neither FLANNEL_SUBNET nor FLANNEL_IPV6_SUBNET"};
  return out;
}

void take_own_addresses(const Object& spec, Answer& out) {
  for (const std::string_view key : {"health", "ingress"})
    for (const std::string_view family : kFamilies) add_taken(out.taken, text_of(part_of(spec, key), family));
  for (const std::string& element : elements_of(spec, "addresses")) {
    if (conf::kind_of(element) != "object") continue;
    const Object address = Object::parse(element, "addresses", kMaxAgentBytes);
    if (text_of(address, "type") == "CiliumInternalIP") add_taken(out.taken, text_of(address, "ip"));
  }
}

std::string operator_error(const Object& node) {
  const Object status = part_of(part_of(part_of(node, "status"), "ipam"), "operator-status");
  const std::string error = text_of(status, "error");
  return error.empty() ? "" : fmt::format("; Cilium's operator says {}", shown(error));
}

void note_second_blocks(Answer& out) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const auto count = std::count_if(out.cidrs.begin(), out.cidrs.end(),
                                     [family](const IpPrefix& cidr) { return cidr.addr.family == family; });
    if (count <= 1) continue;
    out.notes.emplace_back(
        "spec.ipam.podCIDRs has more than one block of a family: "
        "in the mode cluster-pool Cilium's agent uses the first alone");
    return;
  }
}

Answer cilium_node(const Object& node, const Object& spec) {
  const Object ipam = part_of(spec, "ipam");
  Answer out;
  add_blocks(out, ipam, "podCIDRs");
  note_second_blocks(out);
  if (out.cidrs.empty()) {
    for (const std::string& element : elements_of(part_of(ipam, "pools"), "allocated"))
      if (conf::kind_of(element) == "object")
        add_blocks(out, Object::parse(element, "allocated", kMaxAgentBytes), "cidrs");
  }
  if (out.cidrs.empty())
    throw Wrong{"spec.ipam of the CiliumNode has neither podCIDRs nor allocated pools" + operator_error(node)};
  take_own_addresses(spec, out);
  return out;
}

Answer kubernetes_node(const Object& spec) {
  Answer out;
  add_blocks(out, spec, "podCIDRs");
  if (const std::string single = text_of(spec, "podCIDR"); out.cidrs.empty() && !single.empty())
    add_block(out, cidr_of(single, "spec.podCIDR"));
  if (out.cidrs.empty()) throw Wrong{"spec of the Node has neither podCIDRs nor podCIDR"};
  return out;
}

Answer object_file(std::string_view text) {
  const Object object = Object::parse(text, "the file", kMaxSourceBytes);
  const std::string kind = text_of(object, "kind");
  const Object spec = part_of(object, "spec");
  if (kind == "CiliumNode") return cilium_node(object, spec);
  if (kind == "Node") return kubernetes_node(spec);
  throw Wrong{fmt::format("its `kind` is {}: must be CiliumNode or Node, one object and no list", shown(kind))};
}

Answer plain_file(std::string_view text) {
  if (!text.empty() && text.back() != '\n') throw Wrong{"its last line has no end: it may be torn"};
  Answer out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = next_line(text);
    const std::string_view cidr = without_space(line.substr(0, line.find('#')));
    if (!cidr.empty()) add_block(out, cidr_of(cidr, fmt::format("line {}", number)));
  }
  if (out.cidrs.empty()) throw Wrong{"it has no CIDR"};
  return out;
}

Answer blocks_file(std::string_view text) {
  if (text.size() > kMaxSourceBytes) throw Wrong{fmt::format("it is longer than {} bytes", kMaxSourceBytes)};
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') return object_file(text);
  return plain_file(text);
}

std::string sum_line(std::string_view text) { return fmt::format("sum {:016x}\n", conf::stable_hash(text)); }

bool is_path(std::string_view path) {
  if (!path.starts_with('/') || path.size() > 4095 || std::any_of(path.begin(), path.end(), is_control)) return false;
  return (std::string(path) + '/').find("/../") == std::string::npos;
}

}  // namespace

std::optional<Source> parse_source(std::string_view text) {
  const bool is_file = text.starts_with(kFileScheme);
  const std::string_view path = is_file ? text.substr(kFileScheme.size()) : "";
  if (text == "cilium") return Source{.kind = Source::Kind::kCilium, .text = std::string(text), .path = {}};
  if (text == "flannel") return Source{.kind = Source::Kind::kFlannel, .text = std::string(text), .path = {}};
  if (!is_file || !is_path(path)) return std::nullopt;
  return Source{.kind = Source::Kind::kFile, .text = std::string(text), .path = std::string(path)};
}

Reading read_agent_config(std::string_view body) {
  return reading_of([body] { return agent_config(body); });
}

std::optional<std::vector<IpAddr>> read_agent_addresses(std::string_view body) {
  try {
    const Object ipam = part_of(Object::parse(body, "/v1/healthz", kMaxAgentBytes), "ipam");
    if (!ipam.has("allocations")) return std::nullopt;
    const Object allocations = part_of(ipam, "allocations");
    std::vector<IpAddr> out;
    for (const conf::Member& member : allocations.members()) {
      const std::optional<std::string> owner = conf::as_string(member.value);
      if (owner && std::find(owner->begin(), owner->end(), '/') == owner->end()) add_taken(out, member.key);
    }
    return out;
  } catch (const conf::CniError&) {
    return std::nullopt;
  }
}

std::vector<IpPrefix> read_flannel_networks(std::string_view text) {
  std::vector<IpPrefix> out;
  for (const std::string_view name : {"FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"}) {
    std::string_view rest = variable(text, name);
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (const auto network = IpPrefix::parse(without_space(rest.substr(0, comma)))) out.push_back(network->masked());
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return out;
}

Reading read_subnet_env(std::string_view text) {
  return reading_of([text] { return subnet_env(text); });
}

Reading read_blocks_file(std::string_view text) {
  return reading_of([text] { return blocks_file(text); });
}

std::string cidrs_text(const std::vector<IpPrefix>& cidrs) {
  std::string out;
  for (const IpPrefix& cidr : cidrs) out += (out.empty() ? "" : ", ") + cidr.str();
  return out;
}

std::string answer_text(const Source& source, const Answer& answer) {
  std::string out = fmt::format("crossover-source 1\nfrom {}\n", source.text);
  for (const IpPrefix& cidr : answer.cidrs) out += fmt::format("cidr {}\n", cidr.str());
  for (const IpAddr& ip : answer.taken) out += fmt::format("taken {}\n", ip.str());
  return out + sum_line(out);
}

std::optional<Answer> parse_answer(const Source& source, std::string_view text) {
  const std::string_view whole = text;
  Answer out;
  try {
    while (!text.empty()) {
      const std::string_view line = next_line(text);
      if (line.starts_with("cidr ")) add_block(out, cidr_of(line.substr(5), "cidr"));
      if (line.starts_with("taken ")) add_taken(out.taken, line.substr(6));
    }
  } catch (const Wrong&) {
    return std::nullopt;
  }
  if (out.cidrs.empty() || answer_text(source, out) != whole) return std::nullopt;
  return out;
}

}  // namespace ipam
