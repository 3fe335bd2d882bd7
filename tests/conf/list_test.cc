// SPDX-License-Identifier: Apache-2.0
#include "conf/list.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "conf/error.h"
#include "tests/support/data.h"
#include "tests/support/refusal.h"

using conf::Code;
using conf::Injection;
using conf::NetworkList;
using conf::Object;
using conf::PluginConf;
using conf::Verb;
using support::check_refusal;
using support::data;
using support::refusal_of;
using Json = nlohmann::json;

namespace {

constexpr std::string_view kFile = "/etc/cni/net.d/10-x.conflist";

NetworkList parse(std::string_view text) { return conf::parse_list(text, kFile); }

// A list of one plugin with `members` (JSON without braces, with a comma behind it) ahead of it.
NetworkList with_members(const std::string& members) {
  return parse("{" + members + R"("name":"net","plugins":[{"type":"bridge"}]})");
}

std::string version_of(const std::string& members) { return with_members(members).cni_version; }

NetworkList one_plugin(const std::string& entry) { return parse(R"({"name":"net","plugins":[)" + entry + "]}"); }

void check_refused(std::string_view text, std::string_view sentence) {
  CAPTURE(text);
  check_refusal(refusal_of([&] { return parse(text); }), Code::kInvalidConfig, "invalid network configuration",
                std::string(kFile) + ": " + std::string(sentence));
}

NetworkList resolved(std::string_view text) {
  NetworkList list = parse(text);
  list.load_only_inlined = true;
  return list;
}

// The version that an offer and a plugin entry meet under, with everything of one call in it.
Injection full_injection(Verb verb) {
  Injection injection;
  injection.verb = verb;
  injection.prev_result = R"({"cniVersion":"1.0.0"})";
  injection.runtime_config = Object::parse(R"({"portMappings":[{"hostPort":80}],"mac":"02:00:00:00:00:01"})", "test");
  injection.valid_attachments = R"([{"containerID":"a","ifname":"eth0"}])";
  return injection;
}

std::string stdin_of(const NetworkList& list, const Injection& injection) {
  return conf::plugin_stdin(list, list.plugins.at(0), injection);
}

// What libcni gave a plugin in a recorded call, but for the capabilities: the specification takes them out.
Json recorded(const std::string& name) {
  Json stdin_document = Json::parse(support::recorded_stdin(name));
  stdin_document.erase("capabilities");
  return stdin_document;
}

// Derives the same call from the list and from what the recorded call shows that the runtime offered.
void check_derives(const NetworkList& list, const std::string& type, Verb verb, const std::string& name) {
  CAPTURE(name);
  const Json expected = recorded(name);
  Injection injection;
  injection.verb = verb;
  if (expected.contains("prevResult")) injection.prev_result = expected["prevResult"].dump();
  if (expected.contains("runtimeConfig"))
    injection.runtime_config = Object::parse(expected["runtimeConfig"].dump(), name);
  if (expected.contains("cni.dev/attachments")) injection.valid_attachments = expected["cni.dev/attachments"].dump();
  injection.runtime_config.set("somethingNobodyDeclares", "1");
  for (const PluginConf& plugin : list.plugins) {
    if (plugin.type == type) CHECK(Json::parse(conf::plugin_stdin(list, plugin, injection)) == expected);
  }
  REQUIRE(list.runs(type));
}

NetworkList flannel_at(const std::string& version) {
  NetworkList list = conf::parse_list(data("lists/flannel.conflist"), "flannel.conflist");
  list.cni_version = version;
  return list;
}

}  // namespace

TEST_SUITE("conf.list") {
  TEST_CASE("B2.1 the lists of flannel and Cilium and Calico are read") {
    const NetworkList flannel = flannel_at("0.3.1");
    CHECK(flannel.name == "cbr0");
    REQUIRE(flannel.plugins.size() == 2);
    CHECK(flannel.plugins[0].type == "flannel");
    CHECK(flannel.plugins[0].capabilities.empty());
    CHECK(flannel.plugins[1].type == "portmap");
    CHECK(flannel.plugins[1].capabilities == std::vector<std::string>{"portMappings"});
    CHECK(flannel.runs("portmap"));
    CHECK_FALSE(flannel.runs("cilium-cni"));
    CHECK(flannel.declares("portMappings"));
    CHECK_FALSE(flannel.declares("bandwidth"));
    CHECK(conf::parse_list(data("lists/cilium.conflist"), "cilium").runs("cilium-cni"));
    const NetworkList calico = conf::parse_list(data("lists/calico.conflist"), "calico");
    CHECK(calico.name == "k8s-pod-network");
    CHECK(calico.version() == "0.3.1");
  }

  TEST_CASE("B2.1 a name must be there and be a network name") {
    const std::string rule = "must be a network name: a letter or digit, then letters, digits, '_', '.' and '-'";
    const std::string plugins = R"("plugins":[{"type":"bridge"}]})";
    check_refused("{" + plugins, "`name` is missing: " + rule);
    check_refused(R"({"name":7,)" + plugins, "`name` is 7: " + rule);
    check_refused(R"({"name":null,)" + plugins, "`name` is null: " + rule);
    check_refused(R"({"name":"",)" + plugins, "`name` is \"\": " + rule);
    check_refused(R"({"name":"../x",)" + plugins, "`name` is \"../x\": " + rule);
    check_refused(R"({"name":")" + std::string(70, '/') + "\"," + plugins, "`name` is a string of 70 bytes: " + rule);
  }

  TEST_CASE("B2.1 plugins must be an array of objects with a type") {
    const std::string rule = "must be the name of a program, without '/' or '\\'";
    check_refused(R"({"name":"n","plugins":{}})", "`plugins` is an object: must be an array of plugins");
    check_refused(R"({"name":"n","plugins":null})", "`plugins` is null: must be an array of plugins");
    check_refused(R"({"name":"n","plugins":[{"type":"a"},"b"]})", "`plugins[1]` is \"b\": must be an object");
    check_refused(R"({"name":"n","plugins":[{"type":"a"},{}]})", "`plugins[1].type` is missing: " + rule);
    check_refused(R"({"name":"n","plugins":[{"type":null}]})", "`plugins[0].type` is missing: " + rule);
    check_refused(R"({"name":"n","plugins":[{"type":1}]})", "`plugins[0].type` is 1: " + rule);
    check_refused(R"({"name":"n","plugins":[{"type":""}]})", "`plugins[0].type` is \"\": " + rule);
  }

  TEST_CASE("B2.1 what is no JSON object is refused with the file's name") {
    const conf::CniError torn = refusal_of([] { return parse(R"({"name":"n","plug)"); });
    CHECK(torn.code() == static_cast<unsigned>(Code::kDecode));
    CHECK(torn.details().rfind(kFile, 0) == 0);
    const conf::CniError array = refusal_of([] { return parse("[]"); });
    CHECK(array.code() == static_cast<unsigned>(Code::kInvalidConfig));
    CHECK(array.details().rfind(kFile, 0) == 0);
  }

  TEST_CASE("B2.2 cniVersion alone stays what it says") {
    CHECK(version_of("").empty());
    CHECK(with_members("").version() == "0.1.0");
    CHECK(version_of(R"("cniVersion":"0.3.1",)") == "0.3.1");
    CHECK(version_of(R"("cniVersion":"9.9.9",)") == "9.9.9");
    CHECK(version_of(R"("cniVersion":"banana",)") == "banana");
  }

  TEST_CASE("B2.2 the highest of cniVersions that we know is chosen and cniVersion is one of them") {
    CHECK(version_of(R"("cniVersions":["0.3.1","1.0.0","0.4.0"],)") == "1.0.0");
    CHECK(version_of(R"("cniVersions":["0.3.1","1.1.0","1.2.0","9.9.9"],)") == "1.1.0");
    CHECK(version_of(R"("cniVersion":"1.1.0","cniVersions":["0.3.1","1.0.0"],)") == "1.1.0");
    CHECK(version_of(R"("cniVersion":"9.9.9","cniVersions":["0.3.1","1.0.0"],)") == "1.0.0");
    CHECK(version_of(R"("cniVersion":"0.3.1","cniVersions":["1.0.0"],)") == "1.0.0");
    CHECK(version_of(R"("cniVersions":["0.10.0","0.9.0"],)") == "0.10.0");
  }

  TEST_CASE("B2.2 cniVersion stays when none of cniVersions is known") {
    CHECK(version_of(R"("cniVersion":"9.9.9","cniVersions":["2.0.0"],)") == "9.9.9");
    CHECK(version_of(R"("cniVersion":"0.4.0","cniVersions":[],)") == "0.4.0");
    CHECK(version_of(R"("cniVersions":["2.0.0"],)").empty());
  }

  TEST_CASE("B2.2 versions of the wrong kind are refused") {
    const std::string rest = R"(,"name":"n","plugins":[{"type":"a"}]})";
    check_refused(R"({"cniVersion":1)" + rest, "`cniVersion` is 1: must be a string such as \"1.0.0\"");
    check_refused(R"({"cniVersion":null)" + rest, "`cniVersion` is null: must be a string such as \"1.0.0\"");
    check_refused(R"({"cniVersions":"1.0.0")" + rest, "`cniVersions` is \"1.0.0\": must be an array of strings");
    check_refused(R"({"cniVersions":["1.0.0",1.0])" + rest,
                  "`cniVersions[1]` is 1.0: must be a string such as \"1.0.0\"");
    check_refused(R"({"cniVersions":["1.x"])" + rest,
                  "`cniVersions[0]` is \"1.x\": must be a version such as \"1.0.0\"");
    check_refused(R"({"cniVersion":"x","cniVersions":["1.0.0"])" + rest,
                  "`cniVersion` is \"x\": must be a version such as \"1.0.0\"");
  }

  TEST_CASE("A2.3 keys of a list are taken in any case") {
    const NetworkList list = parse(R"({"CNIVersion":"1.0.0","Name":"net","PLUGINS":[{"Type":"bridge"}]})");
    CHECK(list.cni_version == "1.0.0");
    CHECK(list.name == "net");
    CHECK(list.runs("bridge"));
    CHECK(version_of(R"("CNIVersion":"0.3.1","CNIVersions":["0.4.0"],)") == "0.4.0");
  }

  TEST_CASE("B2.4 flags are booleans or the words in any case") {
    const NetworkList set = with_members(R"("disableCheck":true,"disableGC":"True","loadOnlyInlinedPlugins":"TRUE",)");
    CHECK(set.disable_check);
    CHECK(set.disable_gc);
    CHECK(set.load_only_inlined);
    const NetworkList unset = with_members(R"("disableCheck":false,"disableGC":"False",)");
    CHECK_FALSE(unset.disable_check);
    CHECK_FALSE(unset.disable_gc);
    CHECK_FALSE(unset.load_only_inlined);
  }

  TEST_CASE("B2.4 a flag of another kind is refused") {
    const std::string rest = R"(,"name":"n","plugins":[{"type":"a"}]})";
    check_refused(R"({"disableCheck":1)" + rest, "`disableCheck` is 1: must be true or false");
    check_refused(R"({"disableGC":"yes")" + rest, "`disableGC` is \"yes\": must be true or false");
    check_refused(R"({"loadOnlyInlinedPlugins":null)" + rest,
                  "`loadOnlyInlinedPlugins` is null: must be true or false");
  }

  TEST_CASE("B2.5 a list without plugins is left to its sub-folder unless that is switched off") {
    CHECK(parse(R"({"name":"n"})").plugins.empty());
    CHECK(parse(R"({"name":"n","plugins":[]})").plugins.empty());
    check_refused(R"({"name":"n","loadOnlyInlinedPlugins":true})", "`plugins` is missing: must be an array of plugins");
    check_refused(R"({"name":"n","loadOnlyInlinedPlugins":true,"plugins":[]})",
                  "`plugins` is empty, and loadOnlyInlinedPlugins keeps others out");
  }

  TEST_CASE("B2.6 a type with a path separator or NUL is refused") {
    const std::string rule = ": must be the name of a program, without '/' or '\\'";
    for (const std::string type : {R"("../x")", R"("/bin/sh")", R"("a\\b")", R"("a\u0000")", R"("a\/b")"}) {
      check_refused(R"({"name":"n","plugins":[{"type":)" + type + "}]}", "`plugins[0].type` is " + type + rule);
    }
  }

  TEST_CASE("B4.5 capabilities are those set to true") {
    const NetworkList list =
        one_plugin(R"({"type":"a","capabilities":{"mac":true,"ips":false,"dns":null,"portMappings":true}})");
    CHECK(list.plugins[0].capabilities == std::vector<std::string>{"mac", "portMappings"});
    CHECK(one_plugin(R"({"type":"a","capabilities":null})").plugins[0].capabilities.empty());
  }

  TEST_CASE("B4.5 capabilities of another kind are refused as libcni does") {
    check_refused(R"({"name":"n","plugins":[{"type":"a","capabilities":["mac"]}]})",
                  "`plugins[0].capabilities` is an array: must be an object of booleans");
    check_refused(R"({"name":"n","plugins":[{"type":"a","capabilities":{"mac":"true"}}]})",
                  "`plugins[0].capabilities.mac` is \"true\": must be true or false");
    check_refused(R"({"name":"n","plugins":[{"type":"a","capabilities":{")" + std::string(65, 'm') + R"(":1}}]})",
                  "`plugins[0].capabilities.(a long key)` is 1: must be true or false");
  }

  TEST_CASE("B1.5 a single plugin's file becomes a list of one") {
    const NetworkList list =
        conf::parse_single(R"({"cniVersion":"0.4.0","name":"net","type":"bridge","capabilities":{"mac":true}})", kFile);
    CHECK(list.name == "net");
    CHECK(list.cni_version == "0.4.0");
    REQUIRE(list.plugins.size() == 1);
    CHECK(list.plugins[0].type == "bridge");
    CHECK(list.declares("mac"));
    CHECK(conf::parse_list(list.text(), "text") == list);
  }

  TEST_CASE("B1.3 a list in a single plugin's file is refused") {
    check_refusal(
        refusal_of([] { return conf::parse_single(R"({"name":"n","plugins":[{"type":"a"}]})", "10-x.conf"); }),
        Code::kInvalidConfig, "invalid network configuration",
        "10-x.conf: `type` is missing and `plugins` is there: a plugin list belongs in a file named "
        "*.conflist");
    check_refusal(refusal_of([] { return conf::parse_single(R"({"name":"n"})", "10-x.conf"); }), Code::kInvalidConfig,
                  "invalid network configuration",
                  "10-x.conf: `type` is missing: must be the name of a program, without '/' or '\\'");
    check_refusal(refusal_of([] { return conf::parse_single(R"({"type":"a"})", "10-x.conf"); }), Code::kInvalidConfig,
                  "invalid network configuration",
                  "10-x.conf: `name` is missing: must be a network name: a letter or digit, then letters, digits, '_', "
                  "'.' and '-'");
  }

  TEST_CASE("B3.2 a plugin of the sub-folder needs a type and no name") {
    const PluginConf plugin = conf::parse_plugin(R"({"type":"tuning","capabilities":{"mac":true},"x":1})", "30-t.conf");
    CHECK(plugin.type == "tuning");
    CHECK(plugin.capabilities == std::vector<std::string>{"mac"});
    check_refusal(refusal_of([] { return conf::parse_plugin(R"({"name":"x"})", "30-t.conf"); }), Code::kInvalidConfig,
                  "invalid network configuration",
                  "30-t.conf: `type` is missing: must be the name of a program, without '/' or '\\'");
  }

  TEST_CASE("B3.4 a plugin too deep to be kept inside a list is refused when it is read") {
    const auto nested = [](std::size_t depth) {
      return R"({"type":"a","x":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
    };
    NetworkList list = resolved(R"({"name":"n"})");
    list.plugins.push_back(conf::parse_plugin(nested(conf::kMaxDepth - 3), "30-t.conf"));
    CHECK(conf::parse_list(list.text(), "text") == list);
    CHECK(refusal_of([&] { return conf::parse_plugin(nested(conf::kMaxDepth - 2), "30-t.conf"); }).code() ==
          static_cast<unsigned>(Code::kDecode));
  }

  TEST_CASE("B3.4 the text of a resolved list reads back to the same list") {
    for (const std::string name : {"flannel", "cilium", "calico", "verbatim"}) {
      CAPTURE(name);
      const NetworkList list = resolved(data("lists/" + name + ".conflist"));
      CHECK(conf::parse_list(list.text(), "text") == list);
    }
    NetworkList list = resolved(R"({"disableCheck":true,"disableGC":"true","cniVersion":"banana","name":"n",
      "plugins":[{"type":"a","type":"b","n":[ 1.50, 18446744073709551616 ],"\u00e4\"":{}}]})");
    list.plugins.push_back(conf::parse_plugin(R"({"type":"tuning"})", "30-t.conf"));
    CHECK(list.plugins[0].type == "b");
    CHECK(conf::parse_list(list.text(), "text") == list);
  }

  TEST_CASE("A2.5 numbers and unknown keys reach the plugin byte for byte") {
    const NetworkList list =
        one_plugin(R"({"type":"a","big":18446744073709551615,"f":1.50e+02,"s":"\u00e4\/","o":{ "k" : [1] }})");
    const Object conf = Object::parse(stdin_of(list, full_injection(Verb::kAdd)), "stdin");
    CHECK(*conf.find("big") == "18446744073709551615");
    CHECK(*conf.find("f") == "1.50e+02");
    CHECK(*conf.find("s") == R"("\u00e4\/")");
    CHECK(*conf.find("o") == R"({ "k" : [1] })");
  }

  TEST_CASE("B4.1 a plugin gets the name and the version of the list instead of its own") {
    const NetworkList list = parse(
        R"({"name":"net","cniVersion":"1.0.0","plugins":[{"type":"a","Name":"own","CNIVersion":"0.2.0","cniVersion":"0.3.0"}]})");
    CHECK(Json::parse(stdin_of(list, {})) == Json::parse(R"({"type":"a","name":"net","cniVersion":"1.0.0"})"));
  }

  TEST_CASE("B4.1 a list without a version leaves the plugin without one") {
    const NetworkList list = one_plugin(R"({"type":"a","cniVersion":"0.4.0"})");
    CHECK(stdin_of(list, {}) == R"({"type":"a","name":"net"})");
  }

  TEST_CASE("B4.3 ADD and DEL and CHECK carry the previous result and the runtime's offer") {
    const NetworkList list = one_plugin(R"({"type":"a","capabilities":{"portMappings":true}})");
    for (const Verb verb : {Verb::kAdd, Verb::kDel, Verb::kCheck}) {
      CHECK(Json::parse(stdin_of(list, full_injection(verb))) ==
            Json::parse(R"({"type":"a","name":"net","prevResult":{"cniVersion":"1.0.0"},
                            "runtimeConfig":{"portMappings":[{"hostPort":80}]}})"));
    }
  }

  TEST_CASE("B4.4 without a previous result there is no key for one") {
    const NetworkList list = one_plugin(R"({"type":"a","prevResult":{"stale":1},"PrevResult":{}})");
    CHECK(stdin_of(list, {}) == R"({"type":"a","name":"net"})");
  }

  TEST_CASE("B4.5 the runtime's offer is passed only as far as the plugin declares it") {
    const auto runtime_config = [](const std::string& capabilities) {
      const NetworkList list =
          one_plugin(R"({"type":"a","runtimeConfig":{"own":1},"capabilities":)" + capabilities + "}");
      const Object conf = Object::parse(stdin_of(list, full_injection(Verb::kAdd)), "stdin");
      const std::string* raw = conf.find("runtimeConfig");
      return raw == nullptr ? std::string("no key") : *raw;
    };
    CHECK(runtime_config(R"({"mac":true,"portMappings":true})") ==
          R"({"portMappings":[{"hostPort":80}],"mac":"02:00:00:00:00:01"})");
    CHECK(runtime_config(R"({"mac":true,"portMappings":false})") == R"({"mac":"02:00:00:00:00:01"})");
    CHECK(runtime_config(R"({"ips":true})") == "no key");
    CHECK(runtime_config(R"({"MAC":true,"PortMappings":true})") == "no key");
    CHECK(runtime_config("{}") == "no key");
  }

  TEST_CASE("B4.7 capabilities and inbound keys of cni.dev are taken out in any spelling") {
    const NetworkList list =
        one_plugin(R"({"type":"a","Capabilities":{"mac":true},"cni.dev/valid-attachments":[],"CNI.dev/attachments":[],)"
                   R"("cni.dev/x":1,"cni.device":2})");
    CHECK(stdin_of(list, {}) == R"({"type":"a","cni.device":2,"name":"net"})");
  }

  TEST_CASE("B4.8 GC carries the valid attachments under both names and nothing else") {
    const NetworkList list = one_plugin(R"({"type":"a","capabilities":{"portMappings":true}})");
    CHECK(Json::parse(stdin_of(list, full_injection(Verb::kGc))) ==
          Json::parse(R"({"type":"a","name":"net","cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}],
                          "cni.dev/attachments":[{"containerID":"a","ifname":"eth0"}]})"));
    Injection unknown = full_injection(Verb::kGc);
    unknown.valid_attachments.reset();
    CHECK(stdin_of(list, unknown) == R"({"type":"a","name":"net"})");
  }

  TEST_CASE("B4.9 STATUS carries name and version only") {
    const NetworkList list =
        parse(R"({"name":"net","cniVersion":"1.1.0","plugins":[{"type":"a","capabilities":{"portMappings":true}}]})");
    CHECK(stdin_of(list, full_injection(Verb::kStatus)) == R"({"type":"a","name":"net","cniVersion":"1.1.0"})");
  }

  TEST_CASE("B4 the recorded calls of containerd and CRI-O are derived as libcni derived them") {
    check_derives(flannel_at("0.3.1"), "flannel", Verb::kAdd, "containerd-flannel-ADD-ok-0.3.1");
    check_derives(flannel_at("0.3.1"), "portmap", Verb::kAdd, "containerd-portmap-ADD-ok-ports-0.3.1");
    check_derives(flannel_at("0.3.1"), "portmap", Verb::kDel, "containerd-portmap-DEL-ok-noprev-ports-0.3.1");
    check_derives(flannel_at("1.1.0"), "portmap", Verb::kDel, "containerd-portmap-DEL-ok-prev-ports-1.1.0");
    check_derives(flannel_at("1.1.0"), "flannel", Verb::kCheck, "crio-flannel-CHECK-ok-prev-1.1.0");
    check_derives(flannel_at("1.1.0"), "portmap", Verb::kGc, "crio-portmap-GC-ok-1.1.0");
    check_derives(flannel_at("1.1.0"), "portmap", Verb::kStatus, "containerd-portmap-STATUS-ok-1.1.0");
    const NetworkList cilium = conf::parse_list(data("lists/cilium.conflist"), "cilium");
    check_derives(cilium, "cilium-cni", Verb::kAdd, "containerd-cilium-cni-ADD-ok-0.3.1");
    const NetworkList calico = conf::parse_list(data("lists/calico.conflist"), "calico");
    check_derives(calico, "calico", Verb::kAdd, "containerd-calico-ADD-ok-0.3.1");
  }
}
