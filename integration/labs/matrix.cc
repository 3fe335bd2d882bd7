// SPDX-License-Identifier: Apache-2.0
#include "integration/labs/matrix.h"

#include <algorithm>

namespace lab {
namespace {

struct Mark {
  char sign;
  const char* meaning;
};
constexpr Mark kLargeLost{'*', "1400 bytes lost"};
constexpr Mark kEchoOnly{'+', "but an echo comes back, its sender seen as own"};

/// In words where the protocols differ in a way that has no mark.
std::string short_text(const Seen& seen, const std::string& own) {
  const Seen small{seen.udp, seen.udp, seen.udp, seen.udp};
  const Seen large_lost{seen.udp, seen.udp, seen.udp, ""};
  if (seen == Seen{"", "", own, ""}) return std::string("lost") + kEchoOnly.sign;
  if (seen != small && seen == large_lost) return text(small, own) + kLargeLost.sign;
  return text(seen, own);
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

}  // namespace

void Matrix::add(const std::string& from, const std::string& to, const Seen& seen, const std::string& own) {
  cells_[{from, to}] = short_text(seen, own);
}

std::string Matrix::cell(const std::string& from, const std::string& to) const {
  const auto found = cells_.find({from, to});
  return found == cells_.end() ? "-" : found->second;
}

std::size_t Matrix::width(const std::string& to) const {
  std::size_t out = to.size();
  for (const std::string& from : names_) out = std::max(out, cell(from, to).size());
  return out;
}

std::string Matrix::text() const {
  std::vector<std::string> lines{"from \\ to"};
  for (const std::string& from : names_) lines.push_back(padded(from, lines[0].size()));
  for (const std::string& to : names_) {
    const std::size_t wide = width(to);
    lines[0] += "  " + padded(to, wide);
    for (std::size_t row = 0; row < names_.size(); ++row) lines[row + 1] += "  " + padded(cell(names_[row], to), wide);
  }
  for (const Mark mark : {kLargeLost, kEchoOnly})
    if (std::any_of(cells_.begin(), cells_.end(), [&](const auto& one) { return one.second.back() == mark.sign; }))
      lines.push_back(std::string(1, mark.sign) + " " + mark.meaning);
  std::string out = title_ + "\n";
  for (std::string& line : lines) out += "  " + line.erase(line.find_last_not_of(' ') + 1) + "\n";
  return out;
}

}  // namespace lab
