// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

// Where a benchmark runs: nothing of the machine's is touched, and all goes with the process.
namespace bench {

/// Own mount and network namespaces; needs root.
void isolate();

void mount_tmpfs(const std::filesystem::path& at);

/// A network namespace held under a path, as runtimes hold a pod's. Returns the path.
std::filesystem::path make_netns(const std::filesystem::path& path);

/// From here on this process is in that network namespace, and so are the programs that it starts.
void enter(const std::filesystem::path& netns);

/// Directories are made.
void write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace bench
