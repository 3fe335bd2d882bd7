// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "integration/labs/stage.h"

namespace lab {

/// Who is seen as whom, at a glance: a row for each who asks, a column for each who is asked.
class Matrix {
 public:
  Matrix(std::string title, std::vector<std::string> names) : title_(std::move(title)), names_(std::move(names)) {}

  /// `own`: the address of `from`. Pairs that are not added are shown as "-".
  void add(const std::string& from, const std::string& to, const Seen& seen, const std::string& own);
  /// "own", the address that was seen, or "lost"; what a mark behind it means stands below.
  [[nodiscard]] std::string text() const;

 private:
  [[nodiscard]] std::string cell(const std::string& from, const std::string& to) const;
  [[nodiscard]] std::size_t width(const std::string& to) const;

  std::string title_;
  std::vector<std::string> names_;
  std::map<std::pair<std::string, std::string>, std::string> cells_;
};

}  // namespace lab
