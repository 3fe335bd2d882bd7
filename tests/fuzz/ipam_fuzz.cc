// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "conf/error.h"
#include "conf/version.h"
#include "ipam/config.h"

// The document on stdin of crossover-ipam; the first byte picks the verb, and whether a source of blocks is asked.
// Breaks if anything but a CniError of code 1, 6, 7 or 111 comes out, if what is accepted breaks the contract of
// Config, if stateDir is another for DEL, or if an error holds what containerd swallows.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using conf::Verb;

constexpr std::array<Verb, 4> kVerbs = {Verb::kAdd, Verb::kCheck, Verb::kStatus, Verb::kGc};

void demand(bool holds) {
  if (!holds) std::abort();
}

ipam::Answer said(const ipam::Source&, const std::string& state_dir) {
  demand(state_dir.front() == '/');
  return {.cidrs = {*conf::IpPrefix::parse("10.1.0.0/24"), *conf::IpPrefix::parse("fd00::/120")},
          .taken = {*conf::IpAddr::parse("10.1.0.9")},
          .notes = {}};
}

void check_block(const ipam::Block& block) {
  demand(!block.cidr.has_host_bits() && ipam::broken_rule(block.cidr).empty());
  demand(block.usable.first <= block.usable.last && block.usable.last < block.offsets());
  demand(block.capacity() <= block.usable.last - block.usable.first + 1);
  for (const ipam::OffsetRange& range : block.excluded)
    demand(range.first <= range.last && range.last < block.offsets() && !block.may_hand_out(range.first));
  if (block.gateway && block.offset_of(*block.gateway)) demand(!block.may_hand_out(*block.offset_of(*block.gateway)));
}

// Nothing that may be handed out is in two blocks.
void check_apart(const std::vector<const ipam::Block*>& blocks) {
  for (const ipam::Block* one : blocks)
    for (const ipam::Block* other : blocks)
      if (one != other && one->cidr.overlaps(other->cidr))
        demand(one->cidr == other->cidr &&
               (one->usable.last < other->usable.first || other->usable.last < one->usable.first));
}

void check(const ipam::Config& config, Verb verb) {
  demand(conf::is_supported(config.cni_version) && conf::is_container_id(config.name));
  demand(config.state_dir.front() == '/' && config.cooldown.count() >= 0);
  demand(!config.valid_attachments || verb == Verb::kGc);
  std::vector<const ipam::Block*> blocks;
  for (const ipam::Want& want : config.wants) {
    demand(!want.blocks.empty() && (!want.address || verb == Verb::kAdd));
    const auto holds = [&](const ipam::Block& block) { return want.address && block.cidr.contains(*want.address); };
    demand(!want.address || std::any_of(want.blocks.begin(), want.blocks.end(), holds));
    for (const ipam::Block& block : want.blocks) {
      demand(block.cidr.addr.family == want.blocks.front().cidr.addr.family);
      check_block(block);
      blocks.push_back(&block);
    }
  }
  check_apart(blocks);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  conf::Request request;
  request.verb = kVerbs.at(data[0] % kVerbs.size());
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool asks = (data[0] & 0x10U) == 0;
  try {
    const ipam::Config config = ipam::parse_config(text, request, asks ? ipam::AskFor(said) : ipam::AskFor());
    check(config, request.verb);
    demand(ipam::state_dir_of(text) == config.state_dir);
  } catch (const conf::CniError& error) {
    demand(error.code() == 1 || error.code() == 6 || error.code() == 7 || error.code() == 111);
    demand(error.details().size() < 8192);
    demand(conf::without_swallowed_phrases(error.details()) == error.details());
    demand(conf::parse_error_json(conf::error_json(error, "1.1.0")).has_value());
  }
  return 0;
}
