// SPDX-License-Identifier: Apache-2.0
#include "integration/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <sstream>
#include <vector>

#include "integration/report.h"

namespace integration {
namespace {

constexpr double kWidth = 1240;
constexpr double kLeft = 150;
constexpr double kRight = 24;
constexpr double kTop = 158;
constexpr double kBar = 13;   // one pod
constexpr double kSlot = 18;  // and the space below it
constexpr double kLanePad = 9;
constexpr double kLaneGap = 10;
constexpr double kRow = 24;  // of the numbers

constexpr const char* kLegacy = "#e39b3b";
constexpr const char* kOlder = "#b06a16";
constexpr const char* kSecond = "#1f8a84";
constexpr const char* kLegacyLane = "#fdf3e3";
constexpr const char* kSecondLane = "#e1f3f1";
constexpr const char* kInk = "#1d2733";
constexpr const char* kFaint = "#66727f";
constexpr const char* kGood = "#1b7f4b";
constexpr const char* kBad = "#c62828";

struct Bar {
  double begin = 0;
  double end = 0;
  std::string pod;
  std::string network;
  bool older = false;
  bool host_port = false;
};

/// Where things are: time runs evenly within a phase, and every phase has the same width.
class Layout {
 public:
  explicit Layout(const Record& record) : phases_(record.phases) {
    for (const auto& event : record.events) {
      auto& slots = slots_[event.node];
      const std::string slot = slot_of(event.pod);
      if (std::find(slots.begin(), slots.end(), slot) == slots.end()) slots.push_back(slot);
    }
    double y = kTop;
    for (const auto& node : record.nodes) {
      lanes_[node] = y;
      y += lane_height(node) + kLaneGap;
    }
    bottom_ = y - kLaneGap;
  }

  /// "n1-a-2" is the second pod in the place "n1-a".
  [[nodiscard]] static std::string slot_of(const std::string& pod) { return pod.substr(0, pod.rfind('-')); }

  [[nodiscard]] double column() const {
    return (kWidth - kLeft - kRight) / static_cast<double>(std::max<std::size_t>(phases_.size(), 1));
  }
  [[nodiscard]] double x_of_phase(std::size_t index) const { return kLeft + static_cast<double>(index) * column(); }
  [[nodiscard]] double x(double at) const {
    for (std::size_t i = 0; i < phases_.size(); ++i) {
      const Phase& phase = phases_[i];
      if (at > phase.end) continue;
      const double part = phase.end > phase.begin ? (at - phase.begin) / (phase.end - phase.begin) : 0;
      return x_of_phase(i) + std::clamp(part, 0.0, 1.0) * column();
    }
    return kWidth - kRight;
  }
  [[nodiscard]] double lane(const std::string& node) const { return lanes_.at(node); }
  [[nodiscard]] double lane_height(const std::string& node) const {
    const auto slots = slots_.find(node);
    const std::size_t count = slots == slots_.end() ? 1 : slots->second.size();
    return 2 * kLanePad + static_cast<double>(count) * kSlot - (kSlot - kBar);
  }
  [[nodiscard]] double y(const std::string& node, const std::string& pod) const {
    const auto& slots = slots_.at(node);
    const auto index = std::find(slots.begin(), slots.end(), slot_of(pod)) - slots.begin();
    return lane(node) + kLanePad + static_cast<double>(index) * kSlot;
  }
  [[nodiscard]] double bottom() const { return bottom_; }

 private:
  const std::vector<Phase>& phases_;
  std::map<std::string, std::vector<std::string>> slots_;
  std::map<std::string, double> lanes_;
  double bottom_ = 0;
};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string text(double x, double y, const std::string& words, const std::string& style) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, style, escaped(words));
}

std::string rect(double x, double y, double width, double height, const std::string& style) {
  return fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" {}/>\n", x, y,
                     std::max(width, 0.0), height, style);
}

std::string style(int size, const char* color, const char* anchor = "start", int weight = 400) {
  return fmt::format("font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\" font-weight=\"{}\"", size, color, anchor, weight);
}

/// 12345 as "12 345", with a space that does not break.
std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), "\xc2\xa0");
  return digits;
}

std::vector<std::string> wrapped(const std::string& words, std::size_t width) {
  std::vector<std::string> lines(1);
  std::istringstream in(words);
  for (std::string word; in >> word;) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
  }
  return lines;
}

std::vector<Bar> bars(const Record& record, const std::string& node) {
  std::vector<Bar> result;
  const double end = record.phases.empty() ? 0 : record.phases.back().end;
  for (const auto& event : record.events) {
    if (event.node != node) continue;
    if (event.started) {
      result.push_back({event.at, end, event.pod, event.network, event.before_crossover, event.host_port});
      continue;
    }
    for (auto& bar : result)
      if (bar.pod == event.pod) bar.end = std::min(event.at, end);
  }
  return result;
}

std::string heading(const Record& record) {
  const Sum all = sums(record).back();
  const bool good = record.problems.empty();
  const std::string left = record.leftovers.empty() ? "nothing" : grouped(record.leftovers.size()) + " things";
  std::string out =
      text(24, 44, "A cluster moves to its second network, pod by pod, under load", style(23, kInk, "start", 700));
  out += text(24, 72,
              fmt::format("{} probes between living pods, {} lost  \xc2\xb7  {} left over after the last pod",
                          grouped(all.sent), grouped(all.lost), left),
              style(15, good ? kGood : kBad, "start", 600));
  return out;
}

std::string legend() {
  struct Entry {
    const char* color;
    const char* words;
    double width;
  };
  constexpr std::array<Entry, 3> kEntries = {Entry{kOlder, "legacy pod, older than Crossover", 240},
                                             Entry{kLegacy, "legacy pod", 94},
                                             Entry{kSecond, "pod on the second network", 200}};
  std::string out;
  double x = kLeft;
  for (const auto& entry : kEntries) {
    out += rect(x, 91, 22, kBar, fmt::format("rx=\"3\" fill=\"{}\"", entry.color));
    out += text(x + 29, 102, entry.words, style(13, kFaint));
    x += 29 + entry.width;
  }
  out += rect(x, 89, 11, 17, fmt::format("fill=\"{}\"", kLegacyLane));
  out += rect(x + 11, 89, 11, 17, fmt::format("fill=\"{}\"", kSecondLane));
  return out + text(x + 29, 102, "lane: what the node gives a new pod", style(13, kFaint));
}

std::string columns(const Record& record, const Layout& layout, double bottom) {
  std::string out;
  for (std::size_t i = 0; i < record.phases.size(); ++i) {
    const double x = layout.x_of_phase(i);
    const auto lines = wrapped(record.phases[i].name, 14);
    double y = kTop - 10 - static_cast<double>(lines.size() - 1) * 16;
    for (const auto& line : lines) {
      out += text(x + 7, y, line, style(13, kInk, "start", 600));
      y += 16;
    }
    out += fmt::format("<path d=\"M{0:.1f} {1:.1f}V{2:.1f}\" stroke=\"#c9d1d9\" stroke-dasharray=\"2 3\"/>\n", x,
                       kTop - 36, bottom);
  }
  return out;
}

/// The lane itself says what the node would give to a new pod.
std::string lane(const Record& record, const Layout& layout, const std::string& node) {
  const double y = layout.lane(node);
  const double height = layout.lane_height(node);
  std::string out = rect(kLeft, y, kWidth - kLeft - kRight, height, fmt::format("fill=\"{}\"", kLegacyLane));
  for (const auto& move : record.moves) {
    if (move.node != node) continue;
    const double x = layout.x(move.at);
    out += rect(x, y, kWidth - kRight - x, height,
                fmt::format("fill=\"{}\"", move.network == "second" ? kSecondLane : kLegacyLane));
  }
  return out + text(kLeft - 14, y + height / 2 + 5, node, style(15, kInk, "end", 600));
}

std::string pods(const Record& record, const Layout& layout, const std::string& node) {
  std::string out;
  for (const Bar& bar : bars(record, node)) {
    const char* color = bar.network == "second" ? kSecond : bar.older ? kOlder : kLegacy;
    const double x = layout.x(bar.begin);
    const double y = layout.y(node, bar.pod);
    const double width = layout.x(bar.end) - x;
    out += rect(x, y, width, kBar, fmt::format("rx=\"3\" fill=\"{}\" stroke=\"#ffffff\" stroke-width=\"1\"", color));
    if (bar.host_port && width > 60)
      out += text(x + 7, y + 9.6, "hostPort", style(9, color == kLegacy ? kInk : "#ffffff", "start", 600));
  }
  return out;
}

struct NumberRow {
  const char* name;
  std::vector<std::size_t> kinds;
};

std::string numbers(const Record& record, const Layout& layout, double y) {
  static const std::array<NumberRow, 4> kRows = {
      NumberRow{"legacy\xe2\x80\x93legacy", {0, 1}}, NumberRow{"legacy\xe2\x80\x93second", {2, 3}},
      NumberRow{"second\xe2\x80\x93second", {4, 5}}, NumberRow{"hostPort", {6}}};
  std::string out = text(kLeft - 14, y, "probes sent", style(13, kInk, "end", 600));
  std::string lost = text(kLeft - 14, y + 5 * kRow + 4, "lost", style(14, kInk, "end", 600));
  for (std::size_t row = 0; row < kRows.size(); ++row)
    out += text(kLeft - 14, y + static_cast<double>(row + 1) * kRow, kRows.at(row).name, style(13, kFaint, "end"));
  for (std::size_t i = 0; i < record.phases.size(); ++i) {
    const auto all = sums(record, record.phases[i].name);
    const double x = layout.x_of_phase(i) + layout.column() - 16;
    out += text(x, y, grouped(all.back().sent), style(13, kInk, "end", 600));
    for (std::size_t row = 0; row < kRows.size(); ++row) {
      std::uint64_t sent = 0;
      for (const std::size_t kind : kRows.at(row).kinds) sent += all.at(kind).sent;
      out += text(x, y + static_cast<double>(row + 1) * kRow, sent == 0 ? "\xe2\x80\x93" : grouped(sent),
                  style(13, kFaint, "end"));
    }
    lost +=
        text(x, y + 5 * kRow + 4, grouped(all.back().lost), style(16, all.back().lost == 0 ? kGood : kBad, "end", 700));
  }
  return out + lost;
}

}  // namespace

std::string picture(const Record& record) {
  const Layout layout(record);
  const double rows = layout.bottom() + 32;
  const double height = rows + 5 * kRow + 28;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "font-family=\"system-ui, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', sans-serif\">\n",
      kWidth, height);
  out += rect(0.5, 0.5, kWidth - 1, height - 1, "rx=\"12\" fill=\"#ffffff\" stroke=\"#d5dbe1\"");
  out += heading(record) + legend();
  for (const auto& node : record.nodes) out += lane(record, layout, node);
  out += columns(record, layout, height - 18);
  for (const auto& node : record.nodes) out += pods(record, layout, node);
  return out + numbers(record, layout, rows) + "</svg>\n";
}

}  // namespace integration
