// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "plugin/sync/objects.h"

// What an API server sends, made small. tests/data/k8s has two objects as a real one sent them.
namespace answers {

/// "10.244.1.0/24" -> ["10.244.1.0/24"]; "" -> [].
inline std::string array_of(std::string_view cidr) { return cidr.empty() ? "[]" : fmt::format(R"(["{}"])", cidr); }

/// Without a label if `label` is empty.
inline std::string node(std::string_view label = {}, std::string_view cidr = "10.244.1.0/24",
                        std::string_view version = "7", std::string_view name = "node1") {
  const std::string labels =
      label.empty() ? "{}" : fmt::format(R"({{"io.cilium.migration/cilium-default":"{}"}})", label);
  return fmt::format(
      R"({{"kind":"Node","apiVersion":"v1","metadata":{{"name":"{}","resourceVersion":"{}","labels":{}}},)"
      R"("spec":{{"podCIDRs":{}}}}})",
      name, version, labels, array_of(cidr));
}

inline std::string cilium_node(std::string_view cidr = "10.245.1.0/24", std::string_view version = "8",
                               std::string_view name = "node1") {
  return fmt::format(
      R"({{"kind":"CiliumNode","apiVersion":"cilium.io/v2","metadata":{{"name":"{}","resourceVersion":"{}"}},)"
      R"("spec":{{"ipam":{{"podCIDRs":{}}}}}}})",
      name, version, array_of(cidr));
}

/// Of that object, or of none.
inline std::string list(plugin::sync::Kind kind, std::string_view object = {}, std::string_view version = "100") {
  return fmt::format(R"({{"kind":"{}List","metadata":{{"resourceVersion":"{}"}},"items":[{}]}})",
                     plugin::sync::kind_name(kind), version, object);
}

inline std::string event(std::string_view type, std::string_view object) {
  return fmt::format(R"({{"type":"{}","object":{}}})"
                     "\n",
                     type, object);
}

inline std::string bookmark(plugin::sync::Kind kind, std::string_view version) {
  return event("BOOKMARK", fmt::format(R"({{"kind":"{}","metadata":{{"resourceVersion":"{}"}},"spec":{{}}}})",
                                       plugin::sync::kind_name(kind), version));
}

inline std::string error(int code) {
  return event("ERROR", fmt::format(R"({{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too old",)"
                                    R"("reason":"Expired","code":{}}})",
                                    code));
}

}  // namespace answers
