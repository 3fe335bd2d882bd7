// SPDX-License-Identifier: Apache-2.0
#include "conf/netconf.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "conf/error.h"
#include "tests/support/data.h"
#include "tests/support/refusal.h"

using conf::AttachmentId;
using conf::Code;
using conf::NetConf;
using conf::Object;
using conf::Verb;
using support::check_refusal;
using support::refusal_of;

namespace {

constexpr Verb kVerbs[] = {Verb::kAdd, Verb::kDel, Verb::kCheck, Verb::kStatus, Verb::kGc, Verb::kVersion};

// A configuration of the newest version with `members` (JSON, each with a comma ahead) behind the needed ones.
std::string with(const std::string& members) {
  return R"({"cniVersion":"1.1.0","name":"crossover","type":"crossover")" + members + "}";
}

NetConf parse(const std::string& text, Verb verb = Verb::kAdd) { return conf::parse_netconf(text, verb); }

void check_refused(const std::string& text, const std::string& details, Verb verb = Verb::kAdd) {
  CAPTURE(text);
  check_refusal(refusal_of([&] { return parse(text, verb); }), Code::kInvalidConfig, "invalid configuration", details);
}

unsigned code_of(const std::string& version, Verb verb) {
  return refusal_of([&] { return parse(R"({"cniVersion":)" + version + R"(,"name":"n"})", verb); }).code();
}

std::vector<AttachmentId> ids(const std::string& text) { return conf::parse_attachment_ids(text, "the list"); }

}  // namespace

TEST_SUITE("conf.netconf") {
  TEST_CASE("a configuration is read with everything that the runtime put in") {
    const NetConf netconf = parse(with(R"(,"stateDir":"/s","prevResult":{ "ips":[] },"runtimeConfig":{"mac":"x"})"));
    CHECK(netconf.cni_version == "1.1.0");
    CHECK(netconf.name == "crossover");
    CHECK(netconf.settings.state_dir == "/s");
    CHECK(netconf.prev_result == R"({ "ips":[] })");
    CHECK(netconf.runtime_config == Object::parse(R"({"mac":"x"})", "test"));
    CHECK_FALSE(netconf.valid_attachments.has_value());
  }

  TEST_CASE("stateDir is read for every verb") {
    for (const Verb verb : kVerbs) CHECK(parse(with(R"(,"stateDir":"/s")"), verb).settings.state_dir == "/s");
  }

  TEST_CASE("A2.1 what is no JSON is code 6 and what is no object is code 7") {
    for (const std::string text : {"", " ", "{", R"({"cniVersion":"1.0.0")", "nonsense", "{}{}"}) {
      CAPTURE(text);
      CHECK(refusal_of([&] { return parse(text); }).code() == static_cast<unsigned>(Code::kDecode));
    }
    for (const std::string text : {"[]", "null", "7", "\"x\""}) {
      CAPTURE(text);
      CHECK(refusal_of([&] { return parse(text); }).code() == static_cast<unsigned>(Code::kInvalidConfig));
    }
  }

  TEST_CASE("A2.2 a configuration has a limit of 1 MiB and a GC one of 16 MiB") {
    const auto padded = [](std::size_t bytes) {
      const std::string text = with("");
      return text + std::string(bytes - text.size(), ' ');
    };
    CHECK_NOTHROW(parse(padded(conf::kMaxConfigBytes), Verb::kAdd));
    CHECK_NOTHROW(parse(padded(conf::kMaxGcBytes), Verb::kGc));
    CHECK(refusal_of([&] { return parse(padded(conf::kMaxConfigBytes + 1), Verb::kDel); }).code() ==
          static_cast<unsigned>(Code::kDecode));
    CHECK(refusal_of([&] { return parse(padded(conf::kMaxGcBytes + 1), Verb::kGc); }).code() ==
          static_cast<unsigned>(Code::kDecode));
  }

  TEST_CASE("A2.2 a configuration nested too deep is code 6") {
    const std::string deep = with(",\"args\":" + std::string(100'000, '[') + std::string(100'000, ']'));
    CHECK(refusal_of([&] { return parse(deep); }).code() == static_cast<unsigned>(Code::kDecode));
  }

  TEST_CASE("A2.3 keys of the protocol are taken in any case and the last duplicate counts") {
    const NetConf netconf =
        parse(R"({"CNIVersion":"0.4.0","NAME":"a","name":"b","PrevResult":{},"RuntimeConfig":{"x":1}})");
    CHECK(netconf.cni_version == "0.4.0");
    CHECK(netconf.name == "b");
    CHECK(netconf.prev_result == "{}");
    CHECK(netconf.runtime_config.has("x"));
    CHECK(parse(R"({"cniVersion":"0.3.0","cniVersion":"0.3.1","name":"n"})").cni_version == "0.3.1");
  }

  TEST_CASE("A3.1 the version must be one of the seven to the letter") {
    for (const std::string version : {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
      CHECK(parse(R"({"cniVersion":")" + version + R"(","name":"n"})").cni_version == version);
    }
    for (const std::string version : {"\"0.3\"", "\"1.1\"", "\"9.9.9\"", "\"1.2.0\""}) {
      CAPTURE(version);
      CHECK(code_of(version, Verb::kAdd) == static_cast<unsigned>(Code::kIncompatibleVersion));
    }
  }

  TEST_CASE("A3.1 no version means 0.1.0") {
    CHECK(parse(R"({"name":"n"})").cni_version == "0.1.0");
    CHECK(parse(R"({"cniVersion":"","name":"n"})").cni_version == "0.1.0");
    CHECK(parse(R"({"cniVersion":null,"name":"n"})").cni_version == "0.1.0");
  }

  TEST_CASE("A3.2 CHECK needs 0.4.0 and GC and STATUS need 1.1.0") {
    const unsigned refused = static_cast<unsigned>(Code::kIncompatibleVersion);
    CHECK(code_of("\"0.3.1\"", Verb::kCheck) == refused);
    CHECK(code_of("\"0.4.0\"", Verb::kCheck) == 0);
    for (const Verb verb : {Verb::kGc, Verb::kStatus}) {
      CHECK(code_of("\"1.0.0\"", verb) == refused);
      CHECK(code_of("\"0.4.0\"", verb) == refused);
      CHECK(code_of("\"1.1.0\"", verb) == 0);
    }
    for (const Verb verb : {Verb::kAdd, Verb::kDel, Verb::kVersion}) CHECK(code_of("\"0.1.0\"", verb) == 0);
  }

  TEST_CASE("A3.3 a text that is no version is code 6 and another kind is code 7") {
    for (const std::string version : {"\"a.b.c\"", "\"1.0.0.0\"", "\"1.0.0-rc1\"", "\"1.0.0 \""}) {
      CAPTURE(version);
      CHECK(code_of(version, Verb::kDel) == static_cast<unsigned>(Code::kDecode));
    }
    check_refused(R"({"cniVersion":1.0,"name":"n"})", "`cniVersion` is 1.0: must be a string such as \"1.0.0\"");
  }

  TEST_CASE("A1.8 the network name must be there and be valid") {
    const std::string rule = ": must be a network name: a letter or digit, then letters, digits, '_', '.' and '-'";
    check_refused(R"({"cniVersion":"1.0.0"})", "`name` is missing" + rule);
    check_refused(R"({"name":null})", "`name` is missing" + rule);
    check_refused(R"({"name":""})", "`name` is \"\"" + rule);
    check_refused(R"({"name":"a/b"})", "`name` is \"a/b\"" + rule);
    check_refused(R"({"name":7})", "`name` is 7" + rule);
  }

  TEST_CASE("the version is judged before the name and the name before our keys") {
    CHECK(refusal_of([] { return parse(R"({"cniVersion":"9.9.9","name":"a/b","x":1})"); }).code() ==
          static_cast<unsigned>(Code::kIncompatibleVersion));
    check_refused(R"({"name":7,"netDir":7})",
                  "`name` is 7: must be a network name: a letter or digit, then letters, digits, '_', '.' and '-'");
  }

  TEST_CASE("A2.4 an unknown key of our own entry is refused for every verb") {
    for (const Verb verb : kVerbs) {
      check_refused(with(R"(,"canary":{"percent":101})"),
                    "`canary.percent` is 101: must be a whole number from 0 to 100", verb);
      check_refused(with(R"(,"colour":1)"), "`colour` is unknown: the plugin entry has no such key", verb);
    }
  }

  TEST_CASE("A2.6 args are ignored") { CHECK_NOTHROW(parse(with(R"(,"args":{"cni":{"labels":[]},"x":{}})"))); }

  TEST_CASE("A5.2 a previous result that is null is none") {
    CHECK_FALSE(parse(with(R"(,"prevResult":null)"), Verb::kDel).prev_result.has_value());
    CHECK_FALSE(parse(with(""), Verb::kDel).prev_result.has_value());
    check_refused(with(R"(,"prevResult":[])"), "`prevResult` is an array: must be an object", Verb::kDel);
    check_refused(with(R"(,"prevResult":"x")"), "`prevResult` is \"x\": must be an object", Verb::kCheck);
  }

  TEST_CASE("the runtime's offer must be an object") {
    CHECK(parse(with("")).runtime_config.empty());
    CHECK(parse(with(R"(,"runtimeConfig":null)")).runtime_config.empty());
    CHECK(parse(with(R"(,"runtimeConfig":{})")).runtime_config.empty());
    check_refused(with(R"(,"runtimeConfig":[1])"), "`runtimeConfig` is an array: must be an object");
    check_refused(with(R"(,"runtimeConfig":"x")"), "`runtimeConfig` is \"x\": must be an object");
  }

  TEST_CASE("A8.1 the valid attachments of a GC are read under both names and the current one counts") {
    const std::vector<AttachmentId> one = {{.container_id = "a", .ifname = "eth0"}};
    const std::string list = R"([{"containerID":"a","ifname":"eth0","x":1}])";
    CHECK(parse(with(",\"cni.dev/valid-attachments\":" + list), Verb::kGc).valid_attachments == one);
    CHECK(parse(with(",\"cni.dev/attachments\":" + list), Verb::kGc).valid_attachments == one);
    CHECK(
        parse(with(",\"cni.dev/attachments\":[],\"cni.dev/valid-attachments\":" + list), Verb::kGc).valid_attachments ==
        one);
    CHECK(parse(with(",\"cni.dev/attachments\":" + list + ",\"cni.dev/valid-attachments\":null"), Verb::kGc)
              .valid_attachments == one);
  }

  TEST_CASE("A8.2 no list is not an empty list") {
    const auto valid = [](const std::string& members) { return parse(with(members), Verb::kGc).valid_attachments; };
    CHECK_FALSE(valid("").has_value());
    CHECK_FALSE(valid(R"(,"cni.dev/valid-attachments":null)").has_value());
    REQUIRE(valid(R"(,"cni.dev/valid-attachments":[])").has_value());
    CHECK(valid(R"(,"cni.dev/valid-attachments":[])")->empty());
    REQUIRE(valid(R"(,"cni.dev/attachments":[])").has_value());
    CHECK(valid(R"(,"cni.dev/attachments":[])")->empty());
  }

  TEST_CASE("A8.1 a list of the wrong shape is refused") {
    const std::string key = "cni.dev/valid-attachments";
    const auto list = [&](const std::string& value) { return with(",\"" + key + "\":" + value); };
    const auto refused = [&](const std::string& value, const std::string& details) {
      check_refused(list(value), details, Verb::kGc);
    };
    refused("{}", "`" + key + "` is an object: must be an array of objects with containerID and ifname");
    refused("\"a\"", "`" + key + "` is \"a\": must be an array of objects with containerID and ifname");
    refused("[null]", "`" + key + "[0]` is null: must be an object with containerID and ifname");
    refused(R"([{"containerID":"a","ifname":"e"},["a"]])",
            "`" + key + "[1]` is an array: must be an object with containerID and ifname");
    refused(R"([{"ifname":"e"}])", "`" + key + "[0].containerID` is missing: must be a string");
    refused(R"([{"containerID":"a"}])", "`" + key + "[0].ifname` is missing: must be a string");
    refused(R"([{"containerID":7,"ifname":"e"}])",
            "`" + key + "[0].containerID` is 7: must be a string that is not empty");
    refused(R"([{"containerID":"a","ifname":""}])",
            "`" + key + "[0].ifname` is \"\": must be a string that is not empty");
  }

  TEST_CASE("A8.1 the lists are of no interest to other verbs") {
    CHECK_FALSE(parse(with(R"(,"cni.dev/valid-attachments":7)"), Verb::kDel).valid_attachments.has_value());
  }

  TEST_CASE("A8.1 a GC of a full and busy cluster is read") {
    std::vector<AttachmentId> many;
    for (int i = 0; i < 50'000; ++i) many.push_back({.container_id = std::to_string(i), .ifname = "eth0"});
    const std::string json = conf::attachment_ids_json(many);
    REQUIRE(json.size() > conf::kMaxConfigBytes);
    CHECK(parse(with(",\"cni.dev/valid-attachments\":" + json), Verb::kGc).valid_attachments == many);
  }

  TEST_CASE("the list of a recorded GC of CRI-O is read") {
    const Object recorded = Object::parse(support::recorded_stdin("crio-portmap-GC-ok-1.1.0"), "recorded");
    const std::vector<AttachmentId> read = ids(*recorded.find("cni.dev/valid-attachments"));
    REQUIRE(read.size() == 2);
    CHECK(read[0].container_id == "519e87c0a48d52b277523af9f1fa93fb21c7fbe7f95dfa2a3bd903755f44bfaa");
    CHECK(read[1].ifname == "eth0");
    CHECK(ids(recorded.text()) == read);
  }

  TEST_CASE("attachment ids are read from an array or from a GC document") {
    const std::vector<AttachmentId> one = {{.container_id = "a", .ifname = "eth0"}};
    CHECK(ids(R"( [{"containerID":"a","ifname":"eth0"}] )") == one);
    CHECK(ids(R"({"cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}]})") == one);
    CHECK(ids(R"({"cni.dev/attachments":[{"containerID":"a","ifname":"eth0"}]})") == one);
    CHECK(ids("[]").empty());
    check_refusal(refusal_of([] { return ids("{}"); }), Code::kInvalidConfig, "invalid configuration",
                  "the list: `cni.dev/valid-attachments` is missing: must be an array");
    CHECK(refusal_of([] { return ids(""); }).code() == static_cast<unsigned>(Code::kDecode));
    CHECK(refusal_of([] { return ids("[{]"); }).code() == static_cast<unsigned>(Code::kDecode));
    CHECK(refusal_of([] { return ids("7"); }).code() == static_cast<unsigned>(Code::kInvalidConfig));
    check_refusal(refusal_of([] { return ids("[7]"); }), Code::kInvalidConfig, "invalid configuration",
                  "`the list[0]` is 7: must be an object with containerID and ifname");
  }

  TEST_CASE("attachment ids are written as they are read") {
    CHECK(conf::attachment_ids_json({}) == "[]");
    const std::vector<AttachmentId> two = {{.container_id = "a", .ifname = "eth0"},
                                           {.container_id = "b", .ifname = "a\"b"}};
    CHECK(conf::attachment_ids_json(two) ==
          R"([{"containerID":"a","ifname":"eth0"},{"containerID":"b","ifname":"a\"b"}])");
    CHECK(ids(conf::attachment_ids_json(two)) == two);
  }

  TEST_CASE("a pod's annotation is read from the runtime's offer") {
    const Object offer = Object::parse(
        R"({"io.kubernetes.cri.pod-annotations":{"crossover.cni/network":"cilium","n":7,"e":""}})", "offer");
    CHECK(conf::pod_annotation(offer, "crossover.cni/network") == "cilium");
    CHECK(conf::pod_annotation(offer, "e") == "");
    CHECK_FALSE(conf::pod_annotation(offer, "n").has_value());
    CHECK_FALSE(conf::pod_annotation(offer, "Crossover.cni/network").has_value());
    CHECK_FALSE(conf::pod_annotation(offer, "other").has_value());
  }

  TEST_CASE("no annotations are no error") {
    for (const std::string text :
         {"{}", R"({"io.kubernetes.cri.pod-annotations":null})", R"({"io.kubernetes.cri.pod-annotations":["x"]})",
          R"({"io.kubernetes.cri.pod-annotations":"x"})"}) {
      CHECK_FALSE(conf::pod_annotation(Object::parse(text, "offer"), "x").has_value());
    }
  }

  TEST_CASE("the annotations that containerd passed are read") {
    const Object recorded = Object::parse(support::recorded_stdin("containerd-ptp-ADD-ok-ports-1.0.0"), "recorded");
    const Object offer = Object::parse(*recorded.find("runtimeConfig"), "offer");
    CHECK(conf::pod_annotation(offer, "kubernetes.io/config.source") == "api");
  }
}
