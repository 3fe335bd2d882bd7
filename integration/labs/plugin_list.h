// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

// The lists of the labs, in the words of the plugins.
namespace lab {

/// The text of a list of that plugin and portmap behind it.
[[nodiscard]] std::string list_of(const std::string& name, nlohmann::json first);
/// host-local on that block; `last`: the last address to hand out, empty for all.
[[nodiscard]] nlohmann::json host_local(const std::string& block, const std::string& route, const std::string& last);

}  // namespace lab
