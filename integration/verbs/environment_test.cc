// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "integration/fixture/answer.h"
#include "integration/fixture/node.h"

// What the binary says to a call that is wrong before anything could happen: the exact code, and no plugin run.
namespace {

using fixture::Env;
using fixture::error_of;
using fixture::Node;
using Json = nlohmann::json;

constexpr const char* kList = R"({"name":"cbr0","cniVersion":"1.1.0","plugins":[{"type":"bridge"}]})";

/// A node with one plugin and a pod that may be attached; `env` is a call that would succeed.
struct Ready {
  Ready() : node({"bridge"}) {
    node.legacy(kList);
    netns = node.pod("p1");
    env = {{"CNI_COMMAND", "ADD"},
           {"CNI_CONTAINERID", "c1"},
           {"CNI_IFNAME", "eth0"},
           {"CNI_NETNS", netns},
           {"CNI_PATH", node.bin_dir()}};
  }
  [[nodiscard]] Env with(const std::string& name, const std::string& value) const {
    Env changed = env;
    changed[name] = value;
    return changed;
  }
  /// The error of that call; nothing may have been run or recorded.
  [[nodiscard]] fixture::Error refused(const Env& call, const std::string& input) const {
    const fixture::Error error = error_of(node.call(call, input));
    CHECK(node.plugins().calls().empty());
    CHECK(node.records().empty());
    return error;
  }
  [[nodiscard]] fixture::Error refused(const Env& call) const { return refused(call, node.request()); }

  Node node;
  std::string netns;
  Env env;
};

}  // namespace

TEST_SUITE("verbs.environment") {
  TEST_CASE("A1.1 a verb that is none of the six, in upper case, is refused") {
    const Ready ready;
    for (const char* verb : {"add", "Add", "ADD ", "UPDATE", "0"}) {
      CAPTURE(verb);
      CHECK(ready.refused(ready.with("CNI_COMMAND", verb)).code == 4);
    }
  }

  TEST_CASE("A1.2 each verb needs its variables, and one that is empty is not set") {
    const Ready ready;
    const std::map<std::string, std::vector<std::string>> needed = {
        {"ADD", {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}},
        {"CHECK", {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}},
        {"DEL", {"CNI_CONTAINERID", "CNI_IFNAME"}}};
    for (const auto& verb_and_names : needed) {
      const auto& [verb, names] = verb_and_names;
      for (const auto& name : names) {
        CAPTURE(verb_and_names.first);
        CAPTURE(name);
        Env env = ready.with("CNI_COMMAND", verb);
        env[name] = "";
        const auto empty = ready.refused(env);
        CHECK(empty.code == 4);
        CHECK(empty.says(name));
        env.erase(name);
        const auto unset = ready.refused(env);
        CHECK(unset.code == 4);
        CHECK(unset.details == empty.details);
      }
    }
  }

  TEST_CASE("A1.3 all missing variables are in one error") {
    const Ready ready;
    const auto error = ready.refused({{"CNI_COMMAND", "ADD"}, {"CNI_PATH", ready.node.bin_dir()}});
    CHECK(error.code == 4);
    for (const char* name : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}) CHECK(error.says(name));
  }

  TEST_CASE("A1.4 a container id that cannot be a name is refused with the id") {
    const Ready ready;
    for (const std::string id : {"-a", ".a", "_a", "a/b", "a b", "../x", "a\n", "\xc3\xa9", "a:b"}) {
      CAPTURE(id);
      const auto error = ready.refused(ready.with("CNI_CONTAINERID", id));
      CHECK(error.code == 4);
    }
    CHECK(ready.refused(ready.with("CNI_CONTAINERID", "a/b")).details.find("a/b") != std::string::npos);
  }

  TEST_CASE("A1.5 container ids of every length are attached and detached") {
    const Ready ready;
    for (const std::size_t length : {1U, 64U, 255U, 256U, 300U, 4000U}) {
      CAPTURE(length);
      const std::string id(length, 'a');
      const auto added = ready.node.call("ADD", id, ready.netns);
      CAPTURE(added.out);
      CHECK(added.ok());
      CHECK(ready.node.records().size() == 1);
      CHECK(ready.node.call("DEL", id, ready.netns).ok());
      CHECK(ready.node.records().empty());
    }
  }

  TEST_CASE("A1.6 an interface name that Linux would not take is refused, others are not") {
    const Ready ready;
    for (const std::string name :
         {"sixteen-letters-", ".", "..", "a/b", "a:b", "a b", "a\tb", "\xc2\xa0", "a\xe2\x80\x83"}) {
      CAPTURE(name);
      CHECK(ready.refused(ready.with("CNI_IFNAME", name)).code == 4);
    }
    for (const std::string name : {"a", "fifteen-letters", "eth0.100", "a%b", "a@b", "\xc3\xa9"}) {
      CAPTURE(name);
      CHECK(ready.node.call(ready.with("CNI_IFNAME", name), ready.node.request()).ok());
    }
  }

  TEST_CASE("A1.7 variables that a verb does not need are not looked at") {
    const Ready ready;
    const Env junk = {{"CNI_COMMAND", "GC"},
                      {"CNI_CONTAINERID", "a b"},
                      {"CNI_IFNAME", "a/b"},
                      {"CNI_NETNS", "/x"},
                      {"CNI_PATH", ready.node.bin_dir()}};
    CHECK(ready.node.call(junk, ready.node.request(R"("cni.dev/valid-attachments":[])", "1.1.0")).ok());
  }

  TEST_CASE("A1.8 a network name that cannot be a name is refused") {
    const Ready ready;
    for (const char* name : {R"("")", R"("a/b")", R"("-a")", "7", "null"}) {
      CAPTURE(name);
      const auto error =
          ready.refused(ready.env, std::string(R"({"cniVersion":"1.0.0","type":"crossover","name":)") + name + "}");
      CHECK(error.code == 7);
      CHECK(error.says("name"));
    }
    CHECK(ready.refused(ready.env, R"({"cniVersion":"1.0.0","type":"crossover"})").code == 7);
  }

  TEST_CASE("A1.10 the host's own network namespace is refused unless it is asked for") {
    const Ready ready;
    Env env = ready.with("CNI_NETNS", "/proc/self/ns/net");
    CHECK(ready.refused(env).code == 8);
    for (const char* yes : {"1", "true", "TRUE"}) {
      CAPTURE(yes);
      env["CNI_NETNS_OVERRIDE"] = yes;
      env["CNI_CONTAINERID"] = std::string("host-") + yes;
      CHECK(ready.node.call(env, ready.node.request()).ok());
    }
  }

  TEST_CASE("A1.9 ADD into a namespace that is not there, or is none, is refused") {
    const Ready ready;
    CHECK(ready.refused(ready.with("CNI_NETNS", "/run/netns/gone")).code == 8);
    fixture::write_file(ready.node.dir() / "file", "x");
    CHECK(ready.refused(ready.with("CNI_NETNS", (ready.node.dir() / "file").string())).code == 8);
    CHECK(ready.refused(ready.with("CNI_NETNS", "/proc/self/ns/mnt")).code == 8);
  }

  TEST_CASE("A1.11 without CNI_COMMAND it says what it is and leaves") {
    const Ready ready;
    const auto answer = ready.node.call(Env{}, "");
    CHECK(answer.status == 0);
    CHECK(answer.out.empty());
    for (const char* words : {"crossover", "0.1.0", "1.1.0"}) CHECK(answer.err.find(words) != std::string::npos);
  }

  TEST_CASE("A12.2 CNI_ARGS may hold an equals sign and a trailing semicolon, not a pair without a value") {
    const Ready ready;
    for (const char* args : {"A", "A=b;C", "=b"}) {
      CAPTURE(args);
      CHECK(ready.refused(ready.with("CNI_ARGS", args)).code == 4);
    }
    CHECK(ready.node.call(ready.with("CNI_ARGS", "A=b=c;D=;"), ready.node.request()).ok());
    CHECK(ready.node.plugins().calls().back().env.at("CNI_ARGS") == "A=b=c;D=;");
  }
}
