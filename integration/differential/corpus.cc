// SPDX-License-Identifier: Apache-2.0
#include "integration/differential/corpus.h"

#include <algorithm>

namespace differential {
namespace {

using Members = std::vector<std::pair<std::string, std::string>>;

const std::vector<std::string> kVersions = {"", "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"};

std::string members_text(const Members& members) {
  std::string text;
  for (const auto& [key, value] : members) text += ",\"" + key + "\":" + value;
  return text;
}

Entry entry(std::string type, Members members = {}) { return {std::move(type), std::move(members)}; }

List list_of(std::string version, std::vector<Entry> plugins) {
  List list;
  list.version = std::move(version);
  list.plugins = std::move(plugins);
  return list;
}

bool knows_check(const std::string& version) { return version == "0.4.0" || version == "1.0.0"; }

// What every case of that version shows.
std::set<std::string> of_version(const std::string& version) {
  std::set<std::string> ids;
  if (version.empty()) ids.insert("B4.1");
  if (!knows_check(version)) ids.insert("A6.6");
  return ids;
}

std::set<std::string> also(std::set<std::string> ids, const std::set<std::string>& more) {
  ids.insert(more.begin(), more.end());
  return ids;
}

// A result script for an ADD: the text inside a JSON string.
std::string prints(const std::string& text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return R"({"ADD":{"stdout":")" + quoted + R"("}})";
}

Case result_case(std::string title, const std::string& version, const std::string& result,
                 std::set<std::string> differences = {}) {
  Case one;
  one.title = std::move(title);
  one.list = list_of(version, {entry("first"), entry("second"), entry("third")});
  one.scripts = {{"first", prints(result)}};
  one.differences = also(of_version(version), differences);
  return one;
}

}  // namespace

std::string Entry::text() const { return R"({"type":")" + type + "\"" + members_text(members) + "}"; }

std::string List::text() const {
  std::string text = R"({"name":")" + name + "\"";
  if (!version.empty()) text += R"(,"cniVersion":")" + version + "\"";
  text += more + R"(,"plugins":[)";
  for (std::size_t i = 0; i < plugins.size(); ++i) text += (i == 0 ? "" : ",") + plugins[i].text();
  return text + "]}";
}

std::string List::single_text() const {
  std::string text = R"({"name":")" + name + "\"";
  if (!version.empty()) text += R"(,"cniVersion":")" + version + "\"";
  return text + R"(,"type":")" + plugins.front().type + "\"" + members_text(plugins.front().members) + "}";
}

std::vector<Case> version_cases() {
  std::vector<Case> cases;
  for (const auto& version : kVersions) {
    Case one;
    one.title = "one plugin, version " + (version.empty() ? "not stated" : version);
    one.list = list_of(version, {entry("bridge", {{"bridge", R"("cni0")"}, {"isGateway", "true"}})});
    one.differences = of_version(version);
    cases.push_back(one);
    one.title += ", in a .conf";
    one.single = true;
    cases.push_back(one);
  }
  return cases;
}

std::vector<Case> chain_cases() {
  std::vector<Case> cases;
  for (const auto& version : kVersions) {
    for (std::size_t length = 2; length <= 4; ++length) {
      Case one;
      one.title = std::to_string(length) + " plugins, version " + (version.empty() ? "not stated" : version);
      const std::vector<Entry> all = {entry("flannel", {{"delegate", R"({"hairpinMode":true})"}}),
                                      entry("portmap", {{"snat", "true"}}), entry("tuning"), entry("sbr")};
      one.list = list_of(version, {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(length)});
      one.differences = of_version(version);
      cases.push_back(one);
    }
  }
  Case twice;
  twice.title = "the same plugin twice";
  twice.list = list_of("1.0.0", {entry("bridge", {{"bridge", R"("a")"}}), entry("bridge", {{"bridge", R"("b")"}})});
  cases.push_back(twice);
  Case unchecked = twice;
  unchecked.title = "disableCheck";
  unchecked.list.more = R"(,"disableCheck":true)";
  cases.push_back(unchecked);
  return cases;
}

std::vector<Case> capability_cases() {
  const std::string offered =
      R"({"portMappings":[{"hostPort":18087,"containerPort":8080,"protocol":"tcp","hostIP":""}],)"
      R"("bandwidth":{"ingressRate":1000,"ingressBurst":2000},"ips":["10.1.2.3/16"],)"
      R"("ipRanges":[[{"subnet":"10.1.0.0/16"}]],"mac":"c2:11:22:33:44:55",)"
      R"("dns":{"servers":["10.96.0.10"],"searches":["cluster.local"],"options":["ndots:5"]},"aliases":["a","b"],)"
      R"("cgroupPath":"/kubepods/pod1","infinibandGUID":"c2:11:22:33:44:55:66:77","deviceID":"0000:04:00.5",)"
      R"("io.kubernetes.cri.pod-annotations":{"a/b":"c\nd","<e>&":"\u00e9\u4e2d"}})";
  const std::string all =
      R"({"portMappings":true,"bandwidth":true,"ips":true,"ipRanges":true,"mac":true,"dns":true,"aliases":true,)"
      R"("cgroupPath":true,"infinibandGUID":true,"deviceID":true,"io.kubernetes.cri.pod-annotations":true})";
  Case one;
  one.title = "each plugin gets what it declares";
  one.list = list_of("1.0.0", {entry("bridge", {{"capabilities", R"({"ips":true,"mac":true})"}}),
                               entry("portmap", {{"capabilities", R"({"portMappings":true})"}}), entry("tuning"),
                               entry("bandwidth", {{"capabilities", R"({"bandwidth":true,"ips":false})"}})});
  one.caps = offered;
  one.differences = {"B4.7"};
  std::vector<Case> cases = {one};
  one.title = "everything";
  one.list = list_of("1.0.0", {entry("bridge", {{"capabilities", all}})});
  cases.push_back(one);
  one.title = "everything, 0.3.1";
  one.list.version = "0.3.1";
  one.differences = {"A6.6", "B4.7"};
  cases.push_back(one);
  one.title = "declared and not offered";
  one.list = list_of("1.0.0", {entry("bridge", {{"capabilities", all}})});
  one.caps = R"({"mac":"c2:11:22:33:44:55"})";
  one.differences = {"B4.7"};
  cases.push_back(one);
  one.title = "declared and nothing offered";
  one.caps.clear();
  cases.push_back(one);
  one.title = "offered and not declared";
  one.list = list_of("1.0.0", {entry("bridge")});
  one.caps = R"({"bandwidth":{"ingressRate":1000},"mac":"c2:11:22:33:44:55"})";
  one.differences = {};
  cases.push_back(one);
  return cases;
}

std::vector<Case> document_cases() {
  Case one;
  one.title = "unknown keys, nested, empty, null, escaped";
  one.list =
      list_of("1.0.0", {entry("bridge", {{"unknown", R"({"a":[1,{"b":[[],{}]}],"":null})"},
                                         {"nothing", "null"},
                                         {"text", R"("a\tb\"c\\d\/\u00e9 \ud83d\ude00 <&>")"},
                                         {"raw", "\"\xc3\xa9\xe4\xb8\xad\""},
                                         {"args", R"({"cni":{"labels":[{"key":"a","value":"b"}]}})"},
                                         {"ipam", R"({"type":"host-local","ranges":[[{"subnet":"10.1.0.0/16"}]]})"},
                                         {"dns", R"({"nameservers":["10.96.0.10"]})"}})});
  std::vector<Case> cases = {one};

  Case spaced = one;
  spaced.title = "white space inside values";
  spaced.list.plugins = {entry("bridge", {{"object", "{ \"a\" : [ 1 ,\n\t2 ] }"}})};
  cases.push_back(spaced);

  Case numbers = one;
  numbers.title = "numbers beyond a float64";
  numbers.list.plugins = {entry("bridge", {{"u64", "18446744073709551615"},
                                           {"i64", "-9223372036854775808"},
                                           {"past53", "9007199254740993"},
                                           {"long", "123456789012345678901234567890"},
                                           {"digits", "0.1234567890123456789"},
                                           {"list", "[9007199254740993]"}})};
  numbers.differences = {"A2.5"};
  cases.push_back(numbers);

  Case plain = one;
  plain.title = "numbers that a float64 holds";
  plain.list.plugins = {entry("bridge", {{"mtu", "1450"},
                                         {"zero", "0"},
                                         {"negative", "-1"},
                                         {"half", "0.5"},
                                         {"past32", "4294967296"},
                                         {"exact", "9007199254740992"}})};
  cases.push_back(plain);

  Case own = one;
  own.title = "name and version in the plugin's own entry give way to the list's";
  own.list.plugins = {entry("bridge", {{"name", R"("mine")"}, {"cniVersion", R"("0.3.1")"}})};
  cases.push_back(own);

  Case inbound = one;
  inbound.title = "what only a runtime may put there";
  inbound.list.plugins = {entry("bridge", {{"runtimeConfig", R"({"mac":"c2:11:22:33:44:55"})"},
                                           {"prevResult", R"({"cniVersion":"1.0.0","ips":[{"address":"9.9.9.9/32"}]})"},
                                           {"cni.dev/valid-attachments", "[]"}})};
  inbound.scripts = {{"bridge", prints(R"({"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/16"}],"dns":{}})")}};
  inbound.differences = {"B4.7"};
  cases.push_back(inbound);

  Case keys = one;
  keys.title = "keys of a later specification at the list";
  keys.list.more = R"(,"disableGC":true,"loadOnlyInlinedPlugins":true,"x":{"y":1})";
  cases.push_back(keys);
  return cases;
}

std::vector<Case> result_cases() {
  const std::string ip4 = R"("ip4":{"ip":"10.1.0.5/16","gateway":"10.1.0.1","routes":[{"dst":"0.0.0.0/0"}]})";
  const std::string ip6 = R"("ip6":{"ip":"fd00::5/64","routes":[{"dst":"::/0","gw":"fd00::1"}]})";
  const std::string interfaces = R"("interfaces":[{"name":"cni0","mac":"0a:00:00:00:00:01"},)"
                                 R"({"name":"eth0","mac":"0a:00:00:00:00:02","sandbox":"/run/netns/web-0"}])";
  std::vector<Case> cases = {
      result_case("0.1.0, both families", "0.1.0", R"({"cniVersion":"0.1.0",)" + ip4 + "," + ip6 + R"(,"dns":{}})"),
      result_case("0.2.0, v6 only", "0.2.0", R"({"cniVersion":"0.2.0",)" + ip6 + "}", {"A11.6"}),
      result_case("0.2.0, with dns", "0.2.0",
                  R"({"cniVersion":"0.2.0",)" + ip4 + R"(,"dns":{"nameservers":["10.96.0.10"],"domain":"d"}})"),
      result_case(
          "0.3.1, two addresses", "0.3.1",
          R"({"cniVersion":"0.3.1",)" + interfaces +
              R"(,"ips":[{"version":"4","interface":1,"address":"10.1.0.5/16","gateway":"10.1.0.1"},)"
              R"({"version":"6","interface":1,"address":"fd00::5/64"}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{}})"),
      result_case("0.4.0, without dns", "0.4.0",
                  R"({"cniVersion":"0.4.0",)" + interfaces + R"(,"ips":[{"version":"4","address":"10.1.0.5/32"}]})",
                  {"A11.6"}),
      result_case("1.0.0, without interfaces, as an IPAM plugin", "1.0.0",
                  R"({"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/16"}],"routes":[{"dst":"10.2.0.0/16"}]})",
                  {"A11.6"}),
      result_case("1.0.0, keys of its own", "1.0.0",
                  R"({"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/16","x":1}],"vendor":{"n":9007199254740993}})",
                  {"A11.6"}),
      result_case("1.0.0, a device number as sandbox and a VLAN as mac", "1.0.0",
                  R"({"cniVersion":"1.0.0","interfaces":[{"name":"dummy0","mac":"0","sandbox":"2"},)"
                  R"({"name":"eth0","sandbox":"/run/netns/web-0"}],"ips":[{"interface":1,"address":"10.1.0.5/32"}]})",
                  {"A11.6"}),
      result_case("no version in the result", "1.0.0", R"({"ips":[{"address":"10.1.0.5/16"}]})", {"A11.6"}),
      result_case("no version in the result, 0.3.1", "0.3.1",
                  R"({"ips":[{"version":"4","address":"10.1.0.5/16"}],"dns":{}})"),
      result_case("an empty result", "1.0.0", R"({"cniVersion":"1.0.0"})", {"A11.6"}),
      result_case("null", "1.0.0", "null", {"A11.6"}),
  };
  return cases;
}

std::vector<Case> args_cases() {
  std::vector<Case> cases;
  const std::vector<std::pair<std::string, std::string>> inputs = {
      {"none", ""},
      {"random order", "K8S_POD_NAME=f3;K8S_POD_UID=60c0e0f2;IgnoreUnknown=1;K8S_POD_NAMESPACE=default"},
      {"a value with an equals sign", "IgnoreUnknown=1;A=b=c;K8S_POD_NAME=x"},
      {"an empty value", "A=;IgnoreUnknown=true"},
      {"UTF-8 and spaces", "NAME=\xc3\xa9 \xe4\xb8\xad b;IgnoreUnknown=1"},
      {"one key twice", "A=1;A=2"},
      {"a long value", "A=" + std::string(60000, 'x')},
  };
  for (const auto& [title, args] : inputs) {
    Case one;
    one.title = "CNI_ARGS: " + title;
    one.list = list_of("0.4.0", {entry("bridge"), entry("portmap")});
    one.args = args;
    cases.push_back(one);
  }
  return cases;
}

std::vector<Case> failing_add_cases() {
  const std::vector<std::pair<std::string, std::string>> failures = {
      {"an error with details",
       R"({"stdout":"{\"code\":999,\"msg\":\"no address\",\"details\":\"10.1.0.0/24 is full\"}","exit":1})"},
      {"an error of ours to come",
       R"({"stdout":"{\"cniVersion\":\"1.0.0\",\"code\":11,\"msg\":\"try again\"}","exit":3})"},
      {"an error and words on stderr", R"({"stdout":"{\"code\":7,\"msg\":\"bad\"}","stderr":"warning: x\n","exit":1})"},
  };
  const std::vector<std::pair<std::string, std::string>> broken = {
      {"words only", R"({"stderr":"cannot open device","exit":2})"},
      {"nothing at all", R"({"stdout":"","exit":1})"},
      {"text on stdout", R"({"stdout":"panic: oh","exit":2})"},
      {"a signal", R"({"signal":11})"},
      {"an empty answer", R"({"stdout":"","exit":0})"},
      {"an answer that is no JSON", R"({"stdout":"OK","exit":0})"},
      {"half an answer", R"({"stdout":"{\"cniVersion\":\"1.0.0\",","exit":0})"},
      {"an answer that is a list", R"({"stdout":"[]","exit":0})"},
      {"an answer of an unknown version", R"({"stdout":"{\"cniVersion\":\"7.0.0\"}","exit":0})"},
      {"an answer with a broken address",
       R"({"stdout":"{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"x\"}]}","exit":0})"},
  };
  std::vector<Case> cases;
  const std::vector<std::string> types = {"first", "second", "third"};
  for (const auto& position : types) {
    const auto add = [&](const std::pair<std::string, std::string>& failure, const std::set<std::string>& more) {
      Case one;
      one.title = "ADD of the " + position + " plugin fails: " + failure.first;
      one.list = list_of("1.0.0", {entry("first"), entry("second"), entry("third")});
      one.scripts = {{position, R"({"ADD":)" + failure.second + "}"}};
      one.differences = also({"B6.2"}, more);
      cases.push_back(one);
    };
    for (const auto& failure : failures) add(failure, {});
    for (const auto& failure : broken) add(failure, {"B5.6"});
  }
  return cases;
}

}  // namespace differential
