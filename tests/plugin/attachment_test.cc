// SPDX-License-Identifier: Apache-2.0
#include "plugin/attachment.h"

#include <doctest/doctest.h>

#include "tests/support/refusal.h"

namespace {

using plugin::Attachment;
using plugin::parse_record;

Attachment attachment() {
  Attachment out;
  out.id = {.container_id = "5fc10b", .ifname = "eth0"};
  out.network = plugin::Network::kCilium;
  out.reason = "node-state says cilium";
  out.netns = "/var/run/netns/cni-1";
  out.netns_id = {.inode = 4026532281, .cookie = 17};
  out.boot_id = "0a1b";
  out.started_ms = 1763711133241;
  out.pod_namespace = "default";
  out.pod_name = "web-0";
  out.pod_uid = "8a27";
  out.args = "IgnoreUnknown=1;K8S_POD_NAME=web-0";
  out.path = "/opt/cni/bin";
  out.list = conf::parse_list(
      R"({"cniVersion":"0.3.1","name":"cilium","plugins":[{"type":"cilium-cni","big":18446744073709551616}]})", "x");
  out.list.load_only_inlined = true;
  out.runtime_config = conf::Object::parse(R"({"portMappings":[{"hostPort":8080}]})", "x");
  return out;
}

void check_equal(const Attachment& a, const Attachment& b) {
  CHECK(a.id == b.id);
  CHECK(a.network == b.network);
  CHECK(a.reason == b.reason);
  CHECK(a.netns == b.netns);
  CHECK(a.netns_id == b.netns_id);
  CHECK(a.boot_id == b.boot_id);
  CHECK(a.started_ms == b.started_ms);
  CHECK(a.pod_namespace == b.pod_namespace);
  CHECK(a.pod_name == b.pod_name);
  CHECK(a.pod_uid == b.pod_uid);
  CHECK(a.args == b.args);
  CHECK(a.path == b.path);
  CHECK(a.list == b.list);
  CHECK(a.runtime_config == b.runtime_config);
  CHECK(a.libcni_cache == b.libcni_cache);
  CHECK(a.result == b.result);
}

TEST_SUITE_BEGIN("plugin.attachment");

TEST_CASE("a record comes back as it was written, documents to the byte") {
  Attachment written = attachment();
  const std::optional<Attachment> pending = parse_record(intent_line(written), "x");
  REQUIRE(pending);
  CHECK(pending->pending());
  check_equal(*pending, written);
  written.result = "{ \"cniVersion\":\"0.3.1\", \"ips\":[] }";
  written.ready_ms = 1763711133290;
  written.libcni_cache = "/var/lib/cni/results/cbr0-5fc10b-eth0";
  const std::optional<Attachment> ready = parse_record(record_text(written), "x");
  REQUIRE(ready);
  CHECK_FALSE(ready->pending());
  CHECK(ready->ready_ms == written.ready_ms);
  check_equal(*ready, written);
}

TEST_CASE("failed DELs are counted, the last one wins") {
  const std::string text =
      record_text(attachment()) + plugin::failure_line(1, "gone", 5) + plugin::failure_line(2, "still gone", 6);
  const std::optional<Attachment> read = parse_record(text, "x");
  REQUIRE(read);
  CHECK(read->failed_deletes == 2);
  CHECK(read->last_failure == "still gone");
}

TEST_CASE("cut anywhere, a record is nothing, pending or ready, and never an error") {
  Attachment written = attachment();
  const std::size_t intent = intent_line(written).size();
  written.result = "{}";
  const std::string text = record_text(written);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CAPTURE(cut);
    const std::optional<Attachment> read = parse_record(std::string_view(text).substr(0, cut), "x");
    CHECK(read.has_value() == (cut >= intent));
    if (read) CHECK(read->pending() == (cut < text.size()));
  }
}

TEST_CASE("what is whole and no record is refused with the file and the key") {
  const auto refused = [](const std::string& text) {
    return support::refusal_of([&] { return parse_record(text, "/s/a:eth0"); });
  };
  const auto check = [&](const std::string& text, std::string_view details) {
    support::check_refusal(refused(text), conf::Code::kState, "record cannot be read", details);
  };
  check("[]\n", "/s/a:eth0: a line is no JSON object");
  check("{\"crossover\":1\n", "/s/a:eth0: a line is no JSON object");
  check("{}\n", "/s/a:eth0: `crossover` must be 1, the format this release reads");
  check("{\"crossover\":2}\n", "/s/a:eth0: `crossover` must be 1, the format this release reads");
  check("{\"crossover\":\"1\"}\n", "/s/a:eth0: `crossover` must be a number");
  check("{\"crossover\":1,\"containerID\":\"../a\",\"ifname\":\"eth0\"}\n",
        "/s/a:eth0: `containerID` is no container id");
  check("{\"crossover\":1,\"containerID\":\"a\",\"ifname\":\"e/0\"}\n", "/s/a:eth0: `ifname` is no interface name");
  check("{\"crossover\":1,\"containerID\":\"a\",\"ifname\":\"eth0\",\"network\":\"calico\"}\n",
        "/s/a:eth0: `network` must be legacy or cilium");
  CHECK(refused("{\"crossover\":1,\"containerID\":\"a\",\"ifname\":\"eth0\",\"network\":\"legacy\",\"list\":\"{}\"}\n")
            .code() == 7);
}

TEST_CASE("bytes that are no UTF-8 do not make a record impossible") {
  Attachment odd = attachment();
  odd.args = "K=\xff";
  const std::optional<Attachment> read = parse_record(intent_line(odd), "x");
  REQUIRE(read);
  CHECK(read->args == "K=\xef\xbf\xbd");
}

TEST_SUITE_END();

}  // namespace
