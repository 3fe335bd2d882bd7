// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/nft.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <utility>
#include <variant>

namespace fakes {
namespace {

using namespace netlink;  // NOLINT(google-build-using-namespace): this is nf_tables, in memory

template <typename List, typename Matches>
auto* find_in(List& list, Matches matches) {
  const auto found = std::find_if(list.begin(), list.end(), matches);
  return found == list.end() ? nullptr : &*found;
}

auto named(const std::string& name) {
  return [&name](const auto& thing) {
    if constexpr (requires { thing.set.name; }) {
      return thing.set.name == name;
    } else {
      return thing.name == name;
    }
  };
}

std::size_t size_of(const std::vector<Field>& fields) {
  std::vector<Bytes> parts;
  for (const Field field : fields) parts.emplace_back(field_size(field));
  return concat(parts).size();
}

auto same_key(const NftElement& wanted) {
  return [&wanted](const NftElement& element) {
    return element.key == wanted.key && element.interval_end == wanted.interval_end;
  };
}

template <typename Kind>
bool uses(const ListedRule& rule, const std::string Kind::*name, const std::string& wanted) {
  return std::any_of(rule.rule.expressions.begin(), rule.rule.expressions.end(), [&](const Expression& expression) {
    const auto* kind = std::get_if<Kind>(&expression);
    return kind != nullptr && kind->*name == wanted;
  });
}

/// One operation on the tables: 0 or an errno, as the kernel answers.
class Apply {
 public:
  explicit Apply(FakeFirewall::Tables& tables) : tables_(tables) {}

  int operator()(const AddTable& add) {
    if (find(add.table) != nullptr) return add.exclusive ? EEXIST : 0;
    tables_.push_back({.table = add.table, .chains = {}, .sets = {}, .rules = {}});
    return 0;
  }
  int operator()(const DeleteTable& del) {
    const auto is_it = [&del](const auto& table) { return table.table == del.table; };
    return std::erase_if(tables_, is_it) == 0 ? ENOENT : 0;
  }
  int operator()(const AddChain& add) {
    FakeFirewall::Table* table = find(add.chain.table);
    if (table == nullptr) return ENOENT;
    NftChain* chain = find_in(table->chains, named(add.chain.name));
    if (chain == nullptr) {
      table->chains.push_back(add.chain);
      return 0;
    }
    if (add.exclusive) return EEXIST;
    if (!add.chain.base) return 0;
    NftChain same_policy = add.chain;
    if (chain->base) same_policy.base->policy = chain->base->policy;
    if (*chain != same_policy) return EOPNOTSUPP;
    chain->base->policy = add.chain.base->policy;
    return 0;
  }
  int operator()(const DeleteChain& del) {
    FakeFirewall::Table* table = find(del.table);
    if (table == nullptr || find_in(table->chains, named(del.chain)) == nullptr) return ENOENT;
    const auto jumps_here = [&del](const ListedRule& rule) {
      return rule.rule.chain != del.chain && uses(rule, &Verdict::chain, del.chain);
    };
    if (find_in(table->rules, jumps_here) != nullptr) return EBUSY;
    std::erase_if(table->rules, [&del](const ListedRule& rule) { return rule.rule.chain == del.chain; });
    std::erase_if(table->chains, named(del.chain));
    return 0;
  }
  int operator()(const FlushRules& flush) {
    FakeFirewall::Table* table = find(flush.table);
    if (table == nullptr) return ENOENT;
    if (!flush.chain.empty() && find_in(table->chains, named(flush.chain)) == nullptr) return ENOENT;
    std::erase_if(table->rules,
                  [&flush](const ListedRule& rule) { return flush.chain.empty() || rule.rule.chain == flush.chain; });
    return 0;
  }
  int operator()(const AddSet& add) {
    FakeFirewall::Table* table = find(add.set.table);
    if (table == nullptr) return ENOENT;
    if (const auto* set = find_in(table->sets, named(add.set.name))) {
      return add.exclusive || set->set != add.set ? EEXIST : 0;
    }
    table->sets.push_back({.set = add.set, .elements = {}});
    return 0;
  }
  int operator()(const DeleteSet& del) {
    FakeFirewall::Table* table = find(del.table);
    if (table == nullptr || find_in(table->sets, named(del.set)) == nullptr) return ENOENT;
    const auto looks_it_up = [&del](const ListedRule& rule) { return uses(rule, &Lookup::set, del.set); };
    if (find_in(table->rules, looks_it_up) != nullptr) return EBUSY;
    std::erase_if(table->sets, named(del.set));
    return 0;
  }
  int operator()(const AddElements& add) {
    if (add.elements.empty()) return 0;
    FakeFirewall::Set* set = find(add.table, add.set);
    if (set == nullptr) return ENOENT;
    for (const NftElement& element : add.elements) {
      if (const int error = add_one(*set, element, add.exclusive); error != 0) return error;
    }
    return 0;
  }
  int operator()(const DeleteElements& del) {
    if (del.elements.empty()) return 0;
    FakeFirewall::Set* set = find(del.table, del.set);
    if (set == nullptr) return ENOENT;
    for (const NftElement& element : del.elements) {
      if (element.key.size() != size_of(set->set.key)) return EINVAL;
      if (std::erase_if(set->elements, same_key(element)) == 0) return ENOENT;
    }
    return 0;
  }
  int operator()(const FlushSet& flush) {
    FakeFirewall::Set* set = find(flush.table, flush.set);
    if (set == nullptr) return ENOENT;
    set->elements.clear();
    return 0;
  }
  int operator()(const AddRule& add) {
    FakeFirewall::Table* table = find(add.rule.table);
    if (table == nullptr || find_in(table->chains, named(add.rule.chain)) == nullptr) return ENOENT;
    for (const Expression& expression : add.rule.expressions) {
      if (const int error = check(*table, expression); error != 0) return error;
    }
    const Bytes userdata;
    table->rules.push_back({.rule = add.rule, .handle = ++table->last_handle, .userdata = userdata});
    return 0;
  }
  int operator()(const DeleteRule& del) {
    FakeFirewall::Table* table = find(del.table);
    if (table == nullptr) return ENOENT;
    const auto is_it = [&del](const ListedRule& rule) {
      return rule.rule.chain == del.chain && rule.handle == del.handle;
    };
    return std::erase_if(table->rules, is_it) == 0 ? ENOENT : 0;
  }

 private:
  FakeFirewall::Table* find(const NftTable& wanted) {
    return find_in(tables_, [&wanted](const auto& table) { return table.table == wanted; });
  }
  FakeFirewall::Set* find(const NftTable& wanted, const std::string& set) {
    FakeFirewall::Table* table = find(wanted);
    return table == nullptr ? nullptr : find_in(table->sets, named(set));
  }
  static int add_one(FakeFirewall::Set& set, const NftElement& element, bool exclusive) {
    const std::size_t data_size = element.interval_end ? 0 : size_of(set.set.data);
    if (element.key.size() != size_of(set.set.key) || element.data.size() != data_size) return EINVAL;
    const NftElement* present = find_in(set.elements, same_key(element));
    if (present != nullptr) return exclusive || present->data != element.data ? EEXIST : 0;
    set.elements.push_back(element);
    return 0;
  }
  static int check(const FakeFirewall::Table& table, const Expression& expression) {
    if (const auto* lookup = std::get_if<Lookup>(&expression)) {
      return find_in(table.sets, named(lookup->set)) == nullptr ? ENOENT : 0;
    }
    const auto* verdict = std::get_if<Verdict>(&expression);
    if (verdict == nullptr || verdict->chain.empty()) return 0;
    const NftChain* target = find_in(table.chains, named(verdict->chain));
    if (target == nullptr) return ENOENT;
    return target->base ? EOPNOTSUPP : 0;
  }

  FakeFirewall::Tables& tables_;
};

/// Whether there is nothing to send: an operation on no element is none.
bool is_nothing(const NftBatch& batch) {
  return std::all_of(batch.operations.begin(), batch.operations.end(), [](const NftOperation& operation) {
    const auto* add = std::get_if<AddElements>(&operation);
    const auto* del = std::get_if<DeleteElements>(&operation);
    return (add != nullptr && add->elements.empty()) || (del != nullptr && del->elements.empty());
  });
}

Committed failed(int error, std::optional<std::size_t> operation = {}) {
  Committed committed{.kind = Committed::Kind::kRefused, .operation = operation, .ack = {error, {}}};
  if (error == ERESTART) committed.kind = Committed::Kind::kStale;
  if (error == EEXIST) committed.kind = Committed::Kind::kExists;
  if (error == ENOENT) committed.kind = Committed::Kind::kAbsent;
  return committed;
}

std::string hex(const Bytes& bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<std::size_t>(byte) >> 4U];
    text += kDigits[std::to_integer<std::size_t>(byte) & 0xFU];
  }
  return text;
}

}  // namespace

void FakeFirewall::refuse_next(int error_number, bool after_effect) {
  refusal_ = error_number;
  refusal_after_effect_ = after_effect;
}

void FakeFirewall::flush_ruleset() {
  tables_.clear();
  ++generation_;
}

void FakeFirewall::forget_calls() {
  commits_.clear();
  looks_ = 0;
}

std::set<std::string> FakeFirewall::snapshot() const {
  std::set<std::string> lines;
  for (const Table& table : tables_) {
    const std::string of = std::to_string(static_cast<int>(table.table.family)) + ' ' + table.table.name + ' ';
    lines.insert("table " + of);
    for (const NftChain& chain : table.chains) lines.insert("chain " + of + chain.name);
    for (const Set& set : table.sets) {
      lines.insert("set " + of + set.set.name);
      for (const NftElement& element : set.elements) {
        lines.insert("element " + of + set.set.name + ' ' + hex(element.key) + (element.interval_end ? " end" : "") +
                     " : " + hex(element.data) + ' ' + element.comment);
      }
    }
    std::map<std::string, int> counts;  // the same rule twice is two lines
    for (const ListedRule& rule : table.rules) {
      const std::string line = "rule " + of + rule.rule.chain + ' ' + hex(encode_expressions(rule.rule.expressions)) +
                               ' ' + rule.rule.comment;
      lines.insert(line + " #" + std::to_string(++counts[line]));
    }
  }
  return lines;
}

void FakeFirewall::look() {
  ++looks_;
  if (look_error_) throw conf::CniError(*look_error_);
}

std::uint32_t FakeFirewall::generation() {
  look();
  return generation_;
}

Committed FakeFirewall::commit(const NftBatch& batch, std::optional<std::uint32_t> generation) {
  commits_.push_back(batch);
  if (disturbances_ > 0) {
    --disturbances_;
    ++generation_;
  }
  const int refusal = std::exchange(refusal_, 0);
  if (refusal != 0 && !refusal_after_effect_) return failed(refusal);
  if (is_nothing(batch)) return {};
  if (generation && *generation != generation_) return failed(ERESTART);
  Tables changed = tables_;
  Apply apply(changed);
  for (std::size_t i = 0; i < batch.operations.size(); ++i) {
    if (const int error = std::visit(apply, batch.operations[i]); error != 0) return failed(error, i);
  }
  tables_ = std::move(changed);
  ++generation_;
  return refusal == 0 ? Committed{} : failed(refusal);
}

const FakeFirewall::Table* FakeFirewall::find(const NftTable& table) const {
  return find_in(tables_, [&table](const Table& one) { return one.table == table; });
}

const FakeFirewall::Set* FakeFirewall::find(const NftTable& table, const std::string& set) const {
  const Table* found = find(table);
  return found == nullptr ? nullptr : find_in(found->sets, named(set));
}

bool FakeFirewall::has_table(const NftTable& table) {
  look();
  return find(table) != nullptr;
}

std::vector<NftTable> FakeFirewall::tables() {
  look();
  std::vector<NftTable> all;
  for (const Table& table : tables_) all.push_back(table.table);
  return all;
}

std::optional<NftElement> FakeFirewall::element(const NftTable& table, const std::string& set, const Bytes& key) {
  look();
  const Set* found = find(table, set);
  if (found == nullptr) return std::nullopt;
  const auto* element = find_in(found->elements, [&key](const NftElement& one) { return one.key == key; });
  return element == nullptr ? std::nullopt : std::optional(*element);
}

std::optional<std::vector<NftElement>> FakeFirewall::elements(const NftTable& table, const std::string& set) {
  look();
  const Set* found = find(table, set);
  return found == nullptr ? std::nullopt : std::optional(found->elements);
}

std::vector<ListedRule> FakeFirewall::rules(const NftTable& table, const std::string& chain) {
  look();
  std::vector<ListedRule> picked;
  const Table* found = find(table);
  if (found == nullptr) return picked;
  std::copy_if(found->rules.begin(), found->rules.end(), std::back_inserter(picked),
               [&chain](const ListedRule& rule) { return chain.empty() || rule.rule.chain == chain; });
  return picked;
}

std::vector<NftChain> FakeFirewall::chains(const NftTable& table) {
  look();
  const Table* found = find(table);
  return found == nullptr ? std::vector<NftChain>() : found->chains;
}

std::vector<NftSet> FakeFirewall::sets(const NftTable& table) {
  look();
  std::vector<NftSet> all;
  if (const Table* found = find(table)) {
    for (const Set& set : found->sets) all.push_back(set.set);
  }
  return all;
}

Flushed FakeFlows::flush(conf::Family family, const Matches& matches) {
  ++dumps;
  if (error) throw conf::CniError(*error);
  if (!available) return {.deleted = 0, .available = false};
  const auto ends = [&](const Flow& flow) { return flow.original.source.family == family && matches(flow); };
  return {.deleted = std::erase_if(flows, ends), .available = true};
}

}  // namespace fakes
