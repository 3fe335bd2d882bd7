// SPDX-License-Identifier: Apache-2.0
#include "integration/runtimes/site.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "integration/runtimes/reach.h"
#include "integration/support/leftovers.h"
#include "integration/support/namespaces.h"

namespace runtimes {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kBootId = "/run/boot-id";
constexpr const char* kPlugins = "/run/plugins";
constexpr const char* kDebian = "/usr/lib/cni/";
constexpr const char* kSecondList = "/etc/cni/net.d/crossover.d/05-cilium.conflist";

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  if (!(file << text << std::flush)) throw std::runtime_error("cannot write " + path.string());
}

/// Another one each time.
std::string new_boot_id() {
  std::ifstream uuid("/proc/sys/kernel/random/uuid");
  std::string text;
  std::getline(uuid, text);
  return text + "\n";
}

/// A plugin that notes its calls, and waits while it is held.
std::string noted(const std::string& program) {
  return "#!/bin/sh\n"
         "echo \"$CNI_CONTAINERID $CNI_COMMAND ${0##*/} ${CNI_NETNS:-none}\" >> /run/plugins/calls\n"
         "while [ -e \"/run/plugins/hold-${0##*/}\" ]; do sleep 0.02; done\n"
         "exec " +
         program + "\n";
}

void put_plugins(const support::Node& node) {
  const std::string bin = BIN_DIR;
  for (const auto& [name, program] : {std::pair<std::string, std::string>{"bridge", std::string(kDebian) + "bridge"},
                                      {"portmap", std::string(kDebian) + "portmap"},
                                      {"cilium-cni", bin + "/cilium-stand-in"}}) {
    const std::string path = "/opt/cni/bin/" + name;
    node.write(path, noted(program));
    node.must_run({"chmod", "0755", path});
  }
  node.must_run({"ln", "-s", std::string(kDebian) + "host-local", std::string(kDebian) + "loopback", "/opt/cni/bin"});
}

/// The lab's list under the names that a real one has, and without portmap, as Cilium writes it.
std::string cilium_list(const lab::ListFile& list) {
  Json parsed = Json::parse(list.text);
  parsed["plugins"].erase(1);
  parsed["plugins"][0]["type"] = "cilium-cni";
  return parsed.dump();
}

std::vector<std::vector<std::string>> calls_noted() {
  std::vector<std::vector<std::string>> calls;
  std::ifstream file(std::string(kPlugins) + "/calls");
  for (std::string line; std::getline(file, line);) calls.push_back(support::words(line));
  return calls;
}

}  // namespace

void isolate_once() {
  static const bool done = [] {
    support::isolate({"/etc/cni", "/var/lib/cni", "/opt/cni"});
    write(kBootId, new_boot_id());
    if (::mount(kBootId, "/proc/sys/kernel/random/boot_id", nullptr, MS_BIND, nullptr) != 0)
      throw std::runtime_error("the boot id cannot be replaced");
    return true;
  }();
  (void)done;
}

std::string pause_image() {
  const fs::path dir = "/run/image";
  fs::create_directories(dir);
  const std::string bin = BIN_DIR;
  (void)support::must_run({"tar", "-C", bin, "--owner=0", "--group=0", "-cf", dir / "layer.tar", "pause"});
  const std::string digest = support::must_run({"sha256sum", dir / "layer.tar"}).substr(0, 64);
  const std::string machine = support::must_run({"dpkg", "--print-architecture"});  // the same words as Go's
  const Json config = {{"architecture", machine.substr(0, machine.find('\n'))},
                       {"os", "linux"},
                       {"config", {{"Entrypoint", {"/pause"}}}},
                       {"rootfs", {{"type", "layers"}, {"diff_ids", {"sha256:" + digest}}}}};
  write(dir / "config.json", config.dump());
  write(dir / "manifest.json", Json::array({Json{{"Config", "config.json"},
                                                 {"RepoTags", Json::array({kPauseImage})},
                                                 {"Layers", Json::array({"layer.tar"})}}})
                                   .dump());
  (void)support::must_run({"tar", "-C", dir, "-cf", dir / "image.tar", "manifest.json", "config.json", "layer.tar"});
  return dir / "image.tar";
}

Site::Site() : isolated_((isolate_once(), true)), lab_(lab::lab_named("flannel")), agent_("/run/cilium/cilium.sock") {
  fs::remove_all(kPlugins);
  fs::create_directories(kPlugins);
  lab_.build(cluster_);
  put_plugins(node());
  const lab::ListFile legacy = lab_.legacy_list(node());
  node().write(legacy.path, legacy.text);
  node().write(kSecondList, cilium_list(lab_.second_list(node())));
  fs::create_directories(node().file(support::kCniStateDir));
  before_ = support::node_state(node());
}

std::string Site::crossover(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), std::string(BIN_DIR) + "/crossover");
  return node().must_run(std::move(arguments));
}

void Site::install() const { (void)crossover({"install"}); }

Json Site::attachments() const { return Json::parse(crossover({"attachments", "--json"})); }

std::vector<Json> Site::record(const std::string& id) const {
  std::vector<Json> lines;
  for (const auto& entry : fs::directory_iterator(node().file("/var/lib/cni/crossover/attachments"))) {
    if (entry.path().filename().string().find(id) == std::string::npos) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  }
  return lines;
}

std::string Site::calls(const std::string& id) const {
  std::string out;
  for (const auto& call : calls_noted())
    if (call.size() == 4 && call[0] == id) out += (out.empty() ? "" : ", ") + call[1] + " " + call[2];
  return out;
}

std::string Site::netns_of_del(const std::string& id) const {
  std::string netns;
  for (const auto& call : calls_noted())
    if (call.size() == 4 && call[0] == id && call[1] == "DEL") netns = call[3];
  return netns;
}

void Site::hold(const std::string& plugin) const { write(std::string(kPlugins) + "/hold-" + plugin, ""); }

void Site::let_go(const std::string& plugin) const { fs::remove(std::string(kPlugins) + "/hold-" + plugin); }

bool Site::reaches(const std::string& address) const { return echoes(node().net().path(), address); }

std::string Site::leftovers() const {
  std::string out;
  for (const std::string& line : support::leftovers(node(), before_, support::node_state(node())))
    if (!line.ends_with("link cni0") && line.find(" dev cni0 ") == std::string::npos) out += line + "\n";
  return out;
}

void Site::forget_this_boot() const {
  write(kBootId, new_boot_id());
  (void)node().run({"ip", "link", "del", "cni0"});
  (void)node().run({"nft", "delete", "table", "inet", "crossover"});
}

}  // namespace runtimes
