// SPDX-License-Identifier: Apache-2.0

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "conf/error.h"
#include "conf/request.h"

// The environment, one NAME=VALUE a line. Breaks if anything but a CniError of code 4 comes out, if a request is
// accepted that lacks what its verb needs, or if an error holds what containerd swallows on DEL.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using conf::Verb;
using Variables = std::map<std::string, std::string, std::less<>>;

void demand(bool holds) {
  if (!holds) std::abort();
}

Variables variables_of(std::string_view text) {
  Variables variables;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() == text.size() ? line.size() : line.size() + 1);
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos) variables[std::string(line.substr(0, equals))] = line.substr(equals + 1);
  }
  return variables;
}

void check(const conf::Request& request) {
  const bool attachment = request.verb == Verb::kAdd || request.verb == Verb::kDel || request.verb == Verb::kCheck;
  demand(attachment == conf::is_container_id(request.id.container_id));
  demand(attachment == conf::is_ifname(request.id.ifname));
  demand(!request.netns.empty() || (request.verb != Verb::kAdd && request.verb != Verb::kCheck));
  for (const std::string& dir : conf::plugin_dirs(request.path)) demand(!dir.empty() && dir.find(':') == dir.npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Variables variables = variables_of({reinterpret_cast<const char*>(data), size});
  const auto lookup = [&](const char* name) {
    const auto found = variables.find(std::string_view(name));
    return found == variables.end() ? nullptr : found->second.c_str();
  };
  try {
    check(conf::parse_request(lookup));
  } catch (const conf::CniError& error) {
    demand(error.code() == 4);
    demand(error.details().size() < 1024);
    demand(conf::without_swallowed_phrases(error.details()) == error.details());
    demand(conf::parse_error_json(conf::error_json(error, "1.1.0")).has_value());
  }
  return 0;
}
