// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/objects.h"

#include <doctest/doctest.h>

#include "tests/support/data.h"
#include "tests/sync/answers.h"

namespace {

using plugin::sync::Kind;
using plugin::sync::Lines;
using plugin::sync::Listed;
using plugin::sync::read_event;
using plugin::sync::read_list;
using plugin::sync::WatchEvent;
using Type = plugin::sync::WatchEvent::Type;

TEST_SUITE_BEGIN("sync.objects");

Listed listed(Kind kind, const std::string& body) {
  const auto out = read_list(kind, "node1", body);
  INFO((std::holds_alternative<std::string>(out) ? std::get<std::string>(out) : ""));
  REQUIRE(std::holds_alternative<Listed>(out));
  return std::get<Listed>(out);
}

std::string problem(Kind kind, const std::string& body) {
  const auto out = read_list(kind, "node1", body);
  return std::holds_alternative<std::string>(out) ? std::get<std::string>(out) : "no problem";
}

std::string blocks(const plugin::sync::Seen& seen) {
  if (const std::string* sentence = std::get_if<std::string>(&seen.blocks)) return *sentence;
  return ipam::cidrs_text(std::get<ipam::Answer>(seen.blocks).cidrs);
}

TEST_CASE("a Node and a CiliumNode of a real cluster") {
  const Listed node = listed(Kind::kNode, answers::list(Kind::kNode, support::data("k8s/node.json"), "2776"));
  REQUIRE(node.object);
  CHECK(node.object->label == "true");
  CHECK(blocks(*node.object) == "10.244.0.0/24");
  CHECK(node.resource_version == "2776");
  const Listed cilium =
      listed(Kind::kCiliumNode, answers::list(Kind::kCiliumNode, support::data("k8s/ciliumnode.json")));
  REQUIRE(cilium.object);
  CHECK(blocks(*cilium.object) == "10.245.0.0/24");
}

TEST_CASE("an element of a list need not say its kind, as those of a real list do not") {
  const std::string body =
      R"({"kind":"NodeList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"node1"},"spec":{"podCIDRs":["10.244.1.0/24"]}}]})";
  CHECK(blocks(*listed(Kind::kNode, body).object) == "10.244.1.0/24");
}

TEST_CASE("no such object is an answer") {
  CHECK_FALSE(listed(Kind::kNode, answers::list(Kind::kNode)).object);
  CHECK_FALSE(listed(Kind::kNode, R"({"kind":"NodeList","metadata":{"resourceVersion":"1"},"items":null})").object);
}

TEST_CASE("an object of another name is not ours, whatever was asked for") {
  CHECK_FALSE(
      listed(Kind::kNode, answers::list(Kind::kNode, answers::node("true", "10.244.2.0/24", "1", "node2"))).object);
}

TEST_CASE("a label is taken to the letter") {
  const std::string other =
      R"({"metadata":{"name":"node1","labels":{"IO.Cilium.migration/Cilium-Default":"true"}},"spec":{"podCIDRs":["10.244.1.0/24"]}})";
  CHECK_FALSE(listed(Kind::kNode, answers::list(Kind::kNode, other)).object->label);
}

TEST_CASE("podCIDRs that cannot be used are a sentence, and the label counts all the same") {
  const Listed none = listed(Kind::kNode, answers::list(Kind::kNode, answers::node("true", "")));
  CHECK(none.object->label == "true");
  CHECK(blocks(*none.object) == "spec of the Node has neither podCIDRs nor podCIDR");
  const Listed bad = listed(Kind::kNode, answers::list(Kind::kNode, answers::node("", "10.244.1.7/24")));
  CHECK(blocks(*bad.object) == "10.244.1.7/24 must be a CIDR without host bits: 10.244.1.0/24");
}

TEST_CASE("answers that are no list") {
  CHECK(problem(Kind::kNode, "{}") == "the list of Nodes is of another kind");
  CHECK(problem(Kind::kNode, answers::list(Kind::kCiliumNode)) == "the list of Nodes is of another kind");
  CHECK(problem(Kind::kNode, R"({"kind":"NodeList","items":[]})") ==
        "the list of Nodes has no usable metadata.resourceVersion");
  CHECK(problem(Kind::kNode, R"({"kind":"NodeList","metadata":{"resourceVersion":"1&watch"},"items":[]})") ==
        "the list of Nodes has no usable metadata.resourceVersion");
  CHECK(problem(Kind::kNode, R"({"kind":"NodeList","metadata":{"resourceVersion":"1"}})") ==
        "the list of Nodes has no items");
  CHECK(problem(Kind::kNode, answers::list(Kind::kNode, R"({"metadata":{"name":"node1","labels":[]}})")) ==
        "the list of Nodes: `labels` is no object");
}

TEST_CASE("every answer that was cut off is refused, and never quoted") {
  const std::string whole = answers::list(Kind::kNode, answers::node("true"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string sentence = problem(Kind::kNode, whole.substr(0, size));
    INFO(size);
    CHECK(sentence != "no problem");
    CHECK(sentence.find("cilium-default") == std::string::npos);
  }
}

TEST_CASE("answers of an unreasonable depth or size are refused") {
  CHECK(problem(Kind::kNode, std::string(100'000, '[')) != "no problem");
  CHECK(problem(Kind::kNode, R"({"a":")" + std::string(plugin::sync::kMaxObjectBytes, 'x') + "\"}") != "no problem");
}

TEST_CASE("the five events of a watch") {
  const auto event = [](const std::string& line) { return read_event(Kind::kNode, "node1", line); };
  const WatchEvent added = event(answers::event("ADDED", answers::node("true")));
  CHECK(added.type == Type::kSeen);
  CHECK(added.object->label == "true");
  CHECK(added.resource_version == "7");
  CHECK(event(answers::event("MODIFIED", answers::node())).type == Type::kSeen);
  CHECK(event(answers::event("DELETED", answers::node())).type == Type::kGone);
  const WatchEvent bookmark = event(answers::bookmark(Kind::kNode, "99"));
  CHECK(bookmark.type == Type::kBookmark);
  CHECK(bookmark.resource_version == "99");
  CHECK(event(answers::error(410)).type == Type::kExpired);
}

TEST_CASE("events that are of no use say why, without their content") {
  const auto why = [](const std::string& line) {
    const WatchEvent event = read_event(Kind::kNode, "node1", line);
    CHECK(event.type == Type::kUseless);
    return event.problem;
  };
  CHECK(why(answers::error(500)) == "500: the API server has trouble");
  CHECK(why(answers::event("ERROR", "{}")) == "the API server ended the watch with an error");
  CHECK(why(answers::event("ERROR", R"({"code":99999999999})")) == "the API server ended the watch with an error");
  CHECK(why(R"({"type":"ADDED"})") == "an event of the Node has no object");
  CHECK(why(answers::event("ADDED", answers::cilium_node())) == "an event of the Node is of another kind");
  CHECK(why(answers::event("RENAMED", answers::node())) ==
        "an event of the Node is of a type that is none of ADDED, MODIFIED, DELETED, BOOKMARK, ERROR");
  CHECK(why("secret").find("secret") == std::string::npos);
}

TEST_CASE("an event of another node changes nothing") {
  CHECK(read_event(Kind::kNode, "node1", answers::event("DELETED", answers::node("", "", "9", "node2"))).type ==
        Type::kOther);
}

TEST_CASE("a watch cut at every byte has the same lines") {
  const std::string stream = answers::event("ADDED", answers::node("true")) + "\r\n\n" +
                             answers::bookmark(Kind::kNode, "9") + answers::event("DELETED", answers::node());
  Lines whole;
  std::vector<std::string> expected;
  REQUIRE(whole.add(stream, expected));
  REQUIRE(expected.size() == 3);
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    Lines lines;
    std::vector<std::string> found;
    CHECK(lines.add(std::string_view(stream).substr(0, first), found));
    CHECK(lines.is_torn() == (first != 0 && stream[first - 1] != '\n'));
    CHECK(lines.add(std::string_view(stream).substr(first), found));
    CHECK(found == expected);
  }
  Lines bytewise;
  std::vector<std::string> found;
  for (const char c : stream) REQUIRE(bytewise.add(std::string(1, c), found));
  CHECK(found == expected);
}

TEST_CASE("a line without an end is not collected for ever") {
  Lines lines;
  std::vector<std::string> found;
  const std::string much(std::size_t{1} << 20, 'x');
  for (int count = 0; count < 4; ++count) CHECK(lines.add(much, found));
  CHECK_FALSE(lines.add("x", found));
}

TEST_CASE("targets name the one object and ask for bookmarks") {
  CHECK(plugin::sync::list_target(Kind::kNode, "node1") == "/api/v1/nodes?fieldSelector=metadata.name%3Dnode1");
  CHECK(plugin::sync::watch_target(Kind::kCiliumNode, "n.example", "42") ==
        "/apis/cilium.io/v2/ciliumnodes?fieldSelector=metadata.name%3Dn.example&watch=true&allowWatchBookmarks=true"
        "&timeoutSeconds=240&resourceVersion=42");
}

TEST_CASE("names of nodes") {
  for (const char* good : {"node1", "ip-10-0-0-1.eu-west-1.compute.internal", "1"})
    CHECK(plugin::sync::is_node_name(good));
  for (const char* bad : {"", "Node1", "a/b", "-a", "a.", "a b", "a&b", "a%3D", "a\nb"})
    CHECK_FALSE(plugin::sync::is_node_name(bad));
  CHECK_FALSE(plugin::sync::is_node_name(std::string(254, 'a')));
}

TEST_SUITE_END();

}  // namespace
