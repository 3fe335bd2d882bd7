// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "conf/request.h"
#include "plugin/role.h"
#include "plugin/system.h"

namespace plugin {

/// Runs the verb that `request` names on the configuration `stdin_text`, as the plugin that `role` is. What goes to
/// stdout is returned; errors are thrown.
[[nodiscard]] std::string dispatch(System& system, Role role, const conf::Request& request,
                                   std::string_view stdin_text);

/// The name of a role's plugin, for errors: "crossover", "crossover-ipam", "crossover-portmap".
[[nodiscard]] std::string_view role_name(Role role);

}  // namespace plugin
