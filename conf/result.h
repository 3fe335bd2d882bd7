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
/// same document with cniVersion put in, once and in this case, the rest byte for byte. Else addresses and zero values
/// are as the reference prints them; foreign keys stay, but for those between 0.1.0/0.2.0 and the newer versions and
/// those that have a meaning in `to`. Code 6, with the key's path and what was expected, for what is no result of
/// `from` (an address that is absent or does not parse, a list that is no list), equal versions included, and for a
/// conversion from a newer version to 0.1.0/0.2.0 without any address. Code 1 for a version that is not one of the
/// seven.
[[nodiscard]] std::string convert_result(std::string_view text, std::string_view from, std::string_view to);

/// `text` (version 0.3.0 or newer) with interface indexes made safe for runtimes: an ips[].interface that is negative
/// or not below the number of interfaces, or no whole number, is taken out (containerd panics on it: go-cni result.go).
/// Byte for byte the same if there is none. Code 6 if `text` is no object.
[[nodiscard]] std::string with_safe_indexes(std::string_view text);

/// The addresses of a result in CIDR form as the reference prints them, in order; of any version. What cannot be read
/// is left out.
[[nodiscard]] std::vector<std::string> result_addresses(std::string_view text);

/// The first namespace that an interface of a result is in; empty if none says one, or for what cannot be read.
[[nodiscard]] std::string result_sandbox(std::string_view text);

}  // namespace conf
