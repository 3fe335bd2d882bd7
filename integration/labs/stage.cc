// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/stage.h"

#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>

#include "integration/labs/ipv6.h"
#include "integration/labs/isolated.h"

namespace lab {
namespace {

using support::Node;
using support::Server;

constexpr std::size_t kLarge = 1400;

std::string one(const std::string& seen, const std::string& own) {
  return seen.empty() ? "lost" : seen == own ? "own" : seen;
}

}  // namespace

std::string text(const Seen& seen, const std::string& own) {
  const std::string tcp = one(seen.tcp, own);
  const std::string udp = one(seen.udp, own);
  const std::string icmp = one(seen.icmp, own);
  const std::string large = one(seen.large, own);
  std::string out = tcp;
  if (udp != tcp) out += ", udp " + udp;
  if (icmp != udp) out += ", icmp " + icmp;
  if (large != udp) out += ", 1400 bytes " + large;
  return out;
}

Stage::Stage(const std::string& lab, const std::string& bin, Preserve mode)
    : isolated_(be_isolated()),
      lab_(lab_named(lab)),
      runtime_(bin + "/libcni-driver", bin + ":/usr/lib/cni"),
      crossover_(bin + "/crossover") {
  lab_.build(cluster_);
  for (const Node& node : cluster_.nodes()) {
    start_pods(node, mode);
    add({"n" + std::to_string(node.number()), Kind::kHost, &node, &node.net(), node.address(),
         lab_.cilium().prefix6().empty() ? "" : address6(node)});
  }
}

Stage::~Stage() {
  for (auto& pod : pods_) runtime_.stop(*pod);
}

void Stage::start_pods(const Node& node, Preserve mode) {
  for (const ListFile& list : {lab_.legacy_list(node), lab_.second_list(node), lab_.crossover_list(mode)})
    node.write(list.path, list.text);
  for (const Kind kind : {Kind::kLegacy, Kind::kCilium}) {
    node.must_run({crossover_, "set", kind == Kind::kLegacy ? "legacy" : "cilium", "a pod of it is wanted"});
    const std::string name = (kind == Kind::kLegacy ? "l" : "c") + std::to_string(node.number());
    Party pod{.name = name, .kind = kind, .node = &node, .netns = nullptr, .address = {}, .address6 = {}};
    pods_.push_back(std::make_unique<support::Sandbox>(runtime_.start(node, name, host_port(pod), kPort)));
    pod.netns = pods_.back()->netns.get();
    pod.address = pods_.back()->address;
    pod.address6 = pods_.back()->address6;
    add(std::move(pod));
  }
}

void Stage::add(Party party) {
  serve(party, Family::kIpv4);
  if (!party.address6.empty()) serve(party, Family::kIpv6);
  parties_.push_back(std::move(party));
}

void Stage::serve(const Party& party, Family family) {
  const std::string& address = party.at(family);
  servers_.emplace(std::pair{party.name, family}, Servers{Server(*party.netns, SOCK_STREAM, address, kPort),
                                                          Server(*party.netns, SOCK_DGRAM, address, kPort),
                                                          support::EchoListener(*party.netns, address)});
}

const Party& Stage::party(const std::string& name) const {
  const auto found = std::find_if(parties_.begin(), parties_.end(), [&](const Party& p) { return p.name == name; });
  if (found == parties_.end()) throw std::invalid_argument("nobody is called " + name);
  return *found;
}

Seen Stage::ask(const std::string& from, const std::string& to, Size size, Family family) {
  Seen seen = ask(*party(from).netns, to, party(to).at(family), kPort, size);
  seen.icmp = servers_.at({to, family}).icmp.asked_by(*party(from).netns).value_or("");
  return seen;
}

Seen Stage::ask(const support::Netns& from, const std::string& to, const std::string& address, std::uint16_t port,
                Size size) {
  const Family family = address.find(':') == std::string::npos ? Family::kIpv4 : Family::kIpv6;
  Servers& servers = servers_.at({to, family});
  Seen seen;
  seen.tcp = servers.tcp.asked_by(from, address, port).value_or("");
  seen.udp = servers.udp.asked_by(from, address, port).value_or("");
  seen.icmp = seen.large = seen.udp;
  if (size == Size::kSmall) return seen;
  const std::string flush = family == Family::kIpv4 ? "net.ipv4.route.flush" : "net.ipv6.route.flush";
  for (const support::Netns* netns : {&from, party(to).netns}) netns->sysctl(flush, "1");
  seen.large = servers.udp.asked_by(from, address, port, kLarge).value_or("");
  return seen;
}

std::string Stage::status(unsigned number) const { return node(number).must_run({crossover_, "status", "--json"}); }

void Stage::add_services() {
  services_ = {{.name = "l1", .address = "10.96.0.11", .backend = party("l1").address, .node_port = 30011},
               {.name = "c2", .address = "10.96.0.12", .backend = party("c2").address, .node_port = 30012}};
  for (const Node& node : cluster_.nodes()) {
    add_kube_proxy(node, services_);
    add_pod_services(lab_.cilium().datapath(node), services_);
  }
}

void Stage::plumb(unsigned number, Preserve mode) const {
  const Node& target = node(number);
  const ListFile list = lab_.crossover_list(mode);
  target.write(list.path, list.text);
  target.must_run({crossover_, "reconcile"});
  std::string script = "table inet by_hand\ndelete table inet by_hand\n";
  if (mode == Preserve::kToCiliumOnly)
    script += "table inet by_hand {\nchain postrouting {\ntype nat hook postrouting priority 90\nip saddr " +
              lab_.legacy().cidr() + " ip daddr " + lab_.cilium().cidr() + " snat ip to ip saddr\n}\n}\n";
  target.must_run({"nft", "-f", "-"}, script);
}

}  // namespace lab
