// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/access.h"

#include <doctest/doctest.h>

#include <cstring>
#include <map>

#include "tests/support/refusal.h"
#include "tests/support/scratch.h"

namespace {

using plugin::sync::Access;
using plugin::sync::access_from;
using plugin::sync::AccessOptions;
using plugin::sync::checked_server;
using plugin::sync::Credentials;
using plugin::sync::read_kubeconfig;
using support::refusal_of;

TEST_SUITE_BEGIN("sync.access");

const char* const kRefused = "no usable access to the API server";

plugin::sync::Environment environment(const std::map<std::string, std::string>& variables) {
  return [variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

std::string refused_server(const std::string& url) {
  const conf::CniError error = refusal_of([&] { return checked_server(url); });
  CHECK(error.msg() == kRefused);
  CHECK(error.code() == 7);
  return error.details();
}

std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return R"({"current-context":"c","contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],)"
         R"("clusters":[{"name":"k","cluster":)" +
         cluster + R"(}],"users":[{"name":"other","user":{}},{"name":"u","user":)" + user + "}]}";
}

std::string refused_kubeconfig(const std::string& cluster, const std::string& user) {
  return refusal_of([&] { return read_kubeconfig(kubeconfig(cluster, user), "/d"); }).details();
}

TEST_CASE("addresses that are safe") {
  CHECK(checked_server("https://10.96.0.1:443") == "https://10.96.0.1:443");
  CHECK(checked_server("https://[fd00::1]:6443/") == "https://[fd00::1]:6443");
  CHECK(checked_server("https://rancher.example.org/k8s/clusters/c-1/") ==
        "https://rancher.example.org/k8s/clusters/c-1");
  CHECK(checked_server("http://127.0.0.1:8001") == "http://127.0.0.1:8001");
  CHECK(checked_server("http://[::1]:8001") == "http://[::1]:8001");
}

TEST_CASE("addresses that are not") {
  for (const char* url : {"", "10.96.0.1:443", "ftp://127.0.0.1", "file:///etc/shadow", "HTTPS://a"})
    CHECK(refused_server(url) == "the server's address must begin with https://");
  for (const char* url : {"https://", "https:///x", "https://user:secret@10.0.0.1", "https://a?x", "https://a#x",
                          "https://a b", "https://a:", "https://a:b", "https://a:1234567", "https://[::1"})
    CHECK(refused_server(url) == "the server's address must be https://HOST[:PORT][/PATH]");
  for (const char* url : {"http://10.0.0.1", "http://localhost:1", "http://127.0.0.1.example.org", "http://[::2]:1"})
    CHECK(refused_server(url) == "http:// is for 127.0.0.1 and [::1] only; the server needs https://");
}

TEST_CASE("the service account of the pod") {
  conf::RealDisk disk;
  Access access = access_from(
      {}, environment({{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}}), disk);
  CHECK(access.server == "https://10.96.0.1:443");
  CHECK(access.token.path == "/var/run/secrets/kubernetes.io/serviceaccount/token");
  CHECK(access.ca.path == "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
  access =
      access_from({}, environment({{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}}), disk);
  CHECK(access.server == "https://[fd00::1]:443");
  support::check_refusal(
      refusal_of([&] { return access_from({}, environment({}), disk); }), conf::Code::kInvalidConfig, kRefused,
      "neither --server nor --kubeconfig, and KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
}

TEST_CASE("options that contradict each other are refused") {
  conf::RealDisk disk;
  const auto why = [&disk](const AccessOptions& options) {
    return refusal_of([&] { return access_from(options, environment({}), disk); }).details();
  };
  AccessOptions options;
  options.token_file = "/t";
  CHECK(why(options) == "--ca-file, --token-file, --client-cert and --client-key need --server");
  options.server = "https://a";
  options.kubeconfig = "/k";
  CHECK(why(options) == "--server and --kubeconfig exclude each other");
  options.kubeconfig = "";
  options.client_cert = "/c";
  CHECK(why(options) == "--client-cert and --client-key go together");
}

TEST_CASE("a kubeconfig with inline data, and one with files") {
  const Access inline_data =
      read_kubeconfig(kubeconfig(R"({"server":"https://a:6443","certificate-authority-data":"Q0E="})",
                                 R"({"client-certificate-data":"Q1JU","client-key-data":"S0VZ","token":"abc"})"),
                      "/d");
  CHECK(inline_data.server == "https://a:6443");
  CHECK(inline_data.ca.bytes == "CA");
  CHECK(inline_data.certificate.bytes == "CRT");
  CHECK(inline_data.key.bytes == "KEY");
  CHECK(inline_data.token.bytes == "abc");
  const Access files = read_kubeconfig(
      kubeconfig(R"({"server":"https://a","certificate-authority":"ca.crt","insecure-skip-tls-verify":false})",
                 R"({"tokenFile":"/run/token"})"),
      "/d");
  CHECK(files.ca.path == "/d/ca.crt");
  CHECK(files.token == plugin::sync::Source{.path = "/run/token", .bytes = {}});
}

TEST_CASE("a kubeconfig that wants what is not done is refused, and nothing of it is quoted") {
  const std::string good = R"({"server":"https://a"})";
  CHECK(refused_kubeconfig(R"({"server":"https://a","insecure-skip-tls-verify":true})", "{}") ==
        "the kubeconfig's cluster has `insecure-skip-tls-verify`, which is not supported");
  CHECK(refused_kubeconfig(good, R"({"exec":{"command":"aws"}})") ==
        "the kubeconfig's user has `exec`; a token or a certificate is needed");
  CHECK(refused_kubeconfig(good, R"({"username":"a","password":"secret"})") ==
        "the kubeconfig's user has `username`; a token or a certificate is needed");
  CHECK(refused_kubeconfig(good, R"({"client-certificate-data":"!secret"})") ==
        "`client-certificate-data` in the kubeconfig is no base64");
  CHECK(refused_kubeconfig(good, R"({"client-key-data":"S0VZ"})") ==
        "the kubeconfig's user has only one of client-certificate and client-key");
  CHECK(refusal_of([] { return read_kubeconfig("apiVersion: v1\nkind: Config\n", "/d"); }).details() ==
        "the kubeconfig is no JSON; `kubectl config view --raw --minify -o json` prints it so");
  CHECK(refusal_of([] { return read_kubeconfig(R"({"current-context":"x"})", "/d"); }).details() ==
        "the kubeconfig has no context of the name that is asked for");
}

TEST_CASE("a token is read again each time, and what is no token is refused unseen") {
  const scratch::Folder folder;
  conf::RealDisk disk;
  Access access;
  access.token.path = folder.write("token", "first\n");
  const auto loaded = [&] { return plugin::sync::load(access, disk); };
  CHECK(std::get<Credentials>(loaded()).token == "first");
  folder.write("token", "second");
  CHECK(std::get<Credentials>(loaded()).token == "second");
  for (const char* bad : {"secret\r\nX-Remote-User: root", "secret two", "\n", "sec\x7fret"}) {
    folder.write("token", bad);
    CHECK(std::get<std::string>(loaded()) == access.token.path + " is no token");
  }
  folder.write("token", "");
  CHECK(std::get<std::string>(loaded()) == "no credentials: " + access.token.path + " is empty");
  access.token.path += "-gone";
  CHECK(std::get<std::string>(loaded()) == "no credentials: " + access.token.path + " does not exist");
}

TEST_SUITE_END();

}  // namespace
