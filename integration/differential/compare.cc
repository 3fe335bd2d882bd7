// SPDX-License-Identifier: Apache-2.0
#include "integration/differential/compare.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include <nlohmann/json.hpp>

namespace differential {
namespace {

using Json = nlohmann::json;
using fixture::Call;
using fixture::Node;
using Ids = std::set<std::string>;

// A document whose fractions and over-long integers stay the text they were: {"number": "0.10"}.
class Exact : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  explicit Exact(Json& target) : json_sax_dom_parser(target, true) {}
  bool number_float(number_float_t, const string_t& text) {
    std::string marked = "number " + text;
    return string(marked);
  }
};

Json exact(const std::string& text) {
  Json root;
  Exact handler(root);
  REQUIRE_MESSAGE(Json::sax_parse(text, &handler), "no JSON: " << text);
  return root;
}

double as_double(const Json& number) {
  const std::string text = number.is_string() ? number.get<std::string>().substr(7) : number.dump();
  return std::strtod(text.c_str(), nullptr);
}

bool is_number(const Json& value) {
  return value.is_number() || (value.is_string() && value.get<std::string>().rfind("number ", 0) == 0);
}

// Turns numbers of `theirs` that lost digits into those of `ours`.
void restore_digits(Json& theirs, const Json& ours, Ids& met) {
  if (is_number(theirs) && is_number(ours)) {
    if (theirs != ours && as_double(theirs) == as_double(ours)) {
      met.insert("A2.5");
      theirs = ours;
    }
    return;
  }
  if (theirs.type() != ours.type()) return;
  if (theirs.is_object())
    for (auto& [key, value] : theirs.items())
      if (ours.contains(key)) restore_digits(value, ours.at(key), met);
  if (theirs.is_array())
    for (std::size_t i = 0; i < theirs.size() && i < ours.size(); ++i) restore_digits(theirs[i], ours[i], met);
}

void keep_only(Json& object, const std::set<std::string>& keys) {
  if (!object.is_object()) return;
  for (auto item = object.begin(); item != object.end();)
    item = keys.count(item.key()) == 0 || item->empty() ? object.erase(item) : std::next(item);
}

// A result without what the specification does not know and without empty members.
Json known_part(Json result) {
  keep_only(result, {"cniVersion", "interfaces", "ips", "routes", "dns", "ip4", "ip6"});
  if (result.contains("ips"))
    for (Json& ip : result["ips"]) keep_only(ip, {"version", "interface", "address", "gateway"});
  return result;
}

void take_our_result(Json& theirs, const Json& ours, Ids& met) {
  if (!theirs.contains("prevResult") || !ours.contains("prevResult")) return;
  if (theirs["prevResult"] == ours["prevResult"]) return;
  if (known_part(theirs["prevResult"]) != known_part(ours["prevResult"])) return;
  met.insert("A11.6");
  theirs["prevResult"] = ours["prevResult"];
}

void drop(Json& theirs, const char* key, const char* id, Ids& met) {
  if (theirs.erase(key) != 0) met.insert(id);
}

const Entry& entry_of(const Case& one, const Call& call, const Json& input) {
  for (const Entry& entry : one.list.plugins) {
    if (entry.type != call.type) continue;
    const bool same = std::all_of(entry.members.begin(), entry.members.end(), [&](const auto& member) {
      return member.first != "bridge" || input.at("bridge") == Json::parse(member.second);
    });
    if (same) return entry;
  }
  FAIL("a plugin that is in no list: " << call.type);
  std::abort();
}

bool written(const Entry& entry, const std::string& key) {
  return std::any_of(entry.members.begin(), entry.members.end(), [&](const auto& m) { return m.first == key; });
}

// Applies every intended difference to what libcni gave the plugin; the rest must be equal.
void compare_input(const Case& one, const Call& theirs, const Call& ours, Ids& met) {
  Json expected = exact(theirs.input);
  const Json got = exact(ours.input);
  const Entry& entry = entry_of(one, theirs, expected);
  drop(expected, "capabilities", "B4.7", met);
  drop(expected, "cni.dev/valid-attachments", "B4.7", met);
  if (written(entry, "runtimeConfig")) drop(expected, "runtimeConfig", "B4.7", met);
  if (written(entry, "prevResult") && theirs.verb == "ADD") drop(expected, "prevResult", "B4.7", met);
  if (expected.value("cniVersion", "x").empty()) drop(expected, "cniVersion", "B4.1", met);
  take_our_result(expected, got, met);
  restore_digits(expected, got, met);
  CHECK(got == expected);
}

// What the list's author wrote must reach the plugin to the byte.
void check_bytes(const Case& one, const Call& ours) {
  static const std::set<std::string> replaced = {"name",          "cniVersion", "capabilities",
                                                 "runtimeConfig", "prevResult", "cni.dev/valid-attachments"};
  for (const auto& [key, value] : entry_of(one, ours, Json::parse(ours.input)).members) {
    if (replaced.count(key) != 0) continue;
    const std::string member = "\"" + key + "\":" + value;
    CHECK_MESSAGE(ours.input.find(member) != std::string::npos, member << " is not in " << ours.input);
  }
}

void compare_calls(const Case& one, const std::vector<Call>& theirs, const std::vector<Call>& ours, Ids& met) {
  const auto names = [](const std::vector<Call>& calls) {
    std::string text;
    for (const Call& call : calls) text += call.name() + "; ";
    return text;
  };
  REQUIRE(names(ours) == names(theirs));
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    CAPTURE(theirs[i].name());
    CHECK(Json(ours[i].env) == Json(theirs[i].env));
    CHECK(Json(ours[i].argv) == Json(theirs[i].argv));
    CHECK(Json(ours[i].process) == Json(theirs[i].process));
    CHECK(ours[i].descriptors <= theirs[i].descriptors + 1);  // our lock, which must outlive us if we are killed
    compare_input(one, theirs[i], ours[i], met);
    check_bytes(one, ours[i]);
  }
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void compare_error(const Step& theirs, const Step& ours, Ids& met) {
  REQUIRE(theirs.answer.status == 1);
  REQUIRE(ours.answer.status == 1);
  const Json expected = Json::parse(theirs.answer.out);
  const Json got = Json::parse(ours.answer.out);
  // libcni says 0 for what was no error object, 999 (the driver) for an answer it could not read.
  const bool was_cni_error = expected.at("code") != 0 && expected.at("msg") != expected.at("text");
  if (!was_cni_error) {
    met.insert("B5.6");
    CHECK(got.at("code").get<unsigned>() >= 100);
    CHECK(contains(got.at("text"), theirs.calls.back().type));
    return;
  }
  CHECK(got.at("code") == expected.at("code"));
  CHECK(contains(got.at("msg"), expected.at("msg")));
  CHECK(contains(got.value("details", ""), expected.value("details", "")));
}

void compare_failed_add(const Case& one, const Pair& both, Ids& met) {
  compare_error(both.libcni.add, both.crossover.add, met);
  std::vector<Call> theirs = both.libcni.add.calls;
  theirs.insert(theirs.end(), both.libcni.del.calls.begin(), both.libcni.del.calls.end());
  compare_calls(one, theirs, both.crossover.add.calls, met);
  met.insert("B6.2");
  CHECK(both.crossover.del.answer.status == 0);
  CHECK(both.crossover.del.calls.empty());
}

void compare_check(const Case& one, const Pair& both, Ids& met) {
  if (both.libcni.check.answer.status != 0) {
    CHECK(contains(both.libcni.check.answer.out, "does not support the CHECK command"));
    CHECK(both.crossover.check.calls.empty());
    met.insert("A6.6");
  }
  CHECK(both.crossover.check.answer.status == 0);
  compare_calls(one, both.libcni.check.calls, both.crossover.check.calls, met);
}

Transcript run_one(const Node& node, const std::filesystem::path& list, const Case& one, const std::string& netns,
                   const std::vector<std::string>& more) {
  std::vector<std::string> options = {"--id", "5fc10b52c750", "--netns", netns, "--args", one.args};
  if (!one.caps.empty()) options.insert(options.end(), {"--caps", one.caps});
  options.insert(options.end(), more.begin(), more.end());
  const auto step = [&](const std::string& verb) {
    node.plugins().clear_log();
    Step result;
    result.answer = node.libcni(verb, list, options, {{"TRACEPARENT", "00-0af7-01"}});
    result.calls = node.plugins().calls();
    return result;
  };
  Transcript all;
  all.add = step("add");
  if (all.add.answer.ok()) {
    node.add_link("web-0", "eth0");  // a stand-in makes none, and CHECK looks for it
    all.check = step("check");
    node.remove_link("web-0", "eth0");
  }
  all.del = step("del");
  all.leaks = node.plugins().leaks();
  return all;
}

}  // namespace

Pair run_both(const Case& one) {
  std::vector<std::string> types;
  for (const Entry& entry : one.list.plugins)
    if (std::find(types.begin(), types.end(), entry.type) == types.end()) types.push_back(entry.type);
  const Node node(types);
  const std::string file = one.single ? "10-legacy.conf" : "10-legacy.conflist";
  node.legacy(one.single ? one.list.single_text() : one.list.text(), file);
  node.plugins().watch({"TRACEPARENT"});
  for (const auto& [type, script] : one.scripts) node.plugins().script(type, script);
  const std::string netns = node.pod("web-0");
  Pair both;
  // Its cache is elsewhere: for Crossover it would be the evidence of an older pod.
  both.libcni =
      run_one(node, node.net_dir() / file, one, netns, {"--as", "1.0.0", "--cache", (node.dir() / "cache").string()});
  both.crossover = run_one(node, node.conflist(), one, netns, {"--as", "1.0.0"});
  CHECK(node.records().empty());
  return both;
}

void compare(const Case& one, const Pair& both) {
  CAPTURE(both.crossover.add.answer.err);
  Ids met;
  if (!both.libcni.add.answer.ok()) {
    compare_failed_add(one, both, met);
  } else {
    REQUIRE(both.crossover.add.answer.ok());
    CHECK(exact(both.crossover.add.answer.out) == exact(both.libcni.add.answer.out));
    compare_calls(one, both.libcni.add.calls, both.crossover.add.calls, met);
    compare_check(one, both, met);
    REQUIRE(both.libcni.del.answer.ok());
    CHECK(both.crossover.del.answer.ok());
    compare_calls(one, both.libcni.del.calls, both.crossover.del.calls, met);
  }
  CHECK(both.libcni.leaks.empty());
  CHECK(both.crossover.leaks.empty());
  CHECK(Json(met) == Json(one.differences));
}

}  // namespace differential
