// SPDX-License-Identifier: Apache-2.0
#include "integration/report.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "integration/picture.h"

using integration::Record;

namespace {

support::ProbeCount count(const char* from_group, const char* to_group, bool same_place, std::uint64_t lost = 0) {
  support::ProbeCount count;
  count.phase = "one";
  count.from = "n1-a-1";
  count.from_group = from_group;
  count.from_place = "node1";
  count.to = "n1-b-1";
  count.to_group = to_group;
  count.to_place = same_place ? "node1" : "node2";
  count.sent = 100;
  count.lost = lost;
  count.slowest = std::chrono::microseconds(1500);
  return count;
}

Record record() {
  Record record;
  record.nodes = {"node1", "node2"};
  record.phases = {{"one", 0, 2}, {"two", 2, 4}};
  record.events = {{0.1, "node1", "n1-a-1", "legacy", "10.244.1.2", true, true},
                   {3.0, "node1", "n1-a-1", "legacy", "10.244.1.2", false, true}};
  record.counts = {count("legacy", "second", false), count("second", "legacy", false, 3),
                   count("legacy", "legacy", true)};
  return record;
}

}  // namespace

TEST_SUITE("demo.report") {
  TEST_CASE("which of two pods asked makes no difference to the kind of a pair") {
    CHECK(integration::kind_of(count("legacy", "second", true)) ==
          integration::kind_of(count("second", "legacy", true)));
    CHECK(integration::kKinds[integration::kind_of(count("second", "second", false))] ==
          std::string("second-second across"));
    support::ProbeCount service = count("", "legacy", false);
    service.service = "hostPort";
    CHECK(integration::kKinds[integration::kind_of(service)] == std::string("hostPort"));
  }

  TEST_CASE("the table adds up pairs of a kind, sent and lost, for each phase and all of them") {
    const std::string table = integration::table(record());
    CHECK(table.find(
              "one                        100/0          -          -      200/3          -          -         -    "
              "  300/3\n") != std::string::npos);
    CHECK(table.find("all phases                 100/0          -          -      200/3") != std::string::npos);
  }

  TEST_CASE("the JSON is good only without problems") {
    Record bad = record();
    CHECK(nlohmann::json::parse(integration::json(bad)).at("good") == true);
    bad.problems.emplace_back("left over on node1: link veth1");
    const auto json = nlohmann::json::parse(integration::json(bad));
    CHECK(json.at("good") == false);
    CHECK(json.at("phases").at(0).at("kinds").at("legacy-second across").at("lost") == 3);
    CHECK(json.at("pairs").size() == 3);
  }

  TEST_CASE("an address that a pod got while another had it is named, and one that was free again is not") {
    Record bad = record();
    CHECK(integration::twice(bad).empty());
    bad.events.push_back({4.0, "node2", "n2-a-1", "legacy", "10.244.1.2", true});
    bad.events.push_back({5.0, "node1", "n1-b-1", "legacy", "10.244.1.2", true});
    CHECK(integration::twice(bad) == std::vector<std::string>{"10.244.1.2 was given to n1-b-1 while n2-a-1 had it"});
    bad.events.push_back({6.0, "node1", "n1-b-1", "legacy", "10.244.1.2", false});
    bad.events.push_back({7.0, "node1", "n1-c-1", "legacy", "10.244.1.2", true});
    CHECK(integration::twice(bad).size() == 1);
  }

  TEST_CASE("the picture has a bar for each pod and the lost probes of each phase") {
    const std::string svg = integration::picture(record());
    CHECK(svg.starts_with("<svg xmlns="));
    CHECK(svg.ends_with("</svg>\n"));
    CHECK(svg.find(">3</text>") != std::string::npos);
    CHECK(svg.find(">300</text>") != std::string::npos);
    CHECK(svg.find(">node2</text>") != std::string::npos);
    CHECK(svg.find("nan") == std::string::npos);
  }
}
