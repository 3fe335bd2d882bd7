// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/json.h"
#include "conf/request.h"
#include "conf/settings.h"

// The document on stdin: what the runtime put in, and our own entry.
namespace conf {

struct NetConf {
  std::string cni_version;  ///< one of the seven
  std::string name;         ///< a valid network name
  Settings settings;
  std::optional<std::string> prev_result;  ///< JSON text
  Object runtime_config;                   ///< empty if there is none
  /// The list of a GC, from cni.dev/valid-attachments or the older cni.dev/attachments. Nothing if neither key is
  /// there, which means "unknown" and never "none".
  std::optional<std::vector<AttachmentId>> valid_attachments;
};

/// Parses and checks everything that bytes can tell: code 6 (not JSON), 1 (version not ours, or too old for the verb:
/// CHECK needs 0.4.0, GC and STATUS 1.1.0), 7 (name, our own keys, or a list of valid attachments of the wrong shape).
[[nodiscard]] NetConf parse_netconf(std::string_view text, Verb verb);

/// The cniVersion of any plugin's configuration, and whether it is ours and new enough for the verb: errors as above.
[[nodiscard]] std::string configured_version(const Object& object, Verb verb);

/// The pod's annotations that the runtime passed as the capability io.kubernetes.cri.pod-annotations; the value of
/// `key`, or nothing.
[[nodiscard]] std::optional<std::string> pod_annotation(const Object& runtime_config, std::string_view key);

/// A JSON array of {containerID, ifname}, or an object that holds one under cni.dev/valid-attachments.
[[nodiscard]] std::vector<AttachmentId> parse_attachment_ids(std::string_view text, std::string_view what);
[[nodiscard]] std::string attachment_ids_json(const std::vector<AttachmentId>& ids);

}  // namespace conf
