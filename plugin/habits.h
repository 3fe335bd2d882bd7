// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "conf/list.h"
#include "plugin/system.h"

// What certain plugins are known to do beside, or against, the specification. Everything here is pure: who asks does
// what follows from the answer.
namespace plugin {

inline constexpr std::string_view kFlannel = "flannel";

/// Whether an error's text says that the plugin's credentials are refused, or that their file is gone: Calico's, once
/// its account or its daemon is gone. No try of the same call will do better.
[[nodiscard]] bool credentials_are_gone(std::string_view text);

/// Whether this is the error with which cilium-cni of 1.16 to 1.18 ends a DEL without a namespace, after it had its
/// agent remove the endpoint (cilium#40459).
[[nodiscard]] bool blames_the_namespace(std::string_view type, std::string_view text);

/// What an operator can do about an error of `type`, where its own words do not say; else empty.
[[nodiscard]] std::string_view cure_for(std::string_view type, std::string_view text);

/// The file that flanneld writes when it starts, and that each ADD of flannel's plugin reads: gone after a reboot.
/// Nothing if the list does not run flannel.
[[nodiscard]] std::optional<std::string> flannel_subnet_file(const conf::NetworkList& list, const Places& places);

/// The file that flannel's plugin keeps for each container. Without it, its DEL does nothing and says success. Nothing
/// if the list does not run flannel.
[[nodiscard]] std::optional<std::string> flannel_container_file(const conf::NetworkList& list, const Places& places,
                                                                const std::string& container_id);

}  // namespace plugin
