// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "integration/differential/compare.h"

// The same lists and inputs through real libcni, and through Crossover called by real libcni as a runtime would: what
// every plugin received and what came back must be equal but for kDifferences (differential/compare.h).
namespace {

void compare_all(const std::vector<differential::Case>& cases) {
  REQUIRE(!cases.empty());
  for (const differential::Case& one : cases) {
    CAPTURE(one.title);
    differential::compare(one, differential::run_both(one));
  }
}

}  // namespace

TEST_SUITE("differential") {
  TEST_CASE("every difference in the table is shown by some case, and every case names only those") {
    std::set<std::string> known;
    for (const auto& difference : differential::kDifferences) known.emplace(difference.id);
    std::set<std::string> shown;
    for (const auto& cases :
         {differential::version_cases(), differential::chain_cases(), differential::capability_cases(),
          differential::document_cases(), differential::result_cases(), differential::args_cases(),
          differential::failing_add_cases()})
      for (const auto& one : cases) shown.insert(one.differences.begin(), one.differences.end());
    CHECK((shown == known));
  }

  TEST_CASE("A3.4 one plugin is run as libcni runs it, in every version and from a list or a single file") {
    compare_all(differential::version_cases());
  }

  TEST_CASE("B4.3 chains are run as libcni runs them, in every version") { compare_all(differential::chain_cases()); }

  TEST_CASE("B4.5 each plugin gets the capabilities it declares and the runtime offers") {
    compare_all(differential::capability_cases());
  }

  TEST_CASE("A2.4 what a list says beyond the specification reaches its plugins to the byte") {
    compare_all(differential::document_cases());
  }

  TEST_CASE("A11 results of every version pass down the chain and back to the runtime") {
    compare_all(differential::result_cases());
  }

  TEST_CASE("A12.2 CNI_ARGS reach the plugins to the byte") { compare_all(differential::args_cases()); }

  TEST_CASE("B6.2 a failed ADD comes back as the plugin's own error and leaves nothing, at each position") {
    compare_all(differential::failing_add_cases());
  }
}
