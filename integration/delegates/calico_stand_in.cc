// SPDX-License-Identifier: Apache-2.0

// Stands for Calico's plugin where there is no API server: gives a pod the devices, addresses and routes that Calico
// gives it, with the IPAM plugin of its configuration.

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "integration/support/process.h"

namespace {

using Json = nlohmann::json;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

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

void ip_batch(const std::string& netns, const std::string& lines) {
  if (netns.empty())
    support::must_run({"ip", "-batch", "-"}, {}, lines);
  else
    support::must_run({"ip", "-n", netns, "-batch", "-"}, {}, lines);
}

void add(const Json& config, const std::string& input) {
  const std::string leased = ipam(config, input).at("ips").at(0).at("address");
  const std::string address = leased.substr(0, leased.find('/')) + "/32";
  const std::string pod = last_part(variable("CNI_NETNS"));
  const std::string inside = variable("CNI_IFNAME");
  const std::string outside = host_device();
  const std::string mtu = " mtu " + std::to_string(config.value("mtu", 1450));
  ip_batch("", "link add " + outside + mtu + " address ee:ee:ee:ee:ee:ee type veth peer name " + inside + mtu +
                   " netns " + pod + "\n");
  sysctl("conf/" + outside + "/rp_filter", "0");
  sysctl("conf/" + outside + "/route_localnet", "1");
  sysctl("conf/" + outside + "/forwarding", "1");
  sysctl("conf/" + outside + "/proxy_arp", "1");
  sysctl("neigh/" + outside + "/proxy_delay", "0");
  ip_batch("", "link set " + outside + " up\nroute add " + address + " dev " + outside + " scope link metric 1024\n");
  ip_batch(pod, "addr add " + address + " dev " + inside + "\nlink set " + inside + " up\nroute add 169.254.1.1 dev " +
                    inside + " scope link\nroute add default via 169.254.1.1 dev " + inside + "\n");
  const Json interfaces = Json::array({Json{{"name", outside}, {"mac", "ee:ee:ee:ee:ee:ee"}},
                                       Json{{"name", inside}, {"sandbox", variable("CNI_NETNS")}}});
  std::cout << Json{{"cniVersion", config.at("cniVersion")},
                    {"interfaces", interfaces},
                    {"ips", Json::array({Json{{"address", address}, {"interface", 1}}})}}
            << "\n";
}

void remove(const Json& config, const std::string& input) {
  (void)ipam(config, input);
  (void)support::run({"ip", "link", "del", host_device()});  // may be gone
}

void answer(const std::string& input) {
  const std::string verb = variable("CNI_COMMAND");
  if (verb == "VERSION") {
    std::cout << R"({"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]})"
              << "\n";
    return;
  }
  const Json config = Json::parse(input);
  if (verb == "ADD") return add(config, input);
  if (verb == "DEL") return remove(config, input);
  if (verb != "CHECK") throw std::runtime_error("unknown CNI_COMMAND: " + verb);
}

}  // namespace

int main() {
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  try {
    answer(input);
    return 0;
  } catch (const std::exception& error) {
    std::cout << Json{{"cniVersion", "1.0.0"}, {"code", 999}, {"msg", error.what()}} << "\n";
    return 1;
  }
}
