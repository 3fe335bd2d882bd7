// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// The document on stdin: versions, shapes, limits, our own keys.
namespace {

using fixture::Env;
using fixture::error_of;
using fixture::Node;
using Json = nlohmann::json;

constexpr const char* kList = R"({"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]})";

Env call_env(const Node& node, const std::string& verb, const std::string& netns) {
  return {{"CNI_COMMAND", verb},
          {"CNI_CONTAINERID", "c1"},
          {"CNI_IFNAME", "eth0"},
          {"CNI_NETNS", netns},
          {"CNI_PATH", node.bin_dir()}};
}

struct Ready {
  Ready() : node({"bridge"}) {
    node.legacy(kList);
    netns = node.pod("p1");
  }
  [[nodiscard]] fixture::Error refused(const std::string& verb, const std::string& input) const {
    const fixture::Error error = error_of(node.call(call_env(node, verb, netns), input));
    CHECK(node.plugins().calls().empty());
    CHECK(node.records().empty());
    return error;
  }
  Node node;
  std::string netns;
};

}  // namespace

TEST_SUITE("verbs.config") {
  TEST_CASE("A2.1 what is no JSON object is refused, and never quoted") {
    const Ready ready;
    for (const std::string text : {"", " ", "{", R"({"token":"s3cret",)", R"({"token":"s3cret"}x)", "\x01", "{]"}) {
      CAPTURE(text);
      const auto error = ready.refused("ADD", text);
      CHECK(error.code == 6);
      CHECK_FALSE(error.says("s3cret"));
    }
    for (const char* text : {"[]", "null", "7", R"("x")"}) {
      CAPTURE(text);
      CHECK(ready.refused("ADD", text).code == 7);
    }
  }

  TEST_CASE("A2.1 a stdin that is closed is an input that ends at once") {
    const Ready ready;
    Env env = call_env(ready.node, "ADD", ready.netns);
    env["RECORDER_DIR"] = ready.node.plugins().dir();
    const std::string program = ready.node.bin_dir() / "crossover";
    const auto answer = support::run({"/bin/sh", "-c", "exec \"$0\" <&-", program}, env);
    const unsigned code = error_of(answer).code;
    CHECK((code == 5 || code == 6));
    CHECK(ready.node.plugins().calls().empty());
  }

  TEST_CASE("A2.2 a document that is too long or too deep is refused") {
    const Ready ready;
    CHECK(ready.refused("ADD", ready.node.request(R"("x":")" + std::string(1U << 20U, 'x') + "\"")).code == 5);
    const std::string deep = std::string(100000, '[') + std::string(100000, ']');
    CHECK(ready.refused("ADD", ready.node.request(R"("x":)" + deep)).code == 6);
    CHECK(ready.refused("GC", ready.node.request(R"("x":")" + std::string(17U << 20U, 'x') + "\"", "1.1.0")).code == 5);
  }

  TEST_CASE("A8.1 a GC may list a hundred thousand attachments") {
    const Ready ready;
    std::string valid;
    for (int i = 0; i < 100000; ++i)
      valid += (i == 0 ? "" : ",") + std::string(R"({"containerID":"c)") + std::to_string(i) + R"(","ifname":"eth0"})";
    const Env env = {{"CNI_COMMAND", "GC"}, {"CNI_PATH", ready.node.bin_dir()}};
    const auto answer =
        ready.node.call(env, ready.node.request(R"("cni.dev/valid-attachments":[)" + valid + "]", "1.1.0"));
    CAPTURE(answer.out);
    CHECK(answer.ok());
  }

  TEST_CASE(
      "A2.4 an unknown key, a wrong type and a value out of range are refused with the key and what was expected") {
    const Ready ready;
    const std::vector<std::pair<std::string, std::string>> wrong = {
        {R"("netdir2":"x")", "netdir2"},
        {R"("whenNotReady":"later")", "whenNotReady"},
        {R"("cilium":{"whenNotReady":"later"})", "cilium.whenNotReady"},
        {R"("cilium":{"sock":"x"})", "cilium.sock"},
        {R"("legacy":7)", "legacy"},
        {R"("legacy":{"conflist":"relative.conflist"})", "legacy.conflist"},
        {R"("legacy":{"conflist":"/a/../b"})", "legacy.conflist"},
        {R"("legacy":{"cidrs":["10.0.0.0"]})", "legacy.cidrs"},
        {R"("allowPodOverride":"yes please")", "allowPodOverride"},
        {R"("canary":{"percent":101})", "canary.percent"},
        {R"("canary":{"percent":1.5})", "canary.percent"},
        {R"("canary":{"namespaces":"default"})", "canary.namespaces"},
        {R"("hostPorts":"maybe")", "hostPorts"},
        {R"("timeouts":{"delegate":"90"})", "timeouts.delegate"},
        {R"("timeouts":{"delegate":"-1s"})", "timeouts.delegate"},
        {R"("log":{"level":"loud"})", "log.level"},
        {R"("coexistence":{"profile":"other"})", "coexistence.profile"},
        {R"("coexistence":{"rules":[{"priority":100}]})", "coexistence.rules"},
    };
    for (const auto& key_and_value : wrong) {
      const auto& [member, key] = key_and_value;
      CAPTURE(key_and_value.first);
      const auto error = ready.refused("ADD", ready.node.request(member));
      CHECK(error.code == 7);
      CHECK(error.says(key));
    }
  }

  TEST_CASE("A3.1 a version that is not one of the seven to the letter is refused with both sides") {
    const Ready ready;
    for (const char* version : {"0.3", "1.1", "9.9.9", "1.0.1", "01.0.0"}) {
      CAPTURE(version);
      const auto error = ready.refused("ADD", ready.node.request("", version));
      CHECK(error.code == 1);
      CHECK(error.msg == "incompatible CNI versions");
      CHECK(error.says(version));
      CHECK(error.says("1.1.0"));
    }
    for (const char* version : {"a.b.c", "1.0.0.0", "1.0.0-rc1", " 1.0.0"}) {
      CAPTURE(version);
      const unsigned code = ready.refused("ADD", ready.node.request("", version)).code;
      CHECK(code == 6);
    }
  }

  TEST_CASE("A3.2 a verb that the version does not know is refused") {
    const Ready ready;
    for (const char* version : {"0.1.0", "0.2.0", "0.3.0", "0.3.1"})
      CHECK(ready.refused("CHECK", ready.node.request("", version)).code == 1);
    for (const char* version : {"0.1.0", "0.3.1", "0.4.0", "1.0.0"}) {
      CHECK(ready.refused("GC", ready.node.request(R"("cni.dev/valid-attachments":[])", version)).code == 1);
      CHECK(ready.refused("STATUS", ready.node.request("", version)).code == 1);
    }
  }

  TEST_CASE("A3.4 a result and an error come back in the version that was asked") {
    const Ready ready;
    for (const char* version : {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
      CAPTURE(version);
      const auto added = ready.node.call(call_env(ready.node, "ADD", ready.netns), ready.node.request("", version));
      CAPTURE(added.out);
      REQUIRE(added.ok());
      CHECK(Json::parse(added.out).at("cniVersion") == version);
      CHECK(Json::parse(added.out).contains(std::string(version) < "0.3" ? "ip4" : "ips"));
      const auto again = ready.node.call(call_env(ready.node, "ADD", ready.netns), ready.node.request("", version));
      CHECK(error_of(again).version == version);
      CHECK(ready.node.call(call_env(ready.node, "DEL", ready.netns), ready.node.request("", version)).ok());
    }
  }

  TEST_CASE("A9.1 VERSION needs no configuration, network, state or variable") {
    const Ready ready;
    const Json seven = {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
    const std::map<std::string, std::string> echoed = {{"", "1.1.0"},
                                                       {"not JSON", "1.1.0"},
                                                       {R"({"cniVersion":"0.3.1"})", "0.3.1"},
                                                       {R"({"cniVersion":"9.0.0"})", "1.1.0"}};
    for (const auto& input_and_version : echoed) {
      const auto& [input, version] = input_and_version;
      CAPTURE(input_and_version.first);
      const auto answer = ready.node.call({{"CNI_COMMAND", "VERSION"}}, input);
      CHECK(answer.ok());
      CHECK(Json::parse(answer.out) == Json{{"cniVersion", version}, {"supportedVersions", seven}});
    }
    CHECK_FALSE(std::filesystem::exists(ready.node.state_dir()));
  }

  TEST_CASE("A3.5 CRI-O's check of the list passes") {
    const Ready ready;
    CHECK(ready.node.libcni("validate", ready.node.conflist(), {}).ok());
  }
}
