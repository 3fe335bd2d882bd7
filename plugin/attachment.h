// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/list.h"
#include "conf/request.h"
#include "conf/settings.h"
#include "netlink/netns.h"
#include "plugin/decide.h"

// The attachment record: everything a DEL needs, without a configuration, a namespace, a state file or an agent.
//
// On disk a record is a file of lines, each a JSON object, written at the end and never changed. Its first line is the
// intent, there before the first delegate runs; the second, synced to disk before ADD answers, is the result. A line
// that is cut short was never finished, so what it announces never began (intent) or was never promised (result).
//
//   {"crossover":1,"containerID":"5fc10b","ifname":"eth0","network":"legacy","reason":"node-state says legacy",
//    "netns":"/var/run/netns/cni-1f8c","inode":4026532281,"cookie":17,"bootID":"0a1b…","started":1763711133241,
//    "namespace":"default","pod":"web-0","uid":"8a2781fb…","args":"IgnoreUnknown=1;K8S_POD_NAME=web-0","path":"/opt/cni/bin",
//    "list":"{\"name\":\"cbr0\",…}","runtimeConfig":"{\"mac\":…}","hostPorts":"[{\"hostPort\":8080,…}]"}
//   {"ready":1763711133290,"result":"{\"cniVersion\":\"0.3.1\",…}","podRoutes":"[{\"dst\":\"10.245.0.0/16\",\"mtu\":1400}]"}
//   {"failed":1763711140020,"tries":1,"why":"calico: connection is unauthorized"}
//
// `list`, `runtimeConfig`, `hostPorts`, `result` and `podRoutes` are documents inside strings, so that they come back
// to the byte. Times are milliseconds since 1970. A third kind of line counts the DELs that failed. Unknown keys and
// lines are ignored.
namespace plugin {

struct Attachment {
  conf::AttachmentId id;
  Network network = Network::kLegacy;
  std::string reason;
  std::string netns;
  netlink::NetnsId netns_id;  ///< zero if it was never known (a pod older than Crossover)
  std::string boot_id;
  std::int64_t started_ms = 0;
  std::string pod_namespace;
  std::string pod_name;
  std::string pod_uid;
  std::string args;                   ///< CNI_ARGS of the ADD
  std::string path;                   ///< CNI_PATH of the ADD
  conf::NetworkList list;             ///< resolved, as the ADD ran it
  conf::Object runtime_config;        ///< as given to the ADD, after hostPorts took its part
  std::string host_ports;             ///< portMappings as JSON, if Crossover maps them; else empty
  std::string libcni_cache;           ///< the runtime's cache file it was adopted from; empty for our own
  std::optional<std::string> result;  ///< the list's final result, verbatim; nothing while pending
  std::int64_t ready_ms = 0;
  std::vector<conf::PodRouteSetting> pod_routes;  ///< that the ADD made inside the pod
  unsigned failed_deletes = 0;
  std::string last_failure;

  [[nodiscard]] bool pending() const { return !result.has_value(); }
};

[[nodiscard]] std::string intent_line(const Attachment& attachment);
[[nodiscard]] std::string result_line(std::string_view result, std::int64_t ready_ms,
                                      const std::vector<conf::PodRouteSetting>& pod_routes = {});
[[nodiscard]] std::string failure_line(unsigned tries, std::string_view why, std::int64_t failed_ms);
/// All lines of `attachment`, as a file would hold them.
[[nodiscard]] std::string record_text(const Attachment& attachment);

/// The record a file holds; nothing if its intent is cut short. Code 104 naming `source` and the key for a whole line
/// that is no record.
[[nodiscard]] std::optional<Attachment> parse_record(std::string_view text, std::string_view source);

}  // namespace plugin
