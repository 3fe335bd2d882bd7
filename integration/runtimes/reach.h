// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "conf/fd.h"
#include "integration/support/namespaces.h"

// Connections to a container, whose network namespace is known by its path.
namespace runtimes {

/// Listens there; the kernel takes connections as long as it is open.
[[nodiscard]] conf::UniqueFd listener_in(const std::string& netns, std::uint16_t port);

/// Whether a connection from `from` to that address and port is taken within two seconds.
[[nodiscard]] bool connects(const support::Netns& from, const std::string& address, std::uint16_t port);

/// An echo of ICMP, within five.
[[nodiscard]] bool echoes(const std::string& netns, const std::string& address);

}  // namespace runtimes
