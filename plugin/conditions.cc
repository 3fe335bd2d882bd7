// SPDX-License-Identifier: Apache-2.0
#include "plugin/conditions.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "conf/error.h"
#include "conf/request.h"
#include "conf/stable_hash.h"
#include "netlink/nft.h"
#include "plugin/port_mapping.h"

namespace plugin {
namespace {

using conf::Family;
using conf::IpPrefix;
using netlink::Bytes;
using netlink::Compare;
using netlink::Comparison;
using netlink::Expressions;
using netlink::Register;

constexpr std::size_t kMaxText = 2048;
constexpr std::size_t kMaxRules = 64;

/// What one condition comes to: one of these must hold.
using Alternatives = std::vector<Expressions>;

constexpr std::string_view kUnderstood =
    "ip|ip6 saddr|daddr [!=] ADDRESS|PREFIX|{ LIST }, tcp|udp|sctp sport|dport [!=] PORT|FIRST-LAST, meta l4proto [!=] "
    "PROTOCOL, iifname|oifname [!=] NAME|NAME*, meta mark [and MASK] [!=] VALUE";

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  bool in_word = false;
  for (const char c : text) {
    const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    const bool stands_alone = c == '{' || c == '}' || c == ',';
    if (stands_alone || (!is_space && !in_word)) out.emplace_back();
    if (!is_space) out.back() += c;
    in_word = !is_space && !stands_alone;
  }
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::optional<std::uint32_t> number(std::string_view text, std::uint32_t max) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

Bytes host_order(std::uint32_t value) {
  Bytes out(sizeof value);
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

/// Reads the words of one array from left to right.
class Reader {
 public:
  Reader(const Conditions& conditions, std::string_view path)
      : family_(conditions.family), path_(path), words_(words_of(conditions.text)) {}

  [[nodiscard]] bool at_end() const { return next_ == words_.size(); }

  [[nodiscard]] Alternatives condition() {
    const std::string word = take("a condition");
    if (word == "ip" || word == "ip6") return address(word);
    if (const std::optional<PortProtocol> protocol = parse_protocol(word)) return port(*protocol);
    if (word == "iifname" || word == "oifname") return interface(word);
    if (word == "mark") return mark();
    if (word != "meta") refuse(word, "a condition");
    const std::string key = take("l4proto, mark, iifname or oifname");
    if (key == "l4proto") return l4proto();
    if (key == "mark") return mark();
    if (key == "iifname" || key == "oifname") return interface(key);
    refuse(key, "l4proto, mark, iifname or oifname");
  }

 private:
  [[noreturn]] void refuse(std::string_view word, std::string_view expected) const {
    conf::refuse_configuration(fmt::format("`{}`: {} is not understood where {} must be; understood are: {}", path_,
                                           conf::describe(conf::quote(word)), expected, kUnderstood));
  }
  std::string take(std::string_view expected) {
    if (at_end()) refuse("the end", expected);
    return words_[next_++];
  }
  bool take_if(std::string_view word) {
    if (at_end() || words_[next_] != word) return false;
    ++next_;
    return true;
  }
  Comparison comparison() {
    if (take_if("!=")) return Comparison::kNotEqual;
    (void)take_if("==");
    return Comparison::kEqual;
  }

  IpPrefix prefix(const std::string& word) const {
    std::optional<IpPrefix> out = IpPrefix::parse(word);
    const std::optional<conf::IpAddr> single = conf::IpAddr::parse(word);
    if (single) out = IpPrefix{.addr = *single, .prefix_len = single->bits()};
    if (!out || out->addr.family != family_ || out->has_host_bits())
      refuse(word, family_ == Family::kIpv4 ? "an IPv4 address or prefix" : "an IPv6 address or prefix");
    return *out;
  }

  std::vector<IpPrefix> prefixes() {
    constexpr std::string_view kExpected = "an address or prefix";
    if (!take_if("{")) return {prefix(take(kExpected))};
    std::vector<IpPrefix> out;
    do {
      out.push_back(prefix(take(kExpected)));
    } while (take_if(","));
    if (!take_if("}")) refuse(take("}"), ", or }");
    return out;
  }

  Alternatives address(const std::string& word) {
    if ((word == "ip") != (family_ == Family::kIpv4)) refuse(word, family_ == Family::kIpv4 ? "ip" : "ip6");
    const std::string which = take("saddr or daddr");
    if (which != "saddr" && which != "daddr") refuse(which, "saddr or daddr");
    const Comparison how = comparison();
    const auto one = [&](const IpPrefix& in) {
      return which == "saddr" ? netlink::saddr_in(in, how) : netlink::daddr_in(in, how);
    };
    Alternatives out;
    for (const IpPrefix& in : prefixes()) {
      if (how == Comparison::kNotEqual && !out.empty()) {
        netlink::append(out.front(), one(in));  // none of them: all must hold
      } else {
        out.push_back(one(in));
      }
    }
    return out;
  }

  std::uint16_t port_number(std::string_view text) const {
    const std::optional<std::uint32_t> value = number(text, 65535);
    if (!value) refuse(text, "a port or a range of ports");
    return static_cast<std::uint16_t>(*value);
  }

  Alternatives port(PortProtocol protocol) {
    const std::string which = take("sport or dport");
    if (which != "sport" && which != "dport") refuse(which, "sport or dport");
    const Comparison how = comparison();
    const std::string word = take("a port or a range of ports");
    const std::size_t dash = word.find('-');
    const std::uint16_t first = port_number(word.substr(0, dash));
    const std::uint16_t last = dash == std::string::npos ? first : port_number(word.substr(dash + 1));
    if (last < first) refuse(word, "a port or a range of ports");
    Expressions load = netlink::l4proto_is(static_cast<std::uint8_t>(protocol));
    load.push_back(which == "sport" ? netlink::load_sport(Register{0}) : netlink::load_dport(Register{0}));
    return ports_between(load, how, first, last);
  }

  static Alternatives ports_between(const Expressions& load, Comparison how, std::uint16_t first, std::uint16_t last) {
    const auto with = [&load](Comparison comparison, std::uint16_t port) {
      Expressions out = load;
      out.emplace_back(Compare{.from = Register{0}, .how = comparison, .data = netlink::service_field(port)});
      return out;
    };
    if (first == last) return {with(how, first)};
    if (how == Comparison::kNotEqual) return {with(Comparison::kLess, first), with(Comparison::kGreater, last)};
    Expressions both = with(Comparison::kGreaterOrEqual, first);
    both.emplace_back(
        Compare{.from = Register{0}, .how = Comparison::kLessOrEqual, .data = netlink::service_field(last)});
    return {both};
  }

  Alternatives l4proto() {
    const Comparison how = comparison();
    const std::string word = take("tcp, udp or sctp");
    const std::optional<PortProtocol> protocol = parse_protocol(word);
    if (!protocol) refuse(word, "tcp, udp or sctp");
    return {{netlink::LoadMeta{.key = netlink::Meta::kL4proto, .to = Register{0}},
             Compare{.from = Register{0}, .how = how, .data = {static_cast<std::byte>(*protocol)}}}};
  }

  Alternatives interface(const std::string& which) {
    const Comparison how = comparison();
    std::string name = take("the name of an interface");
    if (name.size() > 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
    const bool is_prefix = name.size() > 1 && name.back() == '*';
    if (is_prefix) name.pop_back();
    if (!conf::is_ifname(name) || name.find_first_of("*\"\\") != std::string::npos)
      refuse(name, "the name of an interface");
    const auto key = which == "iifname" ? netlink::Meta::kIifname : netlink::Meta::kOifname;
    Bytes data = netlink::ifname_field(name);
    if (is_prefix) data.resize(name.size());
    return {{netlink::LoadMeta{.key = key, .to = Register{0}},
             Compare{.from = Register{0}, .how = how, .data = std::move(data)}}};
  }

  std::uint32_t mark_number(std::string_view expected) {
    const std::string word = take(expected);
    const std::optional<std::uint32_t> value = number(word, 0xffffffff);
    if (!value) refuse(word, expected);
    return *value;
  }

  Alternatives mark() {
    Expressions out = {netlink::LoadMeta{.key = netlink::Meta::kMark, .to = Register{0}}};
    if (take_if("and") || take_if("&"))
      out.emplace_back(netlink::Bitwise{
          .from = Register{0}, .to = Register{0}, .mask = host_order(mark_number("a mask")), .flip = host_order(0)});
    const Comparison how = comparison();
    out.emplace_back(Compare{.from = Register{0}, .how = how, .data = host_order(mark_number("a mark"))});
    return {out};
  }

  Family family_;
  std::string_view path_;
  std::vector<std::string> words_;
  std::size_t next_ = 0;
};

[[noreturn]] void refuse_iptables(std::string_view path) {
  conf::refuse_configuration(
      fmt::format("`{}` is in iptables' syntax, and this plugin works with nftables: write it as nft does, e.g. "
                  "[\"ip\", \"daddr\", \"!=\", \"192.0.2.0/24\"] for [\"!\", \"-d\", \"192.0.2.0/24\"]",
                  path));
}

}  // namespace

Conditions read_conditions(const conf::Value& value, Family family) {
  constexpr std::string_view kExpected = "an array of strings, parts of an nft match";
  std::vector<std::string> words;
  std::size_t bytes = 0;
  for (const conf::Value& element : conf::elements(value, kExpected)) {
    std::string part = conf::string_value(element, kExpected);
    bytes += part.size();
    if (bytes > kMaxText) conf::refuse_configuration(fmt::format("`{}` is longer than {} bytes", value.path, kMaxText));
    for (std::string& word : words_of(part)) words.push_back(std::move(word));
  }
  if (!words.empty() && (words.front().front() == '-' || words.front() == "!")) refuse_iptables(value.path);
  Conditions out{.family = family, .text = joined(words)};
  if (!out.empty()) (void)condition_rules(out, value.path);
  return out;
}

std::vector<Expressions> condition_rules(const Conditions& conditions, std::string_view path) {
  Reader reader(conditions, path);
  std::vector<Expressions> out = {{}};
  while (!reader.at_end()) {
    const Alternatives alternatives = reader.condition();
    std::vector<Expressions> product;
    for (const Expressions& before : out) {
      for (const Expressions& alternative : alternatives) {
        product.push_back(before);
        netlink::append(product.back(), alternative);
      }
    }
    if (product.size() > kMaxRules)
      conf::refuse_configuration(
          fmt::format("`{}` comes to more than {} rules: use prefixes instead of lists", path, kMaxRules));
    out = std::move(product);
  }
  return out;
}

std::string condition_hash(const Conditions& conditions) {
  return fmt::format("{:016x}", conf::stable_hash(conditions.text, conditions.family == Family::kIpv4 ? 4 : 6));
}

}  // namespace plugin
