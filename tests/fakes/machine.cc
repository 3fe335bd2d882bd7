// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/machine.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "conf/list.h"
#include "plugin/commands.h"

namespace fakes {
namespace {

namespace fs = std::filesystem;

// In memory, where there is such a place: thousands of runs sync their files.
std::string temporary_dir() {
  const fs::path memory = "/dev/shm";
  std::string name = ((fs::is_directory(memory) ? memory : fs::temp_directory_path()) / "crossover-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
  return name;
}

std::vector<std::string> types_of(std::string_view list) {
  std::vector<std::string> types;
  for (const conf::PluginConf& plugin : conf::parse_list(list, "a test's list").plugins) types.push_back(plugin.type);
  return types;
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What is there to stay, whatever happens to a pod.
bool is_bookkeeping(const std::string& name) {
  return name.starts_with("events.jsonl") || name == "lock" || name.starts_with("networks/");
}

}  // namespace

Machine::Machine() : dir_(temporary_dir()) {
  settings.net_dir = net_dir();
  settings.state_dir = state_dir();
  for (const std::string& dir : {net_dir(), state_dir(), bin_dir(), cache_dir(), lease_dir()})
    fs::create_directory(dir);
  agent.endpoint_of = [this](const conf::AttachmentId& id) {
    return world.has("cilium-cni", id) ? plugin::Endpoint::kPresent : plugin::Endpoint::kAbsent;
  };
}

Machine::~Machine() {
  std::error_code ignored;  // what is left in /tmp is cleaned by others
  fs::remove_all(dir_, ignored);
}

void Machine::write(const std::string& path, std::string_view bytes) {
  fs::create_directories(fs::path(path).parent_path());
  fs::remove(path);
  std::ofstream file(path, std::ios::binary);
  if (!(file << bytes << std::flush)) throw std::runtime_error("cannot write " + path);
}

void Machine::install(const std::vector<std::string>& types) {
  for (const std::string& type : types) write(bin_dir() + '/' + type, type);
}

void Machine::uninstall(const std::string& type) { fs::remove(bin_dir() + '/' + type); }

void Machine::legacy(std::string_view list) {
  write(net_dir() + "/10-legacy.conflist", list);
  install(types_of(list));
}

void Machine::cilium(std::string_view list) {
  write(net_dir() + "/crossover.d/05-cilium.conflist", list);
  install(types_of(list));
}

plugin::System Machine::process() {
  return {.disk = disk,
          .runner = runner,
          .pods = pods,
          .agent = agent,
          .clock = clock,
          .firewall = firewall,
          .flows = flows,
          .host_links = host_links,
          .fib = fib,
          .boot_id = boot_id,
          .started_ns = clock.boot_ns(),
          .environment = {"PATH=" + dir_ + "/usr", "CNI_COMMAND=inherited"},
          .self = {},
          .places = {.libcni_cache = cache_dir(),
                     .host_local = lease_dir(),
                     .flannel = dir_ + "/flannel",
                     .flannel_subnet = dir_ + "/flannel.env",
                     .cilium_socket = dir_ + "/cilium.sock",
                     .sysctl = dir_ + "/sys",
                     .program = dir_ + "/crossover.program",
                     .programs = dir_ + "/sbin",
                     .plugins = bin_dir()}};
}

conf::Request Machine::request(conf::Verb verb, const std::string& id, const std::string& netns) const {
  return {.verb = verb,
          .id = {.container_id = id, .ifname = "eth0"},
          .netns = netns,
          .args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-" + id + ";K8S_POD_UID=uid-" + id,
          .path = bin_dir(),
          .netns_override = false};
}

conf::NetConf Machine::netconf() const {
  conf::NetConf out;
  out.cni_version = cni_version;
  out.name = "crossover";
  out.settings = settings;
  if (!runtime_config.empty()) out.runtime_config = conf::Object::parse(runtime_config, "runtimeConfig");
  return out;
}

std::string Machine::add(const std::string& id, const std::string& netns) {
  plugin::System system = process();
  return plugin::add(system, request(conf::Verb::kAdd, id, netns), netconf());
}

std::string Machine::del(const std::string& id, const std::string& netns) {
  plugin::System system = process();
  return plugin::del(system, request(conf::Verb::kDel, id, netns), netconf());
}

std::string Machine::check(const std::string& id, const std::string& netns) {
  plugin::System system = process();
  return plugin::check(system, request(conf::Verb::kCheck, id, netns), netconf());
}

std::string Machine::gc(const std::vector<conf::AttachmentId>& valid) {
  plugin::System system = process();
  conf::NetConf with_list = netconf();
  with_list.valid_attachments = valid;
  conf::Request request;
  request.verb = conf::Verb::kGc;
  request.path = bin_dir();
  return plugin::gc(system, request, with_list);
}

plugin::Report Machine::gc_command(const plugin::GcOptions& options) {
  plugin::System system = process();
  return plugin::gc_report(system, settings, options, true);
}

void Machine::cut_power(FaultDisk::PowerCut kind) {
  disk.cut_power(kind);
  world.restart();
  boot_id += '+';
}

std::map<std::string, std::string> Machine::snapshot() {
  std::map<std::string, std::string> out;
  for (const std::string& folder : {state_dir(), cache_dir(), lease_dir()}) collect(folder, out);
  for (const std::string& kept : world.state()) out["plugin " + kept] = "";
  for (const std::string& link : namespaces.links()) out["link " + link] = "";
  return out;
}

void Machine::collect(const std::string& folder, std::map<std::string, std::string>& into) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder);
    if (!entry.is_regular_file() || (folder == state_dir() && is_bookkeeping(name))) continue;
    into[entry.path().lexically_relative(dir_)] = content_of(entry.path());
  }
}

}  // namespace fakes
