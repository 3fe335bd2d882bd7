// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/json.h"
#include "conf/request.h"

// A network's plugin list, read as libcni 1.3 reads it (libcni/conf.go), and the request each plugin of it gets
// (libcni/api.go buildOneConfig). Pure: finding and reading the files is plugin/discovery's work.
namespace conf {

struct PluginConf {
  std::string type;                       ///< never empty, never with a path separator
  Object conf;                            ///< the plugin's own entry, its values to the byte
  std::vector<std::string> capabilities;  ///< those the entry sets to true
  bool operator==(const PluginConf&) const = default;
};

struct NetworkList {
  std::string name;         ///< the list's own; delegates are always run under it
  std::string cni_version;  ///< selected from cniVersion and cniVersions; empty if the list states none
  bool disable_check = false;
  bool disable_gc = false;
  bool load_only_inlined = false;
  std::vector<PluginConf> plugins;

  [[nodiscard]] bool runs(std::string_view type) const;
  /// Whether some plugin of the list declares `capability`.
  [[nodiscard]] bool declares(std::string_view capability) const;
  /// cni_version, or kUnstatedVersion.
  [[nodiscard]] std::string version() const;
  /// The resolved list as one document, sub-folder plugins inlined, loadOnlyInlinedPlugins true, plugin entries byte
  /// for byte. parse_list reads it back to an equal value, if the list has plugins and load_only_inlined set: whoever
  /// adds the sub-folder's plugins sets it.
  [[nodiscard]] std::string text() const;
  bool operator==(const NetworkList&) const = default;
};

/// A .conflist. Code 6 or 7 with `source` (the file) and the key: name must be a string and a valid network name;
/// plugins an array of objects with a `type` that is a string without '/' or '\\'; disableCheck, disableGC and
/// loadOnlyInlinedPlugins booleans, or "true"/"false". `plugins` may be missing or empty unless loadOnlyInlinedPlugins
/// is set: then the sub-folder supplies them, and the caller refuses the list if that leaves it without plugins.
/// cniVersions: the highest not above our newest; cniVersion takes part in the choice only if cniVersions exists.
[[nodiscard]] NetworkList parse_list(std::string_view text, std::string_view source);

/// A single plugin's .conf or .json, up-converted to a list of one, load_only_inlined set. A list in such a file is
/// refused.
[[nodiscard]] NetworkList parse_single(std::string_view text, std::string_view source);

/// One plugin entry (a *.conf of the sub-folder named like the network).
[[nodiscard]] PluginConf parse_plugin(std::string_view text, std::string_view source);

/// What is put into a plugin's entry for one call.
struct Injection {
  Verb verb = Verb::kAdd;
  std::optional<std::string> prev_result;  ///< JSON text
  Object runtime_config;                   ///< everything the runtime offered; filtered by the plugin's capabilities
  std::optional<std::string> valid_attachments;  ///< JSON text, for GC
};

/// The stdin of one plugin: its entry with the list's name and version put in; capabilities and any inbound
/// prevResult, runtimeConfig and cni.dev/* taken out; then runtimeConfig (only what the entry declares and the runtime
/// offered; no key if that is empty) and prevResult for ADD, DEL and CHECK, the valid attachments under both of their
/// names for GC, neither for STATUS. A list without a version leaves the plugin without one, whatever its entry says.
[[nodiscard]] std::string plugin_stdin(const NetworkList& list, const PluginConf& plugin, const Injection& injection);

}  // namespace conf
