// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "conf/error.h"
#include "conf/netconf.h"
#include "conf/result.h"
#include "ipam/host_local.h"

namespace fakes {
namespace {

constexpr std::string_view kCilium = "cilium-cni";

std::string key_of(std::string_view type, const conf::AttachmentId& id) {
  return fmt::format("{} {} {}", type, id.container_id, id.ifname);
}

std::string variable(const plugin::Command& command, std::string_view name) {
  for (const std::string& entry : command.env)
    if (entry.starts_with(name) && entry.substr(name.size(), 1) == "=") return entry.substr(name.size() + 1);
  return {};
}

Ask ask_of(const plugin::Command& command) {
  Ask ask;
  ask.type = command.path.substr(command.path.rfind('/') + 1);
  ask.verb = variable(command, "CNI_COMMAND");
  ask.id = {.container_id = variable(command, "CNI_CONTAINERID"), .ifname = variable(command, "CNI_IFNAME")};
  ask.netns = variable(command, "CNI_NETNS");
  ask.args = variable(command, "CNI_ARGS");
  ask.path = variable(command, "CNI_PATH");
  ask.input = command.input;
  if (!command.input.empty()) ask.config = conf::Object::parse(command.input, "stdin of " + ask.type);
  ask.command = command;
  return ask;
}

// Where host-local keeps the leases of this plugin's network; empty if it is not the plugin's IPAM.
std::string lease_dir(const Ask& ask) {
  const std::string* section = ask.config.find("ipam");
  if (section == nullptr) return {};
  const conf::Object ipam = conf::Object::parse(*section, "ipam");
  if (conf::string_member(ipam, "type", "ipam") != "host-local") return {};
  return ipam::host_local_dir(ipam, conf::string_member(ask.config, "name", "stdin").value_or(""));
}

std::string result_of(const Ask& ask, const std::string& address) {
  const std::string version = conf::string_member(ask.config, "cniVersion", "stdin").value_or("0.1.0");
  const std::string result =
      fmt::format(R"({{"cniVersion":"1.0.0","interfaces":[{{"name":"veth{0}"}},{{"name":"{1}","sandbox":"{2}"}}],)"
                  R"("ips":[{{"interface":1,"address":"{3}/24"}}]}})",
                  ask.id.container_id.substr(0, 8), ask.id.ifname, ask.netns, address);
  return conf::convert_result(result, "1.0.0", version);
}

}  // namespace

netlink::NetnsId FakePods::add(const std::string& path) {
  ++made_;
  Pod pod;
  pod.id = {.inode = 4026532000U + made_, .cookie = 100U + made_};
  pods_[path] = pod;
  return pod.id;
}

void FakePods::add_other(const std::string& path) {
  (void)add(path);
  pods_[path].is_netns = false;
}

void FakePods::add_host(const std::string& path) {
  (void)add(path);
  pods_[path].is_ours = true;
}

void FakePods::add_link(const std::string& path, const std::string& ifname) {
  Pod& pod = pods_.at(path);
  if (pod.links.insert(ifname).second) pod.fib->add_link(ifname);
}

void FakePods::remove_link(const std::string& path, const std::string& ifname) {
  const auto pod = pods_.find(path);
  if (pod == pods_.end() || pod->second.links.erase(ifname) == 0) return;
  pod->second.fib->delete_link(ifname);
}

std::shared_ptr<netlink::Fib> FakePods::fib(const std::string& path) {
  if (!look(path, {})) return nullptr;
  return pods_.at(path).fib;
}

bool FakePods::has_link(const std::string& path, const std::string& ifname) const {
  const auto pod = pods_.find(path);
  return pod != pods_.end() && pod->second.links.count(ifname) != 0;
}

std::set<std::string> FakePods::links() const {
  std::set<std::string> out;
  for (const auto& [path, pod] : pods_)
    for (const std::string& link : pod.links) out.insert(fmt::format("{} {}", path, link));
  return out;
}

std::optional<plugin::PodNetns> FakePods::look(const std::string& path, const std::string& ifname) {
  const auto pod = pods_.find(path);
  if (pod == pods_.end()) return std::nullopt;
  if (!pod->second.is_netns) throw conf::CniError(conf::Code::kInvalidNetns, "not a network namespace", path);
  return plugin::PodNetns{
      .id = pod->second.id, .is_ours = pod->second.is_ours, .has_link = pod->second.links.count(ifname) != 0};
}

void FakePods::add_address(const std::string& path, const std::string& ifname, const std::string& address) {
  pods_.at(path).addresses[ifname].push_back(conf::IpPrefix::parse(address).value());
}

std::vector<conf::IpPrefix> FakePods::addresses(const std::string& path, const std::string& ifname) {
  if (!look(path, ifname)) return {};
  Pod& pod = pods_.at(path);
  return pod.links.count(ifname) != 0 ? pod.addresses[ifname] : std::vector<conf::IpPrefix>{};
}

bool FakePods::delete_link(const std::string& path, const netlink::NetnsId& expected, const std::string& ifname) {
  const auto pod = pods_.find(path);
  if (pod == pods_.end() || pod->second.is_ours || !pod->second.id.same_as(expected)) return false;
  if (pod->second.links.erase(ifname) == 0) return false;
  pod->second.fib->delete_link(ifname);
  return true;
}

plugin::Outcome succeeded(std::string out) {
  plugin::Outcome outcome;
  outcome.out = std::move(out);
  outcome.took = std::chrono::microseconds(1500);
  return outcome;
}

plugin::Outcome failed(unsigned code, std::string_view msg, std::string_view details) {
  plugin::Outcome outcome = succeeded(fmt::format(R"({{"cniVersion":"1.0.0","code":{},"msg":{},"details":{}}})", code,
                                                  conf::quote(msg), conf::quote(details)));
  outcome.status = 1;
  return outcome;
}

void World::on(const std::string& type, const std::string& verb, Behaviour behaviour) {
  behaviours_[{type, verb}] = std::move(behaviour);
}

void World::refuse(const std::string& type, const std::string& verb, bool after_effect) {
  on(type, verb, [this, after_effect](const Ask& ask) -> std::optional<plugin::Outcome> {
    if (after_effect) (void)act(ask);
    return failed(5, "scripted failure", after_effect ? "after its work" : "before its work");
  });
}

bool World::has(const std::string& type, const conf::AttachmentId& id) const {
  return state_.count(key_of(type, id)) != 0;
}

void World::keep(const Ask& ask) {
  if (bare_.count(ask.type) == 0) state_.insert(key_of(ask.type, ask.id));
}

void World::restart() {
  for (auto it = state_.begin(); it != state_.end();) it = it->starts_with(kCilium) ? std::next(it) : state_.erase(it);
  pods_.remove_all();
}

std::vector<std::string> World::names() const {
  std::vector<std::string> out;
  for (const Ask& ask : asks_) out.push_back(ask.name());
  return out;
}

plugin::Outcome World::run(const plugin::Command& command) {
  const Ask ask = ask_of(command);
  asks_.push_back(ask);
  const auto scripted = behaviours_.find({ask.type, ask.verb});
  if (scripted != behaviours_.end())
    if (std::optional<plugin::Outcome> outcome = scripted->second(ask)) return *outcome;
  return act(ask);
}

plugin::Outcome World::act(const Ask& ask) {
  if (ask.verb == "ADD") return add(ask);
  if (ask.verb == "DEL") del(ask);
  if (ask.verb == "GC") collect(ask);
  const bool there = bare_.count(ask.type) != 0 ? pods_.has_link(ask.netns, ask.id.ifname) : has(ask.type, ask.id);
  if (ask.verb == "CHECK" && !there) return failed(7, "it is not there");
  return succeeded();
}

plugin::Outcome World::add(const Ask& ask) {
  if (has(ask.type, ask.id)) return failed(7, "it is there already");
  if (chained_.count(ask.type) != 0) {
    const std::string* before = ask.config.find("prevResult");
    if (before == nullptr) return failed(7, "a chained plugin needs prevResult");
    keep(ask);
    return succeeded(*before);
  }
  if (!pods_.has(ask.netns)) return failed(8, "no such namespace", ask.netns);
  if (pods_.has_link(ask.netns, ask.id.ifname)) return failed(5, "the interface is there already");
  const std::string dir = lease_dir(ask);
  const std::string address = dir.empty() ? "10.0.0.2" : take_lease(dir, ask.id);
  keep(ask);
  pods_.add_link(ask.netns, ask.id.ifname);
  return succeeded(result_of(ask, address));
}

std::string World::take_lease(const std::string& dir, const conf::AttachmentId& id) {
  disk_.make_dirs(dir);
  for (unsigned host = 2; host < 255; ++host) {
    std::string address = fmt::format("10.244.1.{}", host);
    if (disk_.create(dir + '/' + address, id.container_id + "\r\n" + id.ifname)) return address;
  }
  throw conf::CniError(conf::Code::kIo, "the fake host-local is full", dir);
}

void World::del(const Ask& ask) {
  const std::string prefix = fmt::format("{} {} ", ask.type, ask.id.container_id);
  for (auto it = state_.begin(); it != state_.end();) {
    const bool goes = ask.type == kCilium ? it->starts_with(prefix) : *it == key_of(ask.type, ask.id);
    it = goes ? state_.erase(it) : std::next(it);
  }
  if (chained_.count(ask.type) != 0) return;
  pods_.remove_link(ask.netns, ask.id.ifname);
  const std::string dir = lease_dir(ask);
  if (dir.empty()) return;
  for (const ipam::HostLocalLease& lease : ipam::host_local_leases_of(disk_, dir, ask.id)) disk_.remove(lease.path);
}

void World::collect(const Ask& ask) {
  const std::string* listed = ask.config.find("cni.dev/valid-attachments");
  const std::vector<conf::AttachmentId> valid = conf::parse_attachment_ids(listed == nullptr ? "[]" : *listed, "GC");
  std::set<std::string> kept;
  for (const conf::AttachmentId& id : valid) kept.insert(key_of(ask.type, id));
  for (auto it = state_.begin(); it != state_.end();)
    it = it->starts_with(ask.type + ' ') && kept.count(*it) == 0 ? state_.erase(it) : std::next(it);
}

void FakeAgent::be_healthy() { answer = {.answered = true, .problem = {}, .state = "Ok", .cni_file_state = "Ok"}; }

plugin::AgentHealth FakeAgent::health(const std::string& socket, std::chrono::milliseconds /*deadline*/) {
  ++asked;
  asked_at = socket;
  if (!answer.answered && answer.problem.empty())
    return {.answered = false, .problem = socket + ": no answer", .state = {}, .cni_file_state = {}};
  return answer;
}

plugin::AgentConfig FakeAgent::config(const std::string& /*socket*/, std::chrono::milliseconds /*deadline*/) {
  ++asked_config;
  return settings;
}

plugin::Endpoint FakeAgent::endpoint(const std::string& /*socket*/, const std::string& container_id,
                                     const std::string& ifname, std::chrono::milliseconds /*deadline*/) {
  return endpoint_of ? endpoint_of({.container_id = container_id, .ifname = ifname}) : plugin::Endpoint::kUnknown;
}

}  // namespace fakes
