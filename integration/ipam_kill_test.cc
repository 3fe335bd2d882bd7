// SPDX-License-Identifier: Apache-2.0

// The real crossover-ipam, killed at every door to the kernel: whatever of an ADD or a DEL was done by then, one DEL
// more makes every address free again, and without it no address is handed out twice and none is lost.
// tests/ipam/store_crash_test.cc does the same to the store, step by step, with power cuts and full disks.

#include <doctest/doctest.h>

#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "integration/fixture/answer.h"
#include "integration/fixture/leases.h"

namespace {

using fixture::LeaseNode;
using support::Count;
using support::Cut;
using Strings = std::vector<std::string>;

// Sanitizers make thousands of system calls of their own before the first of ours; there, a part of the rest will do.
#if defined(__SANITIZE_ADDRESS__)
constexpr Count kCount = Count::kFromInput;
constexpr std::size_t kWidth = 9;
#else
constexpr Count kCount = Count::kFromStart;
constexpr std::size_t kWidth = 1;
#endif

const Strings kKeepers = {"10.9.0.2/29", "fd09::2/125"};
constexpr unsigned kNoAddress = 110;

// An answer that somebody may have read is a promise, even if we died while we gave it.
void check_promise(const LeaseNode& node, const Cut& cut) {
  if (cut.out.empty() || !nlohmann::json::accept(cut.out)) return;
  const auto leases = node.leases();
  REQUIRE(leases.count("victim") == 1);
  CHECK(leases.at("victim") == fixture::addresses_of(cut.out));
}

// One DEL, and what the victim had or nearly had can be had by another: there is room for one beside the keeper.
void delete_and_replace(const LeaseNode& node) {
  node.del("victim");
  CHECK(node.leases().size() == 1);
  CHECK(node.add("other") == Strings{"10.9.0.3/29", "fd09::3/125"});
  node.del("other");
}

// No DEL: the victim has its addresses or they are free, and all are given to others, each once.
void only_others(const LeaseNode& node) {
  int others = 0;
  std::string last = "other0";
  for (auto added = node.call("ADD", last);; added = node.call("ADD", last)) {
    if (!added.ok()) {
      CHECK(fixture::error_of(added).code == kNoAddress);
      break;
    }
    const auto leases = node.leases();  // which finds addresses that are leased twice
    REQUIRE(leases.count(last) == 1);
    CHECK(leases.at(last) == fixture::addresses_of(added.out));
    last = "other" + std::to_string(++others);
  }
  const auto leases = node.leases();
  CHECK(leases.size() == 3);  // none was lost
  CHECK(leases.at("keeper") == kKeepers);
  for (int i = 0; i < others; ++i) node.del("other" + std::to_string(i));
  node.del("victim");
}

using Act = std::function<void(const LeaseNode&)>;

void kill_everywhere(const std::string& verb, unsigned room, const Act& prepare, const Act& then) {
  const LeaseNode node(room);
  REQUIRE(node.add("keeper") == kKeepers);
  std::size_t points = 0;
  for (std::size_t at = 1;; at += kWidth, ++points) {
    prepare(node);
    const Cut cut = node.kill(verb, "victim", kCount, at);
    CAPTURE(at);
    CAPTURE(cut.last);
    if (verb == "ADD") check_promise(node, cut);
    then(node);
    CHECK(node.leases() == std::map<std::string, Strings>{{"keeper", kKeepers}});
    if (cut.killed) continue;
    CHECK(cut.status == 0);
    (void)std::printf("kill: %s: killed at %zu of %zu stops\n", verb.c_str(), points, cut.stops);
    break;
  }
  CHECK(points >= 100 / kWidth);
  CHECK(node.call("GC", "", R"(,"cni.dev/valid-attachments":[{"containerID":"keeper","ifname":"eth0"}])").ok());
  CHECK(node.traces().empty());
}

void nothing(const LeaseNode& /*node*/) {}
void add(const LeaseNode& node) { (void)node.add("victim"); }

}  // namespace

TEST_SUITE("ipam.kill") {
  TEST_CASE("A4.4 after an ADD killed at any system call one DEL makes its addresses free") {
    kill_everywhere("ADD", 2, nothing, delete_and_replace);
  }

  TEST_CASE("after an ADD killed at any system call and no DEL no address is handed out twice or lost") {
    kill_everywhere("ADD", 3, nothing, only_others);
  }

  TEST_CASE("A5.1 a DEL killed at any system call is finished by one DEL") {
    kill_everywhere("DEL", 2, add, delete_and_replace);
  }

  TEST_CASE("after a DEL killed at any system call no address is handed out twice or lost") {
    kill_everywhere("DEL", 3, add, only_others);
  }
}
