// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

// Lists and inputs that are run twice: by real libcni, and by Crossover called by real libcni.
namespace differential {

/// A plugin's entry as written: keys and the text of their values.
struct Entry {
  std::string type;
  std::vector<std::pair<std::string, std::string>> members;
  [[nodiscard]] std::string text() const;
};

struct List {
  std::string name = "cbr0";
  std::string version = "1.0.0";  ///< empty: the list states none
  std::vector<Entry> plugins;
  std::string more;  ///< further members of the list, as text with a leading comma
  [[nodiscard]] std::string text() const;
  /// A single plugin's .conf, of the first entry.
  [[nodiscard]] std::string single_text() const;
};

struct Case {
  std::string title;
  List list;
  std::map<std::string, std::string> scripts;  ///< type -> script (delegates/recorder.cc)
  std::string args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=8a2781fb";
  std::string caps;                   ///< what the runtime offers, a JSON object; empty: nothing
  bool single = false;                ///< the file is a .conf
  std::set<std::string> differences;  ///< IDs of kDifferences, exactly those that must show
};

[[nodiscard]] std::vector<Case> version_cases();
[[nodiscard]] std::vector<Case> chain_cases();
[[nodiscard]] std::vector<Case> capability_cases();
[[nodiscard]] std::vector<Case> document_cases();
[[nodiscard]] std::vector<Case> result_cases();
[[nodiscard]] std::vector<Case> args_cases();
[[nodiscard]] std::vector<Case> failing_add_cases();

}  // namespace differential
