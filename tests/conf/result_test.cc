// SPDX-License-Identifier: Apache-2.0
#include "conf/result.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/error.h"
#include "conf/version.h"

namespace {

using Json = nlohmann::json;
using conf::convert_result;
using conf::kSpecVersions;

constexpr std::string_view kNoAddress =
    "ips: expected at least one address, which CNI versions 0.1.0 and 0.2.0 cannot do without, got none";

std::string shape_of(std::string_view version) {
  if (version < "0.3.0") return "families";
  return version < "1.0.0" ? "versioned" : "current";
}

/// The details of the error that `call` ends with, which must be code 6 "invalid CNI result"; else what happened.
template <typename Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const conf::CniError& error) {
    if (error.code() == 6 && error.msg() == "invalid CNI result") return error.details();
    return fmt::format("code {} {}", error.code(), error.what());
  }
  return "accepted";
}

std::string conversion_refusal(const std::string& text, std::string_view from, std::string_view to) {
  return refusal([&] { (void)convert_result(text, from, to); });
}

Json converted(const Json& result, std::string_view from, std::string_view to) {
  return Json::parse(convert_result(result.dump(), from, to));
}

Json labelled(Json result, std::string_view version) {
  result["cniVersion"] = version;
  return result;
}

Json golden() {
  std::ifstream file(TEST_DATA "/results/golden.json");
  return Json::parse(file);
}

/// Calls check(one case of golden.json, from) for each version `from` of the case's shape.
template <typename Check>
void for_each_golden(Check check) {
  std::size_t checks = 0;
  for (const Json& one : golden()) {
    for (const std::string_view from : kSpecVersions) {
      if (one["shape"] != shape_of(from)) continue;
      CAPTURE(one["name"].get<std::string>());
      CAPTURE(from);
      check(one, from);
      ++checks;
    }
  }
  CHECK(checks > 150);
}

bool is_v4(const Json& prefix) { return prefix.get<std::string>().find(':') == std::string::npos; }

void keep(Json& object, const std::vector<std::string_view>& keys) {
  for (auto member = object.begin(); member != object.end();) {
    const bool kept = std::count(keys.begin(), keys.end(), std::string_view(member.key())) != 0;
    member = kept ? std::next(member) : object.erase(member);
  }
}

/// The routes that ip4 and ip6 have a place for: dst and gw, of a family that has an address, v4 before v6.
Json routes_of_families(const Json& routes, bool has_v4, bool has_v6) {
  Json kept = Json::array();
  for (const bool v4 : {true, false}) {
    for (Json route : routes) {
      if (is_v4(route["dst"]) != v4 || !(v4 ? has_v4 : has_v6)) continue;
      keep(route, {"dst", "gw"});
      kept.push_back(route);
    }
  }
  return kept;
}

/// `result` of a newer shape after it was of 0.1.0 or 0.2.0: an address a family, no interfaces.
Json after_families(Json result, const std::string& shape) {
  Json ips = Json::array();
  bool has[2] = {false, false};
  for (const bool v4 : {true, false}) {
    for (Json ip : result.value("ips", Json::array())) {
      const bool is_it = shape == "current" ? is_v4(ip["address"]) == v4 : ip["version"] == (v4 ? "4" : "6");
      if (!is_it || std::exchange(has[v4 ? 0 : 1], true)) continue;
      ip.erase("interface");
      ips.push_back(ip);
      break;
    }
  }
  const Json routes = routes_of_families(result.value("routes", Json::array()), has[0], has[1]);
  result.erase("interfaces");
  result["ips"] = ips;
  result.erase("routes");
  if (!routes.empty()) result["routes"] = routes;
  return result;
}

/// `result` of 0.1.0 or 0.2.0 after it was of a newer shape: each route with the family it is of; and by way of 1.x,
/// where the version is seen from the address, each address too.
Json after_lists(const Json& result, const std::string& via) {
  Json routes = Json::array();
  Json out = result;
  out.erase("ip4");
  out.erase("ip6");
  for (const char* key : {"ip4", "ip6"}) {
    if (!result.contains(key)) continue;
    Json family = result[key];
    for (const Json& route : family.value("routes", Json::array())) routes.push_back(route);
    family.erase("routes");
    const std::string place = via == "versioned" ? key : is_v4(family["ip"]) ? "ip4" : "ip6";
    if (!out.contains(place)) out[place] = family;
  }
  for (const char* key : {"ip4", "ip6"}) {
    const bool v4 = std::string_view(key) == "ip4";
    const Json kept = routes_of_families(routes, v4, !v4);
    if (out.contains(key) && !kept.empty()) out[key]["routes"] = kept;
  }
  return out;
}

/// What is left of `result` of one shape after it was of the shape `via`: the table of what conversions lose.
Json after_detour(Json result, const std::string& shape, const std::string& via) {
  if (shape == via) return result;
  if (via == "families") return after_families(std::move(result), shape);
  if (shape == "families") return after_lists(result, via);
  for (Json& interface : result["interfaces"]) {
    if (shape == "current") keep(interface, {"name", "mac", "sandbox"});
  }
  if (result["interfaces"].empty()) result.erase("interfaces");
  for (Json& ip : result["ips"]) {
    if (shape == "versioned") ip["version"] = is_v4(ip["address"]) ? "4" : "6";
  }
  if (result["ips"].empty()) result.erase("ips");
  return result;
}

}  // namespace

TEST_SUITE("conf.result") {
  TEST_CASE("A11 every conversion gives what the reference gives") {
    for_each_golden([](const Json& one, std::string_view from) {
      const Json result = labelled(one["result"], from);
      for (const std::string_view to : kSpecVersions) {
        if (to == from) continue;
        CAPTURE(to);
        const Json& wanted = one[shape_of(to)];
        if (wanted.is_null()) {
          CHECK(conversion_refusal(result.dump(), from, to) == kNoAddress);
        } else {
          CHECK(converted(result, from, to) == labelled(wanted, to));
        }
      }
    });
  }

  TEST_CASE("a result that is asked for in its own version stays as it is, byte for byte") {
    for_each_golden([](const Json& one, std::string_view from) {
      const std::string text = labelled(one["result"], from).dump(4) + "\n";
      CHECK(convert_result(text, from, from) == text);
    });
    const std::string odd =
        R"({ "x" : 1.10e2, "big":123456789012345678901234567890, "cniVersion":"1.0.0","ips" :[ ] } )";
    CHECK(convert_result(odd, "1.0.0", "1.0.0") == odd);
  }

  TEST_CASE("A11.6 AWS's mac and sandbox, which are numbers, are passed on") {
    const Json interfaces = Json::parse(R"([{"name":"eni1"},{"name":"dummy1","mac":"17","sandbox":"2"}])");
    for (const std::string_view from : {"0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
      for (const std::string_view to : {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
        CHECK(converted(labelled({{"interfaces", interfaces}}, from), from, to)["interfaces"] == interfaces);
      }
    }
  }

  TEST_CASE("cniVersion is put in where it is absent, and nothing else changes") {
    CHECK(convert_result("{\n  \"ips\": [ ]\n}\n", "0.4.0", "0.4.0") ==
          "{\"cniVersion\":\"0.4.0\",\n  \"ips\": [ ]\n}\n");
    CHECK(convert_result(" { } ", "1.0.0", "1.0.0") == R"({"cniVersion":"1.0.0"})");
  }

  TEST_CASE("A2.3 cniVersion is stated once, in its canonical case, values byte for byte") {
    CHECK(convert_result(R"({"a": 1.0, "cniVersion": "", "b": [ ]})", "1.0.0", "1.0.0") ==
          R"({"a":1.0,"cniVersion":"1.0.0","b":[ ]})");
    CHECK(convert_result(R"({"cniVersion": null})", "1.0.0", "1.0.0") == R"({"cniVersion":"1.0.0"})");
    CHECK(convert_result(R"({"CNIVersion": "1.0.0", "b": 1})", "1.0.0", "1.0.0") == R"({"cniVersion":"1.0.0","b":1})");
    CHECK(convert_result(R"({"cniVersion": "1.0.0", "b": 1, "CNIVERSION": "0.4.0"})", "1.0.0", "1.0.0") ==
          R"({"cniVersion":"1.0.0","b":1})");
    CHECK(convert_result(R"({"CNIVersion":"1.0.0"})", "1.0.0", "0.4.0") == R"({"cniVersion":"0.4.0","dns":{}})");
  }

  TEST_CASE("B5.5 null is an empty result") {
    CHECK(conf::result_version(" null\n", "0.4.0") == "0.4.0");
    CHECK(convert_result("null\n", "0.4.0", "0.4.0") == R"({"cniVersion":"0.4.0"})");
    CHECK(convert_result("null", "0.4.0", "1.0.0") == R"({"cniVersion":"1.0.0"})");
    CHECK(convert_result("null", "0.2.0", "0.1.0") == R"({"cniVersion":"0.1.0","dns":{}})");
    CHECK(conversion_refusal("null", "1.1.0", "0.2.0") == kNoAddress);
  }

  TEST_CASE("keys that the reference does not know are kept between 0.3.0 and 1.1.0") {
    const Json result = Json::parse(R"({
      "interfaces": [{"name": "eth0", "x": {"deep": [1, null]}}],
      "ips": [{"address": "10.1.0.5/24", "x": 1}], "routes": [{"dst": "10.2.0.0/16", "x": "2"}],
      "dns": {"x": true}, "vendor/x": null, "X": 3, "x": 4})");
    for (const std::string_view from : {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
      for (const std::string_view to : {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
        CAPTURE(from);
        CAPTURE(to);
        Json wanted = labelled(result, to);
        if (from != to && to < std::string_view("1.0.0")) {
          wanted["ips"][0]["version"] = from < std::string_view("1.0.0") ? "" : "4";
        }
        CHECK(converted(labelled(result, from), from, to) == wanted);
      }
    }
  }

  TEST_CASE("keys that the reference does not know are kept between 0.1.0 and 0.2.0") {
    const Json result = Json::parse(R"({
      "ip4": {"ip": "10.1.0.5/24", "x": 1, "routes": [{"dst": "10.2.0.0/16", "x": 2}]}, "dns": {"x": 3}, "x": 4,
      "interfaces": 5})");
    CHECK(converted(result, "0.1.0", "0.2.0") == labelled(result, "0.2.0"));
    CHECK(converted(result, "0.2.0", "0.1.0") == labelled(result, "0.1.0"));
  }

  TEST_CASE("keys that the reference does not know end where the shape does") {
    const Json old = Json::parse(R"({
      "ip4": {"ip": "10.1.0.5/24", "x": 1, "routes": [{"dst": "10.2.0.0/16", "x": 2}]}, "dns": {"x": 3}, "x": 4})");
    CHECK(converted(old, "0.2.0", "1.0.0") == Json::parse(R"({"cniVersion": "1.0.0",
      "ips": [{"address": "10.1.0.5/24"}], "routes": [{"dst": "10.2.0.0/16"}]})"));
    const Json recent = Json::parse(R"({"interfaces": [{"name": "eth0", "x": 1}], "dns": {"x": 3}, "x": 4,
      "ips": [{"address": "10.1.0.5/24", "x": 1}], "routes": [{"dst": "10.2.0.0/16", "x": 2}]})");
    CHECK(converted(recent, "1.0.0", "0.2.0") == Json::parse(R"({"cniVersion": "0.2.0", "dns": {},
      "ip4": {"ip": "10.1.0.5/24", "routes": [{"dst": "10.2.0.0/16"}]}})"));
  }

  TEST_CASE("a foreign value keeps its bytes") {
    CHECK(convert_result(R"({"x":123456789012345678901234567890,"y":[1.10, 1E2 ],"z":"\u0041"})", "1.0.0", "1.1.0") ==
          R"({"cniVersion":"1.1.0","x":123456789012345678901234567890,"y":[1.10, 1E2 ],"z":"\u0041"})");
  }

  TEST_CASE("a key that means something only in the other shape is taken out, as the reference takes it out") {
    const Json old = Json::parse(R"({"interfaces": [{"name": "a", "MTU": "x", "socketPath": 1, "pciID": {}}]})");
    CHECK(converted(old, "0.4.0", "1.1.0")["interfaces"] == Json::parse(R"([{"name": "a"}])"));
    CHECK(converted(old, "0.4.0", "0.3.1")["interfaces"] == old["interfaces"]);
    const Json recent = Json::parse(R"({"ips": [{"address": "10.1.0.5/24", "Version": 6}]})");
    CHECK(converted(recent, "1.0.0", "0.4.0")["ips"] == Json::parse(R"([{"address": "10.1.0.5/24", "version": "4"}])"));
    CHECK(converted(recent, "1.0.0", "1.1.0")["ips"] == recent["ips"]);
  }

  TEST_CASE("A11.4 table and scope tell 0 from absent, mtu, advmss and priority do not") {
    const Json zero =
        Json::parse(R"({"routes": [{"dst": "::/0", "mtu": 0, "advmss": 0, "priority": 0, "table": 0, "scope": 0}]})");
    const Json routes = Json::parse(R"([{"dst": "::/0", "table": 0, "scope": 0}])");
    CHECK(converted(zero, "1.0.0", "1.1.0")["routes"] == routes);
    CHECK(converted(zero, "1.1.0", "0.3.0")["routes"] == routes);
    CHECK(converted(zero, "0.3.0", "1.1.0")["routes"] == routes);
  }

  TEST_CASE("whole numbers up to 64 bits pass exactly") {
    const std::string text =
        R"({"routes":[{"dst":"::/0","priority":9223372036854775807,"table":-9223372036854775808}]})";
    CHECK(converted(Json::parse(text), "1.0.0", "1.1.0") == labelled(Json::parse(text), "1.1.0"));
  }

  TEST_CASE("there and back again, a result loses what the version between has no place for, and nothing else") {
    for_each_golden([](const Json& one, std::string_view from) {
      for (const std::string_view via : kSpecVersions) {
        if (via == from || one[shape_of(via)].is_null()) continue;
        CAPTURE(via);
        const Json there = converted(labelled(one["result"], from), from, via);
        // The golden document of the same shape is the result as the reference prints it, with nothing lost yet.
        const Json wanted = after_detour(one[shape_of(from)], shape_of(from), shape_of(via));
        if (shape_of(from) == "families" && !wanted.contains("ip4") && !wanted.contains("ip6") && via >= "0.3.0") {
          CHECK(conversion_refusal(there.dump(), via, from) == kNoAddress);
          continue;
        }
        CHECK(converted(there, via, from) == labelled(wanted, from));
      }
    });
  }

  TEST_CASE("A4.7 an interface index outside of the list is taken out") {
    const std::string text = R"({"cniVersion":"0.4.0","interfaces":[{"name":"a"},{"name":"b"}],"ips":[
      {"address":"10.0.0.1/8","interface":0},{"interface":1,"address":"10.0.0.2/8"},
      {"address":"10.0.0.3/8","interface":2},{"interface":-1,"address":"10.0.0.4/8", "x": 1.0},
      {"address":"10.0.0.5/8"},{"address":"10.0.0.6/8","Interface":9223372036854775807}],"y":[ ]})";
    CHECK(Json::parse(conf::with_safe_indexes(text)) == Json::parse(R"({"cniVersion":"0.4.0",
      "interfaces":[{"name":"a"},{"name":"b"}],"ips":[
      {"address":"10.0.0.1/8","interface":0},{"address":"10.0.0.2/8","interface":1},
      {"address":"10.0.0.3/8"},{"address":"10.0.0.4/8","x":1.0},
      {"address":"10.0.0.5/8"},{"address":"10.0.0.6/8"}],"y":[]})"));
  }

  TEST_CASE("A11.7 without interfaces no index is valid") {
    constexpr std::string_view kSafe = R"({"ips":[{"address":"10.0.0.1/8"}]})";
    CHECK(conf::with_safe_indexes(R"({"ips":[{"interface":0,"address":"10.0.0.1/8"}]})") == kSafe);
    CHECK(conf::with_safe_indexes(R"({"ips":[{"address":"10.0.0.1/8","interface":-1}]})") == kSafe);
    CHECK(
        Json::parse(conf::with_safe_indexes(R"({"interfaces":null,"ips":[{"address":"10.0.0.1/8","interface":0}]})")) ==
        Json::parse(R"({"interfaces":null,"ips":[{"address":"10.0.0.1/8"}]})"));
  }

  TEST_CASE("an index that is no whole number is no index") {
    for (const char* index : {"\"0\"", "0.5", "[]", "18446744073709551616"}) {
      const std::string text = fmt::format(R"({{"interfaces":[{{}}],"ips":[{{"interface":{}}}]}})", index);
      CHECK(conf::with_safe_indexes(text) == R"({"interfaces":[{}],"ips":[{}]})");
    }
  }

  TEST_CASE("a result whose indexes are safe stays as it is, byte for byte") {
    for (const char* text : {R"( { "interfaces":[ {} ], "ips":[ {"interface":0}, {"interface":null}, 1 ] } )", "{ }",
                             "null\n", R"({"ips":"x"})", R"({"ip4":{"ip":"10.0.0.1/8"},"ips":null})"}) {
      CHECK(conf::with_safe_indexes(text) == text);
    }
    CHECK(refusal([] { (void)conf::with_safe_indexes("[]"); }) == "result: expected an object, got something else");
  }

  TEST_CASE("the addresses of a result, in order, as Go prints them") {
    using Addresses = std::vector<std::string>;
    CHECK(conf::result_addresses(R"({"cniVersion":"0.2.0","ip6":{"ip":"FD00::1/64"},"ip4":{"ip":"10.0.0.1/8"}})") ==
          Addresses{"10.0.0.1/8", "fd00::1/64"});
    CHECK(conf::result_addresses(R"({"ips":[{"address":"fd00::1/64"},{"address":"10.0.0.1/8"},
      {"address":"::ffff:10.0.0.2/104"}]})") == Addresses{"fd00::1/64", "10.0.0.1/8", "10.0.0.2/8"});
    CHECK(conf::result_addresses(R"({"cniVersion":"1.1.0"})").empty());
  }

  TEST_CASE("the addresses of what cannot be read are none") {
    for (const char* text : {"", "null", "[]", "x", "{", R"({"ips":1})", R"({"ips":[1,null,{},{"address":1}]})",
                             R"({"ip4":[],"ip6":{"ip":"x"}})", R"({"ips":[{"address":"10.0.0.1"}]})"}) {
      CAPTURE(text);
      CHECK(conf::result_addresses(text).empty());
    }
    CHECK(conf::result_addresses(R"({"ips":[{"address":"x"},{"address":"10.0.0.1/8"}]})") ==
          std::vector<std::string>{"10.0.0.1/8"});
  }

  TEST_CASE("the first sandbox of a result, and none of what cannot be read") {
    CHECK(conf::result_sandbox(R"({"interfaces":[{"name":"br0"},{"name":"veth1","sandbox":""},)"
                               R"({"name":"eth0","sandbox":"/run/netns/a"},{"sandbox":"/b"}]})") == "/run/netns/a");
    for (const char* text : {"", "null", "[]", "{", "{}", R"({"interfaces":1})", R"({"interfaces":[1]})",
                             R"({"interfaces":[{"sandbox":1}]})"}) {
      CAPTURE(text);
      CHECK(conf::result_sandbox(text).empty());
    }
  }
}
