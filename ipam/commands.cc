// SPDX-License-Identifier: Apache-2.0
#include "ipam/commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "conf/json.h"
#include "conf/result.h"
#include "ipam/config.h"
#include "ipam/heard.h"
#include "ipam/host_local.h"
#include "ipam/store.h"

namespace ipam {
namespace {

using conf::CniError;
using conf::Code;
using conf::Request;

constexpr std::size_t kMaxResolvConf = std::size_t{64} << 10;

std::string store_dir(const std::string& state_dir) { return state_dir + "/ipam"; }

Store::Options options(const Host& host, const Config& config) {
  return {.dir = store_dir(config.state_dir), .boot_id = host.boot_id, .cooldown = config.cooldown};
}

// No network namespace outlives the boot it was made in.
Store::IsDead is_dead(const Host& host) {
  return [boot = host.boot_id](const Lease& lease) { return !lease.boot_id.empty() && lease.boot_id != boot; };
}

// What host-local has handed out is not handed out again.
void import_leases(const Host& host, Config& config) {
  for (const std::string& dir : config.imports) {
    for (const HostLocalLease& lease : host_local_leases(host.disk, dir)) {
      const std::optional<conf::IpAddr> ip = conf::IpAddr::parse(lease.address);
      for (Want& want : config.wants)
        for (Block& block : want.blocks)
          if (ip) exclude(block, *ip);
    }
  }
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos) return out;
    line.remove_prefix(start);
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    out.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ",") + part;
  return out;
}

std::string quoted_array(const std::vector<std::string_view>& words) {
  std::vector<std::string> parts;
  for (const std::string_view word : words) parts.push_back(conf::quote(word));
  return '[' + joined(parts) + ']';
}

std::string dns_of(const Host& host, const std::string& path) {
  if (path.empty()) return "{}";
  const std::optional<std::string> text = host.disk.read(path, kMaxResolvConf);
  if (!text) throw CniError(Code::kIo, "resolvConf cannot be read", fmt::format("there is no {}", path));
  return dns_json(*text);
}

std::string result_of(const Config& config, const std::vector<Taken>& taken, const std::string& dns) {
  std::vector<std::string> ips;
  for (const Taken& one : taken) {
    const std::string gateway = one.gateway ? fmt::format(R"(,"gateway":"{}")", one.gateway->str()) : "";
    ips.push_back(fmt::format(R"({{"address":"{}"{}}})", one.address.str(), gateway));
  }
  const std::string routes = config.routes.empty() ? "" : fmt::format(R"("routes":[{}],)", joined(config.routes));
  const std::string text = fmt::format(R"({{"cniVersion":"1.1.0","ips":[{}],{}"dns":{}}})", joined(ips), routes, dns);
  return conf::convert_result(text, "1.1.0", config.cni_version);
}

// What names only the caller's own namespace tells nobody else where the pod's is.
std::string lasting_path(const std::string& netns) {
  const bool is_relative =
      !netns.starts_with('/') || netns.starts_with("/proc/self/") || netns.starts_with("/proc/thread-self/");
  return is_relative ? "" : netns;
}

void require_one_a_family(const Config& config) {
  if (config.cni_version != "0.1.0" && config.cni_version != "0.2.0") return;
  for (std::size_t i = 0; i < config.wants.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (config.wants[i].blocks[0].cidr.addr.family == config.wants[j].blocks[0].cidr.addr.family)
        throw CniError(Code::kInvalidConfig, "invalid configuration",
                       fmt::format("`cniVersion` is \"{}\": must be 0.3.0 or newer for two addresses of one family",
                                   config.cni_version));
}

// The block of `want` that has `address` and would give it now; null if there is none.
const Block* block_for(const Want& want, const conf::IpPrefix& address) {
  if (want.address && *want.address != address.addr) return nullptr;
  for (const Block& block : want.blocks) {
    const std::optional<std::uint32_t> offset = block.offset_of(address.addr);
    if (block.cidr == address.masked() && offset && block.may_hand_out(*offset)) return &block;
  }
  return nullptr;
}

// What the lease gives for these wants, one for each; nothing if they ask for anything else.
std::optional<std::vector<Taken>> answer_of(const Lease& lease, const std::vector<Want>& wants) {
  if (lease.addresses.size() != wants.size()) return std::nullopt;
  std::vector<Taken> out;
  for (std::size_t i = 0; i < wants.size(); ++i) {
    const Block* const block = block_for(wants[i], lease.addresses[i]);
    if (block == nullptr) return std::nullopt;
    out.push_back({lease.addresses[i], block->gateway});
  }
  return out;
}

// The same ADD again, after one that was killed between its lease and its link. A link with these addresses makes it a
// live pod, which is refused: a main plugin whose ADD fails gives its addresses back, and they would be the pod's.
std::optional<std::vector<Taken>> given_before(const Host& host, const Request& request, const Config& config,
                                               const Taker& taker, Store& store) {
  const std::optional<Lease> lease = store.find(taker.owner);
  const bool is_same = lease && lease->boot_id == host.boot_id && lease->network == taker.network &&
                       lease->netns_inode != 0 && lease->netns_inode == taker.netns_inode;
  if (!is_same || !host.carries) return std::nullopt;
  std::optional<std::vector<Taken>> out = answer_of(*lease, config.wants);
  if (!out || host.carries(request.netns, taker.owner.ifname, lease->addresses)) return std::nullopt;
  return out;
}

std::string add(const Host& host, const Request& request, Config& config) {
  require_one_a_family(config);
  import_leases(host, config);
  const std::string dns = dns_of(host, config.resolv_conf);  // before anything is taken: it may fail
  const Taker taker{.owner = request.id,
                    .network = config.name,
                    .netns = lasting_path(request.netns),
                    .netns_inode = host.netns_inode(request.netns),
                    .pod = conf::CniArgs::parse(request.args).pod(),
                    .now_ms = host.now_ms};
  Store store(host.disk, options(host, config));
  if (const auto before = given_before(host, request, config, taker, store)) return result_of(config, *before, dns);
  return result_of(config, store.take(config.wants, taker, is_dead(host)), dns);
}

std::string del(const Host& host, const Request& request, std::string_view stdin_text) {
  const std::string dir = store_dir(state_dir_of(stdin_text));
  if (!host.disk.info(dir)) return {};  // nothing was ever handed out here
  (void)Store(host.disk, {.dir = dir, .boot_id = host.boot_id}).give_back(request.id, host.now_ms);
  return {};
}

std::string check(const Host& host, const Request& request, const Config& config) {
  const std::optional<Lease> lease = Store(host.disk, options(host, config)).find(request.id);
  if (!lease)
    throw CniError(Code::kUnknownContainer, "attachment has no addresses",
                   fmt::format("there is no lease of {} of container {}", request.id.ifname, request.id.container_id));
  if (!config.prev_result) return {};
  const std::vector<std::string> given = conf::result_addresses(*config.prev_result);
  for (const conf::IpPrefix& address : lease->addresses)
    if (std::find(given.begin(), given.end(), address.str()) == given.end())
      throw CniError(Code::kUnknownContainer, "attachment has other addresses",
                     fmt::format("{} is leased to {} of container {} and missing from prevResult", address.str(),
                                 request.id.ifname, request.id.container_id));
  return {};
}

bool holds_any(const Want& want, const Lease& lease) {
  for (const conf::IpPrefix& address : lease.addresses)
    for (const Block& block : want.blocks)
      if (block.cidr.contains(address.addr)) return true;
  return false;
}

std::string status(const Host& host, Config& config) {
  import_leases(host, config);
  Store store(host.disk, options(host, config));
  for (const Want& want : config.wants) {
    std::string full;
    bool has_room = false;
    for (const BlockUse& use : store.use(want.blocks, host.now_ms)) {
      has_room = has_room || use.used < use.capacity;
      full += fmt::format("{}{}: {} of {} in use", full.empty() ? "" : ", ", use.cidr.str(), use.used, use.capacity);
    }
    if (has_room) continue;
    for (const Lease& lease : store.all().leases)
      has_room = has_room || (holds_any(want, lease) && is_dead(host)(lease));
    if (!has_room) throw CniError(Code::kNotAvailable, "no address is left", full);
  }
  return {};
}

// A list that is absent says nothing; one that is empty says that nobody is left. Other networks' leases are theirs,
// but no lease outlives its boot.
std::string gc(const Host& host, const Config& config) {
  if (!config.valid_attachments) return {};
  std::vector<conf::AttachmentId> valid = *config.valid_attachments;
  std::sort(valid.begin(), valid.end());
  Store store(host.disk, options(host, config));
  for (const Lease& lease : store.all().leases) {
    const bool is_ours = lease.network == config.name || is_dead(host)(lease);
    if (is_ours && !std::binary_search(valid.begin(), valid.end(), lease.owner))
      (void)store.give_back(lease.owner, host.now_ms);
  }
  store.repair();
  return {};
}

// CHECK and GC go by the leases alone: they ask no source of blocks.
Config read_config(const Host& host, const Request& request, std::string_view stdin_text) {
  const bool is_status = request.verb == conf::Verb::kStatus;
  if (request.verb != conf::Verb::kAdd && !is_status) return parse_config(stdin_text, request);
  std::optional<Heard> heard;
  Config out = parse_config(stdin_text, request, [&](const Source& source, const std::string& state_dir) {
    heard = ask(host, source, state_dir, is_status ? Code::kNotAvailable : Code::kTryAgainLater);
    return heard->answer;
  });
  if (heard) keep(host, out.state_dir, *heard);
  return out;
}

}  // namespace

std::string dns_json(std::string_view resolv_conf) {
  std::vector<std::string_view> nameservers;
  std::vector<std::string_view> search;
  std::vector<std::string_view> dns_options;
  std::string_view domain;
  while (!resolv_conf.empty()) {
    const std::size_t end = std::min(resolv_conf.find('\n'), resolv_conf.size());
    std::vector<std::string_view> words = words_of(resolv_conf.substr(0, end));
    resolv_conf.remove_prefix(std::min(end + 1, resolv_conf.size()));
    if (words.size() < 2) continue;
    const std::string_view key = words.front();
    words.erase(words.begin());
    if (key == "nameserver") nameservers.push_back(words.front());
    if (key == "domain") domain = words.front();
    if (key == "search") search.insert(search.end(), words.begin(), words.end());
    if (key == "options") dns_options.insert(dns_options.end(), words.begin(), words.end());
  }
  std::vector<std::string> members;
  if (!nameservers.empty()) members.push_back("\"nameservers\":" + quoted_array(nameservers));
  if (!domain.empty()) members.push_back("\"domain\":" + conf::quote(domain));
  if (!search.empty()) members.push_back("\"search\":" + quoted_array(search));
  if (!dns_options.empty()) members.push_back("\"options\":" + quoted_array(dns_options));
  return '{' + joined(members) + '}';
}

std::string run(const Host& host, const Request& request, std::string_view stdin_text) {
  if (request.verb == conf::Verb::kDel) return del(host, request, stdin_text);
  Config config = read_config(host, request, stdin_text);
  switch (request.verb) {
    case conf::Verb::kAdd:
      return add(host, request, config);
    case conf::Verb::kCheck:
      return check(host, request, config);
    case conf::Verb::kStatus:
      return status(host, config);
    case conf::Verb::kGc:
      return gc(host, config);
    case conf::Verb::kDel:
    case conf::Verb::kVersion:
      return {};
  }
  return {};
}

}  // namespace ipam
