// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "conf/error.h"
#include "conf/result.h"
#include "conf/version.h"

namespace {

using Json = nlohmann::json;
using conf::convert_result;
using conf::kSpecVersions;

constexpr std::string_view kPrefix = "an address with its prefix length such as \"10.1.0.5/24\"";
constexpr std::string_view kAddress = "an address without prefix length such as \"10.1.0.1\"";
constexpr std::string_view kInteger = "a whole number of at most 64 bits";

/// What `call` throws: "code msg: details".
template <typename Call>
std::string failure(Call call) {
  try {
    call();
  } catch (const conf::CniError& error) {
    return fmt::format("{} {}: {}", error.code(), error.msg(), error.details());
  }
  return "none";
}

std::string refusal(const std::string& text, std::string_view from, std::string_view to = "1.1.0") {
  return failure([&] { (void)convert_result(text, from, to); });
}

std::string invalid(std::string_view path, std::string_view expected, std::string_view got) {
  return fmt::format("6 invalid CNI result: {}: expected {}, got {}", path, expected, got);
}

/// A value of a result and what may stand there.
struct Place {
  std::string pointer;  ///< RFC 6901
  std::string path;     ///< as errors name it
  std::string_view expected;
  std::vector<std::string_view> kinds;  ///< the kinds of value that are no type error
};

struct Shape {
  std::vector<std::string_view> versions;
  Json result;  ///< valid, with a value at every place
  std::vector<Place> places;
};

Place text_at(std::string pointer, std::string path) {
  return {std::move(pointer), std::move(path), "a string", {"string", "null"}};
}
Place integer_at(std::string pointer, std::string path) {
  return {std::move(pointer), std::move(path), kInteger, {"number", "null"}};
}
Place list_at(std::string pointer, std::string path) {
  return {std::move(pointer), std::move(path), "an array", {"array", "null"}};
}
Place object_at(std::string pointer, std::string path) {
  return {std::move(pointer), std::move(path), "an object", {"object", "null"}};
}
Place element_at(std::string pointer, std::string path) {
  return {std::move(pointer), std::move(path), "an object", {"object"}};
}
Place prefix_at(std::string pointer, std::string path) { return {std::move(pointer), std::move(path), kPrefix, {}}; }
Place address_at(std::string pointer, std::string path) {
  return {std::move(pointer), std::move(path), kAddress, {"null"}};
}

Json full_route() {
  return Json::parse(
      R"({"dst": "::/0", "gw": "fd00::1", "mtu": 1, "advmss": 1, "priority": 1, "table": 1, "scope": 1})");
}

void add_routes(std::vector<Place>& places, const std::string& pointer, const std::string& path) {
  places.push_back(list_at(pointer, path));
  places.push_back(element_at(pointer + "/1", path + "[1]"));
  places.push_back(prefix_at(pointer + "/1/dst", path + "[1].dst"));
  places.push_back(address_at(pointer + "/1/gw", path + "[1].gw"));
  for (const char* key : {"mtu", "advmss", "priority", "table", "scope"}) {
    places.push_back(integer_at(fmt::format("{}/1/{}", pointer, key), fmt::format("{}[1].{}", path, key)));
  }
}

Json full_dns() {
  return Json::parse(R"({"nameservers": ["a", "b"], "domain": "c", "search": ["d", "e"], "options": ["f", "g"]})");
}

void add_dns(std::vector<Place>& places) {
  places.push_back(object_at("/dns", "dns"));
  places.push_back(text_at("/dns/domain", "dns.domain"));
  for (const std::string key : {"nameservers", "search", "options"}) {
    places.push_back(list_at("/dns/" + key, "dns." + key));
    places.push_back(text_at("/dns/" + key + "/1", "dns." + key + "[1]"));
  }
}

Shape families() {
  const Json family = {{"ip", "10.1.0.5/24"}, {"gateway", "10.1.0.1"}, {"routes", {full_route(), full_route()}}};
  Shape shape{{"0.1.0", "0.2.0"}, {{"ip4", family}, {"ip6", family}, {"dns", full_dns()}}, {}};
  for (const std::string key : {"ip4", "ip6"}) {
    shape.places.push_back(object_at("/" + key, key));
    shape.places.push_back(prefix_at("/" + key + "/ip", key + ".ip"));
    shape.places.push_back(address_at("/" + key + "/gateway", key + ".gateway"));
    add_routes(shape.places, "/" + key + "/routes", key + ".routes");
  }
  add_dns(shape.places);
  return shape;
}

Shape lists(std::vector<std::string_view> versions) {
  const Json interface = Json::parse(R"({"name": "eth0", "mac": "1", "sandbox": "2"})");
  const Json ip = Json::parse(R"({"version": "4", "interface": 0, "address": "10.1.0.5/24", "gateway": "10.1.0.1"})");
  Shape shape{std::move(versions),
              {{"interfaces", {interface, interface}},
               {"ips", {ip, ip}},
               {"routes", {full_route(), full_route()}},
               {"dns", full_dns()}},
              {}};
  shape.places = {list_at("/interfaces", "interfaces"),
                  element_at("/interfaces/1", "interfaces[1]"),
                  text_at("/interfaces/1/name", "interfaces[1].name"),
                  text_at("/interfaces/1/mac", "interfaces[1].mac"),
                  text_at("/interfaces/1/sandbox", "interfaces[1].sandbox"),
                  list_at("/ips", "ips"),
                  element_at("/ips/1", "ips[1]"),
                  integer_at("/ips/1/interface", "ips[1].interface"),
                  prefix_at("/ips/1/address", "ips[1].address"),
                  address_at("/ips/1/gateway", "ips[1].gateway")};
  add_routes(shape.places, "/routes", "routes");
  add_dns(shape.places);
  return shape;
}

std::vector<Shape> shapes() {
  Shape versioned = lists({"0.3.0", "0.3.1", "0.4.0"});
  versioned.places.push_back(text_at("/ips/1/version", "ips[1].version"));
  Shape current = lists({"1.0.0", "1.1.0"});
  current.places.push_back(integer_at("/interfaces/1/mtu", "interfaces[1].mtu"));
  current.places.push_back(text_at("/interfaces/1/socketPath", "interfaces[1].socketPath"));
  current.places.push_back(text_at("/interfaces/1/pciID", "interfaces[1].pciID"));
  return {families(), versioned, current};
}

struct Wrong {
  std::string_view kind;
  Json value;
};

std::vector<Wrong> values() {
  return {{"string", "x"},  {"number", 7}, {"boolean", true}, {"object", {{"a", 1}}}, {"array", Json::array({"x"})},
          {"null", nullptr}};
}

/// How the refusal names what is there: a string that may be one, but is not this one, is "another string".
std::string_view got(const Place& place, std::string_view kind) {
  const bool is_text = place.expected == kPrefix || place.expected == kAddress;
  return is_text && kind == "string" ? "another string" : kind;
}

}  // namespace

TEST_SUITE("conf.result_read") {
  TEST_CASE("the result that the type errors are made in is valid") {
    for (const Shape& shape : shapes()) {
      for (const std::string_view from : shape.versions) {
        CHECK(refusal(shape.result.dump(), from, from) == "none");
        CHECK(refusal(shape.result.dump(), from, "0.2.0") == "none");
        CHECK(refusal(shape.result.dump(), from, "1.1.0") == "none");
      }
    }
  }

  TEST_CASE("every type error at every place is code 6 with the place and what was expected") {
    std::size_t refused = 0;
    for (const Shape& shape : shapes()) {
      for (const Place& place : shape.places) {
        for (const Wrong& wrong : values()) {
          if (std::count(place.kinds.begin(), place.kinds.end(), wrong.kind) != 0) continue;
          Json result = shape.result;
          result[Json::json_pointer(place.pointer)] = wrong.value;
          const std::string expected = invalid(place.path, place.expected, got(place, wrong.kind));
          for (const std::string_view from : shape.versions) {
            CAPTURE(from);
            for (const std::string_view to : kSpecVersions) CHECK(refusal(result.dump(), from, to) == expected);
            ++refused;
          }
        }
      }
    }
    CHECK(refused > 700);
  }

  TEST_CASE("null is an absent key wherever absence is allowed") {
    for (const Shape& shape : shapes()) {
      for (const Place& place : shape.places) {
        if (std::count(place.kinds.begin(), place.kinds.end(), std::string_view("null")) == 0) continue;
        CAPTURE(place.path);
        Json result = shape.result;
        result[Json::json_pointer(place.pointer)] = nullptr;
        for (const std::string_view from : shape.versions) CHECK(refusal(result.dump(), from) == "none");
      }
    }
  }

  TEST_CASE("an address that is absent is refused, which the reference prints as <nil>") {
    CHECK(refusal(R"({"ips":[{}]})", "1.0.0") == invalid("ips[0].address", kPrefix, "nothing"));
    CHECK(refusal(R"({"ips":[{"version":"4"}]})", "0.4.0") == invalid("ips[0].address", kPrefix, "nothing"));
    CHECK(refusal(R"({"routes":[{"gw":"::1"}]})", "1.0.0") == invalid("routes[0].dst", kPrefix, "nothing"));
    CHECK(refusal(R"({"ip6":{}})", "0.2.0") == invalid("ip6.ip", kPrefix, "nothing"));
    CHECK(refusal(R"({"ip4":{"ip":"10.0.0.1/8","routes":[{}]}})", "0.1.0") ==
          invalid("ip4.routes[0].dst", kPrefix, "nothing"));
  }

  TEST_CASE("A11.3 an address that does not parse is refused and not repeated") {
    for (const char* text : {"",
                             "10.1.0.5",
                             "10.1.0.5/33",
                             "fd00::1/129",
                             "10.1.0.5/",
                             "10.1.0.5/+8",
                             "10.1.0.5/-1",
                             "10.1.0.5/8 ",
                             " 10.1.0.5/8",
                             "10.1.0/24",
                             "10.1.0.256/24",
                             "10.1.0.05/24",
                             "fe80::1%eth0/64",
                             "[::1]/128",
                             "/24",
                             "10.1.0.5/8/8",
                             "10.1.0.5/0x8",
                             "<nil>",
                             "1::2::3/64",
                             "10.1.0.5/99999999999999999999"}) {
      CAPTURE(text);
      const Json result = {{"ips", Json::array({{{"address", text}}})}};
      CHECK(refusal(result.dump(), "1.0.0") == invalid("ips[0].address", kPrefix, "another string"));
    }
  }

  TEST_CASE("A11.3 a gateway that does not parse is refused and not repeated") {
    for (const char* text : {"10.1.0.1/24", "10.1.0", "x", " ", "fe80::1%eth0", "010.1.0.1", "1:2", "::1 "}) {
      CAPTURE(text);
      const Json result = {{"ips", Json::array({{{"address", "10.1.0.5/24"}, {"gateway", text}}})}};
      CHECK(refusal(result.dump(), "1.0.0") == invalid("ips[0].gateway", kAddress, "another string"));
    }
  }

  TEST_CASE("a number that is not whole, or too large, is refused") {
    for (const char* number : {"1.0", "1e3", "-0.5", "9223372036854775808", "-9223372036854775809"}) {
      CAPTURE(number);
      const std::string text = fmt::format(R"({{"ips":[{{"address":"::1/128","interface":{}}}]}})", number);
      CHECK(refusal(text, "1.0.0") == invalid("ips[0].interface", kInteger, "another number"));
    }
  }

  TEST_CASE("foreign keys may hold anything") {
    const std::string odd = R"({"ip4":1,"ip6":"x","interfaces":[{"mtu":"x","socketPath":1,"x":null}]})";
    CHECK(refusal(odd, "0.4.0") == "none");
    CHECK(refusal(R"({"interfaces":1,"ips":"x","routes":{}})", "0.2.0") == "none");
    CHECK(refusal(R"({"ips":[{"address":"::1/128","version":6}]})", "1.1.0", "0.4.0") == "none");
  }

  TEST_CASE("a text that is no object is refused") {
    CHECK(refusal("", "1.0.0") == invalid("result", "an object", "nothing"));
    CHECK(refusal(" \n", "1.0.0") == invalid("result", "an object", "nothing"));
    for (const char* text : {"[]", "\"x\"", "1", "true", "nul", "OK", "x{}"}) {
      CAPTURE(text);
      CHECK(refusal(text, "1.0.0", "1.0.0") == invalid("result", "an object", "something else"));
    }
  }

  TEST_CASE("an object that is not JSON is refused with the byte where it breaks") {
    CHECK(refusal("{\"ips\":[}", "1.0.0").starts_with("6 invalid JSON: result, byte 8: "));
    CHECK(refusal("{} {}", "1.0.0", "1.0.0").starts_with("6 invalid JSON: result, byte 3: "));
    CHECK(refusal("{\"mac\":\"\xff\"}", "1.0.0").starts_with("6 invalid JSON: result, byte "));
    const std::string deep = "{\"x\":" + std::string(200, '[') + std::string(200, ']') + "}";
    CHECK(refusal(deep, "1.0.0").find("nested deeper than 128 levels") != std::string::npos);
  }

  TEST_CASE("no conversion from or to a version that is none of the seven") {
    constexpr std::string_view kNot =
        "1 incompatible CNI versions: a result of version \"{}\" cannot be read or written";
    for (const char* version : {"", "0.3", "1.2.0", "v1.0.0"}) {
      CHECK(refusal("{}", version, "1.0.0") == fmt::format(kNot, version));
      CHECK(refusal("{}", "1.0.0", version) == fmt::format(kNot, version));
    }
  }

  TEST_CASE("A3.4 the version of a result is what it states, or else what is assumed") {
    for (const std::string_view version : kSpecVersions) {
      CHECK(conf::result_version(fmt::format(R"({{"cniVersion":"{}"}})", version), "0.1.0") == version);
    }
    CHECK(conf::result_version("{}", "0.3.1") == "0.3.1");
    CHECK(conf::result_version(R"({"cniVersion":""})", "0.3.1") == "0.3.1");
    CHECK(conf::result_version(R"({"cniVersion":null})", "0.3.1") == "0.3.1");
    CHECK(conf::result_version(R"({"CNIVersion":"0.4.0"})", "0.3.1") == "0.4.0");
  }

  TEST_CASE("B5.7 a version that is none of the seven is refused") {
    const auto version_refusal = [](const char* text) {
      return failure([text] { (void)conf::result_version(text, "1.0.0"); });
    };
    constexpr std::string_view kOneOf = "one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0";
    CHECK(version_refusal(R"({"cniVersion":"1.2.0"})") == invalid("cniVersion", kOneOf, "another string"));
    CHECK(version_refusal(R"({"cniVersion":"1.0"})") == invalid("cniVersion", kOneOf, "another string"));
    CHECK(version_refusal(R"({"cniVersion":1})") == invalid("cniVersion", "a string", "number"));
    CHECK(version_refusal("[]") == invalid("result", "an object", "something else"));
    CHECK(version_refusal("") == invalid("result", "an object", "nothing"));
  }
}
