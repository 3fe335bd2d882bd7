// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>

#include "plugin/cli.h"
#include "plugin/install.h"
#include "tests/plugin/install_node.h"
#include "tests/support/refusal.h"

namespace {

namespace fs = std::filesystem;
using fakes::content;
using fakes::kCilium;
using fakes::kLegacy;
using fakes::mode_of;
using support::refusal_of;

TEST_SUITE_BEGIN("plugin.install_root");

/// A container with the host's root mounted, whose net.d and plugins are where some systems have them: behind links.
struct Container {
  fakes::InstallNode node;
  plugin::InstallOptions options;
  Container() {
    node.machine.write(host("/opt/cni/bin/bridge"), "");
    node.machine.write(host("/opt/cni/bin/portmap"), "");
    node.machine.write(host("/var/cni/10-legacy.conflist"), kLegacy);
    fs::create_directories(host("/etc/cni"));
    fs::create_symlink("/var/cni", host("/etc/cni/net.d"));
    options.root = host("");
    options.bin_dir = plugin::kDefaultBinDir;
  }
  [[nodiscard]] std::string host(const std::string& path) const { return node.machine.dir() + "/host" + path; }
  [[nodiscard]] std::string written() const { return content(host("/var/cni/00-crossover.conflist")); }
  plugin::Report install() {
    plugin::System system = node.machine.process();
    system.places.cilium_socket = plugin::Places{}.cilium_socket;
    return plugin::install_report(system, options, false);
  }
  std::string given(const std::string& text) {
    options.conflist = node.machine.dir() + "/given.conflist";
    node.machine.write(*options.conflist, text);
    return text;
  }
};

TEST_CASE("install --root puts the host's paths on the host, and again does nothing") {
  Container container;
  const auto before = container.node.files();
  const std::string done = container.install().text;
  CHECK(content(container.host("/opt/cni/bin/crossover")) == "the program");
  CHECK(mode_of(container.host("/opt/cni/bin/crossover")) == 0755);
  CHECK(fs::read_symlink(container.host("/opt/cni/bin/crossover-ipam")) == "crossover");
  CHECK(container.written() == plugin::default_conflist("/etc/cni/net.d"));
  CHECK(mode_of(container.host("/var/lib/cni/crossover")) == 0700);
  CHECK(done.find(container.host("")) == std::string::npos);
  CHECK(done.find("\n/etc/cni/net.d/00-crossover.conflist\n") != std::string::npos);
  CHECK(container.install().text == "all is in place\n");
  CHECK(container.node.files() == before);  // nothing of the container's own
}

TEST_CASE("install --root leaves the rules and routes of its own network namespace alone") {
  Container container;
  fakes::Machine& machine = container.node.machine;
  const auto give = [&](const std::string& net_dir, const std::string& state_dir) {
    (void)container.given(R"({"name":"crossover","plugins":[{"type":"crossover","netDir":")" + net_dir +
                          R"(","stateDir":")" + state_dir +
                          R"(","legacy":{"cidrs":["10.244.0.0/16"]},"cilium":{"cidrs":["10.245.0.0/16"]},)"
                          R"("coexistence":{"profile":"aws-vpc-cni"}}]})");
  };
  give("/etc/cni/net.d", "/var/lib/cni/crossover");
  (void)container.install();
  CHECK(machine.node_fib.calls.changes == 0);
  container.options.root.reset();  // but those of the node that it runs on
  container.options.conf = container.node.conf();
  container.options.bin_dir = machine.bin_dir();
  give(machine.net_dir(), machine.state_dir());
  (void)container.install();
  CHECK(machine.node_fib.calls.changes > 0);
}

TEST_CASE("install --root asks the agent by its socket below the root") {
  Container container;
  container.node.machine.write(container.host("/opt/cni/bin/cilium-cni"), "");
  container.node.machine.write(container.host("/var/cni/crossover.d/05-cilium.conflist"), kCilium);
  fs::create_directories(container.host("/run"));
  fs::create_directories(container.host("/var"));
  fs::create_symlink("/run", container.host("/var/run"));
  container.node.machine.agent.be_healthy();
  (void)container.install();
  CHECK(container.node.machine.agent.asked_at == container.host("/run/cilium/cilium.sock"));
}

TEST_CASE("install --root is refused where the host's next pod could not start, and used wrongly without a root") {
  Container container;
  fs::remove(container.host("/opt/cni/bin/portmap"));
  CHECK(refusal_of([&] { return container.install(); }).details().find("list cbr0 cannot run: ") == 0);
  CHECK_FALSE(fs::exists(container.host("/opt/cni/bin/crossover")));
  for (const char* root : {"", "host", "/nowhere/at/all"}) {
    container.options.root = root;
    CHECK(refusal_of([&] { return container.install(); }).details() ==
          "--root `" + std::string(root) + "` is no directory with a full path");
  }
}

TEST_CASE("the conflist of deploy/ is the smallest one") {
  CHECK(content(TEST_DATA "/../../deploy/install/00-crossover.conflist") == plugin::default_conflist("/etc/cni/net.d"));
}

TEST_CASE("install --conflist writes what it is given, in place of what is there, and only a conflist of ours") {
  Container container;
  (void)container.install();
  const std::string wanted =
      container.given(R"({"name":"crossover","plugins":[{"type":"crossover","hostPorts":"off"}]})");
  CHECK(container.install().text == "/etc/cni/net.d/00-crossover.conflist\n");
  CHECK(container.written() == wanted);
  CHECK(container.install().text == "all is in place\n");
  for (const char* wrong : {"{", R"({"name":"x","plugins":[{"type":"bridge"}]})",
                            R"({"name":"crossover","plugins":[{"type":"crossover","hostPorts":"maybe"}]})"}) {
    (void)container.given(wrong);
    const conf::CniError error = refusal_of([&] { return container.install(); });
    CHECK(error.code() ==
          static_cast<unsigned>(wrong == std::string("{") ? conf::Code::kDecode : conf::Code::kInvalidConfig));
    CHECK(container.written() == wanted);
  }
}

TEST_SUITE_END();

}  // namespace
