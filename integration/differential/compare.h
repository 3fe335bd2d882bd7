// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "integration/differential/corpus.h"
#include "integration/fixture/node.h"

namespace differential {

struct Difference {
  std::string_view id;  ///< of the conformance checklist
  std::string_view reason;
};

/// Where Crossover departs from libcni 1.1.2 on purpose. A case names those it must show; nothing else may differ.
inline constexpr std::array kDifferences = {
    Difference{"A2.5", "numbers keep their digits; libcni passes each through a float64"},
    Difference{"A6.6",
               "CHECK of a list older than 0.4.0 succeeds without running anything: CRI-O checks after every ADD, "
               "and a pod whose network knows no CHECK is not broken"},
    Difference{"A11.6",
               "a result's own keys, and what it leaves out, stay as the plugin printed them; libcni passes it "
               "through its types"},
    Difference{"B4.1", "a list that states no version puts no empty one into its plugins"},
    Difference{"B4.7",
               "capabilities, and any prevResult, runtimeConfig and cni.dev/* written into the list, do not reach "
               "the plugin"},
    Difference{"B5.6", "what is no CNI error gets a code of ours and the plugin's name; libcni says code 0"},
    Difference{"B6.2", "a failed ADD is undone over the whole list at once; libcni leaves that to the runtime's DEL"},
};

/// What one verb did.
struct Step {
  support::Finished answer;
  std::vector<fixture::Call> calls;
};

struct Transcript {
  Step add;
  Step check;
  Step del;
  std::vector<std::string> leaks;  ///< what the plugins still hold at the end
};

/// Both sides use the same node, pod and container, one after the other.
struct Pair {
  Transcript libcni;
  Transcript crossover;
};
[[nodiscard]] Pair run_both(const Case& one);

/// Compares with doctest's checks what every plugin got and what came back; fails unless the differences that were
/// met are those the case names.
void compare(const Case& one, const Pair& both);

}  // namespace differential
