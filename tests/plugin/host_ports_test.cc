// SPDX-License-Identifier: Apache-2.0
#include "plugin/host_ports.h"

#include <doctest/doctest.h>

#include "tests/support/refusal.h"

namespace {

using conf::HostPorts;
using plugin::PortMapper;

const conf::NetworkList& with_portmap() {
  static const conf::NetworkList list = conf::parse_list(
      R"({"name":"a","plugins":[{"type":"bridge"},{"type":"portmap","capabilities":{"portMappings":true}}]})", "x");
  return list;
}

const conf::NetworkList& without() {
  static const conf::NetworkList list = conf::parse_list(R"({"name":"a","plugins":[{"type":"ptp"}]})", "x");
  return list;
}

const conf::Object& offers() {
  static const conf::Object object = conf::Object::parse(R"({"portMappings":[{"hostPort":80}],"mac":"x"})", "x");
  return object;
}

TEST_SUITE_BEGIN("plugin.host_ports");

TEST_CASE("auto and delegate leave ports to a list that takes them, off maps none") {
  CHECK(plugin::port_mapper(HostPorts::kAuto, with_portmap()) == PortMapper::kDelegate);
  CHECK(plugin::port_mapper(HostPorts::kDelegate, with_portmap()) == PortMapper::kDelegate);
  CHECK(plugin::port_mapper(HostPorts::kAuto, without()) == PortMapper::kNone);
  CHECK(plugin::port_mapper(HostPorts::kOff, with_portmap()) == PortMapper::kNone);
}

TEST_CASE("crossover is refused by a release that cannot map ports itself") {
  const conf::CniError error =
      support::refusal_of([] { return plugin::port_mapper(HostPorts::kCrossover, with_portmap()); });
  CHECK(error.code() == 7);
  CHECK(error.details().find("`hostPorts` is crossover") != std::string::npos);
}

TEST_CASE("ports nobody maps are taken out and said, everything else is passed on") {
  std::vector<std::string> notes;
  CHECK(offers_for(with_portmap(), PortMapper::kDelegate, offers(), notes) == offers());
  CHECK(notes.empty());
  const conf::Object left = offers_for(without(), PortMapper::kNone, offers(), notes);
  CHECK_FALSE(left.has("portMappings"));
  CHECK(left.has("mac"));
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].find("hostPorts are not mapped") != std::string::npos);
}

TEST_CASE("no ports asked for is nothing to say") {
  std::vector<std::string> notes;
  (void)offers_for(without(), PortMapper::kNone, conf::Object::parse(R"({"portMappings":[]})", "x"), notes);
  CHECK(notes.empty());
}

TEST_SUITE_END();

}  // namespace
