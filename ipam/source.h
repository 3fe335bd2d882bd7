// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "conf/ip.h"

// `podCIDRsFrom`: who else knows which blocks this node has, and how to read what they say. Pure; heard.h asks.
namespace ipam {

inline constexpr std::size_t kMaxAgentBytes = std::size_t{4} << 20;   ///< of one answer of the agent
inline constexpr std::size_t kMaxSourceBytes = std::size_t{2} << 20;  ///< of a file: etcd takes 1.5 MiB at the most

struct Source {
  enum class Kind { kCilium, kFlannel, kFile };
  Kind kind = Kind::kCilium;
  std::string text;  ///< as the configuration has it: "cilium", "flannel", "file:/run/node.json"
  std::string path;  ///< of kFile
  bool operator==(const Source&) const = default;
};

/// Nothing for what is no source. A file's path is absolute, without ".." and control characters.
[[nodiscard]] std::optional<Source> parse_source(std::string_view text);

/// What a source said. No block twice, none that could not be one (Block), no two that overlap, at least one.
struct Answer {
  std::vector<conf::IpPrefix> cidrs;  ///< in the source's order, without host bits
  std::vector<conf::IpAddr> taken;    ///< the source itself uses them: never handed out
  std::vector<std::string> notes;     ///< for the person on the node; not kept
  /// What is kept is the same.
  [[nodiscard]] bool agrees_with(const Answer& other) const { return cidrs == other.cidrs && taken == other.taken; }
};

/// An answer, or one sentence on what is wrong.
using Reading = std::variant<Answer, std::string>;

/// The body of the agent's GET /v1/config: the alloc-range of each family that is enabled; the router's address is
/// taken.
[[nodiscard]] Reading read_agent_config(std::string_view body);
/// From the body of GET /v1/healthz: the addresses that the agent took for itself ("router", "health", "ingress": every
/// owner that is no pod). Nothing if it does not say.
[[nodiscard]] std::optional<std::vector<conf::IpAddr>> read_agent_addresses(std::string_view body);

/// flannel's subnet.env. Its addresses are flannel's own, with host bits: their networks are meant. flannel writes
/// FLANNEL_IPMASQ last: without it the file is torn.
[[nodiscard]] Reading read_subnet_env(std::string_view text);

/// From the same file, the networks of the whole cluster: FLANNEL_NETWORK and FLANNEL_IPV6_NETWORK, lists with commas
/// from flanneld 0.22 on. What is no CIDR is left out.
[[nodiscard]] std::vector<conf::IpPrefix> read_flannel_networks(std::string_view text);

/// A file as people and programs write it. Its content decides: a JSON object is a CiliumNode (spec.ipam.podCIDRs, or
/// the cidrs of spec.ipam.pools.allocated; its router, health and ingress addresses are taken) or a Node
/// (spec.podCIDRs, or spec.podCIDR). All else is one CIDR a line; a # and what follows it is a comment; a last line
/// without its end is torn.
[[nodiscard]] Reading read_blocks_file(std::string_view text);

/// "10.245.1.0/24, fd00:10:1::/120".
[[nodiscard]] std::string cidrs_text(const std::vector<conf::IpPrefix>& cidrs);

// The last good answer of a source is a file of lines, each with its end:
//
//   crossover-source 1
//   from file:/run/node.json
//   cidr 10.245.1.0/24
//   taken 10.245.1.90
//   sum 9f0c6d1b2a3e4f50
//
// `cidr` once or more, `taken` any number of times; `sum` is conf::stable_hash of all that stands before its line.

[[nodiscard]] std::string answer_text(const Source& source, const Answer& answer);
/// Nothing for what is not, to the byte, what answer_text writes for `source`.
[[nodiscard]] std::optional<Answer> parse_answer(const Source& source, std::string_view text);

}  // namespace ipam
