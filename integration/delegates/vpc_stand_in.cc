// SPDX-License-Identifier: Apache-2.0

// Stands for aws-cni, and for cilium-cni in ENI mode, where there is no AWS: gives a pod an address of the VPC, and the
// node the devices, routes and rules that the plugin of that name makes for it. What their daemons know, the addresses
// of each interface and its table, is in the configuration: {"interfaces": [{"table": 2, "addresses": [...]}]}; a pod
// gets the first one that is free. Cilium's pods have `vpc` if the node masquerades: the CIDR their own rule is for.

#include <fcntl.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "conf/fd.h"
#include "integration/delegates/stand_in.h"
#include "integration/support/process.h"

namespace {

namespace fs = std::filesystem;
using stand_in::ip_batch;
using stand_in::Json;
using stand_in::variable;

constexpr unsigned kMain = 254;

struct Lease {
  std::string address;
  unsigned table = kMain;
};

std::string id() { return variable("CNI_CONTAINERID"); }
bool is_cilium(const Json& config) { return config.at("type") == "cilium-cni"; }

/// As long as a name may be.
std::string host_device(const Json& config) { return (is_cilium(config) ? "lxc" : "eni") + id().substr(0, 11); }

std::string host_mac() {
  std::string mac = "0e";
  for (std::size_t i = 0; i < 10; i += 2) mac += ":" + id().substr(i, 2);
  return mac;
}

fs::path leases(const Json& config) { return "/var/lib/cni/leases-of-" + config.at("type").get<std::string>(); }

std::vector<Lease> addresses(const Json& config) {
  std::vector<Lease> all;
  for (const Json& interface : config.at("interfaces"))
    for (const Json& address : interface.at("addresses")) all.push_back({address, interface.at("table")});
  return all;
}

Lease take(const Json& config) {
  fs::create_directories(leases(config));
  for (const Lease& lease : addresses(config)) {
    const fs::path file = leases(config) / lease.address;
    const conf::UniqueFd made(::open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    if (!made) continue;
    std::ofstream(file) << id();
    return lease;
  }
  throw std::runtime_error("no address is left");
}

/// The pod's rules, as `ip rule add` and `ip rule del` take them.
std::vector<std::string> rules(const Json& config, const Lease& lease) {
  const std::string table = " lookup " + std::to_string(lease.table);
  if (is_cilium(config)) {
    const std::string vpc = config.value("vpc", "");
    const std::string to = vpc.empty() ? "" : " to " + vpc;
    return {"to " + lease.address + " lookup main pref 20 protocol kernel",
            "from " + lease.address + to + table + " pref 111 protocol kernel"};
  }
  std::vector<std::string> all = {"to " + lease.address + " lookup main pref 512"};
  if (lease.table != kMain) all.push_back("from " + lease.address + table + " pref 1536");
  return all;
}

void attach(const Json& config, const Lease& lease) {
  const std::string pod = stand_in::pod();
  const std::string inside = variable("CNI_IFNAME");
  const std::string outside = host_device(config);
  std::string host = "link add " + outside + " address " + host_mac() + " type veth peer name " + inside + " netns " +
                     pod + "\nlink set " + outside + " up\nroute add " + lease.address + " dev " + outside +
                     " scope link\n";
  for (const std::string& rule : rules(config, lease)) host += "rule add " + rule + "\n";
  ip_batch("", host);
  ip_batch(pod, "addr add " + lease.address + "/32 dev " + inside + "\nlink set " + inside +
                    " up\nroute add 169.254.1.1 dev " + inside + " scope link\nroute add default via 169.254.1.1 dev " +
                    inside + "\nneigh add 169.254.1.1 lladdr " + host_mac() + " dev " + inside + " nud permanent\n");
}

void add(const Json& config, const std::string& /*input*/) {
  const Lease lease = take(config);
  attach(config, lease);
  stand_in::print_result(config, host_device(config), host_mac(), lease.address + "/32");
}

void del(const Json& config, const std::string& /*input*/) {
  for (const Lease& lease : addresses(config)) {
    const fs::path file = leases(config) / lease.address;
    std::string owner;
    std::ifstream(file) >> owner;
    if (owner != id()) continue;
    for (const std::string& rule : rules(config, lease)) (void)support::run(support::words("ip rule del " + rule));
    (void)support::run({"ip", "link", "del", host_device(config)});  // may be gone
    fs::remove(file);
  }
}

}  // namespace

int main() { return stand_in::run({.add = add, .del = del}); }
