// SPDX-License-Identifier: Apache-2.0

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/error.h"
#include "ipam/block.h"
#include "ipam/source.h"

// What sources of blocks say: the agent, flannel's file, a file, and the last good answer on disk. Every reader gets
// every input. Breaks if anything is thrown, if an answer holds what is no block or two that overlap, if it does not
// read back from what is kept of it, or if a problem is no sentence that containerd lets through.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using ipam::Answer;

constexpr std::array<ipam::Reading (*)(std::string_view), 3> kReaders = {ipam::read_agent_config, ipam::read_subnet_env,
                                                                         ipam::read_blocks_file};

void demand(bool holds) {
  if (!holds) std::abort();
}

void check_blocks(const std::vector<conf::IpPrefix>& cidrs) {
  demand(!cidrs.empty() && cidrs.size() <= 256);
  for (std::size_t i = 0; i < cidrs.size(); ++i) {
    demand(!cidrs[i].has_host_bits() && ipam::broken_rule(cidrs[i]).empty());
    for (std::size_t j = 0; j < i; ++j) demand(!cidrs[i].overlaps(cidrs[j]));
  }
}

void check(const Answer& answer, const ipam::Source& source) {
  check_blocks(answer.cidrs);
  const std::string kept = ipam::answer_text(source, answer);
  const std::optional<Answer> again = ipam::parse_answer(source, kept);
  demand(again && again->agrees_with(answer));
  demand(!ipam::parse_answer(source, kept.substr(0, kept.size() - 1)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ipam::Source flannel = ipam::parse_source("flannel").value();
  for (const auto& read : kReaders) {
    const ipam::Reading reading = read(text);
    if (const auto* const problem = std::get_if<std::string>(&reading)) {
      demand(!problem->empty() && problem->size() < 1024 && problem->find('\n') == std::string::npos);
      demand(conf::without_swallowed_phrases(*problem) == *problem);
    } else {
      check(std::get<Answer>(reading), flannel);
    }
  }
  (void)ipam::read_agent_addresses(text);
  if (const std::optional<Answer> kept = ipam::parse_answer(flannel, text)) {
    check_blocks(kept->cidrs);
    demand(ipam::answer_text(flannel, *kept) == text);
  }
  if (const std::optional<ipam::Source> source = ipam::parse_source(text)) {
    demand(source->text == text);
    demand(source->path.empty() == (source->kind != ipam::Source::Kind::kFile));
    demand(source->path.empty() || source->path.front() == '/');
  }
  return 0;
}
