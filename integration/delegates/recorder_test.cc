// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "integration/fixture/node.h"

// The stand-in plugin itself, run by real libcni alone.
TEST_SUITE("recorder") {
  using fixture::Node;
  using Json = nlohmann::json;
  using Strings = std::vector<std::string>;

  constexpr const char* kList = R"({"name":"net","cniVersion":"1.0.0","plugins":[{"type":"first"},{"type":"second"}]})";

  TEST_CASE("a stand-in sees what libcni gives it and answers as a plugin does") {
    const Node node({"first", "second"});
    node.legacy(kList);
    const Strings options = {"--id", "c1", "--netns", node.pod("p1"), "--args", "A=b"};
    const auto list = node.net_dir() / "10-legacy.conflist";
    const auto added = node.libcni("add", list, options);
    REQUIRE(added.ok());
    CHECK(Json::parse(added.out).at("interfaces").at(1).at("sandbox") == "/run/netns/p1");
    CHECK(node.plugins().leaks() == Strings{"first,c1,eth0", "second,c1,eth0"});
    CHECK(node.libcni("check", list, options).ok());
    CHECK(node.libcni("del", list, options).ok());
    CHECK(node.plugins().leaks().empty());
    CHECK(node.plugins().names() ==
          Strings{"ADD first", "ADD second", "CHECK first", "CHECK second", "DEL second", "DEL first"});
    const auto call = node.plugins().calls().at(1);
    CHECK(call.env.at("CNI_ARGS") == "A=b");
    CHECK(Json::parse(call.input).at("prevResult") == Json::parse(added.out));
  }

  TEST_CASE("a scripted failure comes back through libcni, and a failing DEL keeps its state") {
    const Node node({"first", "second"});
    node.legacy(kList);
    const Strings options = {"--id", "c1", "--netns", node.pod("p1")};
    const auto list = node.net_dir() / "10-legacy.conflist";
    node.plugins().script("second", R"({"ADD":{"stdout":"{\"code\":11,\"msg\":\"later\"}","exit":1}})");
    const auto added = node.libcni("add", list, options);
    CHECK(added.status == 1);
    CHECK(Json::parse(added.out).at("code") == 11);
    CHECK(Json::parse(added.out).at("msg") == "later");
    node.plugins().script("first", R"({"DEL":{"signal":9}})");
    CHECK(node.libcni("del", list, options).status == 1);
    CHECK(node.plugins().leaks() == Strings{"first,c1,eth0"});
    node.plugins().forget_scripts();
    CHECK(node.libcni("del", list, options).ok());
    CHECK(node.plugins().leaks().empty());
  }
}
