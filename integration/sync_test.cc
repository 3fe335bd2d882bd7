// SPDX-License-Identifier: Apache-2.0
// crossover-sync against a strict stand-in for the API server, and its TLS against that of openssl.
#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "integration/fixture/api_server.h"
#include "integration/fixture/sync_node.h"
#include "integration/support/process.h"

namespace {

namespace fs = std::filesystem;
using fixture::ApiServer;
using fixture::Background;
using fixture::eventually;
using fixture::kCilium;
using fixture::kLegacy;
using nlohmann::json;
using support::Finished;
using Mood = fixture::ApiServer::Mood;
using Node = fixture::SyncNode;

TEST_SUITE_BEGIN("integration.sync");

TEST_CASE("one look mirrors the label and the podCIDRs, and asks for no more than it may") {
  Node node;
  node.server->put_node("true");
  node.server->put_cilium_node("10.245.1.0/24");
  node.good_once();
  CHECK(node.state() == kCilium);
  CHECK(node.read("state/pod-cidrs") == "# crossover-sync: CiliumNode node1\n10.245.1.0/24\n");
  CHECK(node.status()["problem"] == "");
  CHECK(node.status()["server"] == node.server->url());
  CHECK(node.status()["lastSuccess"] > 0);
  CHECK(node.server->complaints().empty());
  CHECK(node.server->requests() == std::vector<std::string>{"list Node 200", "list CiliumNode 200"});
}

TEST_CASE("crossover-ipam takes its addresses from what is written") {
  Node node;
  node.server->install_cilium(false);
  node.good_once();
  const json config = {{"cniVersion", "1.0.0"},
                       {"name", "net"},
                       {"ipam",
                        {{"type", "crossover-ipam"},
                         {"stateDir", node.dir + "/state"},
                         {"podCIDRsFrom", "file:" + node.dir + "/state/pod-cidrs"}}}};
  const Finished added = support::run({BIN_DIR "/crossover-ipam"},
                                      {{"CNI_COMMAND", "ADD"},
                                       {"CNI_CONTAINERID", "pod-a"},
                                       {"CNI_IFNAME", "eth0"},
                                       {"CNI_NETNS", "/proc/self/ns/net"},
                                       {"CNI_PATH", BIN_DIR}},
                                      config.dump());
  INFO(added.out);
  REQUIRE(added.ok());
  CHECK(json::parse(added.out)["ips"][0]["address"].get<std::string>().starts_with("10.244.1."));
}

TEST_CASE("a label that comes and goes is followed, also when a watch is sent byte by byte") {
  Node node;
  node.server->dribble();
  const auto sync = node.start();
  REQUIRE(eventually([&] { return node.state() == kLegacy; }));
  node.server->put_node("true");
  REQUIRE(eventually([&] { return node.state() == kCilium; }));
  node.server->put_node("");
  REQUIRE(eventually([&] { return node.state() == kLegacy; }));
  node.server->put_cilium_node("10.245.7.0/24");
  REQUIRE(eventually([&] { return node.read("state/pod-cidrs").ends_with("10.245.7.0/24\n"); }));
  CHECK(node.count("list Node 200") == 1);  // the rest came by the watch
  CHECK(node.server->complaints().empty());
  CHECK(sync->end() == 0);
}

TEST_CASE("crossover set wins until crossover set auto") {
  Node node;
  node.good_once();
  node.set("hold");
  node.server->put_node("true");
  node.good_once();
  CHECK(node.state() == "hold\n");
  CHECK(node.status()["kept"].size() == 1);
  node.set("auto");
  node.good_once();
  CHECK(node.state() == kCilium);
}

TEST_CASE("whatever the API server does, the last good state stays, and it is said how old it is") {
  Node node;
  node.server->put_node("true");
  node.server->put_cilium_node("10.245.1.0/24");
  node.good_once();
  const json good = node.status();
  const std::string blocks = node.read("state/pod-cidrs");
  node.server->put_node("");
  for (const Mood mood : {Mood::kTorn, Mood::kCut, Mood::kHuge, Mood::kBroken, Mood::kRedirect}) {
    node.server->be(mood);
    const Finished done = node.once();
    INFO(static_cast<int>(mood) << done.err);
    CHECK(done.status == 1);
    CHECK(node.state() == kCilium);
    CHECK(node.read("state/pod-cidrs") == blocks);
    CHECK(node.status()["lastSuccess"] == good["lastSuccess"]);
    CHECK(node.status()["problem"] != "");
  }
  node.server.reset();  // and when nobody listens
  const Finished done = node.once({"--server", good["server"].get<std::string>()});
  CHECK(done.status == 1);
  CHECK(node.state() == kCilium);
  CHECK(node.status()["lastSuccess"] == good["lastSuccess"]);
}

TEST_CASE("redirects are not followed") {
  Node node;
  const support::Netns& net = *node.net;
  ApiServer other(net);
  node.server->redirect_to(other.url());
  node.server->be(Mood::kRedirect);
  CHECK(node.once().status == 1);
  CHECK(other.requests().empty());
  CHECK(other.complaints().empty());
  CHECK(node.status()["problem"].get<std::string>().starts_with("Node: 302: "));
}

TEST_CASE("no token is ever in an output or a file, though the API server sends it back") {
  Node node;
  for (const Mood mood : {Mood::kGood, Mood::kBroken, Mood::kTorn, Mood::kRedirect}) {
    node.server->be(mood);
    const Finished done = node.once();
    node.write("outputs", node.read("outputs") + done.out + done.err);
  }
  node.server->accept_token("another");
  const Finished done = node.once();
  CHECK(done.err.find("401") != std::string::npos);
  node.write("outputs", node.read("outputs") + done.out + done.err);
  CHECK(support::run({"grep", "-rlF", "first-token", node.dir}).out == node.dir + "/token\n");
  CHECK(support::run({"grep", "-rliE", "bearer|authorization", node.dir}).out.empty());
}

TEST_CASE("a token that is replaced is used from the next request on") {
  Node node;
  const auto sync = node.start();
  REQUIRE(eventually([&] { return node.count("watch Node 200") == 1; }));
  node.server->accept_token("second-token");
  node.server->hang_up();
  REQUIRE(eventually([&] { return node.count("list Node 401") >= 2; }));
  node.write("token", "second-token");
  node.server->put_node("true");
  REQUIRE(eventually([&] { return node.state() == kCilium; }));
  REQUIRE(eventually([&] { return node.status()["problem"] == ""; }));
  CHECK(sync->end() == 0);
}

TEST_CASE("a watch that was forgotten is begun anew by a list") {
  Node node;
  const auto sync = node.start();
  REQUIRE(eventually([&] { return node.count("watch Node 200") == 1; }));
  node.server->be(Mood::kGone);
  node.server->hang_up();
  REQUIRE(eventually([&] { return node.count("list Node 200") >= 2; }));
  node.server->be(Mood::kGood);
  node.server->put_node("true");
  REQUIRE(eventually([&] { return node.state() == kCilium; }));
  CHECK(sync->end() == 0);
}

TEST_CASE("SIGTERM ends it while it waits for an answer, and while it watches") {
  Node node;
  node.server->be(Mood::kSilent);
  auto sync = node.start();
  REQUIRE(eventually([&] { return node.count("list Node 200") == 1; }));
  CHECK(sync->end() == 0);
  CHECK(node.state().empty());
  node.server->be(Mood::kGood);
  sync = node.start();
  REQUIRE(eventually([&] { return node.count("watch CiliumNode 200") == 1; }));
  CHECK(sync->end() == 0);
}

/// An authority, a certificate of it for 127.0.0.1 and one for another name, and openssl's server with the answers.
class TlsServer {
 public:
  explicit TlsServer(const Node& node) : node_(node) {
    make_authority("ca");
    make_authority("stranger");
    make_certificate("server", "IP:127.0.0.1");
    make_certificate("other", "DNS:example.test");
    const std::string head = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n";
    const std::string selector = "?fieldSelector=metadata.name%3Dnode1";
    node_.write(
        "api/v1/nodes" + selector,
        head + R"({"kind":"NodeList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"node1",)"
               R"("labels":{"io.cilium.migration/cilium-default":"true"}},"spec":{"podCIDRs":["10.244.1.0/24"]}}]})");
    node_.write("apis/cilium.io/v2/ciliumnodes" + selector,
                head + R"({"kind":"CiliumNodeList","metadata":{"resourceVersion":"1"},"items":[]})");
  }
  [[nodiscard]] std::unique_ptr<Background> start(const std::string& certificate, const std::string& port) const {
    auto server = std::make_unique<Background>(
        *node_.net,
        support::words("openssl s_server -accept 127.0.0.1:" + port + " -cert " + file(certificate + ".crt") +
                       " -key " + file(certificate + ".key") + " -HTTP -quiet"),
        file("openssl.log"), node_.dir);
    const auto listens = [&] {
      return support::run(support::inside(*node_.net, nullptr, {"ss", "-Hltn", "sport", "=", ":" + port})).out.size() >
             1;
    };
    REQUIRE(eventually(listens));
    return server;
  }
  [[nodiscard]] std::string file(const std::string& name) const { return node_.dir + "/" + name; }

 private:
  void make_authority(const std::string& name) const {
    support::must_run(
        support::words("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
                       "-subj /CN=" +
                       name + " -keyout " + file(name + ".key") + " -out " + file(name + ".crt")));
  }
  void make_certificate(const std::string& name, const std::string& alternative) const {
    support::must_run(support::words("openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=" +
                                     name + " -keyout " + file(name + ".key") + " -out " + file(name + ".csr")));
    node_.write(name + ".ext", "subjectAltName=" + alternative + "\n");
    support::must_run(support::words("openssl x509 -req -days 2 -CAcreateserial -in " + file(name + ".csr") + " -CA " +
                                     file("ca.crt") + " -CAkey " + file("ca.key") + " -extfile " + file(name + ".ext") +
                                     " -out " + file(name + ".crt")));
  }
  const Node& node_;
};

TEST_CASE("TLS: the right authority and name are trusted, a wrong one, a wrong name and none are not") {
  Node node;
  const TlsServer tls(node);
  const auto server = tls.start("server", "6443");
  const auto other = tls.start("other", "6444");
  const auto look = [&](const std::string& port, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"--server", "https://127.0.0.1:" + port};
    words.insert(words.end(), more.begin(), more.end());
    return node.once(words);
  };
  const Finished stranger = look("6443", {"--ca-file", tls.file("stranger.crt")});
  CHECK(stranger.status == 1);
  CHECK(stranger.err.find("SSL certificate problem: unable to get local issuer certificate") != std::string::npos);
  const Finished none = look("6443", {});
  CHECK(none.status == 1);
  CHECK(none.err.find("SSL certificate problem") != std::string::npos);
  const Finished wrong_name = look("6444", {"--ca-file", tls.file("ca.crt")});
  CHECK(wrong_name.status == 1);
  CHECK(wrong_name.err.find("SSL: ") != std::string::npos);
  CHECK(node.state().empty());
  const Finished good = look("6443", {"--ca-file", tls.file("ca.crt")});
  INFO(good.err);
  CHECK(good.ok());
  CHECK(node.state() == kCilium);
}

TEST_CASE("used wrongly") {
  Node node;
  CHECK(node.once({"--server", "http://10.0.0.1"}).status == 2);
  CHECK(node.once({"--insecure"}).status == 2);
  CHECK(support::run({BIN_DIR "/crossover-sync", "--node", "a/b", "--once"}).status == 2);
  CHECK(support::run({BIN_DIR "/crossover-sync"}).status == 2);
  CHECK(support::run({BIN_DIR "/crossover-sync", "--help"}).ok());
}

TEST_CASE("a dry run says what it would write, and writes nothing") {
  Node node;
  const Finished done = node.once({"--dry-run"});
  CHECK(done.ok());
  CHECK(done.err.find("would write " + node.dir + "/state/node-state: legacy label: ") != std::string::npos);
  CHECK_FALSE(fs::exists(node.dir + "/state"));
}

TEST_CASE("what a runtime starts for every pod has no libcurl in it") {
  CHECK(support::run({"grep", "-c", "libcurl", BIN_DIR "/crossover"}).out == "0\n");
  CHECK(support::run({"grep", "-c", "libcurl", BIN_DIR "/crossover-sync"}).out != "0\n");
}

TEST_SUITE_END();

}  // namespace
