// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "conf/netconf.h"
#include "conf/request.h"
#include "plugin/system.h"

// The verbs of the meta plugin. Each throws a CniError, or returns what goes to stdout.
namespace plugin {

[[nodiscard]] std::string add(System& system, const conf::Request& request, const conf::NetConf& netconf);
[[nodiscard]] std::string del(System& system, const conf::Request& request, const conf::NetConf& netconf);
[[nodiscard]] std::string check(System& system, const conf::Request& request, const conf::NetConf& netconf);
[[nodiscard]] std::string status(System& system, const conf::Request& request, const conf::NetConf& netconf);
[[nodiscard]] std::string gc(System& system, const conf::Request& request, const conf::NetConf& netconf);

}  // namespace plugin
