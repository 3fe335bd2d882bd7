// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

// What programs that stand for a plugin have in common.
namespace stand_in {

using Json = nlohmann::json;

/// Empty if it is not set.
[[nodiscard]] std::string variable(const char* name);
/// The pod's namespace as `ip -n` takes it.
[[nodiscard]] std::string pod();

/// Lines for `ip -batch`, on the node if `netns` is empty.
void ip_batch(const std::string& netns, const std::string& lines);

/// Prints the result of an ADD that made a veth pair and gave the pod `address`, with its prefix length.
void print_result(const Json& config, const std::string& outside, const std::string& mac, const std::string& address);

struct Verbs {
  std::function<void(const Json& config, const std::string& input)> add;
  std::function<void(const Json& config, const std::string& input)> del;
};

/// Reads stdin and does what CNI_COMMAND asks for; CHECK succeeds. The exit status: what `verbs` throw is an error of
/// the plugin.
[[nodiscard]] int run(const Verbs& verbs);

}  // namespace stand_in
