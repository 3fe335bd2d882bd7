// SPDX-License-Identifier: Apache-2.0

// Stands for flannel's plugin, which is no package of Debian's: has Debian's bridge do the work, with the node's block
// of /run/flannel/subnet.env, and keeps what it told bridge in a file for each container. Says what flannel 1.9.1 says
// (tests/data/runtime), and does on DEL what that does: nothing, with success, when the file is gone.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>

#include "integration/delegates/stand_in.h"
#include "integration/support/process.h"

namespace {

namespace fs = std::filesystem;
using stand_in::Json;

constexpr const char* kSubnetFile = "/run/flannel/subnet.env";

std::string read_file(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

fs::path container_file() { return fs::path("/var/lib/cni/flannel") / stand_in::variable("CNI_CONTAINERID"); }

/// 10.244.1.0/24 of "FLANNEL_SUBNET=10.244.1.1/24".
std::string subnet() {
  std::istringstream lines(read_file(kSubnetFile));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("FLANNEL_SUBNET=", 0) != 0) continue;
    const std::string gateway = line.substr(line.find('=') + 1);
    const std::size_t last = gateway.rfind('.') + 1;
    return gateway.substr(0, last) + "0" + gateway.substr(gateway.find('/'));
  }
  throw std::runtime_error(std::string("failed to load flannel 'subnet.env' file: open ") + kSubnetFile +
                           ": no such file or directory. Check the flannel pod log for this node.");
}

std::string bridge(const std::string& input) { return support::must_run({"/usr/lib/cni/bridge"}, {}, input); }

void add(const Json& config, const std::string& /*input*/) {
  const Json ipam = {{"type", "host-local"}, {"ranges", Json::array({Json::array({Json{{"subnet", subnet()}}})})}};
  const Json told = {{"type", "bridge"},         {"name", config.at("name")},
                     {"bridge", "cni0"},         {"cniVersion", config.at("cniVersion")},
                     {"isDefaultGateway", true}, {"hairpinMode", true},
                     {"ipMasq", false},          {"ipam", ipam}};
  fs::create_directories(container_file().parent_path());
  std::ofstream(container_file()) << told;
  std::cout << bridge(told.dump());
}

void del(const Json& /*config*/, const std::string& /*input*/) {
  if (!fs::exists(container_file())) return;
  (void)bridge(read_file(container_file()));
  fs::remove(container_file());
}

}  // namespace

int main() { return stand_in::run({.add = add, .del = del}); }
