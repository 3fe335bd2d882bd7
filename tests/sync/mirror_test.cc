// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/mirror.h"

#include <doctest/doctest.h>

#include "tests/sync/answers.h"

namespace {

using plugin::sync::Kind;
using plugin::sync::mirror_blocks;
using plugin::sync::mirror_label;
using plugin::sync::Mirrored;
using plugin::sync::Seen;

TEST_SUITE_BEGIN("sync.mirror");

const std::string kCilium = "cilium label: io.cilium.migration/cilium-default is true\n";
const std::string kLegacy = "legacy label: io.cilium.migration/cilium-default is absent\n";

std::optional<Seen> seen(Kind kind, const std::string& object) {
  return std::get<plugin::sync::Listed>(plugin::sync::read_list(kind, "node1", answers::list(kind, object))).object;
}

std::optional<Seen> node(const std::string& cidr = "10.244.1.0/24") {
  return seen(Kind::kNode, answers::node("", cidr));
}
std::optional<Seen> cilium_node(const std::string& cidr = "10.245.1.0/24") {
  return seen(Kind::kCiliumNode, answers::cilium_node(cidr));
}

TEST_CASE("only true means cilium") {
  CHECK(mirror_label({}, "true").bytes == kCilium);
  CHECK(mirror_label({}, std::nullopt).bytes == kLegacy);
  for (const char* value : {"", "false", "True", "TRUE", "1", "yes"})
    CHECK(mirror_label({}, value).bytes == "legacy label: io.cilium.migration/cilium-default is not \"true\"\n");
}

TEST_CASE("a node-state that is missing, auto or ours follows the label") {
  for (const char* old : {"auto\n", "auto until Monday\n", "legacy label: x\n", "cilium label: x"})
    CHECK(mirror_label(old, "true").bytes == kCilium);
  CHECK(mirror_label(kCilium, std::nullopt).bytes == kLegacy);
}

TEST_CASE("what is right already is not written again") {
  const Mirrored same = mirror_label(kCilium, "true");
  CHECK_FALSE(same.bytes);
  CHECK(same.kept.empty());
}

TEST_CASE("an operator's word, any hold and what cannot be understood stay, and it is said") {
  for (const char* old : {"legacy rolling back\n", "legacy\n", "hold\n", "hold firmware\n", "hold label: x\n", "", "\n",
                          "ciliu", "cilium\nlegacy label: x\n", "cilium \x01"}) {
    INFO(old);
    const Mirrored left = mirror_label(old, "true");
    CHECK_FALSE(left.bytes);
    CHECK(
        left.kept ==
        "node-state was not written by crossover-sync and stays; the label says cilium; `crossover set auto` hands it "
        "over");
  }
}

TEST_CASE("an operator's word that says the same stays without a word") {
  const Mirrored left = mirror_label("cilium ticket 4711\n", "true");
  CHECK_FALSE(left.bytes);
  CHECK(left.kept.empty());
}

TEST_CASE("the CiliumNode's podCIDRs come first, the Node's where there is none") {
  CHECK(mirror_blocks({}, "node1", cilium_node(), node()).bytes ==
        "# crossover-sync: CiliumNode node1\n10.245.1.0/24\n");
  CHECK(mirror_blocks({}, "node1", std::nullopt, node()).bytes == "# crossover-sync: Node node1\n10.244.1.0/24\n");
  CHECK(mirror_blocks("# crossover-sync: Node node1\n10.244.1.0/24\n", "node1", cilium_node(), node()).bytes ==
        "# crossover-sync: CiliumNode node1\n10.245.1.0/24\n");
}

TEST_CASE("crossover-ipam reads what is written") {
  const std::string file =
      mirror_blocks({}, "node1", cilium_node("10.245.1.0/24\",\"fd00:10:1::/120"), node()).bytes.value();
  CHECK(ipam::cidrs_text(std::get<ipam::Answer>(ipam::read_blocks_file(file)).cidrs) ==
        "10.245.1.0/24, fd00:10:1::/120");
}

TEST_CASE("podCIDRs that are right already are not written again") {
  const Mirrored same =
      mirror_blocks("# crossover-sync: CiliumNode node1\n10.245.1.0/24\n", "node1", cilium_node(), node());
  CHECK_FALSE(same.bytes);
  CHECK(same.kept.empty());
}

TEST_CASE("the Node's podCIDRs never take the place of a CiliumNode's") {
  const Mirrored left =
      mirror_blocks("# crossover-sync: CiliumNode node1\n10.245.1.0/24\n", "node1", std::nullopt, node());
  CHECK_FALSE(left.bytes);
  CHECK(left.kept == "there is no CiliumNode any more: its podCIDRs stay; remove the file to take the Node's");
}

TEST_CASE("a CiliumNode that has no podCIDRs yet changes nothing") {
  const Mirrored left =
      mirror_blocks("# crossover-sync: Node node1\n10.244.1.0/24\n", "node1", cilium_node(""), node());
  CHECK_FALSE(left.bytes);
  CHECK(left.kept == "the podCIDR file stays: spec.ipam of the CiliumNode has neither podCIDRs nor allocated pools");
}

TEST_CASE("a podCIDR file of somebody else stays") {
  for (const char* old : {"10.245.9.0/24\n", "", "# by hand\n", "{}"}) {
    const Mirrored left = mirror_blocks(old, "node1", cilium_node(), node());
    CHECK_FALSE(left.bytes);
    CHECK(left.kept == "the podCIDR file was not written by crossover-sync and stays; remove it to hand it over");
  }
}

TEST_SUITE_END();

}  // namespace
