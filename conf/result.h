// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

// CNI results: converted between the seven versions as the reference does (pkg/types/{020,040,100}), with keys it does
// not know kept, and otherwise left alone (AWS puts a VLAN id into `mac`: nothing is normalised that need not be).
namespace conf {

/// The version a result's text states; `assumed` if it states none. Code 6 if `text` is no object or states a version
/// that is not one of the seven. "null" is an empty result of the assumed version.
[[nodiscard]] std::string result_version(std::string_view text, std::string_view assumed);

/// `text`, a result of version `from` (what result_version said), as a result of version `to`. Equal versions: the
/// same document with cniVersion put in. Code 6 for what is no result of `from` (an address that does not parse, a list
/// that is no list) and for a conversion to 0.1.0/0.2.0 without any address, with the key's path and what was expected.
[[nodiscard]] std::string convert_result(std::string_view text, std::string_view from, std::string_view to);

/// `text` (version 0.3.0 or newer) with interface indexes made safe for runtimes: an ips[].interface that is negative
/// or not below the number of interfaces is taken out (containerd panics on it: go-cni result.go).
[[nodiscard]] std::string with_safe_indexes(std::string_view text);

/// The addresses of a result in CIDR form, in order; of any version. Empty for what cannot be read.
[[nodiscard]] std::vector<std::string> result_addresses(std::string_view text);

}  // namespace conf
