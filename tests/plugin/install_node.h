// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "plugin/install.h"
#include "tests/fakes/machine.h"

// What the tests of install, uninstall and retire share.
namespace fakes {

inline constexpr const char* kLegacy =
    R"({"cniVersion":"0.3.1","name":"cbr0","plugins":[{"type":"bridge"},{"type":"portmap","capabilities":{"portMappings":true}}]})";
inline constexpr const char* kCilium = R"({"cniVersion":"0.3.1","name":"cilium","plugins":[{"type":"cilium-cni"}]})";

inline std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777U;
}

/// A node with a legacy list, and Crossover's program somewhere else.
struct InstallNode {
  fakes::Machine machine;

  InstallNode() {
    machine.legacy(kLegacy);
    machine.write(machine.dir() + "/crossover.program", "the program");
    for (const char* pod : {"/a", "/b"}) machine.namespaces.add(pod);
  }
  [[nodiscard]] std::string conf() const { return machine.net_dir() + "/00-crossover.conflist"; }
  [[nodiscard]] std::string bin(const std::string& name) const { return machine.bin_dir() + '/' + name; }
  [[nodiscard]] plugin::Placement where(bool dry_run = false) const {
    return {.conf = conf(), .bin_dir = machine.bin_dir(), .dry_run = dry_run};
  }
  using Operation = plugin::Placed (*)(plugin::System&, const conf::Settings&, const plugin::Placement&);
  plugin::Placed run(Operation operation, bool dry_run = false) {
    plugin::System system = machine.process();
    return operation(system, machine.settings, where(dry_run));
  }
  std::string refusal(Operation operation) {
    const auto before = files();
    std::string out;
    try {
      (void)run(operation);
    } catch (const conf::CniError& error) {
      CHECK(error.code() == plugin::kCannotPlace);
      out = error.details();
    }
    CHECK(files() == before);
    return out;
  }
  /// net.d, the plugins and libcni's cache, with their content.
  std::map<std::string, std::string> files() {
    std::map<std::string, std::string> out;
    for (const std::string& dir : {machine.net_dir(), machine.bin_dir(), machine.cache_dir()}) {
      if (!std::filesystem::exists(dir)) continue;
      for (const auto& entry : std::filesystem::recursive_directory_iterator(dir))
        if (entry.is_regular_file()) out[entry.path()] = content(entry.path());
    }
    return out;
  }
  void be_on_cilium() {
    machine.cilium(kCilium);
    machine.agent.be_healthy();
  }
};

}  // namespace fakes
