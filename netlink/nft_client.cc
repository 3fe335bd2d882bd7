// SPDX-License-Identifier: Apache-2.0
#include "netlink/nft_client.h"

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "conf/error.h"
#include "netlink/dump.h"
#include "netlink/nft_codec.h"

namespace netlink {
namespace {

conf::CniError look_error(std::string_view what, const Ack& ack) {
  const bool absent = ack.error == EOPNOTSUPP || ack.error == EINVAL || ack.error == ENOSYS;
  return conf::CniError(conf::Code::kIo, "nf_tables request refused by the kernel",
                        std::string(what) + ": " + ack.str() +
                            (absent ? "; is nf_tables part of this kernel, and its module loaded?" : ""));
}

Committed::Kind kind_of(int error) {
  switch (error) {
    case 0:
      return Committed::Kind::kDone;
    case ERESTART:
      return Committed::Kind::kStale;
    case EEXIST:
      return Committed::Kind::kExists;
    case ENOENT:
      return Committed::Kind::kAbsent;
    default:
      return Committed::Kind::kRefused;
  }
}

std::string in_table(std::string_view what, const NftTable& table) {
  return "list " + std::string(what) + " of table " + table.name;
}

}  // namespace

Socket& KernelFirewall::socket() {
  if (!socket_) socket_ = Socket::open(NETLINK_NETFILTER);
  return *socket_;
}

std::uint32_t KernelFirewall::generation() {
  Bytes request = encode_get_generation();
  std::optional<std::uint32_t> generation;
  const Ack ack = socket().request(
      request, [&generation](std::span<const std::byte> answer) { generation = decode_generation(answer); });
  if (!ack.ok()) throw look_error("get generation", ack);
  if (!generation) throw look_error("get generation", Ack{.error = EBADMSG, .sentence = "none in the answer"});
  return *generation;
}

Committed KernelFirewall::commit(const NftBatch& batch, std::optional<std::uint32_t> generation) {
  EncodedBatch encoded = encode_batch(batch, generation);
  if (encoded.bytes.empty()) return {};
  BatchAnswer answer = socket().batch(encoded.bytes);
  Committed committed{.kind = kind_of(answer.ack.error), .operation = {}, .ack = std::move(answer.ack)};
  if (committed.done() || !answer.message || *answer.message >= encoded.operation_of.size()) return committed;
  const std::size_t operation = encoded.operation_of[*answer.message];
  if (operation != kNoOperation) committed.operation = operation;
  return committed;
}

bool KernelFirewall::has_table(const NftTable& table) {
  Bytes request = encode_get_table(table);
  const Ack ack = socket().request(request);
  if (ack.error == ENOENT) return false;
  if (!ack.ok()) throw look_error("look for table " + table.name, ack);
  return true;
}

std::vector<NftTable> KernelFirewall::tables() {
  std::vector<NftTable> found;
  const Ack ack = dump(
      socket(), encode_dump_tables(), "nf_tables tables", [&found] { found.clear(); },
      [&found](std::span<const std::byte> answer) {
        if (auto table = decode_table(answer)) found.push_back(std::move(*table));
      });
  if (!ack.ok()) throw look_error("list tables", ack);
  return found;
}

std::optional<NftElement> KernelFirewall::element(const NftTable& table, const std::string& set, const Bytes& key) {
  Bytes request = encode_get_element(table, set, key);
  std::optional<NftElement> found;
  const Ack ack = socket().request(request, [&found](std::span<const std::byte> answer) {
    auto elements = decode_elements(answer);
    if (elements && !elements->empty()) found = std::move(elements->front());
  });
  if (ack.error == ENOENT) return std::nullopt;
  if (!ack.ok()) throw look_error("look into set " + set + " of table " + table.name, ack);
  if (!found) throw look_error("look into set " + set, Ack{.error = EBADMSG, .sentence = "no element in the answer"});
  return found;
}

std::optional<std::vector<NftElement>> KernelFirewall::elements(const NftTable& table, const std::string& set) {
  std::vector<NftElement> found;
  bool malformed = false;
  const Ack ack = dump(
      socket(), encode_dump_elements(table, set), "nf_tables elements", [&found] { found.clear(); },
      [&](std::span<const std::byte> answer) {
        auto elements = decode_elements(answer);
        malformed = malformed || !elements;
        if (elements) std::move(elements->begin(), elements->end(), std::back_inserter(found));
      });
  if (ack.error == ENOENT) return std::nullopt;
  const std::string what = in_table("set " + set, table);
  if (!ack.ok()) throw look_error(what, ack);
  if (malformed) throw look_error(what, Ack{.error = EBADMSG, .sentence = {}});
  return found;
}

std::vector<ListedRule> KernelFirewall::rules(const NftTable& table, const std::string& chain) {
  std::vector<ListedRule> found;
  bool malformed = false;
  const Ack ack = dump(
      socket(), encode_dump_rules(table, chain), "nf_tables rules", [&found] { found.clear(); },
      [&](std::span<const std::byte> answer) {
        auto rule = decode_rule(answer);
        malformed = malformed || !rule;
        if (rule) found.push_back(std::move(*rule));
      });
  if (ack.error == ENOENT) return {};
  if (!ack.ok()) throw look_error(in_table("rules", table), ack);
  if (malformed) throw look_error(in_table("rules", table), Ack{.error = EBADMSG, .sentence = {}});
  return found;
}

std::vector<NftChain> KernelFirewall::chains(const NftTable& table) {
  std::vector<NftChain> found;
  const Ack ack = dump(
      socket(), encode_dump_chains(table), "nf_tables chains", [&found] { found.clear(); },
      [&](std::span<const std::byte> answer) {
        auto chain = decode_chain(answer);
        if (chain && chain->table == table) found.push_back(std::move(*chain));
      });
  if (!ack.ok()) throw look_error(in_table("chains", table), ack);
  return found;
}

std::vector<NftSet> KernelFirewall::sets(const NftTable& table) {
  std::vector<NftSet> found;
  const Ack ack = dump(
      socket(), encode_dump_sets(table), "nf_tables sets", [&found] { found.clear(); },
      [&](std::span<const std::byte> answer) {
        auto set = decode_set(answer);
        if (set && set->table == table) found.push_back(std::move(*set));
      });
  if (ack.error == ENOENT) return {};
  if (!ack.ok()) throw look_error(in_table("sets", table), ack);
  return found;
}

}  // namespace netlink
