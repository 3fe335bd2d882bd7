// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "plugin/cli.h"
#include "tests/fakes/machine.h"
#include "tests/support/refusal.h"

namespace {

using nlohmann::json;
using support::refusal_of;

struct Planner {
  fakes::Machine machine;
  plugin::PoolQuery query{.cidrs = {"10.1.0.0/22", "10.2.0.0/23"}, .mask_size = 24, .used_file = {}, .count = {}};

  plugin::Report ask(bool as_json = false) {
    plugin::System system = machine.process();
    return plugin::pool_report(system, query, as_json);
  }
  void use(std::string_view text) {
    query.used_file = machine.dir() + "/used";
    machine.write(query.used_file, text);
  }
  int run(std::vector<std::string> words) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    plugin::System system = machine.process();
    return plugin::run_command_line(system, static_cast<int>(argv.size()), argv.data());
  }
};

TEST_SUITE_BEGIN("plugin.cli_pool");

TEST_CASE("pool prints the next blocks, one a line, and the rest as comments") {
  Planner planner;
  planner.use("10.1.0.0/24\n10.9.0.0/24\n");
  const plugin::Report report = planner.ask();
  CHECK(report.status == 0);
  CHECK(report.complaint.empty());
  CHECK(report.text ==
        "# 10.1.0.0/22: 3 of 4 blocks free\n"
        "# 10.2.0.0/23: 2 of 2 blocks free\n"
        "# in use: 10.9.0.0/24 is outside of the pool; the operator writes \"allocator not configured for the "
        "requested CIDR\" to its node\n"
        "10.1.1.0/24\n10.1.2.0/24\n10.1.3.0/24\n10.2.0.0/24\n10.2.1.0/24\n");
}

TEST_CASE("what pool prints can be given to --used, and uses the pool up") {
  Planner planner;
  planner.use(planner.ask().text);
  const plugin::Report report = planner.ask();
  CHECK(report.status == 1);
  CHECK(report.complaint == "the pool is used up: no block is free; append a CIDR to its list");
  CHECK(report.text == "# 10.1.0.0/22: 0 of 4 blocks free\n# 10.2.0.0/23: 0 of 2 blocks free\n");
}

TEST_CASE("pool --json has the blocks, what each CIDR has and has left, and what is in use and does not fit") {
  Planner planner;
  planner.query.count = 1;
  planner.use(R"({"items":[{"spec":{"ipam":{"podCIDRs":["10.1.0.0/24"]}}},{"spec":{"podCIDRs":["10.2.0.0/25"]}}]})");
  const plugin::Report report = planner.ask(true);
  CHECK(report.status == 0);
  CHECK(json::parse(report.text) ==
        json({{"blocks", {"10.1.1.0/24"}},
              {"cidrs",
               {{{"cidr", "10.1.0.0/22"}, {"total", 4}, {"free", 3}},
                {{"cidr", "10.2.0.0/23"}, {"total", 2}, {"free", 1}}}},
              {"misfits",
               {{{"cidr", "10.2.0.0/25"},
                 {"problem", "smaller than a /24; the whole block around it counts as used"}}}}}));
}

TEST_CASE("fewer blocks than --count asks for is bad, and those that are left are printed") {
  Planner planner;
  planner.query.count = 7;
  const plugin::Report report = planner.ask(true);
  CHECK(report.status == 1);
  CHECK(report.complaint == "the pool is used up by these: 6 free, 7 asked for; append a CIDR to its list");
  CHECK(json::parse(report.text)["blocks"].size() == 6);
}

TEST_CASE("a pool that breaks a rule is used wrongly, and names the rule") {
  Planner planner;
  planner.query.cidrs = {"10.1.0.0/22", "10.1.2.0/24"};
  CHECK(refusal_of([&] { return planner.ask(); }).details() ==
        "10.1.0.0/22 and 10.1.2.0/24 overlap: the CIDRs of a pool must not");
  planner.query.cidrs = {"10.1.0.0"};
  CHECK(refusal_of([&] { return planner.ask(); }).details() ==
        "--cidr \"10.1.0.0\": must be a CIDR such as 10.0.0.0/8");
}

TEST_CASE("pool exits with 0, 1 and 2 as all commands do") {
  Planner planner;
  const std::string used = planner.machine.dir() + "/used";
  planner.machine.write(used, "10.1.0.0/23\n");
  CHECK(planner.run({"crossover", "pool", "--cidr", "10.1.0.0/23", "--cidr", "10.2.0.0/23", "--mask-size", "24"}) == 0);
  CHECK(planner.run({"crossover", "pool", "--cidr", "10.1.0.0/23", "--mask-size", "24", "--used", used}) == 1);
  CHECK(planner.run({"crossover", "pool", "--cidr", "10.1.0.0/23", "--mask-size", "24", "--used", used + "?"}) == 1);
  CHECK(planner.run({"crossover", "pool", "--cidr", "10.1.0.0/23", "--mask-size", "22"}) == 2);
  CHECK(planner.run({"crossover", "pool", "--cidr", "nonsense", "--mask-size", "24"}) == 2);
  CHECK(planner.run({"crossover", "pool", "--cidr", "10.1.0.0/23"}) == 2);
  CHECK(planner.run({"crossover", "pool", "--mask-size", "24"}) == 2);
  CHECK(planner.run({"crossover", "pool", "--cidr", "10.1.0.0/23", "--mask-size", "24", "--count", "0"}) == 2);
}

TEST_SUITE_END();

}  // namespace
