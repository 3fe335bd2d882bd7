// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "conf/error.h"
#include "ipam/carve.h"
#include "ipam/used_blocks.h"
#include "plugin/cli.h"

namespace plugin {
namespace {

using Json = nlohmann::ordered_json;
using conf::IpPrefix;

ipam::ClusterPool pool_of(const PoolQuery& query) {
  ipam::ClusterPool out{.cidrs = {}, .mask_size = query.mask_size};
  for (const std::string& text : query.cidrs) {
    const std::optional<IpPrefix> cidr = IpPrefix::parse(text);
    if (!cidr) throw UsedWrongly(fmt::format("--cidr {}: must be a CIDR such as 10.0.0.0/8", conf::quote(text)));
    out.cidrs.push_back(*cidr);
  }
  if (const std::optional<std::string> problem = ipam::pool_problem(out)) throw UsedWrongly(*problem);
  return out;
}

std::vector<IpPrefix> read_used(System& system, const std::string& file) {
  if (file.empty()) return {};
  const std::optional<std::string> text = system.disk.read(file, ipam::kMaxUsedBytes);
  if (!text) throw conf::CniError(conf::Code::kIo, "no such list", file + " does not exist");
  return ipam::parse_used_blocks(*text, file);
}

Json json_of(const ipam::Carved& carved) {
  Json out = {{"blocks", Json::array()}, {"cidrs", Json::array()}, {"misfits", Json::array()}};
  for (const IpPrefix& block : carved.next) out["blocks"].push_back(block.str());
  for (const ipam::PoolCidr& cidr : carved.cidrs)
    out["cidrs"].push_back({{"cidr", cidr.cidr.str()}, {"total", cidr.total}, {"free", cidr.free}});
  for (const ipam::Misfit& misfit : carved.misfits)
    out["misfits"].push_back({{"cidr", misfit.cidr.str()}, {"problem", misfit.problem}});
  return out;
}

// The lines that are no blocks are comments of the format that --used reads.
std::string text_of(const ipam::Carved& carved) {
  std::string out;
  for (const ipam::PoolCidr& cidr : carved.cidrs)
    out += fmt::format("# {}: {} of {} blocks free\n", cidr.cidr.str(), cidr.free, cidr.total);
  for (const ipam::Misfit& misfit : carved.misfits)
    out += fmt::format("# in use: {} is {}\n", misfit.cidr.str(), misfit.problem);
  for (const IpPrefix& block : carved.next) out += block.str() + '\n';
  return out;
}

// Without --count as many as there are will do, if there are any.
std::string complaint(const PoolQuery& query, const ipam::Carved& carved) {
  if (carved.next.empty() && query.count != 0U)
    return "the pool is used up: no block is free; append a CIDR to its list";
  if (query.count && carved.next.size() < *query.count)
    return fmt::format("the pool is used up by these: {} free, {} asked for; append a CIDR to its list",
                       carved.next.size(), *query.count);
  return {};
}

}  // namespace

Report pool_report(System& system, const PoolQuery& query, bool json) {
  const ipam::ClusterPool pool = pool_of(query);
  const ipam::Carved carved = ipam::carve(pool, read_used(system, query.used_file), query.count.value_or(10));
  const std::string problem = complaint(query, carved);
  return {.text = json ? json_of(carved).dump(2) + '\n' : text_of(carved),
          .status = problem.empty() ? 0 : 1,
          .complaint = problem};
}

}  // namespace plugin
