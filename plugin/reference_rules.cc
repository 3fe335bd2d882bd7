// SPDX-License-Identifier: Apache-2.0
#include "plugin/reference_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "conf/request.h"

namespace plugin {
namespace {

using conf::CniError;

constexpr std::size_t kMaxSaved = std::size_t{256} << 20;  // 10 000 services of kube-proxy are some 20 MiB
constexpr unsigned kTries = 10;

bool is_same(const conf::FileInfo& a, const conf::FileInfo& b) { return a.device == b.device && a.inode == b.inode; }

std::string end_of(const Outcome& outcome) {
  switch (outcome.end) {
    case Outcome::End::kTimedOut:
      return "gave no answer in time";
    case Outcome::End::kTooMuchOutput:
      return fmt::format("printed more than {} bytes", kMaxSaved);
    case Outcome::End::kNotStarted:
      return fmt::format("could not be started (errno {})", outcome.status);
    case Outcome::End::kSignalled:
      return fmt::format("ended by signal {}", outcome.status);
    case Outcome::End::kExited:
      break;
  }
  return fmt::format("ended with status {}: {}", outcome.status, outcome.err.substr(0, outcome.err.find('\n')));
}

std::vector<std::pair<netlink::NftTable, std::string>> reference_tables() {
  const std::string name(kPortmapTable);
  return {{{.family = netlink::NftFamily::kIpv4, .name = name}, "nft ip"},
          {{.family = netlink::NftFamily::kIpv6, .name = name}, "nft ip6"}};
}

}  // namespace

std::string inherited(const System& system, std::string_view name) {
  const std::string prefix = fmt::format("{}=", name);
  for (const std::string& entry : system.environment)
    if (entry.starts_with(prefix)) return entry.substr(prefix.size());
  return {};
}

ReferenceIptables::ReferenceIptables(System& system, std::chrono::milliseconds deadline, int keep_fd)
    : system_(system), deadline_(deadline), keep_fd_(keep_fd), path_(inherited(system, "PATH")) {
  path_ += (path_.empty() ? "" : ":") + system.places.programs;
}

void ReferenceIptables::look(SeenReferenceRules& seen, std::set<std::string>& problems) const {
  for (const std::string tool : {"iptables", "ip6tables"}) {
    const std::optional<Program> own = find(tool);
    if (!own) continue;
    for (const PortmapOwner& owner : jumps(*own, problems)) seen.here[owner].insert(tool);
    for (const std::string flavour : {"-legacy", "-nft"}) {
      const std::optional<Program> other = find(tool + flavour);
      if (!other || is_same(other->file, own->file)) continue;
      std::set<std::string> ignored;  // a flavour that does not work here holds nothing
      for (const PortmapOwner& owner : jumps(*other, ignored)) seen.elsewhere[owner].insert(tool + flavour);
    }
  }
}

std::optional<ReferenceIptables::Program> ReferenceIptables::find(const std::string& tool) const {
  for (const std::string& dir : conf::plugin_dirs(path_)) {
    std::string path = fmt::format("{}/{}", dir, tool);
    if (!path.starts_with('/')) continue;
    const std::optional<conf::FileInfo> file = system_.disk.info(path);
    if (file && file->is_regular) return Program{.path = std::move(path), .file = *file};
  }
  return std::nullopt;
}

// By iptables-save, which only looks: `iptables -t nat -S` makes a table that is not there.
std::set<PortmapOwner> ReferenceIptables::jumps(const Program& program, std::set<std::string>& problems) const {
  Command command;
  command.path = program.path + "-save";
  command.env = {"PATH=" + path_};
  command.deadline = deadline_;
  command.max_output = kMaxSaved;
  command.keep_fd = keep_fd_;
  const Outcome outcome = system_.runner.run(command);
  if (outcome.succeeded()) return portmap_jumps(outcome.out);
  problems.insert(fmt::format("what portmap left could not be looked for: {} {}", command.path, end_of(outcome)));
  return {};
}

void ReferenceTables::look(SeenReferenceRules& seen) {
  for (const auto& [table, where] : reference_tables())
    for (const netlink::ListedRule& one : rules(table))
      seen.here[{.container_id = one.rule.comment, .network = {}}].insert(where);
}

void ReferenceTables::take_out(const std::set<std::string>& container_ids) {
  for (unsigned i = 0; i < kTries; ++i) {
    const std::uint32_t generation = firewall_.generation();
    netlink::NftBatch batch;
    for (const auto& [table, where] : reference_tables())
      for (const netlink::ListedRule& one : rules(table))
        if (container_ids.count(one.rule.comment) != 0)
          batch.add(netlink::DeleteRule{.table = table, .chain = one.rule.chain, .handle = one.handle});
    const netlink::Committed committed = firewall_.commit(batch, generation);
    if (committed.done()) return;
    if (committed.kind == netlink::Committed::Kind::kRefused)
      throw CniError(conf::Code::kIo, "nf_tables request refused by the kernel",
                     fmt::format("delete rules of table {}: {}", kPortmapTable, committed.ack.str()));
  }
  throw CniError(conf::Code::kTryAgainLater, "nf_tables changed while it was read",
                 fmt::format("{} times in a row; who changes it all the time?", kTries));
}

// Those of containers.
std::vector<netlink::ListedRule> ReferenceTables::rules(const netlink::NftTable& table) {
  std::vector<netlink::ListedRule> out = firewall_.rules(table);
  const auto is_nobodys = [](const netlink::ListedRule& one) {
    return !portmap_nft_chain(one.rule.chain) || !conf::is_container_id(one.rule.comment);
  };
  out.erase(std::remove_if(out.begin(), out.end(), is_nobodys), out.end());
  return out;
}

}  // namespace plugin
