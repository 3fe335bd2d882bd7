// SPDX-License-Identifier: Apache-2.0

// net.d is a battlefield: while others write in it, in all the ways in which they do, pods start and die through the
// built binary, with Debian's bridge on the legacy network and its ptp as cilium-cni. Nothing here depends on who is
// faster: the lists were whole once, before the storm.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "conf/fd.h"
#include "integration/fixture/agent.h"
#include "integration/fixture/node.h"

namespace {

namespace fs = std::filesystem;
using fixture::Node;
using std::chrono::milliseconds;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

// A sanitizer makes each process slow to start.
#if defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 6;
#else
constexpr int kRounds = 12;
#endif

constexpr const char* kLegacyLease = "/var/lib/cni/networks/cbr0";
constexpr const char* kCiliumLease = "/var/lib/cni/networks/cilium";

std::string ipam(const std::string& subnet) {
  return R"("ipam":{"type":"host-local","ranges":[[{"subnet":")" + subnet + R"("}]]})";
}

/// The legacy list as one of its writers has it; they differ in length.
std::string legacy_list(const std::string& writer = {}) {
  return R"({"cniVersion":"1.0.0","name":"cbr0","comment":")" + writer +
         R"(","plugins":[{"type":"bridge","bridge":"field0",)" + ipam("10.61.0.0/16") + "}]}\n";
}

std::string cilium_list() {
  return R"({"cniVersion":"1.0.0","name":"cilium","plugins":[{"type":"cilium-cni",)" + ipam("10.62.0.0/16") + "}]}\n";
}

/// Sorts behind the legacy list; it must never be taken.
constexpr const char* kStranger = R"({"cniVersion":"1.0.0","name":"podman","plugins":[{"type":"stranger"}]})";

void pause() { std::this_thread::sleep_for(milliseconds(1)); }

/// Truncates, then writes in pieces, as `cat > file` and an installer's plain write do.
void write_in_pieces(const fs::path& path, const std::string& text) {
  const conf::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return;  // somebody else's directory is there
  pause();
  for (std::size_t at = 0; at < text.size(); at += text.size() / 3 + 1) {
    if (::write(fd.get(), text.data() + at, std::min(text.size() / 3 + 1, text.size() - at)) < 0) return;
    pause();
  }
}

void replace(const fs::path& path, const std::string& text) {
  const fs::path temporary = path.string() + ".new";
  std::ofstream(temporary) << text;
  std::error_code ignored;  // another writer was there first
  fs::rename(temporary, path, ignored);
}

bool is_for_runtimes(const std::string& name) {
  return name.ends_with(".conflist") || name.ends_with(".conf") || name.ends_with(".json");
}

/// Cilium's agent with cni-exclusive, on each change in its directory: the others' files renamed, its own put back.
void exclusive(const fs::path& dir) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, ignored)) {
    const std::string name = entry.path().filename();
    if (name == "05-cilium.conflist" || !is_for_runtimes(name) || !entry.is_regular_file(ignored)) continue;
    fs::rename(entry.path(), entry.path().string() + ".cilium_bak", ignored);
  }
  if (fixture::read_file(dir / "05-cilium.conflist") != cilium_list())
    replace(dir / "05-cilium.conflist", cilium_list());
  pause();
}

/// vi with a swap file and a backup: the old file is moved away, the new one written, the backup removed.
void edit_with_backup(const fs::path& file) {
  const fs::path swap = file.parent_path() / ("." + file.filename().string() + ".swp");
  std::ofstream(swap) << "b0VIM 9.0" << std::string(4096, '\0');
  std::ofstream(file.parent_path() / "4913") << "";
  std::error_code ignored;
  fs::remove(file.parent_path() / "4913", ignored);
  fs::rename(file, file.string() + "~", ignored);
  pause();
  write_in_pieces(file, legacy_list("edited"));
  fs::remove(file.string() + "~", ignored);
  fs::remove(swap, ignored);
}

/// sed -i, and emacs with its lock, a link to nowhere.
void edit_by_rename(const fs::path& file) {
  std::error_code ignored;
  const fs::path lock = file.parent_path() / (".#" + file.filename().string());
  fs::create_symlink("user@host.4711:1763711133", lock, ignored);
  replace(file, legacy_list());
  fs::remove(lock, ignored);
  pause();
}

void remove_for_a_moment(const fs::path& file, const std::string& text) {
  std::error_code ignored;
  fs::remove(file, ignored);
  pause();
  replace(file, text);
  pause();
}

/// One of each kind under names that runtimes load, in front of the lists; then they are gone again.
void litter(const fs::path& dir) {
  std::error_code ignored;
  const auto name = [&](int i) { return dir / ("0" + std::to_string(i) + "-junk.conflist"); };
  fs::create_directories(name(1), ignored);
  fs::create_symlink(name(2), name(2), ignored);
  fs::create_symlink("/dev/zero", name(3), ignored);
  (void)::mkfifo(name(4).c_str(), 0600);
  (void)std::ofstream(name(5)).put('{');
  fs::resize_file(name(5), std::uintmax_t{1} << 33U, ignored);
  std::ofstream(name(6)) << R"({"cniVersion":"1.0.0","name":"junk","plugins":[]})";
  std::ofstream(name(7)) << std::string(
      "\x7f"
      "ELF\0\0\0",
      7);
  std::ofstream(dir / "08-junk.conf") << legacy_list();  // a list in a .conf is none
  std::ofstream(dir / "09-junk.json") << "null";
  pause();
  for (int i = 1; i <= 7; ++i) fs::remove(name(i), ignored);
  for (const char* other : {"08-junk.conf", "09-junk.json"}) fs::remove(dir / other, ignored);
}

class Battlefield {
 public:
  Battlefield() : node_({"stranger"}), agent_("/var/run/cilium/cilium.sock") {
    fs::create_symlink("/usr/lib/cni/ptp", node_.bin_dir() / "cilium-cni");
    replace(legacy(), legacy_list());
    for (const fs::path& dir : {cilium().parent_path(), node_.state_dir()}) fs::create_directories(dir);
    replace(cilium(), cilium_list());
    for (int i = 0; i < kWorkers; ++i) (void)node_.pod(netns(i));
    live_and_die(0, "before", 0);  // both lists are known from here on
    live_and_die(0, "before", 1);
    REQUIRE(problems_.empty());
    links_ = links();  // with the bridge, which stays
  }
  ~Battlefield() {
    if (support::run({"ip", "link", "show", "field0"}).ok()) (void)support::run({"ip", "link", "del", "field0"});
  }
  Battlefield(const Battlefield&) = delete;
  Battlefield& operator=(const Battlefield&) = delete;

  [[nodiscard]] const Node& node() const { return node_; }
  [[nodiscard]] fs::path legacy() const { return node_.net_dir() / "10-legacy.conflist"; }
  [[nodiscard]] fs::path cilium() const { return node_.net_dir() / "crossover.d" / "05-cilium.conflist"; }

  /// While each writer does its part over and over, pods start and die; then all must be as before.
  void storm(const std::vector<std::function<void()>>& writers) {
    std::atomic<bool> over = false;
    std::vector<std::thread> threads;
    for (const auto& writer : writers)
      threads.emplace_back([&over, &writer] {
        while (!over) writer();
      });
    std::vector<std::thread> workers;
    for (int i = 0; i < kWorkers; ++i)
      workers.emplace_back([this, i] {
        for (int round = 0; round < kRounds; ++round) live_and_die(i, "w" + std::to_string(i), round);
      });
    for (std::thread& worker : workers) worker.join();
    over = true;
    for (std::thread& writer : threads) writer.join();
    judge();
  }

 private:
  static constexpr int kWorkers = 2;

  static std::string netns(int worker) { return "field" + std::to_string(worker); }

  // By rename, as `crossover set` writes it. Two networks in turn, so that a DEL often comes after the node has moved.
  void to(int round) const { replace(node_.state_dir() / "node-state", round % 2 == 0 ? "legacy" : "cilium"); }

  void live_and_die(int worker, const std::string& prefix, int round) {
    const std::string id = prefix + "-" + std::to_string(round);
    const fixture::Env path = {{"CNI_PATH", node_.bin_dir().string() + ":/usr/lib/cni"}};
    if (worker == 0) to(round);
    const auto added = node_.call("ADD", id, "/run/netns/" + netns(worker), path);
    if (!added.ok()) return problem("ADD " + id + ": " + added.out);
    const std::string address = Json::parse(added.out).at("ips").at(0).at("address");
    const bool is_legacy = address.starts_with("10.61.");
    if (!is_legacy && !address.starts_with("10.62.")) problem(id + " has the address " + address);
    const fs::path lease = fs::path(is_legacy ? kLegacyLease : kCiliumLease) / address.substr(0, address.find('/'));
    if (!fs::exists(lease)) problem(id + " has no lease at " + lease.string());
    if (worker == 0) to(round + 1);
    const auto deleted = node_.call("DEL", id, "/run/netns/" + netns(worker), path);
    if (!deleted.ok()) return problem("DEL " + id + ": " + deleted.out);
    if (fs::exists(lease)) problem(id + " left its lease");
    if (node_.has_link(netns(worker), "eth0")) problem(id + " left its interface");
  }

  void problem(const std::string& what) {
    const std::lock_guard lock(mutex_);
    problems_.push_back(what);
  }

  void judge() {
    for (const std::string& what : problems_) FAIL_CHECK(what);
    CHECK(node_.records().empty());
    CHECK(node_.plugins().calls().empty());  // the stranger's
    for (const char* leases : {kLegacyLease, kCiliumLease})
      for (const fs::directory_entry& entry : fs::directory_iterator(leases))
        CHECK_MESSAGE(entry.path().filename().string().find('.') == entry.path().filename().string().rfind('.'),
                      entry.path());  // "lock" and "last_reserved_ip.0" stay
    for (const std::string& link : links()) CHECK_MESSAGE(links_.count(link) == 1, link);
    judge_events();
  }

  static std::set<std::string> links() {
    std::set<std::string> names;
    for (const Json& link : Json::parse(support::must_run({"ip", "-json", "link", "show"})))
      names.insert(link.at("ifname"));
    return names;
  }

  // The DEL of every pod went to the plugin of its ADD, by what was logged of both.
  void judge_events() const {
    std::istringstream lines(fixture::read_file(node_.state_dir() / "events.jsonl"));
    std::map<std::string, std::string> plugin_of;
    int ended = 0;
    for (std::string line; std::getline(lines, line);) {
      const Json event = Json::parse(line);
      CAPTURE(line);
      REQUIRE(event.at("delegates").size() == 1);
      const std::string plugin = event.at("delegates").at(0).at("type");
      if (event.at("verb") == "ADD") {
        CHECK(plugin == (event.at("network") == "legacy" ? "bridge" : "cilium-cni"));
        plugin_of[event.at("containerID")] = plugin;
      } else {
        CHECK(plugin == plugin_of.at(event.at("containerID")));
        ++ended;
      }
    }
    CHECK(ended == kWorkers * kRounds + 2);
  }

  Node node_;
  fixture::Agent agent_;
  std::set<std::string> links_;
  std::mutex mutex_;
  Strings problems_;
};

}  // namespace

TEST_SUITE("verbs.battlefield") {
  TEST_CASE("Cilium with cni-exclusive, in net.d itself, and a DaemonSet that puts its list back: pods come and go") {
    Battlefield field;
    const fs::path dir = field.node().net_dir();
    field.storm({[&] { exclusive(dir); }, [&] { write_in_pieces(field.legacy(), legacy_list("daemonset")); }});
    exclusive(dir);
    REQUIRE(fs::exists(dir / "00-crossover.conflist.cilium_bak"));
    const auto status = field.node().command({"status", "--json"});
    CAPTURE(status.out);
    CHECK(status.out.find("00-crossover.conflist.cilium_bak is there: Cilium renamed it") != std::string::npos);
    CHECK(status.out.find("write-cni-conf-when-ready") != std::string::npos);
  }

  TEST_CASE("lists that are written in place and in pieces, before a stranger's that is whole: pods come and go") {
    Battlefield field;
    fixture::write_file(field.node().net_dir() / "87-podman.conflist", kStranger);
    field.storm({[&] { write_in_pieces(field.legacy(), legacy_list("daemonset")); },
                 [&] { write_in_pieces(field.cilium(), cilium_list()); }});
  }

  TEST_CASE("two that write one list at once, each in pieces and of another length: pods come and go") {
    Battlefield field;
    field.storm({[&] { write_in_pieces(field.legacy(), legacy_list("one")); },
                 [&] { write_in_pieces(field.legacy(), legacy_list(std::string(300, '2'))); }});
  }

  TEST_CASE("editors with their swap, backup and lock files, and lists away for a moment: pods come and go") {
    Battlefield field;
    field.storm({[&] {
                   edit_with_backup(field.legacy());
                   edit_by_rename(field.legacy());
                   remove_for_a_moment(field.legacy(), legacy_list());
                 },
                 [&] { remove_for_a_moment(field.cilium(), cilium_list()); }});
  }

  TEST_CASE("junk of every kind in front of the lists, and all the writers at once: pods come and go") {
    Battlefield field;
    const fs::path dir = field.node().net_dir();
    field.storm({[&] { litter(dir); }, [&] { litter(dir / "crossover.d"); }, [&] { exclusive(dir); },
                 [&] { write_in_pieces(field.legacy(), legacy_list("daemonset")); },
                 [&] { remove_for_a_moment(field.cilium(), cilium_list()); }});
  }
}
