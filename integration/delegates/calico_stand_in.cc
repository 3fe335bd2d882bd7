// SPDX-License-Identifier: Apache-2.0

// Stands for Calico's plugin where there is no API server: gives a pod the devices, addresses and routes that Calico
// gives it, with the IPAM plugin of its configuration.

#include <fstream>
#include <stdexcept>
#include <string>

#include "integration/delegates/stand_in.h"
#include "integration/support/process.h"

namespace {

using stand_in::ip_batch;
using stand_in::Json;
using stand_in::variable;

constexpr const char* kMac = "ee:ee:ee:ee:ee:ee";

/// "cali" and eleven digits: as long as a name may be.
std::string host_device() { return "cali" + variable("CNI_CONTAINERID").substr(0, 11); }

void sysctl(const std::string& key, const std::string& value) {
  std::ofstream out("/proc/sys/net/ipv4/" + key);
  out << value << std::flush;
  if (!out) throw std::runtime_error("write " + key);
}

Json ipam(const Json& config, const std::string& input) {
  const std::string plugin = "/usr/lib/cni/" + config.at("ipam").at("type").get<std::string>();
  const std::string out = support::must_run({plugin}, {}, input);
  return out.empty() ? Json() : Json::parse(out);
}

void add(const Json& config, const std::string& input) {
  const std::string leased = ipam(config, input).at("ips").at(0).at("address");
  const std::string address = leased.substr(0, leased.find('/')) + "/32";
  const std::string pod = stand_in::pod();
  const std::string inside = variable("CNI_IFNAME");
  const std::string outside = host_device();
  const std::string mtu = " mtu " + std::to_string(config.value("mtu", 1450));
  ip_batch("", "link add " + outside + mtu + " address " + kMac + " type veth peer name " + inside + mtu + " netns " +
                   pod + "\n");
  sysctl("conf/" + outside + "/rp_filter", "0");
  sysctl("conf/" + outside + "/route_localnet", "1");
  sysctl("conf/" + outside + "/forwarding", "1");
  sysctl("conf/" + outside + "/proxy_arp", "1");
  sysctl("neigh/" + outside + "/proxy_delay", "0");
  ip_batch("", "link set " + outside + " up\nroute add " + address + " dev " + outside + " scope link metric 1024\n");
  ip_batch(pod, "addr add " + address + " dev " + inside + "\nlink set " + inside + " up\nroute add 169.254.1.1 dev " +
                    inside + " scope link\nroute add default via 169.254.1.1 dev " + inside + "\n");
  stand_in::print_result(config, outside, kMac, address);
}

void del(const Json& config, const std::string& input) {
  (void)ipam(config, input);
  (void)support::run({"ip", "link", "del", host_device()});  // may be gone
}

}  // namespace

int main() { return stand_in::run({.add = add, .del = del}); }
