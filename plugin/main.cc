// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "conf/disk.h"
#include "conf/error.h"
#include "conf/json.h"
#include "conf/request.h"
#include "conf/version.h"
#include "netlink/nft_client.h"
#include "plugin/cli.h"
#include "plugin/dispatch.h"
#include "plugin/role.h"
#include "plugin/system.h"

// Wires the real edges together, runs one call or one command, and is the only place that prints and exits.
namespace {

using conf::CniError;
using conf::Code;

constexpr std::chrono::milliseconds kStdinDeadline{10'000};
constexpr std::chrono::milliseconds kVersionStdinDeadline{100};  // VERSION must work with a stdin that nobody closes

std::string read_boot_id(conf::Disk& disk) {
  const std::optional<std::string> text = disk.read("/proc/sys/kernel/random/boot_id", 128);
  if (!text || text->empty()) return "unknown";  // no /proc: VERSION and --help must work all the same
  return text->substr(0, text->find('\n'));
}

std::vector<std::string> inherited_environment() {
  std::vector<std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) out.emplace_back(*entry);
  return out;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string read_stdin(conf::Verb verb) {
  if (verb == conf::Verb::kVersion) {
    try {
      return conf::read_to_end(STDIN_FILENO, conf::kMaxConfigBytes, kVersionStdinDeadline, "stdin");
    } catch (const CniError&) {
      return {};  // VERSION needs nothing from it
    }
  }
  const std::size_t limit = verb == conf::Verb::kGc ? conf::kMaxGcBytes : conf::kMaxConfigBytes;
  return conf::read_to_end(STDIN_FILENO, limit, kStdinDeadline, "stdin");
}

// Errors come back in the version we were asked in, as far as that can be told.
std::string asked_version(std::string_view stdin_text) {
  try {
    const conf::Object config = conf::Object::parse(stdin_text, "stdin", conf::kMaxGcBytes);
    std::string version = conf::string_member(config, "cniVersion", "stdin").value_or("");
    if (conf::is_supported(version)) return version;
  } catch (const CniError&) {
    // not JSON: the error being printed says so
  }
  return std::string(conf::kNewestVersion);
}

int fail(const CniError& error, std::string_view stdin_text) {
  (void)std::fprintf(stderr, "crossover: %s\n", error.what());
  (void)write_all(STDOUT_FILENO,
                  conf::error_json(error, asked_version(stdin_text)) + '\n');  // the exit status says it too
  return 1;
}

int run_plugin(plugin::System& system, plugin::Role role) {
  std::string stdin_text;
  try {
    const conf::Request request = conf::parse_request([](const char* name) { return std::getenv(name); });
    stdin_text = read_stdin(request.verb);
    const std::string out = plugin::dispatch(system, role, request, stdin_text);
    if (!out.empty() && !write_all(STDOUT_FILENO, out + '\n')) return 1;  // nobody reads: the runtime is gone
    return 0;
  } catch (const CniError& error) {
    return fail(error, stdin_text);
  } catch (const std::exception& error) {
    return fail(CniError(Code::kInternal, "internal error", error.what()), stdin_text);
  }
}

int about(plugin::Role role) {
  (void)std::fprintf(stderr,
                     "%s %s: a CNI plugin that moves a node's pods from one network to another.\n"
                     "CNI versions 0.1.0 to 1.1.0. A runtime sets CNI_COMMAND; people say `crossover --help`.\n",
                     std::string(plugin::role_name(role)).c_str(), CROSSOVER_VERSION);
  return 0;
}

// A closed stdin, stdout or stderr would give its number to the first file we open.
void keep_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
      break;  // without /dev the descriptor stays closed, and writes to it fail as they should
}

}  // namespace

int main(int argc, char** argv) {
  keep_standard_descriptors();
  (void)::signal(SIGPIPE, SIG_IGN);  // a reader that is gone must not end a call half way
  const std::string_view name = plugin::base_name(argc > 0 ? argv[0] : "crossover");
  const plugin::Role role = plugin::role_for(name);
  const char* command = std::getenv("CNI_COMMAND");
  const bool is_call = command != nullptr && *command != '\0';
  if (!is_call && argc < 2) return about(role);

  conf::RealDisk disk;
  plugin::ProcessRunner runner;
  plugin::KernelPods pods;
  plugin::SocketAgent agent;
  plugin::RealClock clock;
  netlink::KernelFirewall firewall;
  netlink::KernelFlows flows;
  netlink::KernelHostLinks host_links;
  netlink::KernelFib fib;
  plugin::System system{.disk = disk,
                        .runner = runner,
                        .pods = pods,
                        .agent = agent,
                        .clock = clock,
                        .firewall = firewall,
                        .flows = flows,
                        .host_links = host_links,
                        .fib = fib,
                        .boot_id = read_boot_id(disk),
                        .started_ns = clock.boot_ns(),
                        .environment = inherited_environment(),
                        .self = {.name = std::string(name), .file = disk.info("/proc/self/exe")},
                        .places = {}};
  return is_call ? run_plugin(system, role) : plugin::run_command_line(system, argc, argv);
}
