// SPDX-License-Identifier: Apache-2.0

// A CNI plugin that remembers what it was asked and answers what it was told to. Installed under many names; its
// directory is $RECORDER_DIR, else `.recorder` beside it:
//
//   log.jsonl     one line when a call begins: {"type","verb","argv":[...],"env":{"CNI_...":"..."},"process":{...},
//                 "pid","ppid","stdin"}; `env` holds every CNI_* variable that is set and those named in `watch`,
//                 `process` what else a program inherits: working directory, file mode mask, ignored and blocked
//                 signals, how many descriptors beyond the three. One line when a call ends on its own:
//                 {"type","verb","done":true,"pid"}
//   watch         names of further environment variables to log, one a line
//   <type>.json   the script: an object with a member for each verb it changes, "*" for the others, see Step
//   state/        a file `<type>,<container id>,<interface>` from ADD to DEL: what is left there is a leak. A failing
//                 ADD leaves its file, as a plugin that dies half way does
//
// Without a script: ADD passes prevResult on or makes a result of the version it is asked in, VERSION knows all seven,
// the rest succeeds. DEL of what it does not know succeeds, as with every real plugin.

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>

#include <nlohmann/json.hpp>

extern char** environ;

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

/// What a script says about one verb; every member is optional.
struct Step {
  Json answer;              ///< "stdout": printed as it is, instead of the usual answer
  std::string err;          ///< "stderr"
  int exit_status = 0;      ///< "exit"
  int signal = 0;           ///< "signal": dies by it, before it answers
  std::string wait_for;     ///< "waitFor": goes on when that file of our directory exists
  long sleep_ms = 0;        ///< "sleepMs"
  std::size_t fill = 0;     ///< "fill": prints that many bytes
  long leave_child_ms = 0;  ///< "leaveChildMs": a background child keeps our stdout open that long
  bool keep = false;        ///< "keep": leaves the state as it is
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

fs::path directory(const fs::path& program) {
  const std::string set = variable("RECORDER_DIR");
  return set.empty() ? program.parent_path() / ".recorder" : fs::path(set);
}

Step load_step(const fs::path& script, const std::string& verb) {
  Step step;
  if (!fs::exists(script)) return step;
  const Json all = Json::parse(read_file(script));
  const Json said = all.contains(verb) ? all.at(verb) : all.value("*", Json::object());
  if (said.contains("stdout")) step.answer = said.at("stdout");
  step.err = said.value("stderr", "");
  step.exit_status = said.value("exit", 0);
  step.signal = said.value("signal", 0);
  step.wait_for = said.value("waitFor", "");
  step.sleep_ms = said.value("sleepMs", 0L);
  step.fill = said.value("fill", std::size_t{0});
  step.leave_child_ms = said.value("leaveChildMs", 0L);
  step.keep = said.value("keep", false);
  return step;
}

// One write to a file opened for appending: lines of calls that run at the same time stay whole.
void log_line(const fs::path& dir, const Json& line) {
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const int fd = ::open((dir / "log.jsonl").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::exit(99);
  (void)::close(fd);
}

Json logged_environment(const fs::path& dir) {
  Json env = Json::object();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (text.substr(0, 4) != "CNI_" || equals == std::string_view::npos) continue;
    const std::string name(text.substr(0, equals));
    if (env.contains(name)) env["twice"] = name;  // a duplicated variable is somebody's bug
    env[name] = std::string(text.substr(equals + 1));
  }
  std::ifstream watch(dir / "watch");
  for (std::string name; std::getline(watch, name);)
    if (std::getenv(name.c_str()) != nullptr) env[name] = variable(name.c_str());
  return env;
}

Json inherited() {
  Json result = {{"directory", fs::current_path()}, {"descriptors", -1}};  // the listing has one of its own
  for (const auto& entry : fs::directory_iterator("/proc/self/fd"))
    if (std::stoi(entry.path().filename()) > STDERR_FILENO)
      result["descriptors"] = result["descriptors"].get<int>() + 1;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const std::string key = line.substr(0, line.find(':'));
    const std::string value = line.substr(std::min(line.size(), key.size() + 2));
    if (key == "Umask") result[key] = value;
    // The first 31: those above are the C library's own and the real-time ones.
    if (key == "SigIgn" || key == "SigBlk") result[key] = std::to_string(std::stoull(value, nullptr, 16) & 0x7fffffffU);
  }
  return result;
}

void hold(const fs::path& dir, const Step& step) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!step.wait_for.empty() && !fs::exists(dir / step.wait_for)) {
    if (std::chrono::steady_clock::now() > limit) std::exit(97);  // whoever should have let us go is dead
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(step.sleep_ms));
}

void keep_state(const fs::path& dir, const std::string& type, const std::string& verb) {
  std::string id = variable("CNI_CONTAINERID");
  if (id.size() > 128) id = std::to_string(std::hash<std::string>{}(id));  // a file's name ends at 255
  const fs::path file = dir / "state" / (type + "," + id + "," + variable("CNI_IFNAME"));
  fs::create_directories(file.parent_path());
  if (verb == "ADD") std::ofstream(file) << variable("CNI_NETNS");
  if (verb == "DEL") fs::remove(file);
}

Json made_result(const std::string& version) {
  // Some address, the same for the same container, so that two runs can be compared.
  const std::size_t hash = std::hash<std::string>{}(variable("CNI_CONTAINERID") + variable("CNI_IFNAME"));
  const std::string octets = std::to_string(hash % 250) + "." + std::to_string(hash / 250 % 250 + 1);
  const std::string address = "10.9." + octets + "/16";
  const Json route = Json{{"dst", "0.0.0.0/0"}, {"gw", "10.9.0.1"}};
  if (version.empty() || version == "0.1.0" || version == "0.2.0")
    return {{"cniVersion", version.empty() ? "0.1.0" : version},
            {"ip4", {{"ip", address}, {"gateway", "10.9.0.1"}, {"routes", Json::array({route})}}},
            {"dns", {{"nameservers", Json::array({"10.96.0.10"})}}}};
  Json ip = {{"interface", 1}, {"address", address}, {"gateway", "10.9.0.1"}};
  if (version[0] == '0') ip["version"] = "4";
  return {{"cniVersion", version},
          {"interfaces", Json::array({{{"name", "host0"}, {"mac", "0a:00:00:00:00:01"}},
                                      {{"name", variable("CNI_IFNAME")}, {"sandbox", variable("CNI_NETNS")}}})},
          {"ips", Json::array({ip})},
          {"routes", Json::array({route})},
          {"dns", {{"nameservers", Json::array({"10.96.0.10"})}}}};
}

std::string usual_answer(const std::string& verb, const std::string& input) {
  if (verb == "VERSION")
    return R"({"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]})";
  if (verb != "ADD") return {};
  const Json config = Json::parse(input);
  if (config.contains("prevResult")) return config.at("prevResult").dump();
  return made_result(config.value("cniVersion", "")).dump();
}

void leave_child(long milliseconds) {
  if (milliseconds == 0 || ::fork() != 0) return;
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  ::_exit(0);
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0) std::exit(98);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void answer(const Step& step, const std::string& verb, const std::string& input) {
  std::cerr << step.err << std::flush;
  if (step.signal != 0) {
    const rlimit no_core{0, 0};
    (void)::setrlimit(RLIMIT_CORE, &no_core);
    (void)::signal(step.signal, SIG_DFL);
    (void)::raise(step.signal);
  }
  leave_child(step.leave_child_ms);
  if (step.fill != 0) print(std::string(step.fill, 'x'));
  if (!step.answer.is_null()) return print(step.answer.get<std::string>());
  if (step.exit_status == 0) print(usual_answer(verb, input));
}

}  // namespace

int main(int argc, char** argv) {
  const fs::path program = argv[0];
  const fs::path dir = directory(program);
  const std::string type = program.filename();
  const std::string verb = variable("CNI_COMMAND");
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};

  const Json arguments(std::vector<std::string>(argv, argv + argc));
  log_line(dir, {{"type", type},
                 {"verb", verb},
                 {"argv", arguments},
                 {"env", logged_environment(dir)},
                 {"process", inherited()},
                 {"pid", ::getpid()},
                 {"ppid", ::getppid()},
                 {"stdin", input}});
  const Step step = load_step(dir / (type + ".json"), verb);
  // A failing DEL keeps its state, a failing ADD leaves some: in both cases a later DEL has something to do.
  if (!step.keep && verb == "ADD") keep_state(dir, type, verb);
  hold(dir, step);
  if (!step.keep && verb == "DEL" && step.exit_status == 0 && step.signal == 0) keep_state(dir, type, verb);
  if (step.signal == 0) log_line(dir, {{"type", type}, {"verb", verb}, {"done", true}, {"pid", ::getpid()}});
  answer(step, verb, input);
  return step.exit_status;
}
