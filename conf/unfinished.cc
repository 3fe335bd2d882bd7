// SPDX-License-Identifier: Apache-2.0
#include "conf/unfinished.h"

#include <algorithm>

namespace conf {
namespace {

constexpr std::string_view kSuffix = ".tmp";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool is_unfinished_name(std::string_view name) {
  if (!name.starts_with('.') || !name.ends_with(kSuffix)) return false;
  name.remove_suffix(kSuffix.size());
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot < 2) return false;  // there is a name between the first dot and this one
  const std::string_view number = name.substr(dot + 1);
  return !number.empty() && std::all_of(number.begin(), number.end(), is_digit);
}

std::vector<std::string> unfinished_files(Disk& disk, const std::string& dir,
                                          std::chrono::system_clock::time_point before) {
  std::vector<std::string> out;
  for (const DirEntry& entry : disk.list(dir)) {
    if (!entry.is_regular || !is_unfinished_name(entry.name)) continue;
    std::string path = dir + '/' + entry.name;
    const std::optional<FileInfo> info = disk.info(path);
    if (info && info->modified < before) out.push_back(std::move(path));
  }
  return out;
}

}  // namespace conf
