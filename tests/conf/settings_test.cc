// SPDX-License-Identifier: Apache-2.0
#include "conf/settings.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "conf/error.h"
#include "tests/support/refusal.h"

using conf::Code;
using conf::Millis;
using conf::Object;
using conf::Settings;
using support::check_refusal;
using support::refusal_of;

namespace {

Settings parse(const std::string& entry) { return conf::parse_settings(Object::parse(entry, "entry")); }

void check_refused(const std::string& entry, const std::string& details) {
  CAPTURE(entry);
  check_refusal(refusal_of([&] { return parse(entry); }), Code::kInvalidConfig, "invalid configuration", details);
}

// `members` inside the only rule, or the only route, of a configuration.
std::string rule(const std::string& members) { return R"({"coexistence":{"rules":[{)" + members + "}]}}"; }
std::string route(const std::string& members) { return R"({"coexistence":{"routes":[{)" + members + "}]}}"; }
std::string pod_route(const std::string& members) { return R"({"coexistence":{"podRoutes":[{)" + members + "}]}}"; }

conf::IpPrefix prefix(const std::string& text) { return conf::IpPrefix::parse(text).value(); }
conf::IpAddr ip(const std::string& text) { return conf::IpAddr::parse(text).value(); }

struct Bad {
  std::string value;  // as JSON
  std::string shown;  // as the error shows it
};

// What is no string, however it looks.
const std::vector<Bad> kNoStrings = {{"1", "1"},         {"true", "true"},    {"null", "null"},
                                     {"[]", "an array"}, {"{}", "an object"}, {"[\"/x\"]", "an array"}};

// Every value of `bad`, under the key of `path` (at most one dot), is refused with `expected`.
void check_all_refused(const std::string& path, const std::vector<Bad>& bad, const std::string& expected) {
  const std::size_t dot = path.find('.');
  for (const Bad& b : bad) {
    const std::string entry = dot == std::string::npos ? "{\"" + path + "\":" + b.value + "}"
                                                       : "{\"" + path.substr(0, dot) + "\":{\"" + path.substr(dot + 1) +
                                                             "\":" + b.value + "}}";
    check_refused(entry, "`" + path + "` is " + b.shown + ": must be " + expected);
  }
}

}  // namespace

TEST_SUITE("conf.settings") {
  TEST_CASE("the smallest entry has the defaults of every key") {
    const Settings settings = parse(R"({"type":"crossover"})");
    CHECK(settings.net_dir == "/etc/cni/net.d");
    CHECK(settings.state_dir == "/var/lib/cni/crossover");
    CHECK(settings.legacy_conflist.empty());
    CHECK(settings.legacy_cidrs.empty());
    CHECK(settings.cilium_conflist.empty());
    CHECK(settings.cilium_cidrs.empty());
    CHECK_FALSE(settings.cilium_socket.has_value());
    CHECK(settings.when_not_ready == conf::WhenNotReady::kFail);
    CHECK_FALSE(settings.allow_pod_override);
    CHECK(settings.canary_namespaces.empty());
    CHECK(settings.canary_percent == 0);
    CHECK(settings.host_ports == conf::HostPorts::kAuto);
    CHECK(settings.coexistence.profile == conf::Profile::kAuto);
    CHECK(settings.coexistence.rules.empty());
    CHECK(settings.coexistence.routes.empty());
    CHECK(settings.coexistence.preserve_source == conf::PreserveSource::kOff);
    CHECK(settings.coexistence.pod_routes.empty());
    CHECK(settings.coexistence.stale_rules == conf::StaleRules::kWarn);
    CHECK(settings.delegate_timeout == Millis{90'000});
    CHECK(settings.agent_timeout == Millis{500});
    CHECK(settings.lock_timeout == Millis{30'000});
    CHECK(settings.log_file.empty());
    CHECK(settings.log_level == conf::LogLevel::kInfo);
    CHECK(settings.log_max_bytes == 10'485'760);
  }

  TEST_CASE("every key outside of coexistence is read") {
    const Settings settings = parse(R"({"type":"crossover","netDir":"/n","stateDir":"/s",
      "legacy":{"conflist":"/n/10-x.conflist","cidrs":["10.244.0.0/16","fd00:1::/64"]},
      "cilium":{"conflist":"/n/05-cilium.conflist","cidrs":["10.245.0.0/16"],"socket":"/run/c.sock",
                "whenNotReady":"legacy"},
      "allowPodOverride":true,"canary":{"namespaces":["dev","team-1"],"percent":25},"hostPorts":"crossover",
      "timeouts":{"delegate":"1m30s","agent":"250ms","lock":"5s"},
      "log":{"file":"/var/log/crossover.log","level":"debug","maxSize":"1MiB"}})");
    CHECK(settings.net_dir == "/n");
    CHECK(settings.state_dir == "/s");
    CHECK(settings.legacy_conflist == "/n/10-x.conflist");
    CHECK(settings.legacy_cidrs == std::vector<conf::IpPrefix>{prefix("10.244.0.0/16"), prefix("fd00:1::/64")});
    CHECK(settings.cilium_conflist == "/n/05-cilium.conflist");
    CHECK(settings.cilium_cidrs == std::vector<conf::IpPrefix>{prefix("10.245.0.0/16")});
    CHECK(settings.cilium_socket == "/run/c.sock");
    CHECK(settings.when_not_ready == conf::WhenNotReady::kLegacy);
    CHECK(settings.allow_pod_override);
    CHECK(settings.canary_namespaces == std::vector<std::string>{"dev", "team-1"});
    CHECK(settings.canary_percent == 25);
    CHECK(settings.host_ports == conf::HostPorts::kCrossover);
    CHECK(settings.delegate_timeout == Millis{90'000});
    CHECK(settings.agent_timeout == Millis{250});
    CHECK(settings.lock_timeout == Millis{5'000});
    CHECK(settings.log_file == "/var/log/crossover.log");
    CHECK(settings.log_level == conf::LogLevel::kDebug);
    CHECK(settings.log_max_bytes == 1'048'576);
  }

  TEST_CASE("every key of coexistence is read") {
    const conf::Coexistence read = parse(R"({"coexistence":{"profile":"overlay","preserveSource":"both",
      "staleRules":"remove",
      "rules":[{"priority":900,"to":"10.245.0.0/16","table":"main","suppressPrefixLength":0},
               {"priority":32765,"from":"10.0.0.0/8","iif":"eth1","table":4294967295}],
      "routes":[{"dst":"10.9.0.0/16","via":"10.1.0.1","dev":"eth1","table":100,"mtu":1400,"onlink":true,"metric":5,
                 "src":"10.1.0.2"},
                {"dst":"fd00::/8","dev":"wg0"}],
      "podRoutes":[{"dst":"10.245.0.0/16","mtu":1400}]}})")
                                       .coexistence;
    CHECK(read.profile == conf::Profile::kOverlay);
    CHECK(read.preserve_source == conf::PreserveSource::kBoth);
    CHECK(read.stale_rules == conf::StaleRules::kRemove);
    REQUIRE(read.rules.size() == 2);
    CHECK(read.rules[0] == conf::RuleSetting{.priority = 900,
                                             .from = std::nullopt,
                                             .to = prefix("10.245.0.0/16"),
                                             .iif = "",
                                             .table = 254,
                                             .suppress_prefix_length = 0});
    CHECK(read.rules[1] == conf::RuleSetting{.priority = 32765,
                                             .from = prefix("10.0.0.0/8"),
                                             .to = std::nullopt,
                                             .iif = "eth1",
                                             .table = 4294967295U,
                                             .suppress_prefix_length = std::nullopt});
    REQUIRE(read.routes.size() == 2);
    CHECK(read.routes[0] == conf::RouteSetting{.dst = prefix("10.9.0.0/16"),
                                               .via = ip("10.1.0.1"),
                                               .dev = "eth1",
                                               .table = 100,
                                               .mtu = 1400,
                                               .onlink = true,
                                               .metric = 5,
                                               .src = ip("10.1.0.2")});
    CHECK(read.routes[1] == conf::RouteSetting{.dst = prefix("fd00::/8"),
                                               .via = std::nullopt,
                                               .dev = "wg0",
                                               .table = 254,
                                               .mtu = 0,
                                               .onlink = false,
                                               .metric = 0,
                                               .src = std::nullopt});
    CHECK(read.pod_routes == std::vector<conf::PodRouteSetting>{{.dst = prefix("10.245.0.0/16"), .mtu = 1400}});
  }

  TEST_CASE("every word of every choice is read") {
    using conf::HostPorts;
    CHECK(parse(R"({"hostPorts":"auto"})").host_ports == HostPorts::kAuto);
    CHECK(parse(R"({"hostPorts":"delegate"})").host_ports == HostPorts::kDelegate);
    CHECK(parse(R"({"hostPorts":"off"})").host_ports == HostPorts::kOff);
    CHECK(parse(R"({"cilium":{"whenNotReady":"fail"}})").when_not_ready == conf::WhenNotReady::kFail);
    CHECK(parse(R"({"cilium":{"whenNotReady":"delegate"}})").when_not_ready == conf::WhenNotReady::kDelegate);
    CHECK(parse(R"({"log":{"level":"error"}})").log_level == conf::LogLevel::kError);
    CHECK(parse(R"({"log":{"level":"warn"}})").log_level == conf::LogLevel::kWarn);
    CHECK(parse(R"({"log":{"level":"info"}})").log_level == conf::LogLevel::kInfo);
    const auto profile = [](const std::string& word) {
      return parse(R"({"coexistence":{"profile":")" + word + "\"}}").coexistence.profile;
    };
    CHECK(profile("auto") == conf::Profile::kAuto);
    CHECK(profile("aws-vpc-cni") == conf::Profile::kAwsVpcCni);
    CHECK(profile("cilium-eni") == conf::Profile::kCiliumEni);
    CHECK(profile("none") == conf::Profile::kNone);
    CHECK(parse(R"({"coexistence":{"preserveSource":"off"}})").coexistence.preserve_source ==
          conf::PreserveSource::kOff);
    CHECK(parse(R"({"coexistence":{"preserveSource":"to-legacy"}})").coexistence.preserve_source ==
          conf::PreserveSource::kToLegacy);
    CHECK(parse(R"({"coexistence":{"staleRules":"warn"}})").coexistence.stale_rules == conf::StaleRules::kWarn);
    CHECK(parse(R"({"coexistence":{"staleRules":"off"}})").coexistence.stale_rules == conf::StaleRules::kOff);
  }

  TEST_CASE("another word than those of a choice is refused with all of them") {
    const std::vector<Bad> bad = {{"\"Auto\"", "\"Auto\""}, {"\"\"", "\"\""},   {"true", "true"},
                                  {"null", "null"},         {"[]", "an array"}, {"0", "0"}};
    check_all_refused("hostPorts", bad, R"(one of "auto", "crossover", "delegate", "off")");
    check_all_refused("cilium.whenNotReady", bad, R"(one of "fail", "legacy", "delegate")");
    check_all_refused("log.level", bad, R"(one of "error", "warn", "info", "debug")");
    check_all_refused("coexistence.profile", {{"\"calico\"", "\"calico\""}, {"{}", "an object"}},
                      R"(one of "auto", "overlay", "aws-vpc-cni", "cilium-eni", "none")");
    check_all_refused("coexistence.preserveSource", {{"\"to-cilium\"", "\"to-cilium\""}, {"true", "true"}},
                      R"(one of "off", "to-legacy", "both")");
    check_all_refused("coexistence.staleRules", bad, R"(one of "warn", "remove", "off")");
  }

  TEST_CASE("a path must be absolute and must not climb") {
    for (const std::string key : {"netDir", "stateDir", "legacy.conflist", "cilium.conflist", "log.file"}) {
      const std::string expected = "an absolute path without `..`";
      check_all_refused(key, kNoStrings, expected);
      check_all_refused(key,
                        {{R"("")", R"("")"},
                         {R"("etc/cni")", R"("etc/cni")"},
                         {R"("/a/../b")", R"("/a/../b")"},
                         {R"("/a/..")", R"("/a/..")"},
                         {R"("/a\u0000b")", R"("/a\u0000b")"}},
                        expected);
    }
    CHECK(parse(R"({"netDir":"/a/..b/c../..."})").net_dir == "/a/..b/c../...");
  }

  TEST_CASE("the socket may be empty and must fit a unix address") {
    const std::string expected = "an absolute path of at most 107 bytes without `..`, or \"\"";
    CHECK(parse(R"({"cilium":{"socket":""}})").cilium_socket == "");
    const std::string longest = "/" + std::string(106, 's');
    CHECK(parse(R"({"cilium":{"socket":")" + longest + "\"}}").cilium_socket == longest);
    check_all_refused("cilium.socket", kNoStrings, expected);
    check_all_refused("cilium.socket", {{"\"/" + std::string(107, 's') + "\"", "a string of 108 bytes"}}, expected);
    check_all_refused("cilium.socket", {{R"("run/c.sock")", R"("run/c.sock")"}}, "an absolute path without `..`");
  }

  TEST_CASE("a switch must be a boolean") {
    check_all_refused("allowPodOverride", {{"\"true\"", "\"true\""}, {"1", "1"}, {"null", "null"}, {"{}", "an object"}},
                      "true or false");
    CHECK_FALSE(parse(R"({"allowPodOverride":false})").allow_pod_override);
  }

  TEST_CASE("canary.percent goes from 0 to 100") {
    CHECK(parse(R"({"canary":{"percent":0}})").canary_percent == 0);
    CHECK(parse(R"({"canary":{"percent":100}})").canary_percent == 100);
    check_all_refused("canary.percent",
                      {{"101", "101"},
                       {"-1", "-1"},
                       {"50.5", "50.5"},
                       {"1e1", "1e1"},
                       {"18446744073709551617", "18446744073709551617"},
                       {"\"50\"", "\"50\""},
                       {"true", "true"},
                       {"null", "null"}},
                      "a whole number from 0 to 100");
  }

  TEST_CASE("canary.namespaces holds names of namespaces") {
    CHECK(parse(R"({"canary":{"namespaces":[]}})").canary_namespaces.empty());
    const std::string longest(63, 'n');
    CHECK(parse(R"({"canary":{"namespaces":[")" + longest + "\"]}}").canary_namespaces.front() == longest);
    check_all_refused("canary.namespaces", {{"\"dev\"", "\"dev\""}, {"{}", "an object"}, {"null", "null"}},
                      "an array of namespaces");
    const std::vector<Bad> bad = {
        {"\"\"", "\"\""},         {"\"Dev\"", "\"Dev\""},
        {"\"a_b\"", "\"a_b\""},   {"\"-a\"", "\"-a\""},
        {"\"a-\"", "\"a-\""},     {"\"a.b\"", "\"a.b\""},
        {"\"dev*\"", "\"dev*\""}, {"7", "7"},
        {"null", "null"},         {"\"" + std::string(64, 'n') + "\"", "\"" + std::string(64, 'n') + "\""}};
    for (const Bad& b : bad) {
      check_refused(R"({"canary":{"namespaces":["ok",)" + b.value + "]}}",
                    "`canary.namespaces[1]` is " + b.shown + ": must be the name of a namespace");
    }
  }

  TEST_CASE("cidrs are prefixes without host bits") {
    for (const std::string network : {"legacy", "cilium"}) {
      check_all_refused(network + ".cidrs", {{"\"10.0.0.0/8\"", "\"10.0.0.0/8\""}, {"null", "null"}},
                        "an array of CIDRs");
      const auto entry = [&](const std::string& element) {
        return "{\"" + network + "\":{\"cidrs\":[\"192.168.0.0/16\"," + element + "]}}";
      };
      const std::string where = "`" + network + ".cidrs[1]` is ";
      for (const std::string text : {"\"10.0.0.0\"", "\"10.0.0.0/33\"", "\"pods\"", "\"\"", "10", "null"}) {
        check_refused(entry(text), where + text + ": must be a CIDR such as 10.0.0.0/16");
      }
      check_refused(entry("\"10.244.0.1/16\""),
                    where + "\"10.244.0.1/16\": must be a CIDR without host bits: 10.244.0.0/16");
      check_refused(entry("\"fd00::1/64\""), where + "\"fd00::1/64\": must be a CIDR without host bits: fd00::/64");
    }
  }

  TEST_CASE("the two networks must not overlap") {
    check_refused(R"({"legacy":{"cidrs":["10.1.0.0/16","10.244.0.0/16"]},"cilium":{"cidrs":["10.244.128.0/17"]}})",
                  "`legacy.cidrs[1]` 10.244.0.0/16 and `cilium.cidrs[0]` 10.244.128.0/17 overlap: no address may be of "
                  "both networks");
    check_refused(R"({"legacy":{"cidrs":["fd00:1::/64"]},"cilium":{"cidrs":["10.0.0.0/8","fd00::/16"]}})",
                  "`legacy.cidrs[0]` fd00:1::/64 and `cilium.cidrs[1]` fd00::/16 overlap: no address may be of both "
                  "networks");
    CHECK_NOTHROW(
        parse(R"({"legacy":{"cidrs":["10.0.0.0/9","0.0.0.0/32"]},"cilium":{"cidrs":["10.128.0.0/9","::/0"]}})"));
  }

  TEST_CASE("a timeout is a duration above zero and at most a day") {
    for (const std::string key : {"timeouts.delegate", "timeouts.agent", "timeouts.lock"}) {
      const std::string expected = "a duration such as \"90s\", above 0 and at most 24h";
      check_all_refused(key, kNoStrings, expected);
      for (const std::string text : {"\"\"", "\"90\"", "\"0s\"", "\"-1s\"", "\"25h\"", "\"1d\"", "\"soon\""}) {
        check_all_refused(key, {{text, text}}, expected);
      }
    }
    CHECK(parse(R"({"timeouts":{"lock":"24h"}})").lock_timeout == Millis{86'400'000});
    CHECK(parse(R"({"timeouts":{"agent":"1ns"}})").agent_timeout == Millis{1});
  }

  TEST_CASE("log.maxSize is a size or a number of bytes") {
    CHECK(parse(R"({"log":{"maxSize":"1KiB"}})").log_max_bytes == 1024);
    CHECK(parse(R"({"log":{"maxSize":65536}})").log_max_bytes == 65536);
    CHECK(parse(R"({"log":{"maxSize":"1024GiB"}})").log_max_bytes == std::uint64_t{1} << 40U);
    const std::string expected = "a size such as \"10MiB\", from 1KiB to 1024GiB";
    for (const std::string text :
         {"\"\"", "\"10\"", "\"1023\"", "\"1025GiB\"", "\"10 MiB\"", "\"10mib\"", "\"-1MiB\"", "1.5", "-1", "1e6"}) {
      check_all_refused("log.maxSize", {{text, text}}, expected);
    }
    check_all_refused("log.maxSize", {{"true", "true"}, {"null", "null"}, {"{}", "an object"}}, expected);
  }

  TEST_CASE("a part that is no object is refused") {
    for (const std::string part : {"legacy", "cilium", "canary", "coexistence", "timeouts", "log"}) {
      check_all_refused(part, {{"\"x\"", "\"x\""}, {"[]", "an array"}, {"null", "null"}, {"1", "1"}}, "an object");
    }
  }

  TEST_CASE("a rule needs a priority from 101 to 32765 and a table") {
    const std::string table = R"("table":100)";
    check_refused(rule(table), "`coexistence.rules[0]` has no `priority`: it must be there");
    check_refused(rule(R"("priority":900)"), "`coexistence.rules[0]` has no `table`: it must be there");
    CHECK(parse(rule(R"("priority":101,)" + table)).coexistence.rules.front().priority == 101);
    for (const std::string priority : {"100", "0", "32766", "-5", "\"900\"", "9.5", "null"}) {
      check_refused(rule("\"priority\":" + priority + "," + table),
                    "`coexistence.rules[0].priority` is " + priority + ": must be a whole number from 101 to 32765");
    }
  }

  TEST_CASE("a table is a number above zero or main or local") {
    const auto table = [](const std::string& value) { return rule(R"("priority":900,"table":)" + value); };
    CHECK(parse(table("\"main\"")).coexistence.rules.front().table == 254);
    CHECK(parse(table("\"local\"")).coexistence.rules.front().table == 255);
    CHECK(parse(table("1")).coexistence.rules.front().table == 1);
    for (const std::string value : {"0", "-1", "4294967296", "\"default\"", "\"100\"", "1.5", "null"}) {
      check_refused(table(value), "`coexistence.rules[0].table` is " + value +
                                      ": must be a whole number from 1 to 4294967295, \"main\" or \"local\"");
    }
    check_refused(route(R"("dst":"10.0.0.0/8","dev":"e","table":0)"),
                  "`coexistence.routes[0].table` is 0: must be a whole number from 1 to 4294967295, \"main\" or "
                  "\"local\"");
  }

  TEST_CASE("a rule that takes only a source is refused") {
    check_refused(rule(R"("priority":900,"table":100,"from":"10.244.0.0/24")"),
                  "`coexistence.rules[0].from` stands without `to` or `iif`: from selectors without need are refused, "
                  "they catch what a pod sends anywhere; say where to or which interface");
    CHECK_NOTHROW(parse(rule(R"("priority":900,"table":100,"from":"10.244.0.0/24","to":"10.0.0.0/8")")));
    CHECK_NOTHROW(parse(rule(R"("priority":900,"table":100,"from":"10.244.0.0/24","iif":"eth0")")));
    CHECK_NOTHROW(parse(rule(R"("priority":900,"table":100)")));
  }

  TEST_CASE("the selectors of a rule are prefixes of one family and an interface") {
    const std::string head = R"("priority":900,"table":100,)";
    check_refused(rule(head + R"("to":"10.0.0.1/8")"),
                  "`coexistence.rules[0].to` is \"10.0.0.1/8\": must be a CIDR without host bits: 10.0.0.0/8");
    check_refused(rule(head + R"("from":7)"), "`coexistence.rules[0].from` is 7: must be a CIDR such as 10.0.0.0/16");
    check_refused(rule(head + R"("iif":"a/b")"),
                  "`coexistence.rules[0].iif` is \"a/b\": must be the name of an interface");
    check_refused(rule(head + R"("from":"10.0.0.0/8","to":"fd00::/8")"),
                  "`coexistence.rules[0].from` and `coexistence.rules[0].to` are of different families: no packet is "
                  "both");
  }

  TEST_CASE("suppressPrefixLength goes to the bits of the family") {
    const std::string head = R"("priority":900,"table":100,)";
    const auto suppress = [&](const std::string& value, const std::string& selector) {
      return rule(head + selector + "\"suppressPrefixLength\":" + value);
    };
    CHECK(parse(suppress("128", R"("to":"fd00::/8",)")).coexistence.rules.front().suppress_prefix_length == 128);
    CHECK(parse(suppress("32", R"("to":"10.0.0.0/8",)")).coexistence.rules.front().suppress_prefix_length == 32);
    CHECK(parse(suppress("0", "")).coexistence.rules.front().suppress_prefix_length == 0);
    check_refused(suppress("129", ""),
                  "`coexistence.rules[0].suppressPrefixLength` is 129: must be a whole number from 0 to 128");
    check_refused(suppress("33", R"("to":"10.0.0.0/8",)"),
                  "`coexistence.rules[0].suppressPrefixLength` is 33: must be a whole number from 0 to 32");
    check_refused(suppress("33", R"("from":"10.0.0.0/8","iif":"e",)"),
                  "`coexistence.rules[0].suppressPrefixLength` is 33: must be a whole number from 0 to 32");
  }

  TEST_CASE("a route needs a destination and a way") {
    check_refused(route(R"("dev":"eth0")"), "`coexistence.routes[0]` has no `dst`: it must be there");
    check_refused(route(R"("dst":"10.0.0.0/8")"), "`coexistence.routes[0]` has neither `via` nor `dev`");
    check_refused(route(R"("dst":"10.0.0.5/8","dev":"eth0")"),
                  "`coexistence.routes[0].dst` is \"10.0.0.5/8\": must be a CIDR without host bits: 10.0.0.0/8");
    check_refused(route(R"("dst":"10.0.0.0/8","via":"10.0.0.1/32")"),
                  "`coexistence.routes[0].via` is \"10.0.0.1/32\": must be an IP address");
    check_refused(route(R"("dst":"10.0.0.0/8","dev":"")"),
                  "`coexistence.routes[0].dev` is \"\": must be the name of an interface");
  }

  TEST_CASE("the parts of a route have their ranges") {
    const std::string head = R"("dst":"10.0.0.0/8","dev":"eth0",)";
    for (const std::string mtu : {"67", "65536", "-1", "\"1400\"", "1400.0"}) {
      check_refused(route(head + "\"mtu\":" + mtu),
                    "`coexistence.routes[0].mtu` is " + mtu + ": must be a whole number from 68 to 65535");
    }
    CHECK(parse(route(head + R"("mtu":0)")).coexistence.routes.front().mtu == 0);
    CHECK(parse(route(head + R"("mtu":68)")).coexistence.routes.front().mtu == 68);
    CHECK(parse(route(head + R"("mtu":65535)")).coexistence.routes.front().mtu == 65535);
    check_refused(route(head + R"("metric":4294967296)"),
                  "`coexistence.routes[0].metric` is 4294967296: must be a whole number from 0 to 4294967295");
    check_refused(route(head + R"("onlink":1)"), "`coexistence.routes[0].onlink` is 1: must be true or false");
    check_refused(route(head + R"("src":"::1")"),
                  "`coexistence.routes[0].src` and `coexistence.routes[0].dst` are of different families");
    check_refused(route(head + R"("via":"fe80::1")"),
                  "`coexistence.routes[0].via` and `coexistence.routes[0].dst` are of different families");
    check_refused(route(head + R"("onlink":true)"), "`coexistence.routes[0].onlink` is true: needs `via` and `dev`");
    check_refused(route(R"("dst":"10.0.0.0/8","via":"10.0.0.1","onlink":true)"),
                  "`coexistence.routes[0].onlink` is true: needs `via` and `dev`");
  }

  TEST_CASE("a pod route needs a destination and an MTU") {
    check_refused(pod_route(R"("mtu":1400)"), "`coexistence.podRoutes[0]` has no `dst`: it must be there");
    check_refused(pod_route(R"("dst":"10.0.0.0/8")"), "`coexistence.podRoutes[0]` has no `mtu`: it must be there");
    for (const std::string mtu : {"0", "67", "65536"}) {
      check_refused(pod_route(R"("dst":"10.0.0.0/8","mtu":)" + mtu),
                    "`coexistence.podRoutes[0].mtu` is " + mtu + ": must be a whole number from 68 to 65535");
    }
  }

  TEST_CASE("the arrays of coexistence hold objects") {
    for (const std::string key : {"rules", "routes", "podRoutes"}) {
      check_all_refused("coexistence." + key, {{"{}", "an object"}, {"null", "null"}, {"\"auto\"", "\"auto\""}},
                        "an array of objects");
      check_refused("{\"coexistence\":{\"" + key + "\":[7]}}", "`coexistence." + key + "[0]` is 7: must be an object");
    }
  }

  TEST_CASE("an unknown key is refused with its path") {
    check_refused(R"({"colour":"red"})", "`colour` is unknown: the plugin entry has no such key");
    check_refused(R"({"log":{"colour":1}})", "`log.colour` is unknown: `log` has no such key");
    check_refused(rule(R"("priority":900,"table":1,"fwmark":1)"),
                  "`coexistence.rules[0].fwmark` is unknown: `coexistence.rules[0]` has no such key");
  }

  TEST_CASE("an unknown key that is nearly a known one comes with that") {
    check_refused(R"({"legacyy":{}})", "`legacyy` is unknown: did you mean `legacy`?");
    check_refused(R"({"statedir":"/x"})", "`statedir` is unknown: did you mean `stateDir`?");
    check_refused(R"({"hostPort":"auto"})", "`hostPort` is unknown: did you mean `hostPorts`?");
    check_refused(R"({"capabilites":{}})", "`capabilites` is unknown: did you mean `capabilities`?");
    check_refused(R"({"canary":{"precent":1}})", "`canary.precent` is unknown: did you mean `percent`?");
    check_refused(R"({"log":{"files":"/x"}})", "`log.files` is unknown: did you mean `file`?");
    check_refused(R"({"canary":{"pourcenta":1}})", "`canary.pourcenta` is unknown: `canary` has no such key");
    check_refused(R"({"xy":1})", "`xy` is unknown: the plugin entry has no such key");
  }

  TEST_CASE("a key written with a dot is to be nested") {
    check_refused(R"({"canary.percent":5})",
                  R"(`canary.percent` is unknown: write it nested, "canary": {"percent": ...})");
    check_refused(R"({"coexistence":{"rules.priority":5}})",
                  R"(`coexistence.rules.priority` is unknown: write it nested, "rules": {"priority": ...})");
    check_refused(R"({"some.thing":5})", "`some.thing` is unknown: the plugin entry has no such key");
  }

  TEST_CASE("what the protocol puts into the entry is left alone") {
    CHECK_NOTHROW(parse(R"({"cniVersion":"1.1.0","CNIVersion":1,"name":"crossover","type":"crossover",
      "capabilities":{"portMappings":true},"runtimeConfig":{"mac":"x"},"prevResult":null,"args":{"cni":{}},
      "dns":{},"ipam":{},"cni.dev/valid-attachments":[],"cni.dev/attachments":[],"cni.dev/new":1})"));
  }

  TEST_CASE("nothing long of a configuration is repeated in an error") {
    const std::string secret(65, 's');
    check_refused("{\"netDir\":\"" + secret + "\"}",
                  "`netDir` is a string of 65 bytes: must be an absolute path without `..`");
    check_refused("{\"" + secret + "\":1}", "a key of 65 bytes in the plugin entry is unknown");
    check_refused("{\"log\":{\"" + secret + "\":1}}", "a key of 65 bytes in `log` is unknown");
    check_refused("{\"canary\":{\"percent\":1" + std::string(65, '0') + "}}",
                  "`canary.percent` is a number of 66 bytes: must be a whole number from 0 to 100");
    check_refused(R"({"netDir":"No Such File or Directory"})",
                  "`netDir` is \"no such path\": must be an absolute path without `..`");
  }
}

TEST_SUITE("conf.settings") {
  TEST_CASE("a duration is written as Go writes it") {
    const auto ms = [](const char* text) { return conf::parse_duration(text).value_or(Millis{-1}).count(); };
    CHECK(ms("90s") == 90'000);
    CHECK(ms("1m30s") == 90'000);
    CHECK(ms("500ms") == 500);
    CHECK(ms("1.5h") == 5'400'000);
    CHECK(ms("1h0m0.25s") == 3'600'250);
    CHECK(ms(".5s") == 500);
    CHECK(ms("5.s") == 5'000);
    CHECK(ms("0") == 0);
    CHECK(ms("0s") == 0);
    CHECK(ms("24h") == 86'400'000);
    CHECK(ms("00000000000000000000000090s") == 90'000);
    CHECK(ms("0.3333333333333333333333333333s") == 334);
  }

  TEST_CASE("a duration below a millisecond is rounded up") {
    const auto ms = [](const char* text) { return conf::parse_duration(text).value_or(Millis{-1}).count(); };
    CHECK(ms("250us") == 1);
    CHECK(ms("250\u00b5s") == 1);
    CHECK(ms("250\u03bcs") == 1);
    CHECK(ms("1ns") == 1);
    CHECK(ms("1000us") == 1);
    CHECK(ms("1001us") == 2);
    CHECK(ms("999999.9us") == 1000);
  }

  TEST_CASE("what is no duration or negative or too long is none") {
    for (const char* text : {"",
                             "s",
                             "90",
                             "1",
                             ".s",
                             ".",
                             "-1s",
                             "+1s",
                             "1s ",
                             " 1s",
                             "1 s",
                             "1d",
                             "1S",
                             "1e3s",
                             "1s1",
                             "1.5.5s",
                             "24h1ns",
                             "86401s",
                             "99999999999999999999h",
                             "18446744073709551616ns",
                             "1\xc2s"}) {
      CAPTURE(text);
      CHECK_FALSE(conf::parse_duration(text).has_value());
    }
  }

  TEST_CASE("a size is a number of bytes with or without a unit") {
    CHECK(conf::parse_size("0") == 0U);
    CHECK(conf::parse_size("10MiB") == 10'485'760U);
    CHECK(conf::parse_size("1KiB") == 1024U);
    CHECK(conf::parse_size("2GiB") == 2'147'483'648U);
    CHECK(conf::parse_size("3KB") == 3000U);
    CHECK(conf::parse_size("4MB") == 4'000'000U);
    CHECK(conf::parse_size("5GB") == 5'000'000'000U);
    CHECK(conf::parse_size("18446744073709551615") == 18446744073709551615U);
  }

  TEST_CASE("what is no size or beyond 64 bits is none") {
    for (const char* text : {"", "MiB", "1.5MiB", "10 MiB", "10M", "10mib", "-1", "+1", "0x10", "18446744073709551616",
                             "18446744073709551615KB", "17179869184GiB"}) {
      CAPTURE(text);
      CHECK_FALSE(conf::parse_size(text).has_value());
    }
  }
}
