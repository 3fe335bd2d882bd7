// SPDX-License-Identifier: Apache-2.0
#include "integration/migration.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "integration/report.h"
#include "integration/support/leftovers.h"

namespace integration {
namespace {

using support::Node;
using support::Prober;
using Json = nlohmann::json;

constexpr const char* kOutside = "outside";
constexpr std::uint16_t kHostPort = 30080;

std::string slot_name(const Node& node, unsigned index) {
  return fmt::format("n{}-{}", node.number(), static_cast<char>('a' + index));
}

}  // namespace

Migration::Migration(const support::Cluster& cluster, const lab::Lab& lab, const support::Runtime& runtime,
                     Prober& prober, MigrationOptions options)
    : cluster_(cluster), lab_(lab), runtime_(runtime), prober_(prober), options_(std::move(options)) {
  for (const Node& node : cluster_.nodes()) record_.nodes.push_back(node.name());
}

void Migration::run() {
  prepare();
  begin_phase("before Crossover");
  const unsigned older = options_.pods_per_node / 2;
  for (const Node& node : cluster_.nodes())
    for (unsigned i = 0; i < older; ++i)
      pods_[node.number()].push_back(start(node, slot_name(node, i), 1, i == 0, "legacy"));
  options_.pause(options_.soak);

  begin_phase("Crossover installed");
  install_crossover();
  for (const Node& node : cluster_.nodes())
    for (unsigned i = older; i < options_.pods_per_node; ++i)
      pods_[node.number()].push_back(start(node, slot_name(node, i), 1, false, "legacy"));
  show(node(1), "status");
  options_.pause(options_.soak);
  if (options_.fault == Fault::kLoss) cut_uplink(node(1));

  const unsigned last = static_cast<unsigned>(cluster_.nodes().size());
  for (unsigned number = 1; number <= last; ++number) {
    begin_phase(fmt::format("node{} to second", number));
    move(number, "cilium", "wave " + std::to_string(number));
    if (number != 2) continue;
    begin_phase("node2 rolled back");
    move(number, "legacy", "rollback drill");
    begin_phase("node2 to second again");
    move(number, "cilium", "wave 2, once more");
  }

  begin_phase("all on second");
  options_.pause(options_.soak);
  show(node(2), "status");
  end_phase();
  stop_all();
  judge();
}

Record Migration::record() const {
  Record record = record_;
  record.counts = prober_.counts();
  return record;
}

double Migration::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

void Migration::say(const Node* node, const std::string& text) const {
  const support::ProbeTotals totals = prober_.totals();
  options_.say(fmt::format("{:6.1f}s {:>8} sent {} lost  {} {}", now(), totals.sent, totals.lost,
                           node == nullptr ? "==" : node->name(), text));
}

void Migration::begin_phase(const std::string& name) {
  end_phase();
  prober_.phase(name);
  record_.phases.push_back({name, now(), now()});
  options_.say("");
  say(nullptr, name);
}

void Migration::end_phase() {
  if (!record_.phases.empty()) record_.phases.back().end = now();
}

/// Every node has run a pod before, as real ones have: what the legacy plugins make once, and leave, is there.
void Migration::prepare() {
  for (const Node& node : cluster_.nodes()) {
    const lab::ListFile list = lab_.legacy_list(node);
    node.write(list.path, list.text);
    support::Sandbox first = runtime_.start(node, "first", kHostPort, Prober::kEchoPort);
    runtime_.stop(first);
    before_[node.number()] = support::node_state(node);
  }
  begin_ = std::chrono::steady_clock::now();
  prober_.join({kOutside, "", "outside", ""}, cluster_.lan());
}

void Migration::install_crossover() {
  for (const Node& node : cluster_.nodes()) {
    const lab::ListFile second = lab_.second_list(node);
    node.write(second.path, second.text);
    const lab::ListFile ours = lab_.crossover_list();
    node.write(ours.path, ours.text);
    say(&node, "00-crossover.conflist is in net.d");
  }
  installed_ = true;
}

void Migration::move(unsigned number, const std::string& state, const std::string& reason) {
  const Node& target = node(number);
  target.must_run({options_.crossover, "set", state, reason});
  const std::string network = state == "cilium" ? "second" : "legacy";
  record_.moves.push_back({now(), target.name(), network});
  say(&target, fmt::format("crossover set {} \"{}\"", state, reason));
  show(target, "explain");
  options_.pause(options_.soak);
  recycle(target, network);
  options_.pause(options_.soak);
}

void Migration::recycle(const Node& node, const std::string& expected) {
  std::vector<Pod>& pods = pods_[node.number()];
  for (std::size_t i = 0; i < pods.size(); ++i) {
    if (i > 0 && i == pods.size() / 2) show(node, "attachments");  // both networks live side by side
    replace(pods[i], expected);
    options_.pause(options_.between);
  }
}

/// As a Deployment does it, the new pod first; a host port can only be had after the old pod is gone.
void Migration::replace(Pod& old, const std::string& expected) {
  const Node& node = *old.sandbox.node;
  const std::string was = fmt::format("{} {}", old.network, old.sandbox.address);
  const bool host_port = old.sandbox.host_port != 0;
  if (host_port) stop(old);
  Pod next = start(node, old.slot, old.generation + 1, host_port, expected);
  if (!host_port) stop(old);
  old = std::move(next);
  say(&node, fmt::format("{}: {} -> {} {}", old.slot, was, old.network, old.sandbox.address));
}

Migration::Pod Migration::start(const Node& node, const std::string& slot, unsigned generation, bool host_port,
                                const std::string& expected) {
  Pod pod;
  pod.slot = slot;
  pod.generation = generation;
  pod.before_crossover = !installed_;
  const std::string name = fmt::format("{}-{}", slot, generation);
  pod.sandbox = runtime_.start(node, name, host_port ? kHostPort : std::uint16_t{0}, Prober::kEchoPort);
  pod.network = lab_.network_of(pod.sandbox.address);
  if (pod.network != expected)
    record_.problems.push_back(fmt::format("{} joined the {} network, not the {} one", name, pod.network, expected));
  prober_.join({name, pod.network, node.name(), pod.sandbox.address}, *pod.sandbox.netns);
  if (host_port) prober_.probe(kOutside, name, "hostPort", node.address(), kHostPort);
  record_.events.push_back(event(pod, true));
  return pod;
}

PodEvent Migration::event(const Pod& pod, bool started) const {
  return {.at = now(),
          .node = pod.sandbox.node->name(),
          .pod = pod.sandbox.pod,
          .network = pod.network,
          .address = pod.sandbox.address,
          .started = started,
          .before_crossover = pod.before_crossover,
          .host_port = pod.sandbox.host_port != 0};
}

void Migration::stop(Pod& pod) {
  prober_.leave(pod.sandbox.pod);
  record_.events.push_back(event(pod, false));
  runtime_.stop(pod.sandbox);
}

void Migration::stop_all() {
  prober_.settle();
  options_.say("");
  say(nullptr, "every pod is deleted");
  if (options_.fault == Fault::kLeak) pods_[1].erase(pods_[1].begin());
  for (auto& [number, pods] : pods_) {
    (void)number;
    for (Pod& pod : pods) stop(pod);
    pods.clear();
  }
}

void Migration::cut_uplink(const Node& node) {
  const std::string port = "port" + std::to_string(node.number());
  cluster_.lan().ip("link set " + port + " down");
  options_.pause(options_.soak);
  cluster_.lan().ip("link set " + port + " up");
}

void Migration::show(const Node& node, const std::string& command) const {
  options_.say(fmt::format("           | {}# crossover {}", node.name(), command));
  std::istringstream lines(node.must_run({options_.crossover, command}));
  for (std::string line; std::getline(lines, line);) options_.say("           | " + line);
}

void Migration::judge() {
  const support::ProbeTotals totals = prober_.totals();
  if (totals.sent == 0) record_.problems.emplace_back("no probe was sent");
  for (const auto& count : prober_.counts()) {
    if (count.lost == 0 && count.strangers == 0) continue;
    record_.problems.push_back(fmt::format(
        "{}: {} ({}, {}) to {} ({}, {}){}{}: {} of {} probes lost{}{}", count.phase, count.from, count.from_group,
        count.from_place, count.to, count.to_group, count.to_place, count.service.empty() ? "" : " by ", count.service,
        count.lost, count.sent, count.strangers == 0 ? "" : fmt::format(", {} answered by another", count.strangers),
        count.problem.empty() ? "" : ": " + count.problem));
  }
  for (std::string& line : twice(record_)) record_.problems.push_back(std::move(line));
  find_leftovers();
}

void Migration::find_leftovers() {
  for (const Node& node : cluster_.nodes()) {
    node.must_run({options_.crossover, "uninstall", "--coexistence"});  // the node's rules outlive its pods
    const auto found = support::leftovers(node, before_[node.number()], support::node_state(node));
    record_.leftovers.insert(record_.leftovers.end(), found.begin(), found.end());
    check_nothing_recorded(node);
  }
  for (const auto& line : record_.leftovers) record_.problems.push_back("left over on " + line);
}

void Migration::check_nothing_recorded(const Node& node) {
  const Json status = Json::parse(node.must_run({options_.crossover, "status", "--json"}));
  for (const auto& [network, count] : status.at("attachments").items())
    if (count != 0)
      record_.leftovers.push_back(fmt::format("{}: attachments {}: {}", node.name(), network, count.dump()));
  for (const Json& block : status.at("leases"))
    if (block.at("used") != 0)
      record_.leftovers.push_back(fmt::format("{}: {} of {} in use", node.name(), block.at("used").dump(),
                                              block.at("cidr").get<std::string>()));
}

}  // namespace integration
