// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/plugin_list.h"

namespace lab {

using Json = nlohmann::json;

std::string list_of(const std::string& name, Json first) {
  const Json ports = {{"type", "portmap"}, {"snat", true}, {"capabilities", {{"portMappings", true}}}};
  return Json{{"cniVersion", "1.0.0"}, {"name", name}, {"plugins", Json::array({std::move(first), ports})}}.dump(2) +
         "\n";
}

Json host_local(const std::string& block, const std::string& route, const std::string& last) {
  Json range = {{"subnet", block}};
  if (!last.empty()) range["rangeEnd"] = last;
  return {{"type", "host-local"},
          {"ranges", Json::array({Json::array({range})})},
          {"routes", Json::array({Json{{"dst", route}}})}};
}

}  // namespace lab
