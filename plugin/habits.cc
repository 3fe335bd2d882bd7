// SPDX-License-Identifier: Apache-2.0
#include "plugin/habits.h"

#include <algorithm>

#include "conf/json.h"
#include "conf/letter_case.h"
#include "plugin/discovery.h"

namespace plugin {
namespace {

bool has(const std::string& words, std::string_view part) { return words.find(part) != std::string::npos; }

const conf::PluginConf* flannel_of(const conf::NetworkList& list) {
  const auto found = std::find_if(list.plugins.begin(), list.plugins.end(),
                                  [](const conf::PluginConf& plugin) { return plugin.type == kFlannel; });
  return found == list.plugins.end() ? nullptr : &*found;
}

// A member of another kind is flannel's to refuse.
std::string path_in(const conf::PluginConf& plugin, std::string_view key, const std::string& usual) {
  const std::string* raw = plugin.conf.find(key);
  const std::string path = raw == nullptr ? std::string() : conf::as_string(*raw).value_or("");
  return path.empty() ? usual : path;
}

}  // namespace

bool credentials_are_gone(std::string_view text) {
  const std::string words = conf::ascii_lower(text);
  return has(words, "unauthorized") || has(words, "forbidden") ||
         (has(words, "kubeconfig") && has(words, "no such file or directory"));
}

bool blames_the_namespace(std::string_view type, std::string_view text) {
  return type == kCiliumCni && has(conf::ascii_lower(text), "opening netns pinned at");
}

std::string_view cure_for(std::string_view type, std::string_view text) {
  if (type == kFlannel && has(conf::ascii_lower(text), "subnet.env"))
    return "flanneld writes that file when it starts on this node: look at its pod's state and log";
  if (type == kCiliumCni && has(conf::ascii_lower(text), "unable to connect to cilium agent"))
    return "its agent does not run on this node: look at its pod's state and log";
  if (credentials_are_gone(text)) return "its daemon renews its credentials while it runs on this node";
  return {};
}

std::optional<std::string> flannel_subnet_file(const conf::NetworkList& list, const Places& places) {
  const conf::PluginConf* flannel = flannel_of(list);
  if (flannel == nullptr) return std::nullopt;
  return path_in(*flannel, "subnetFile", places.flannel_subnet);
}

std::optional<std::string> flannel_container_file(const conf::NetworkList& list, const Places& places,
                                                  const std::string& container_id) {
  const conf::PluginConf* flannel = flannel_of(list);
  if (flannel == nullptr) return std::nullopt;
  return path_in(*flannel, "dataDir", places.flannel) + '/' + container_id;
}

}  // namespace plugin
