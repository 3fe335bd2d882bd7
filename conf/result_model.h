// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/json.h"

// What a CNI result says, for conf/result.cc alone: read from and written in one of the three shapes that the seven
// versions share. Strings that are only passed on stay JSON text, so that their bytes survive; an empty text is an
// absent key. Keys that a shape does not know are carried along beside the ones it does.
namespace conf {

enum class ResultShape {
  kFamilies,   ///< 0.1.0, 0.2.0: one address a family, in `ip4` and `ip6`
  kVersioned,  ///< 0.3.0 to 0.4.0: `interfaces`, and `ips` that say their version
  kCurrent,    ///< 1.0.0, 1.1.0: the version is seen from the address
};

/// The shape of one of the seven versions; code 1 for any other.
[[nodiscard]] ResultShape shape_of(std::string_view version);

/// An address and its prefix length as Go prints them: host bits kept, IPv6 lower-case, a v4-mapped one as IPv4.
struct ResultPrefix {
  std::string text;
  bool is_v4 = false;
};

struct ResultRoute {
  ResultPrefix dst;
  std::string gw;  ///< not JSON: the address as Go prints it
  long long mtu = 0;
  long long advmss = 0;
  long long priority = 0;
  std::optional<long long> table;  ///< 0 is not absent
  std::optional<long long> scope;
  std::vector<Member> foreign;
};

struct ResultInterface {
  std::string name;
  std::string mac;
  std::string sandbox;
  long long mtu = 0;  ///< this and the two below: kCurrent only
  std::string socket_path;
  std::string pci_id;
  std::vector<Member> foreign;
};

struct ResultAddress {
  std::string version;  ///< kVersioned only, as written: the reference goes by it and not by the address
  std::optional<long long> interface;
  ResultPrefix address;
  std::string gateway;
  std::vector<Member> foreign;
};

struct ResultFamily {  ///< `ip4` or `ip6`
  ResultPrefix ip;
  std::string gateway;
  std::vector<ResultRoute> routes;
  std::vector<Member> foreign;
};

struct ResultDns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;
  std::vector<Member> foreign;
};

struct ResultModel {
  std::optional<ResultFamily> ip4;  ///< kFamilies only
  std::optional<ResultFamily> ip6;
  std::vector<ResultInterface> interfaces;  ///< these three: the other shapes
  std::vector<ResultAddress> ips;
  std::vector<ResultRoute> routes;
  ResultDns dns;
  std::vector<Member> foreign;
};

/// Whether two keys are one to Go's decoders: equal but for the case of ASCII letters.
[[nodiscard]] bool same_key(std::string_view a, std::string_view b);

/// `text` as an object; code 6 that says what it is if it is none. "null" is an empty one.
[[nodiscard]] Object result_object(std::string_view text);

/// Nothing for what Go's ParseCIDR refuses.
[[nodiscard]] std::optional<ResultPrefix> parse_result_prefix(std::string_view text);

/// Code 6 with the key's path, what was expected and what kind of value is there, for what the reference refuses, and
/// for two things that it takes and then crashes on or prints as "<nil>": a null in a list of objects, and an address
/// or a route's dst that is absent.
[[nodiscard]] ResultModel read_result(const Object& document, ResultShape shape);

/// Known keys first, in the reference's order, then foreign ones. Zero values are left out as the reference does.
[[nodiscard]] std::string write_result(const ResultModel& result, ResultShape shape, std::string_view version);

/// Members as a JSON object; unlike Object it keeps members whose keys differ in nothing but case.
[[nodiscard]] std::string members_text(const std::vector<Member>& members);

}  // namespace conf
