// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/vpc_stage.h"

#include <sys/socket.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

namespace lab {
namespace {

using Json = nlohmann::json;
using support::Node;
using support::Server;

constexpr std::uint16_t kPort = 8080;
constexpr std::size_t kColumn = 6;

std::string padded(std::string text) {
  text.resize(std::max(text.size() + 1, kColumn), ' ');
  return text;
}

std::string trimmed(const std::string& line) { return line.substr(0, line.find_last_not_of(' ') + 1) + "\n"; }

/// "... from 172.30.1.17 via 172.30.0.1 dev eth1 table 2 \n cache iif ..." without the sender and the cache.
std::string way_in(const std::string& answer) {
  std::istringstream words(answer.substr(0, answer.find("cache")));
  std::string out;
  for (std::string word; words >> word;)
    if (word == "via" || word == "dev" || word == "table") {
      std::string value;
      words >> value;
      out += (out.empty() ? "" : " ") + word + " " + value;
    }
  return out;
}

}  // namespace

ListFile crossover_list(const Json& keys) {
  Json plugin = keys;
  plugin["type"] = "crossover";
  plugin["capabilities"] = {{"portMappings", true}};
  const Json all = {{"cniVersion", "1.0.0"},
                    {"cniVersions", {"0.3.1", "0.4.0", "1.0.0", "1.1.0"}},
                    {"name", "crossover"},
                    {"loadOnlyInlinedPlugins", true},
                    {"plugins", Json::array({plugin})}};
  return {"/etc/cni/net.d/00-crossover.conflist", all.dump(2) + "\n"};
}

VpcStage::VpcStage(const support::Cluster& cluster, const std::string& bin, const std::string& cni_path)
    : cluster_(cluster), crossover_(bin + "/crossover"), runtime_(bin + "/libcni-driver", cni_path) {
  for (const Node& node : cluster.nodes()) add("n" + std::to_string(node.number()), node.net(), node.address());
}

VpcStage::~VpcStage() {
  parties_.clear();
  for (auto& [name, pod] : pods_) runtime_.stop(*pod);
}

std::string VpcStage::crossover(unsigned number, const std::string& arguments) const {
  return node(number).must_run(support::words(crossover_ + " " + arguments));
}

std::string VpcStage::last_notes(unsigned number) const {
  std::istringstream lines(node(number).read("/var/lib/cni/crossover/events.jsonl"));
  std::string notes;
  for (std::string line; std::getline(lines, line);) {
    const Json event = Json::parse(line);
    if (event.at("verb") != "ADD") continue;
    notes.clear();
    for (const Json& note : event.value("notes", Json::array())) notes += note.get<std::string>() + "\n";
  }
  return notes;
}

support::Sandbox& VpcStage::start(const std::string& name, unsigned number, const std::string& network) {
  (void)crossover(number, "set " + network + " wanted");
  auto pod = std::make_unique<support::Sandbox>(runtime_.start(node(number), name));
  add(name, *pod->netns, pod->address);
  return *(pods_[name] = std::move(pod));
}

void VpcStage::stop(const std::string& name) {
  parties_.erase(name);
  runtime_.stop(*pods_.at(name));
  pods_.erase(name);
}

void VpcStage::add(const std::string& name, const support::Netns& netns, const std::string& address) {
  parties_[name] = Party{.netns = &netns,
                         .address = address,
                         .tcp = std::make_unique<Server>(netns, SOCK_STREAM, address, kPort),
                         .udp = std::make_unique<Server>(netns, SOCK_DGRAM, address, kPort)};
  call(address, name);
}

std::string VpcStage::seen(const std::optional<std::string>& who, const Party& from) const {
  if (!who) return "lost";
  if (*who == from.address) return "own";
  const auto known = names_.find(*who);
  return known == names_.end() ? *who : known->second;
}

std::string VpcStage::ask(const std::string& from, const std::string& to) {
  return ask_at(from, to, parties_.at(to).address, kPort);
}

std::string VpcStage::ask_at(const std::string& from, const std::string& to, const std::string& address,
                             std::uint16_t port) {
  const Party& here = parties_.at(from);
  const Party& there = parties_.at(to);
  const std::string tcp = seen(there.tcp->asked_by(*here.netns, address, port), here);
  const std::string udp = seen(there.udp->asked_by(*here.netns, address, port), here);
  return tcp == udp ? tcp : tcp + "/" + udp;
}

std::string VpcStage::send(const std::string& from, const std::string& to, std::size_t size) {
  const Party& here = parties_.at(from);
  const Party& there = parties_.at(to);
  for (const support::Netns* netns : {here.netns, there.netns}) netns->sysctl("net.ipv4.route.flush", "1");
  return seen(there.udp->asked_by(*here.netns, there.address, kPort, size), here);
}

std::string VpcStage::table(const std::vector<std::string>& from, const std::vector<std::string>& to) {
  std::string line = padded("");
  for (const std::string& name : to) line += padded(name);
  std::string out = trimmed(line);
  for (const std::string& asker : from) {
    line = padded(asker);
    for (const std::string& name : to) line += padded(asker == name ? "-" : ask(asker, name));
    out += trimmed(line);
  }
  return out;
}

std::string VpcStage::way(const std::string& pod, const std::string& address) const {
  const support::Sandbox& sandbox = *pods_.at(pod);
  const Json routes = Json::parse(sandbox.node->net().ip("-j route show table main " + sandbox.address));
  const std::string device = routes.at(0).at("dev");
  return way_in(sandbox.node->net().ip("route get " + address + " from " + sandbox.address + " iif " + device));
}

}  // namespace lab
