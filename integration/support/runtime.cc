// SPDX-License-Identifier: Apache-2.0
#include "integration/support/runtime.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <vector>

namespace support {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// 64 hexadecimal digits, as containerd names its sandboxes.
std::string new_id() {
  static std::mt19937_64 random{std::random_device{}()};
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string id(64, '0');
  std::generate(id.begin(), id.end(), [] { return kDigits[random() % 16]; });
  return id;
}

std::string capabilities(const Sandbox& sandbox) {
  if (sandbox.host_port == 0) return "{}";
  Json mappings = Json::array();
  for (const char* protocol : {"udp", "tcp"})
    mappings.push_back({{"hostPort", sandbox.host_port}, {"containerPort", sandbox.pod_port}, {"protocol", protocol}});
  return Json{{"portMappings", mappings}}.dump();
}

/// Without their prefix lengths.
std::vector<std::string> addresses(const std::string& result) {
  std::vector<std::string> out;
  const Json parsed = Json::parse(result);
  for (const Json& ip : parsed.at("ips")) {
    const auto text = ip.at("address").get<std::string>();
    out.push_back(text.substr(0, text.find('/')));
  }
  return out;
}

}  // namespace

std::string Runtime::conflist(const Node& node) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(node.file(kNetDir))) {
    const std::string extension = entry.path().extension();
    if (extension == ".conflist" || extension == ".conf" || extension == ".json")
      names.push_back(entry.path().filename());
  }
  if (names.empty()) return {};
  return std::string(kNetDir) + "/" + *std::min_element(names.begin(), names.end());
}

std::string Runtime::call(const std::string& verb, const Sandbox& sandbox) const {
  const std::string args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + sandbox.pod +
                           ";K8S_POD_INFRA_CONTAINER_ID=" + sandbox.id;
  const Finished finished =
      sandbox.node->run({driver_, verb, conflist(*sandbox.node), "--id", sandbox.id, "--netns", sandbox.netns->path(),
                         "--ifname", "eth0", "--args", args, "--caps", capabilities(sandbox), "--path", cni_path_});
  if (finished.ok()) return finished.out;
  throw std::runtime_error(verb + " of pod " + sandbox.pod + " on " + sandbox.node->name() + ": " + finished.out +
                           finished.err);
}

Sandbox Runtime::start(const Node& node, const std::string& pod, std::uint16_t host_port,
                       std::uint16_t pod_port) const {
  Sandbox sandbox;
  sandbox.node = &node;
  sandbox.pod = pod;
  sandbox.id = new_id();
  sandbox.host_port = host_port;
  sandbox.pod_port = pod_port;
  sandbox.netns = std::make_unique<Netns>("cni-" + sandbox.id.substr(0, 12));
  const std::vector<std::string> given = addresses(call("add", sandbox));
  sandbox.address = given.at(0);
  for (const std::string& other : given)
    if (other != given[0] && other.find(':') != std::string::npos) sandbox.address6 = other;
  return sandbox;
}

void Runtime::stop(Sandbox& sandbox) const {
  (void)call("del", sandbox);
  sandbox.netns.reset();
}

}  // namespace support
