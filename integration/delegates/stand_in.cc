// SPDX-License-Identifier: Apache-2.0
#include "integration/delegates/stand_in.h"

#include <cstdlib>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "integration/support/process.h"

namespace stand_in {
namespace {

void answer(const Verbs& verbs, const std::string& input) {
  const std::string verb = variable("CNI_COMMAND");
  if (verb == "VERSION") {
    std::cout << R"({"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]})"
              << "\n";
    return;
  }
  const Json config = Json::parse(input);
  if (verb == "ADD") return verbs.add(config, input);
  if (verb == "DEL") return verbs.del(config, input);
  if (verb != "CHECK") throw std::runtime_error("unknown CNI_COMMAND: " + verb);
}

}  // namespace

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

std::string pod() {
  const std::string path = variable("CNI_NETNS");
  return path.substr(path.rfind('/') + 1);
}

void ip_batch(const std::string& netns, const std::string& lines) {
  std::vector<std::string> argv = {"ip"};
  if (!netns.empty()) argv.insert(argv.end(), {"-n", netns});
  argv.insert(argv.end(), {"-batch", "-"});
  support::must_run(argv, {}, lines);
}

void print_result(const Json& config, const std::string& outside, const std::string& mac, const std::string& address) {
  const Json interfaces = Json::array({Json{{"name", outside}, {"mac", mac}},
                                       Json{{"name", variable("CNI_IFNAME")}, {"sandbox", variable("CNI_NETNS")}}});
  std::cout << Json{{"cniVersion", config.at("cniVersion")},
                    {"interfaces", interfaces},
                    {"ips", Json::array({Json{{"address", address}, {"interface", 1}}})}}
            << "\n";
}

int run(const Verbs& verbs) {
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  try {
    answer(verbs, input);
    return 0;
  } catch (const std::exception& error) {
    std::cout << Json{{"cniVersion", "1.0.0"}, {"code", 999}, {"msg", error.what()}} << "\n";
    return 1;
  }
}

}  // namespace stand_in
